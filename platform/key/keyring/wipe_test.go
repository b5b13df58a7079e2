package keyring

import (
	"bytes"
	"context"
	"testing"

	"github.com/galen-health/galen/platform/key"
)

// What holds key material is zero when it is let go.
func TestKeysAreWiped(t *testing.T) {
	dir := t.TempDir()
	r, err := Open(dir, nil, Config{})
	if err != nil {
		t.Fatal(err)
	}
	zero := func(what string, held ...[]byte) {
		t.Helper()
		if len(held) == 0 {
			t.Errorf("%s: nothing was looked at", what)
		}
		for _, b := range held {
			if len(b) != 32 || !bytes.Equal(b, make([]byte, len(b))) {
				t.Errorf("%s is not wiped", what)
			}
		}
	}
	material := func() (held [][]byte) {
		for _, k := range r.keys {
			for _, v := range k.Versions {
				held = append(held, v.material)
			}
		}
		return held
	}
	arn, err := r.CreateOwned(context.Background(), "test")
	if err != nil {
		t.Fatal(err)
	}
	k, err := r.find(arn)
	if err != nil {
		t.Fatal(err)
	}
	own := k.Versions[0].material
	if err := r.DestroyOwned(context.Background(), arn); err != nil {
		t.Fatal(err)
	}
	zero("a destroyed key", own)

	l, err := load(r.d, r.root)
	if err != nil {
		t.Fatal(err)
	}
	kept := l.content.Keys[0].Kept[0].Material
	l.content.wipe()
	zero("a content that is not used", kept)

	if _, err := r.DataKey(context.Background(), key.Ref{}); err != nil {
		t.Errorf("the ring works no more: %v", err)
	}
	held, root := material(), r.root
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	zero("a key of a closed ring", held...)
	zero("the root key of a closed ring", root)
}
