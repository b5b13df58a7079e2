package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// Backup is a backup that is read.
type Backup struct {
	v     *vault
	ring  key.Ring // regardless of keys' states
	point *Point   // the state asked for is in this one
	older *Point   // and, for what the point above has in a later state only, in this one; nil: nothing of it is needed
	at    time.Time
}

// Choose finds the point for a time and gives the key ring of that point, as keyring.Ring.Sealed made it; zero asks for the newest point. A time between two
// points is served from the later one, cut back to it, with the help of the earlier one.
func Choose(ctx context.Context, place Place, at time.Time) (point, older string, ring []byte, err error) {
	names, err := points(ctx, place)
	if err != nil {
		return "", "", nil, err
	}
	if len(names) == 0 {
		return "", "", nil, errs.New(errs.NotFound, "%s holds no finished backup of Galen", place)
	}
	point = names[len(names)-1]
	if !at.IsZero() {
		point = ""
		for _, n := range names {
			made, err := timeOf(n)
			if err != nil {
				return "", "", nil, err
			}
			if made.Equal(at) {
				point, older = n, ""
				break
			}
			if made.After(at) {
				point = n
				break
			}
			older = n
		}
		if point == "" {
			last, err := timeOf(older)
			if err != nil {
				return "", "", nil, err
			}
			return "", "", nil, errs.New(errs.OutOfRange, "the newest backup in %s shows %s: back up again to reach later times, or ask for an earlier one", place, last.Format(time.RFC3339Nano))
		}
	}
	b, err := readAll(ctx, place, point, maxPoint)
	if err != nil {
		return "", "", nil, err
	}
	_, ring, _, _, err = splitPoint(b)
	if err != nil {
		return "", "", nil, errs.New(errs.CodeOf(err), "%s in %s: %s", point, place, errs.As(err).Message)
	}
	return point, older, slices.Clone(ring), nil
}

// Open opens what Choose found, with the key ring that it gave. The zero time is the point's own.
func Open(ctx context.Context, place Place, ring Ring, point, older string, at time.Time) (*Backup, error) {
	b := &Backup{ring: ring.Regardless(), at: at}
	var err error
	if b.v, err = openVault(ctx, place, b.ring, false); err != nil {
		return nil, err
	}
	if b.point, err = b.v.point(ctx, point); err != nil {
		return nil, err
	}
	if older != "" {
		if b.older, err = b.v.point(ctx, older); err != nil {
			return nil, err
		}
	}
	if b.at.IsZero() || b.at.After(b.point.Time) {
		b.at = b.point.Time
	}
	return b, nil
}

// Point is the point that is read.
func (b *Backup) Point() *Point { return b.point }

// At is the time whose state is given.
func (b *Backup) At() time.Time { return b.at }

// Items gives the records and messages of the state asked for, as record.Portable.Import asks for them.
func (b *Backup) Items(ctx context.Context) func() (any, error) {
	begun := false
	m := &merge{at: b.at, now: b.side(ctx, b.point)}
	if b.older != nil {
		m.was = b.side(ctx, b.older)
	}
	return func() (any, error) {
		if !begun {
			begun = true
			return b.point.ExportPoint, nil
		}
		return m.next()
	}
}

func (b *Backup) side(ctx context.Context, p *Point) *side {
	return &side{d: newDecoder(&joined{ctx: ctx, v: b.v, names: p.Records})}
}

// Files gives the files of the point, whatever time was asked for.
func (b *Backup) Files(ctx context.Context, fn func(name string, body []byte) error) error {
	d := newDecoder(&joined{ctx: ctx, v: b.v, names: b.point.Files})
	for {
		it, err := d.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		f, ok := it.(file)
		if !ok || strings.Contains(f.name, "..") || strings.HasPrefix(f.name, "/") {
			return errItem
		}
		if err := fn(f.name, f.body); err != nil {
			return err
		}
	}
}

// ids are the blobs of the points.
func (b *Backup) ids(ctx context.Context) (ids []string, err error) {
	for _, p := range []*Point{b.point, b.older} {
		if p == nil {
			continue
		}
		r, raw := &joined{ctx: ctx, v: b.v, names: p.Blobs}, make([]byte, 16)
		for {
			_, err := io.ReadFull(r, raw)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, damaged(err)
			}
			ids = append(ids, hex.EncodeToString(raw))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// Blobs copies the blobs to a place that has them as xy/id, those that are there already left out, and proves each. It returns how many there are.
func (b *Backup) Blobs(ctx context.Context, to Place, progress func(Progress)) (n int64, err error) {
	ids, err := b.ids(ctx)
	if err != nil {
		return 0, err
	}
	have := map[string]bool{}
	if err := to.List(ctx, "", func(name string) error { have[name] = true; return nil }); err != nil {
		return 0, err
	}
	for i, id := range ids {
		if i%50 == 0 {
			progress(Progress{"blobs", int64(i), int64(len(ids))})
		}
		if have[id[:2]+"/"+id] {
			continue
		}
		if err := b.blob(ctx, id, to); err != nil {
			return int64(i), err
		}
	}
	return int64(len(ids)), to.Settle(ctx)
}

func (b *Backup) blob(ctx context.Context, id string, to Place) error {
	name := id[:2] + "/" + id
	src, err := b.v.place.Open(ctx, blobFolder+name)
	if errs.Is(err, errs.NotFound) {
		return errs.New(errs.Corrupt, "%s%s is missing from the backup", blobFolder, name)
	}
	if err != nil {
		return err
	}
	src.Expect(0, 1<<62)
	err = to.Put(ctx, name, io.NewSectionReader(src, 0, 1<<62))
	_ = src.Close() // only read
	if err != nil {
		return err
	}
	if err := prove(ctx, to, name, b.ring, id); err != nil && !errs.Is(err, errs.NotFound) {
		return errors.Join(errs.Wrap(errs.Corrupt, err, "%s%s in the backup is damaged", blobFolder, name), to.Remove(ctx, name))
	}
	return nil
}

// side is one point's stream of records, an item ahead.
type side struct {
	d     *decoder
	item  any
	err   error
	begun bool
}

// peek is the next item; nil at the end.
func (s *side) peek() (any, error) {
	if s == nil {
		return nil, nil
	}
	if !s.begun {
		s.take()
	}
	if errors.Is(s.err, io.EOF) {
		return nil, nil
	}
	return s.item, s.err
}

func (s *side) take() {
	s.begun = true
	s.item, s.err = s.d.next()
}

// merge gives a state between two points: of each record, the versions up to the time. What the later point does not have any more in a state of that time, because
// its kind keeps no history or because it was removed for good, is given as the earlier point has it.
type merge struct {
	at       time.Time
	now, was *side
	space    record.Space
	life     uint32
}

func (m *merge) next() (any, error) {
	for {
		now, err := m.now.peek()
		if err != nil {
			return nil, err
		}
		if now == nil {
			return nil, io.EOF
		}
		switch x := now.(type) {
		case record.ExportSpace:
			if r, err := m.rest(); r != nil || err != nil {
				return r, err
			}
			m.now.take()
			m.space, m.life = x.Name, x.Life
			if err := m.align(); err != nil {
				return nil, err
			}
			return x, nil
		case record.Message:
			if r, err := m.rest(); r != nil || err != nil {
				return r, err
			}
			m.now.take()
			if !x.Time.After(m.at) {
				return x, nil
			}
		case record.ExportRecord:
			r, err := m.record(x)
			if r != nil || err != nil {
				return r, err
			}
		default:
			return nil, errItem
		}
	}
}

// older is the earlier point's next record of the space; nil when there is none.
func (m *merge) older() (*record.ExportRecord, error) {
	it, err := m.was.peek()
	if r, ok := it.(record.ExportRecord); ok && err == nil {
		return &r, nil
	}
	return nil, err
}

// rest is a record that only the earlier point has, at the end of a space.
func (m *merge) rest() (any, error) {
	r, err := m.older()
	if r == nil || err != nil {
		return nil, err
	}
	m.was.take()
	return *r, nil
}

// align brings the earlier point to the same space; one that the later point has not, or has anew, is passed over: its key is gone.
func (m *merge) align() error {
	if m.was == nil {
		return nil
	}
	for {
		it, err := m.was.peek()
		if err != nil {
			return err
		}
		s, ok := it.(record.ExportSpace)
		switch {
		case it == nil:
			return nil
		case ok && s.Name > m.space:
			return nil
		case ok && s.Name == m.space && s.Life == m.life:
			m.was.take()
			return nil
		}
		if _, message := it.(record.Message); message {
			return nil
		}
		m.was.take()
		for r, err := m.older(); r != nil || err != nil; r, err = m.older() {
			if err != nil {
				return err
			}
			m.was.take()
		}
	}
}

// record joins a record of the later point with the earlier point's; nil when there was none at the time.
func (m *merge) record(x record.ExportRecord) (any, error) {
	old, err := m.older()
	if err != nil {
		return nil, err
	}
	if old != nil && (old.Kind < x.Kind || old.Kind == x.Kind && old.PID < x.PID) {
		m.was.take()
		return *old, nil
	}
	m.now.take()
	same := old != nil && old.Kind == x.Kind && old.PID == x.PID
	if same {
		m.was.take()
	}
	x.Versions = slices.DeleteFunc(x.Versions, func(v record.ExportVersion) bool { return v.Time.After(m.at) })
	switch {
	case len(x.Versions) > 0:
		return x, nil
	case same:
		return *old, nil
	}
	return nil, nil
}
