package rootkey

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/galen-health/galen/platform/errs"
)

// Move seals a ring under a fresh root key (or, for a variable or a file that holds one, under that), kept at to. reseal seals the ring. The server must be stopped.
// A crash at any moment leaves a ring that from or to opens, and Move can be called again. What sealed the old root key is removed from the folder at the end; a
// copy of it elsewhere still opens old copies of the ring.
func Move(ctx context.Context, f Folder, from, to Source, reseal func(old, next []byte) error) error {
	if f.Fresh {
		return errs.New(errs.Invalid, "there is no key ring in %s: start galen serve with --root-key %s", f.Dir, to)
	}
	oldSeal, oldPath, err := from.parse()
	if err != nil {
		return err
	}
	newSeal, newPath, err := to.parse()
	if err != nil {
		return err
	}
	if to == "" {
		return errs.New(errs.Invalid, "say where the root key shall be: env:NAME, file:PATH, passphrase, vault:… or pkcs11:…")
	}
	old, err := from.Open(ctx, f)
	if err != nil {
		return err
	}
	if old == nil { // the ring's own file
		if old, err = openFile(filepath.Join(f.Dir, ownFile), f); err != nil {
			return err
		}
		oldPath = filepath.Join(f.Dir, ownFile)
	}
	defer clear(old)
	next, err := prepare(ctx, f, newSeal, newPath, to)
	if err != nil {
		return err
	}
	defer clear(next)
	if err := reseal(old, next); err != nil {
		return err
	}
	return settle(f.Dir, oldSeal, oldPath, newSeal, newPath)
}

// prepare makes the new root key durable where it shall be, beside the old one if both lie in the same file.
func prepare(ctx context.Context, f Folder, by seal, path string, to Source) ([]byte, error) {
	if by == nil && path == "" {
		return to.Open(ctx, Folder{Dir: f.Dir, Fresh: true, Opens: f.Opens})
	}
	if by == nil {
		b, err := os.ReadFile(path)
		if err == nil { // the operator's, or of a move that a crash cut short
			defer clear(b)
			return parse(b)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, errs.Wrap(errs.Invalid, err, "the file %s cannot be read", path)
		}
		root := fresh()
		return root, writeNew(path, root)
	}
	kept, err := readSeals(f.Dir, by.name())
	if errors.Is(err, fs.ErrNotExist) {
		kept, err = &keptSeals{Format: 1}, nil
	}
	if err != nil {
		return nil, err
	}
	root := fresh()
	s, err := by.seal(ctx, root)
	if err != nil {
		return nil, err
	}
	if len(kept.Roots) == 2 { // a move was cut short: the ring is under the first or the second, so neither may go
		for i := range kept.Roots {
			again, err := by.open(ctx, &kept.Roots[i])
			if err == nil && len(again) == Size {
				clear(root)
				return again, nil
			}
		}
		return nil, errs.New(errs.Conflict, "a move that was cut short must be finished first: repeat it with the same --from and --to")
	}
	kept.Roots = append(kept.Roots, *s)
	return root, writeSeals(f.Dir, by.name(), kept)
}

// settle removes what sealed the old root key.
func settle(dir string, oldSeal seal, oldPath string, newSeal seal, newPath string) error {
	if newSeal != nil {
		kept, err := readSeals(dir, newSeal.name())
		if err != nil {
			return err
		}
		kept.Roots = kept.Roots[len(kept.Roots)-1:]
		if err := writeSeals(dir, newSeal.name(), kept); err != nil {
			return err
		}
	}
	switch {
	case oldSeal != nil && (newSeal == nil || newSeal.name() != oldSeal.name()):
		return remove(dir, filepath.Join(dir, oldSeal.name()))
	case oldPath != "" && oldPath != newPath && filepath.Dir(oldPath) == filepath.Clean(dir): // a file elsewhere is the operator's
		return remove(dir, oldPath)
	}
	return nil
}

func remove(dir, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errs.Wrap(errs.Unavailable, err, "the ring is moved, but %s could not be removed: remove it", path)
	}
	return syncDir(dir)
}
