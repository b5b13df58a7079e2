package recordtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// chronicle is the naive reference of versions: every version of every record that was written and not purged, in the order of writing.
type chronicle []record.Version

// at is the version of a record that is current at a time; nil when it was not made yet.
func (c chronicle) at(id string, t time.Time) (out *record.Version) {
	for i := range c {
		if c[i].ID == id && !c[i].Time.After(t) {
			out = &c[i]
		}
	}
	return out
}

func (c chronicle) purge(id string) chronicle {
	return slices.DeleteFunc(slices.Clone(c), func(v record.Version) bool { return v.ID == id })
}

func (c chronicle) versions(id string) (n int64, live bool) {
	if v := c.at(id, time.Unix(1<<40, 0)); v != nil {
		return v.Version, !v.Deleted
	}
	return 0, false
}

// lives writes random batches, some with conditions that do not hold, and compares every record, version, history and past state with the chronicle.
func lives(t *testing.T, b Backend) {
	s := start(t, b)
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(21, 22))
	var all chronicle
	var commits []record.Commit
	pids := map[string]uint64{}
	for batch := range 150 {
		next := slices.Clone(all)
		made := 0
		good := true
		c, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
			next, made, good = slices.Clone(all), 0, true
			purged := map[string]bool{}
			for range 1 + rng.IntN(6) {
				id := fmt.Sprint("r", rng.IntN(12))
				if purged[id] {
					continue
				}
				have, live := next.versions(id)
				switch rng.IntN(9) {
				case 0:
					_, err := tx.Delete(subject, id, record.Any)
					switch {
					case have == 0:
						wantCode(t, err, errs.NotFound, "deleting nothing")
					case !live:
						wantCode(t, err, errs.Gone, "deleting twice")
					default:
						if err != nil {
							return err
						}
						next = append(next, record.Version{ID: id, Version: have + 1, Time: tx.Time(), Deleted: true})
						made++
					}
				case 1:
					err := tx.Purge(subject, id)
					if have == 0 {
						wantCode(t, err, errs.NotFound, "purging nothing")
						continue
					}
					if err != nil {
						return err
					}
					next, purged[id] = next.purge(id), true
					made++
				default:
					expect := []record.Expect{record.Any, record.Any, record.Absent, record.Expect(max(1, have))}[rng.IntN(4)]
					body := fmt.Sprintf("%s of batch %d.%d", id, batch, made)
					n, err := tx.Put(record.Put{Kind: subject, ID: id, Body: []byte(body), Expect: expect})
					holds := expect == record.Any || expect == record.Absent && !live || expect > 0 && live
					if !holds {
						good = false
						return err
					}
					if err != nil {
						return err
					}
					if n != have+1 {
						t.Errorf("batch %d: %s got version %d, want %d", batch, id, n, have+1)
					}
					next = append(next, record.Version{ID: id, Version: n, Time: tx.Time(), Body: []byte(body)})
					made++
				}
			}
			return nil
		})
		switch {
		case !good && err == nil:
			t.Fatalf("batch %d: a condition that does not hold was taken", batch)
		case good && err != nil:
			t.Fatalf("batch %d: %v", batch, err)
		case good && made > 0:
			for i := len(next) - 1; i >= 0 && next[i].Commit == 0; i-- {
				next[i].Commit = c.Seq
			}
			all, commits = next, append(commits, c)
		}
		if batch%10 == 0 {
			compareNow(t, s, all, pids)
		}
	}
	compareNow(t, s, all, pids)
	for _, c := range commits {
		comparePast(t, s, all, c.Time)
	}
}

func same(a, b *record.Version) bool {
	return a.ID == b.ID && a.Version == b.Version && a.Commit == b.Commit && a.Time.Equal(b.Time) && a.Deleted == b.Deleted && string(a.Body) == string(b.Body)
}

// compareNow compares the newest state, every version and the histories.
func compareNow(t *testing.T, s record.Store, all chronicle, pids map[string]uint64) {
	t.Helper()
	v, err := s.View(context.Background(), space)
	must(t, err)
	defer v.Close()
	for n := range 12 {
		id := fmt.Sprint("r", n)
		var mine chronicle
		for _, x := range all {
			if x.ID == id {
				mine = append(mine, x)
			}
		}
		got, err := v.Get(subject, id)
		switch last := all.at(id, time.Unix(1<<40, 0)); {
		case last == nil:
			wantCode(t, err, errs.NotFound, id)
			delete(pids, id)
		case last.Deleted:
			wantCode(t, err, errs.Gone, id)
		case err != nil || !same(got, last):
			t.Errorf("%s is %+v, want %+v; %v", id, got, last, err)
		default:
			if p, ok := pids[id]; ok && p != got.PID && mine[0].Version == 1 && len(mine) > 1 && mine[0].Commit < got.Commit {
				t.Logf("%s was purged and made again: pid %d, then %d", id, p, got.PID)
			}
			pids[id] = got.PID
		}
		slices.Reverse(mine)
		compareHistory(t, v, id, mine)
	}
	newest := slices.Clone(all)
	sort.SliceStable(newest, func(i, j int) bool { return newest[i].Commit > newest[j].Commit })
	count, last := 0, uint64(1<<63)
	for got, err := range v.History(subject, "", 0, time.Time{}) {
		must(t, err)
		if got.Commit > last {
			t.Errorf("the history goes from commit %d to %d", last, got.Commit)
		}
		last = got.Commit
		if !slices.ContainsFunc(newest, func(x record.Version) bool { return same(&x, got) }) {
			t.Errorf("the history has %+v", got)
		}
		count++
	}
	if count != len(all) {
		t.Errorf("the history has %d versions, want %d", count, len(all))
	}
}

func compareHistory(t *testing.T, v record.View, id string, want chronicle) {
	t.Helper()
	i := 0
	for got, err := range v.History(subject, id, 0, time.Time{}) {
		must(t, err)
		if i >= len(want) || !same(got, &want[i]) {
			t.Errorf("history of %s, place %d: %+v", id, i, got)
		}
		i++
	}
	if i != len(want) {
		t.Errorf("history of %s has %d versions, want %d", id, i, len(want))
	}
	for _, w := range want {
		if got, err := v.GetVersion(subject, id, w.Version); err != nil || !same(got, &w) {
			t.Errorf("version %d of %s: %+v, %v", w.Version, id, got, err)
		}
	}
}

// comparePast compares the state as of a time. Purged records are not of the past either.
func comparePast(t *testing.T, s record.Store, all chronicle, at time.Time) {
	t.Helper()
	v, err := s.ViewAt(context.Background(), space, at)
	must(t, err)
	defer v.Close()
	live := map[string]*record.Version{}
	for n := range 12 {
		id := fmt.Sprint("r", n)
		got, err := v.Get(subject, id)
		switch want := all.at(id, at); {
		case want == nil:
			wantCode(t, err, errs.NotFound, id+" in the past")
		case want.Deleted:
			wantCode(t, err, errs.Gone, id+" in the past")
		case err != nil || !same(got, want):
			t.Errorf("%s as of %v is %+v, want %+v; %v", id, at, got, want, err)
		default:
			live[id] = want
		}
		for got, err := range v.History(subject, id, 0, time.Time{}) {
			must(t, err)
			if got.Time.After(at) {
				t.Errorf("the history of the past has %+v", got)
			}
		}
	}
	last := uint64(0)
	for got, err := range v.Scan(subject, 0) {
		must(t, err)
		if want := live[got.ID]; want == nil || !same(got, want) || got.PID <= last {
			t.Errorf("scan of the past has %+v after pid %d, want %+v", got, last, want)
		}
		last = got.PID
		delete(live, got.ID)
	}
	if len(live) > 0 {
		t.Errorf("scan of the past lacks %v", live)
	}
}
