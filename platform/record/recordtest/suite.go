package recordtest

import (
	"context"
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// Backend opens a store; Open again after Close opens the same data.
type Backend struct {
	Open func() record.Store
	Keys key.Ring
}

func ref() key.Ref { return key.Ref{} }

// open opens the store with the suite's kinds declared.
func (b Backend) open(t *testing.T) record.Store {
	t.Helper()
	s := b.Open()
	entries := func(_ string, body []byte) ([]record.Entry, error) {
		return []record.Entry{{Index: "body", Value: record.String(string(body))}}, nil
	}
	must(t, s.Declare(record.OnceKind.Def(), record.KindDef{Name: subject, Entries: entries}, record.KindDef{Name: finding, Entries: entries}, record.KindDef{Name: "test.lease", Entries: entries, Volatile: true},
		record.KindDef{Name: single, Entries: entries, Volatile: true, Single: []string{"body"}}))
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code errs.Code, what string) {
	t.Helper()
	if !errs.Is(err, code) {
		t.Errorf("%s: error = %v, want %v", what, err, code)
	}
}

// Suite is what every back end passes.
func Suite(t *testing.T, open func(t *testing.T) Backend) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Backend)
	}{
		{"versions", versions}, {"conditions", conditions}, {"atomic", atomic}, {"ownReads", ownReads}, {"locks", locks}, {"order", order}, {"history", history}, {"past", past},
		{"pages", pages}, {"outbox", outbox}, {"spaces", spaces}, {"reopen", reopen}, {"volatile", volatile}, {"purge", purge}, {"once", once}, {"concurrent", concurrent}, {"cancel", cancelled}, {"spans", spans}, {"churn", churn}, {"bodies", bodies}, {"refusals", refusals}, {"typed", typed}, {"lives", lives}, {"random", random},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

const space = record.Space("suite")

// start opens the store with the suite's space.
func start(t *testing.T, b Backend) record.Store {
	t.Helper()
	s := b.open(t)
	t.Cleanup(func() { s.Close() })
	must(t, s.CreateSpace(context.Background(), space, ref()))
	return s
}

func put(t *testing.T, s record.Store, id, body string, expect record.Expect) (int64, error) {
	t.Helper()
	var version int64
	_, err := s.Update(context.Background(), space, nil, func(tx record.Tx) (err error) {
		version, err = tx.Put(record.Put{Kind: subject, ID: id, Body: []byte(body), Expect: expect})
		return err
	})
	return version, err
}

func view(t *testing.T, s record.Store) record.View {
	t.Helper()
	v, err := s.View(context.Background(), space)
	must(t, err)
	t.Cleanup(v.Close)
	return v
}
