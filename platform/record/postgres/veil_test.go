package postgres

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

func testVeil(t testing.TB, seed byte) *veil {
	t.Helper()
	v, err := newVeil(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What the database compares comes out as it is of the plain values, for any bytes; nothing of the plain value stands in the hidden one.
func TestVeilKeepsOrderAndBeginnings(t *testing.T) {
	v := testVeil(t, 1)
	rng := rand.New(rand.NewPCG(1, 2))
	s := scope{kind: 3, index: 5}
	word := func() string {
		b := make([]byte, rng.IntN(6))
		for i := range b {
			b[i] = []byte{0, 1, 'a', 'b', 0x7f, 0xfe, 0xff}[rng.IntN(7)]
		}
		return string(b)
	}
	for range 20_000 {
		a, b := word(), word()
		x, y := v.hide(s, a), v.hide(s, b)
		if bytes.Compare(x, y) != strings.Compare(a, b) {
			t.Fatalf("%q and %q compare as %d, hidden as %d", a, b, strings.Compare(a, b), bytes.Compare(x, y))
		}
		if bytes.HasPrefix(x, y) != strings.HasPrefix(a, b) {
			t.Fatalf("%q begins with %q: hidden it is otherwise", a, b)
		}
		if got, ok := v.show(s, x); !ok || got != a {
			t.Fatalf("%q came back as %q, %v", a, got, ok)
		}
		if up := beyond(y); strings.HasPrefix(a, b) && len(y) > 0 && up != nil && (bytes.Compare(x, y) < 0 || bytes.Compare(x, up) >= 0) {
			t.Fatalf("%q is outside of the span of %q", a, b)
		}
	}
}

func TestVeilDependsOnKeyAndScope(t *testing.T) {
	const name = "\x73mustermann\x00\x01"
	base := testVeil(t, 1).hide(scope{1, 1, ofValue}, name)
	if bytes.Contains(base, []byte("muster")) {
		t.Error("the plain value stands in the hidden one")
	}
	others := [][]byte{testVeil(t, 2).hide(scope{1, 1, ofValue}, name), testVeil(t, 1).hide(scope{1, 2, ofValue}, name), testVeil(t, 1).hide(scope{2, 1, ofValue}, name), testVeil(t, 1).hide(scope{1, 1, ofEnd}, name)}
	for i, o := range others {
		if bytes.Equal(base, o) {
			t.Errorf("mapping %d is the same", i)
		}
	}
	if _, ok := testVeil(t, 2).show(scope{1, 1, ofValue}, base); ok {
		t.Error("another key reads the value")
	}
	if a, b := testVeil(t, 1).id("k", "1"), testVeil(t, 1).id("k", "2"); bytes.Equal(a, b) || len(a) != 16 {
		t.Error("digests of ids")
	}
}

// The code of one byte says little about the byte: over many keys it takes values all over the range.
func TestVeilSpreads(t *testing.T) {
	low, high := 0, 0
	for seed := range 200 {
		b := testVeil(t, byte(seed)).hide(scope{1, 1, ofValue}, "m")
		if b[0] < 64 {
			low++
		}
		if b[0] >= 128 {
			high++
		}
	}
	if low < 20 || high < 20 {
		t.Errorf("the letter m lies in the first quarter %d times of 200, in the upper half %d times", low, high)
	}
}

func FuzzVeilShow(f *testing.F) {
	v := testVeil(f, 7)
	f.Add(v.hide(scope{1, 2, ofValue}, "abc\x00\x01"))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, hidden []byte) {
		if plain, ok := v.show(scope{1, 2, ofValue}, hidden); ok && !bytes.Equal(v.hide(scope{1, 2, ofValue}, plain), hidden) {
			t.Errorf("%x reads as %q, which hides otherwise", hidden, plain)
		}
	})
}

func BenchmarkHide(b *testing.B) {
	v := testVeil(b, 1)
	for b.Loop() {
		v.hide(scope{1, 1, ofValue}, "thttp://loinc.org\x00\x0112345-6\x00\x01")
	}
}
