package keyring

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
)

// Sealing looks at the ring in a folder without holding or changing it: fresh when there is none, and opens says whether a root key is one that a copy of it is sealed under.
func Sealing(dir string) (fresh bool, opens func(root []byte) bool, err error) {
	var checks [][]byte
	present := false
	for _, name := range copies {
		b, err := readFile(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, nil, errs.Wrap(errs.Unavailable, err, "the key ring cannot be read")
		}
		present = true
		if len(b) >= ringHeader && string(b[:8]) == ringMagic && binary.BigEndian.Uint16(b[8:]) == ringFormat {
			checks = append(checks, b[18:34])
		}
	}
	return !present, func(root []byte) bool {
		// A ring whose copies are both damaged is told as that when it is opened, not as one of another root key.
		for _, c := range checks {
			if bytes.Equal(c, derive(root, "check", 16)) {
				return true
			}
		}
		return present && len(checks) == 0
	}, nil
}

// Reseal seals the ring in a folder under another root key; no server may have it open. A crash leaves copies under either, and opening with the one or the other goes on
// from there. The folder's own root key file is left alone.
func Reseal(dir string, from, to []byte) error {
	d, err := disk.Open(dir)
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "the key folder cannot be opened: stop galen serve first")
	}
	r, err := OpenFS(d, from, Config{})
	if err != nil {
		return errors.Join(err, d.Close())
	}
	r.mu.Lock()
	clear(r.root)
	r.root = append([]byte(nil), to...)
	err = r.save()
	r.mu.Unlock()
	return errors.Join(err, r.Close())
}

// readFile is disk.ReadFile of a folder that a server may hold.
func readFile(dir, name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(f, maxRing))
}
