package athena

import "testing"

// A result that is gone is found, and a whole one is not complained of.
func TestVerify(t *testing.T) {
	l := newLab(t)
	id := l.start(l.ctx, "SELECT id, name FROM people ORDER BY id")
	l.end(id)
	faults := 0
	look := func() int {
		t.Helper()
		n, err := l.s.Verify(l.ctx, func(error) { faults++ })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := look(); n != 1 || faults != 0 {
		t.Fatalf("%d results, %d faults", n, faults)
	}
	q, err := l.s.get(l.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.s.cfg.Blobs.Delete(l.ctx, q.Result); err != nil {
		t.Fatal(err)
	}
	if look(); faults != 1 {
		t.Errorf("a result that is gone: %d faults", faults)
	}
}
