package keyring

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io/fs"

	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
)

// rootFile holds the root key in base64 when the operator gave none. Whoever has it and the ring has every key.
const rootFile = "root.key"

// ParseRoot reads a root key as GALEN_ROOT_KEY gives it: 32 bytes in base64.
func ParseRoot(s string) ([]byte, error) {
	return parseRoot([]byte(s))
}

// parseRoot leaves no copy but what it returns. There is one way to write a key, but for its line's end: what a flipped bit makes of the padding or of the end is damage.
func parseRoot(text []byte) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().AppendDecode(nil, bytes.Trim(text, " \t\r\n"))
	if err != nil || len(b) != 32 {
		clear(b)
		return nil, errs.New(errs.Invalid, "the root key is not 32 bytes in base64: make one with `head -c 32 /dev/urandom | base64`")
	}
	return b, nil
}

// readRoot returns the root key of the folder; with create, it makes one when there is none.
func readRoot(d disk.FS, create bool) ([]byte, error) {
	b, err := disk.ReadFile(d, rootFile, 1<<10)
	switch {
	case err == nil:
		defer clear(b)
		return parseRoot(b)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, errs.Wrap(errs.Unavailable, err, "the root key file cannot be read")
	case !create:
		return nil, errs.New(errs.Invalid, "the key ring has no root key: set GALEN_ROOT_KEY or put the file %s back", rootFile)
	}
	root := make([]byte, 32)
	_, _ = rand.Read(root) // never fails
	text := append(base64.StdEncoding.AppendEncode(make([]byte, 0, 64), root), '\n')
	defer clear(text)
	if err := disk.Replace(d, rootFile, text); err != nil {
		clear(root)
		return nil, errs.Wrap(errs.Unavailable, err, "the root key file cannot be written")
	}
	return root, nil
}
