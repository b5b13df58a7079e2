package pebble

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// cryptFile is one encrypted file: what is at offset n of its content is at headerSize+n of the file.
type cryptFile struct {
	vfs.File
	block    cipher.Block
	nonce    [16]byte
	created  bool // written from its start, in order
	empty    bool // lost its header before anything in it was synced
	readPos  int64
	writePos int64
	scratch  []byte

	// Of a created file, for its line in SUMS.
	sums  *sums
	sum   uint32 // of the header and all that was written
	dirty bool   // since the last sync of everything
	each  bool   // a line at every sync: it is seldom synced, and in use for long
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
	if !f.created {
		n, err := f.WriteAt(p, f.writePos)
		f.writePos += int64(n)
		return n, err
	}
	if cap(f.scratch) < len(p) {
		f.scratch = make([]byte, len(p)) // Pebble reads its buffers again, so its bytes must stay as they are
	}
	f.scratch = f.scratch[:len(p)]
	f.crypt(f.scratch, p, f.writePos)
	n, err := f.File.Write(f.scratch)
	f.writePos += int64(n)
	f.sum, f.dirty = crc32.Update(f.sum, castagnoli, f.scratch[:n]), true
	return n, err
}

func (f *cryptFile) WriteAt(p []byte, off int64) (int, error) {
	if f.empty {
		return 0, errHeader
	}
	f.sums = nil // not in order: its sum is not known
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

func (f *cryptFile) Sync() error     { return f.synced(f.File.Sync()) }
func (f *cryptFile) SyncData() error { return f.synced(f.File.SyncData()) }

func (f *cryptFile) synced(err error) error {
	if err == nil && f.dirty {
		f.dirty = false
		if f.each && f.sums != nil {
			f.sums.add(f.nonce, headerSize+f.writePos, f.sum)
		}
	}
	return err
}

// Close tells the sum of a file that is on the disk whole. One without content (a marker, whose meaning is its name) is synced here for that.
func (f *cryptFile) Close() error {
	if f.sums == nil || f.dirty {
		return f.File.Close()
	}
	if f.writePos == 0 {
		if err := f.File.Sync(); err != nil {
			return errors.Join(err, f.File.Close())
		}
	}
	err := f.File.Close()
	if err == nil {
		f.sums.add(f.nonce, headerSize+f.writePos, f.sum)
	}
	return err
}

func (f *cryptFile) Stat() (vfs.FileInfo, error) {
	info, err := f.File.Stat()
	if err != nil {
		return nil, err
	}
	return sizedInfo{info}, nil
}

// Fd hides the descriptor: nobody may read around the encryption.
func (f *cryptFile) Fd() uintptr { return vfs.InvalidFd }
