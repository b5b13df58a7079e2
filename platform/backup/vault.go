package backup

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"sync"

	"github.com/galen-health/galen/platform/blob/sealed"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record/seal"
)

const (
	format      = 1
	markerName  = "GALEN-BACKUP"
	markerMagic = "GALENBAK"
	chunkFolder = "chunks/"
	blobFolder  = "blobs/"
	pointFolder = "points/"
	maxMarker   = 1 << 16
)

func keyContext() map[string]string { return map[string]string{"galen:purpose": "backup"} }

// vault is a place with the backup's key open.
type vault struct {
	place   Place
	wrapped []byte // the key, as the ring wraps it
	aead    cipher.AEAD
	naming  []byte // of what chunks are named by

	mu   sync.Mutex
	have map[string]bool // files that are there
}

// openVault opens the backup in a place, or makes it.
func openVault(ctx context.Context, place Place, ring key.Ring, create bool) (*vault, error) {
	b, err := readAll(ctx, place, markerName, maxMarker)
	switch {
	case errs.Is(err, errs.NotFound) && create:
		return newVault(ctx, place, ring)
	case errs.Is(err, errs.NotFound):
		return nil, errs.New(errs.NotFound, "%s holds no backup of Galen", place)
	case err != nil:
		return nil, err
	}
	if len(b) < len(markerMagic)+2+sha256.Size || string(b[:len(markerMagic)]) != markerMagic {
		return nil, errs.New(errs.Corrupt, "the file %s in %s is damaged: give another folder, or the file of a copy", markerName, place)
	}
	if f := binary.BigEndian.Uint16(b[len(markerMagic):]); f != format {
		return nil, errs.New(errs.Unsupported, "the backup in %s has format %d, this version of Galen knows %d: use the version that wrote it, or a newer one", place, f, format)
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if want := sha256.Sum256(body); !bytes.Equal(want[:], sum) {
		return nil, errs.New(errs.Corrupt, "the file %s in %s is damaged: give another folder, or the file of a copy", markerName, place)
	}
	return vaultOf(ctx, place, ring, body[len(markerMagic)+2:])
}

func vaultOf(ctx context.Context, place Place, ring key.Ring, wrapped []byte) (*vault, error) {
	dk, err := ring.Open(ctx, wrapped, keyContext())
	if errs.Is(err, errs.Invalid) || errs.Is(err, errs.NotFound) {
		return nil, errs.Wrap(errs.Conflict, err, "the backup in %s is of another server's keys: give another folder", place)
	}
	if err != nil {
		return nil, err
	}
	return unlock(place, wrapped, dk.Plain)
}

// unlock takes the key over and wipes it.
func unlock(place Place, wrapped, plain []byte) (*vault, error) {
	defer clear(plain)
	v := &vault{place: place, wrapped: wrapped, have: map[string]bool{}}
	k, err := hkdf.Key(sha256.New, plain, nil, "galen backup 1 seal", 32)
	if err != nil {
		return nil, err
	}
	defer clear(k)
	if v.naming, err = hkdf.Key(sha256.New, plain, nil, "galen backup 1 name", 32); err != nil {
		return nil, err
	}
	v.aead, err = seal.New(k)
	return v, err
}

// newVault makes a backup in a place that has nothing else.
func newVault(ctx context.Context, place Place, ring key.Ring) (*vault, error) {
	if err := place.List(ctx, "", func(name string) error {
		return errs.New(errs.Conflict, "%s is not empty and holds no backup of Galen: give another folder", place)
	}); err != nil {
		return nil, err
	}
	dk, err := ring.DataKey(ctx, key.Ref{Context: keyContext()})
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint16([]byte(markerMagic), format)
	b = append(b, dk.Wrapped...)
	sum := sha256.Sum256(b)
	if err := place.Put(ctx, markerName, bytes.NewReader(append(b, sum[:]...))); err != nil {
		return nil, err
	}
	if err := place.Settle(ctx); err != nil {
		return nil, err
	}
	return unlock(place, dk.Wrapped, dk.Plain)
}

// list remembers what is there already.
func (v *vault) list(ctx context.Context) error {
	for _, folder := range []string{chunkFolder, blobFolder} {
		if err := v.place.List(ctx, folder, func(name string) error { v.have[name] = true; return nil }); err != nil {
			return err
		}
	}
	return nil
}

func (v *vault) has(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.have[name]
}

func (v *vault) got(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.have[name] = true
}

// chunkName is made of the content, under a key: equal chunks are one file, and names tell nothing.
func (v *vault) chunkName(plain []byte) string {
	h := hmac.New(sha256.New, v.naming)
	_, _ = h.Write(plain) // never fails
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func chunkPlace(name string) string { return chunkFolder + name[:2] + "/" + name }

// put keeps a chunk, if it is not there, and reads back what it wrote. It tells how many bytes were written.
func (v *vault) put(ctx context.Context, plain []byte) (name string, written int64, err error) {
	name = v.chunkName(plain)
	at := chunkPlace(name)
	if v.has(at) {
		return name, 0, nil
	}
	b, err := seal.Seal(v.aead, plain, []byte("chunk "+name))
	if err != nil {
		return "", 0, err
	}
	if err := v.place.Put(ctx, at, bytes.NewReader(b)); err != nil {
		return "", 0, err
	}
	if _, err := v.chunk(ctx, name); err != nil {
		return "", 0, errs.Wrap(errs.Unavailable, err, "%s does not give back what was written to it", v.place)
	}
	v.got(at)
	return name, int64(len(b)), nil
}

// chunk reads one.
func (v *vault) chunk(ctx context.Context, name string) ([]byte, error) {
	if !isName(name) {
		return nil, errs.New(errs.Corrupt, "a list of the backup names what is no chunk")
	}
	b, err := readAll(ctx, v.place, chunkPlace(name), 2*maxChunk)
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(errs.Corrupt, "%s is missing", chunkPlace(name))
	}
	if err != nil {
		return nil, err
	}
	plain, err := seal.Open(v.aead, b, []byte("chunk "+name))
	if err != nil || v.chunkName(plain) != name {
		return nil, errs.New(errs.Corrupt, "%s is damaged", chunkPlace(name))
	}
	return plain, nil
}

func isName(s string) bool { return sealed.IsID(blobID(s)) } // both are 32 hexadecimal digits

// readAll reads a file of at most so many bytes.
func readAll(ctx context.Context, place Place, name string, limit int64) ([]byte, error) {
	src, err := place.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer src.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.NewSectionReader(src, 0, limit+1))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, errs.New(errs.Corrupt, "%s in %s is longer than it can be", name, place)
	}
	return b, nil
}
