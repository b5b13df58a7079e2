package keyring_test

import (
	"testing"

	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
)

func BenchmarkDataKey(b *testing.B) {
	r, err := keyring.Open(b.TempDir(), nil, keyring.Config{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		dk, err := r.DataKey(ctx, key.Ref{Context: map[string]string{"a": "b"}})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Open(ctx, dk.Wrapped, map[string]string{"a": "b"}); err != nil {
			b.Fatal(err)
		}
	}
}

// A change rewrites the whole ring: this is what one costs with a thousand keys in it.
func BenchmarkCreateOwned(b *testing.B) {
	r, err := keyring.Open(b.TempDir(), nil, keyring.Config{})
	if err != nil {
		b.Fatal(err)
	}
	for range 1000 {
		if _, err := r.CreateOwned(ctx, "store"); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := r.CreateOwned(ctx, "store"); err != nil {
			b.Fatal(err)
		}
	}
}
