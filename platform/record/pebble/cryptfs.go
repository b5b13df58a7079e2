package pebble

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// cryptFS encrypts every file of a database with AES-256-CTR: a header of magic and a random nonce, then the stream. Integrity is Pebble's own (checksums on
// blocks and log records) and the seals of bodies; CTR gives secrecy at rest for index keys, logs and tables alike, with random access.
type cryptFS struct {
	vfs.FS
	block cipher.Block
	sums  *sums // nil = none are kept
}

const headerSize = 32

// A header is 12 bytes of magic, 16 of nonce, and 4 of CRC-32C over both.
var magic = []byte("galen-ctr-1\x00")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errHeader says that a file was damaged in its header.
var errHeader = errors.New("record: the header of a database file is damaged")

func newCryptFS(under vfs.FS, key []byte, sums *sums) (vfs.FS, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &cryptFS{under, block, sums}, nil
}

func (fs *cryptFS) Unwrap() vfs.FS { return fs.FS }

func (fs *cryptFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	var h [headerSize]byte
	copy(h[:], magic)
	if _, err := rand.Read(h[12:28]); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	nonce := [16]byte(h[12:28])
	binary.BigEndian.PutUint32(h[28:], crc32.Checksum(h[:28], castagnoli))
	if _, err := f.Write(h[:]); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &cryptFile{File: f, block: fs.block, nonce: nonce, created: true, sums: fs.sums, sum: crc32.Checksum(h[:], castagnoli), each: strings.HasPrefix(fs.PathBase(name), "MANIFEST")}, nil
}

// wrap reads the header. A sync of a file makes its header durable with it, so a header that is missing or all zero means that the file was never synced before
// the power went: nothing was promised of it, and it is empty.
func (fs *cryptFS) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	unwritten, nonce, ok, err := readHeader(f)
	switch {
	case err != nil:
		return nil, errors.Join(err, f.Close())
	case unwritten:
		return &cryptFile{File: f, block: fs.block, empty: true}, nil
	case !ok:
		return nil, errors.Join(errHeader, f.Close())
	}
	return &cryptFile{File: f, block: fs.block, nonce: nonce}, nil
}

func (fs *cryptFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.wrap(fs.FS.Open(name))
	if err != nil {
		return nil, err
	}
	for _, o := range opts {
		o.Apply(f)
	}
	return f, nil
}

func (fs *cryptFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return fs.wrap(fs.FS.OpenReadWrite(name, category, opts...))
}

// ReuseForWrite makes a new file: a nonce is never used for two contents.
func (fs *cryptFS) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.FS.Remove(old); err != nil {
		return nil, err
	}
	return fs.Create(name, category)
}

func (fs *cryptFS) Stat(name string) (vfs.FileInfo, error) {
	info, err := fs.FS.Stat(name)
	if err != nil || info.IsDir() {
		return info, err
	}
	return sizedInfo{info}, nil
}

// sizedInfo shows the size without the header.
type sizedInfo struct{ vfs.FileInfo }

func (i sizedInfo) Size() int64 { return max(0, i.FileInfo.Size()-headerSize) }

var _ os.FileInfo = sizedInfo{}
