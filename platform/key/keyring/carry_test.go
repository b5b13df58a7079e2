package keyring_test

import (
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
)

// A disabled key's data can be carried, not read; a deleted key's neither; and a copy of the ring opens with its root key alone.
func TestCarry(t *testing.T) {
	root := make([]byte, 32)
	r, err := keyring.Open(t.TempDir(), root, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	k, err := r.Create()
	if err != nil {
		t.Fatal(err)
	}
	dk, err := r.DataKey(t.Context(), key.Ref{Key: k.ARN})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetEnabled(k.ARN, false); err != nil {
		t.Fatal(err)
	}
	b, err := r.Sealed()
	if err != nil {
		t.Fatal(err)
	}
	c, err := keyring.OpenSealed(b, root, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, ring := range []*keyring.Ring{r, c} {
		if _, err := ring.Open(t.Context(), dk.Wrapped, nil); !errs.Is(err, errs.Conflict) {
			t.Errorf("a disabled key opens: %v", err)
		}
		if got, err := ring.Regardless().Open(t.Context(), dk.Wrapped, nil); err != nil || string(got.Plain) != string(dk.Plain) {
			t.Errorf("a disabled key cannot be carried: %v", err)
		}
		if _, err := ring.Regardless().DataKey(t.Context(), key.Ref{Key: k.ARN}); err != nil {
			t.Errorf("nothing can be wrapped for carrying: %v", err)
		}
	}
	if _, err := c.CreateOwned(t.Context(), "test"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a copy takes a change: %v", err)
	}
	owned, err := r.CreateOwned(t.Context(), "store")
	if err != nil {
		t.Fatal(err)
	}
	if dk, err = r.DataKey(t.Context(), key.Ref{Key: owned}); err != nil {
		t.Fatal(err)
	}
	if err := r.DestroyOwned(t.Context(), owned); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Regardless().Open(t.Context(), dk.Wrapped, nil); !errs.Is(err, errs.NotFound) {
		t.Errorf("a deleted key opens: %v", err)
	}
	root[0] ^= 1
	if _, err := keyring.OpenSealed(b, root, keyring.Config{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("another root key opens a copy: %v", err)
	}
	root[0] ^= 1
	b[len(b)-1] ^= 1
	if _, err := keyring.OpenSealed(b, root, keyring.Config{}); !errs.Is(err, errs.Corrupt) {
		t.Errorf("a damaged copy opens: %v", err)
	}
}
