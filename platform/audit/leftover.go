package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/galen-health/galen/platform/errs"
)

// leftovers checks what the tree's writer has not removed yet. A tile or bundle that grows gets a new file each time, X.p/WIDTH and at last X, and the narrower ones go
// minutes later; nobody reads them, but what is in the folder is whole or told of: each must be the beginning of the next wider one.
func leftovers(dir string, size uint64) error {
	if err := removed(dir, size); err != nil {
		return err
	}
	root := filepath.Join(dir, logFolder, "tile")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // a server may be at it
			return nil
		}
		if err != nil || !d.IsDir() || !strings.HasSuffix(path, ".p") {
			return err
		}
		return narrower(root, path)
	})
	var e *errs.Error
	if err != nil && !errors.As(err, &e) {
		return errs.Wrap(errs.Unavailable, err, "the files of the audit log cannot be read")
	}
	return err
}

// narrower checks the files of one folder X.p, the widest first.
func narrower(root, dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var widths []int
	for _, e := range entries {
		if w, err := strconv.Atoi(e.Name()); err == nil {
			widths = append(widths, w)
		}
	}
	slices.SortFunc(widths, func(a, b int) int { return b - a })
	names := []string{strings.TrimSuffix(dir, ".p")}
	for _, w := range widths {
		names = append(names, filepath.Join(dir, strconv.Itoa(w)))
	}
	var wider []byte
	for _, name := range names {
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if wider != nil && !bytes.HasPrefix(wider, b) {
			rel, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			return errs.New(errs.Corrupt, "the file tile/%s of the audit log is damaged; a wider one has replaced it and is whole, so remove it", filepath.ToSlash(rel))
		}
		wider = b
	}
	return nil
}

// removed checks the note of where the removal of narrower files stands.
func removed(dir string, size uint64) error {
	b, err := os.ReadFile(filepath.Join(dir, logFolder, ".state", "gcState"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var at struct {
		From uint64 `json:"fromSize"`
	}
	if err := json.Unmarshal(b, &at); err != nil || string(b) != fmt.Sprintf(`{"fromSize":%d}`, at.From) || at.From > size {
		return errs.New(errs.Corrupt, "the note log/.state/gcState of the audit log is damaged: remove it, it is made anew")
	}
	return nil
}
