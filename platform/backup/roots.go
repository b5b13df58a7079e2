package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/galen-health/galen/platform/errs"
)

// Root keys that something else has sealed (a passphrase, a vault, a token) are in a backup beside its points: without them the rings in those could be opened
// by nobody. They are no secret, and are named by what they hold: one that was replaced stays, for older points need it.
const (
	rootFolder = "roots/"
	maxRoot    = 1 << 20
)

// keepRoots puts the files with sealed root keys into a place, by their names, and tells how they are called there.
func keepRoots(ctx context.Context, place Place, roots map[string][]byte) ([]string, error) {
	at := []string{}
	for _, name := range slices.Sorted(maps.Keys(roots)) {
		sum := sha256.Sum256(roots[name])
		at = append(at, rootFolder+hex.EncodeToString(sum[:16])+"/"+name)
		if err := place.Put(ctx, at[len(at)-1], bytes.NewReader(roots[name])); err != nil {
			return nil, err
		}
	}
	return at, nil
}

// Root is a file with a sealed root key.
type Root struct {
	Name string // as in the key folder
	Body []byte
}

// Roots returns what keepRoots put there, by all backups. A damaged one is errs.Corrupt.
func Roots(ctx context.Context, place Place) (roots []Root, err error) {
	var names []string
	if err := place.List(ctx, rootFolder, func(name string) error {
		names = append(names, name)
		return nil
	}); err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, n := range names {
		of, name, ok := strings.Cut(strings.TrimPrefix(n, rootFolder), "/")
		body, err := readAll(ctx, place, n, maxRoot)
		if err != nil {
			return nil, err
		}
		if sum := sha256.Sum256(body); !ok || strings.Contains(name, "/") || hex.EncodeToString(sum[:16]) != of {
			return nil, errs.New(errs.Corrupt, "%s in %s is damaged", n, place)
		}
		roots = append(roots, Root{name, body})
	}
	return roots, nil
}
