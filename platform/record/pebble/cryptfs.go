package pebble

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// cryptFS encrypts every file of a database with AES-256-CTR: a header of magic and a random nonce, then the stream. Integrity is Pebble's own (checksums on
// blocks and log records) and the seals of bodies; CTR gives secrecy at rest for index keys, logs and tables alike, with random access.
type cryptFS struct {
	vfs.FS
	block cipher.Block
}

const headerSize = 32

var magic = [16]byte{'g', 'a', 'l', 'e', 'n', '-', 'c', 't', 'r', '-', '1'}

func newCryptFS(under vfs.FS, key []byte) (vfs.FS, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &cryptFS{under, block}, nil
}

func (fs *cryptFS) Unwrap() vfs.FS { return fs.FS }

func (fs *cryptFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	var h [headerSize]byte
	copy(h[:], magic[:])
	if _, err := rand.Read(h[16:]); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.Write(h[:]); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &cryptFile{File: f, block: fs.block, nonce: [16]byte(h[16:])}, nil
}

func (fs *cryptFS) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	var h [headerSize]byte
	if n, err := f.ReadAt(h[:], 0); n < headerSize {
		if n == 0 && errors.Is(err, io.EOF) { // a crash between creating a file and its first sync leaves it empty: nothing was promised of it
			return &cryptFile{File: f, block: fs.block, empty: true}, nil
		}
		return nil, errors.Join(fmt.Errorf("record: a database file ends inside its header"), err, f.Close())
	}
	if [16]byte(h[:16]) != magic {
		return nil, errors.Join(fmt.Errorf("record: a database file is not encrypted in the form galen-ctr-1"), f.Close())
	}
	return &cryptFile{File: f, block: fs.block, nonce: [16]byte(h[16:])}, nil
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

type cryptFile struct {
	vfs.File
	block    cipher.Block
	nonce    [16]byte
	empty    bool
	readPos  int64
	writePos int64
	scratch  []byte
}

// crypt applies the key stream of the file's bytes from off on.
func (f *cryptFile) crypt(dst, src []byte, off int64) {
	iv := f.nonce
	carry := uint64(off) / aes.BlockSize
	for i := 15; i >= 0 && carry > 0; i-- {
		carry += uint64(iv[i])
		iv[i] = byte(carry)
		carry >>= 8
	}
	stream := cipher.NewCTR(f.block, iv[:])
	if skip := int(off % aes.BlockSize); skip > 0 {
		var pad [aes.BlockSize]byte
		stream.XORKeyStream(pad[:skip], pad[:skip])
	}
	stream.XORKeyStream(dst, src)
}

func (f *cryptFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.readPos)
	f.readPos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (f *cryptFile) ReadAt(p []byte, off int64) (int, error) {
	if f.empty {
		return 0, io.EOF
	}
	n, err := f.File.ReadAt(p, off+headerSize)
	f.crypt(p[:n], p[:n], off)
	return n, err
}

func (f *cryptFile) Write(p []byte) (int, error) {
	f.scratch = append(f.scratch[:0], p...) // Pebble reuses its buffers, so its bytes must stay as they are
	f.crypt(f.scratch, f.scratch, f.writePos)
	n, err := f.File.Write(f.scratch)
	f.writePos += int64(n)
	return n, err
}

func (f *cryptFile) WriteAt(p []byte, off int64) (int, error) {
	b := append([]byte(nil), p...)
	f.crypt(b, b, off)
	return f.File.WriteAt(b, off+headerSize)
}

func (f *cryptFile) Preallocate(off, length int64) error {
	return f.File.Preallocate(off+headerSize, length)
}

func (f *cryptFile) Prefetch(off, length int64) error {
	return f.File.Prefetch(off+headerSize, length)
}

func (f *cryptFile) SyncTo(length int64) (bool, error) { return f.File.SyncTo(length + headerSize) }

func (f *cryptFile) Stat() (vfs.FileInfo, error) {
	info, err := f.File.Stat()
	if err != nil {
		return nil, err
	}
	return sizedInfo{info}, nil
}

// Fd hides the descriptor: nobody may read around the encryption.
func (f *cryptFile) Fd() uintptr { return vfs.InvalidFd }
