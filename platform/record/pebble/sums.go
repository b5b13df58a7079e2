package pebble

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The file SUMS holds a checksum of every database file that was written to its end, and of the manifest in use as it was last synced, made while they
// were written: Pebble's own checksums are on what it reads, and a file has more than that. A line is a file's nonce, a size, the CRC-32C of that many of its
// bytes and the line's own CRC-32C, in hexadecimal; a later line of a file replaces an earlier. A file without a line (the log in use when the process died) is
// as good as Pebble's checksums and the tail say.
//
// Lines are appended without a sync: a power cut may lose them, which claims less of the files, never something false, for a file gets its line after its
// own sync and is known by its nonce, which no other file ever has.
const (
	sumsName  = "SUMS"
	sumsLimit = 256 << 20
)

type sum struct {
	size int64
	crc  uint32
}

type sums struct {
	mu sync.Mutex
	f  vfs.File // nil = no more lines: the file could not be written, or the store is closed
	at int64
}

func sumLine(nonce [16]byte, s sum) []byte {
	line := fmt.Appendf(nil, "%x %x %08x", nonce, s.size, s.crc)
	return fmt.Appendf(line, " %08x\n", crc32.Checksum(line, castagnoli))
}

func parseSum(line []byte) (nonce [16]byte, s sum, ok bool) {
	end := bytes.LastIndexByte(line, ' ')
	var own uint32
	var n []byte
	if end < 0 {
		return nonce, s, false
	}
	if _, err := fmt.Sscanf(string(line[end+1:]), "%08x", &own); err != nil || own != crc32.Checksum(line[:end], castagnoli) {
		return nonce, s, false
	}
	if _, err := fmt.Sscanf(string(line[:end]), "%x %x %08x", &n, &s.size, &s.crc); err != nil || len(n) != len(nonce) {
		return nonce, s, false
	}
	copy(nonce[:], n)
	return nonce, s, bytes.Equal(sumLine(nonce, s), append(bytes.Clone(line), '\n')) // one way to write a line
}

// parseSums reads the file. fault is told of what is damaged rather than torn by a power cut, which leaves a part of the last line, or zeros.
func parseSums(b []byte, fault func(string)) map[[16]byte]sum {
	found := map[[16]byte]sum{}
	for n := 1; len(b) > 0; n++ {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		nonce, s, ok := parseSum(line)
		switch {
		case ok && whole:
			found[nonce] = s
		case bytes.Contains(line, make([]byte, 8)): // a block that was not written
		case !whole:
			if _, _, ok := parseSum(line[:len(line)-1]); ok {
				fault(fmt.Sprintf("%s: line %d is damaged", sumsName, n))
			}
		default:
			fault(fmt.Sprintf("%s: line %d is damaged", sumsName, n))
		}
		b = rest
	}
	return found
}

func readSums(fs vfs.FS, dir string, fault func(string)) (map[[16]byte]sum, error) {
	path := fs.PathJoin(dir, sumsName)
	info, err := fs.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > sumsLimit {
		return nil, fmt.Errorf("%s is longer than it can be", sumsName)
	}
	b, err := readFile(fs, path)
	if err != nil {
		return nil, err
	}
	return parseSums(b, fault), nil
}

// openSums begins a new file with the lines of the files that are there.
func openSums(fs vfs.FS, dir string) (*sums, error) {
	known, err := readSums(fs, dir, func(string) {})
	if err != nil {
		return nil, err
	}
	var keep bytes.Buffer
	err = eachFile(fs, dir, func(name string, f vfs.File) error {
		if _, nonce, ok, err := readHeader(f); err != nil {
			return err
		} else if s, is := known[nonce]; ok && is {
			keep.Write(sumLine(nonce, s))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	path := fs.PathJoin(dir, sumsName)
	if err := writeFile(fs, dir, path, keep.Bytes()); err != nil {
		return nil, err
	}
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	return &sums{f: f, at: int64(keep.Len())}, err
}

// eachFile opens the database's files one after the other.
func eachFile(fs vfs.FS, dir string, fn func(name string, f vfs.File) error) error {
	db := fs.PathJoin(dir, "db")
	names, err := fs.List(db)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == "LOCK" || strings.HasSuffix(name, ".dbtmp") {
			continue
		}
		f, err := fs.Open(fs.PathJoin(db, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if info, err := f.Stat(); err == nil && !info.IsDir() {
			err = fn(name, f)
			if err != nil {
				return errors.Join(err, f.Close())
			}
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// readHeader reads a file's header; unwritten says that it has none, as a file that was never synced.
func readHeader(f vfs.File) (unwritten bool, nonce [16]byte, ok bool, err error) {
	var h [headerSize]byte
	n, err := f.ReadAt(h[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, nonce, false, err
	}
	if n < headerSize || h == [headerSize]byte{} {
		return true, nonce, false, nil
	}
	ok = bytes.HasPrefix(h[:], magic) && binary.BigEndian.Uint32(h[28:]) == crc32.Checksum(h[:28], castagnoli)
	return false, [16]byte(h[12:28]), ok, nil
}

// add appends a line. A failure ends the lines and nothing else: they are for finding damage.
func (s *sums) add(nonce [16]byte, size int64, crc uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return
	}
	line := sumLine(nonce, sum{size, crc})
	if _, err := s.f.WriteAt(line, s.at); err != nil {
		_ = s.f.Close()
		s.f = nil
		return
	}
	s.at += int64(len(line))
}

func (s *sums) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return nil
	}
	f := s.f
	s.f = nil
	return errors.Join(f.Sync(), f.Close())
}

// VerifyFiles reads every file of a store's folder that was written to its end, and calls fault for each whose bytes are not those that were written. The store
// must not be open; nothing is changed and no key is needed. fs nil = the disk.
func VerifyFiles(fs vfs.FS, dir string, fault func(string)) (files int, err error) {
	if fs == nil {
		fs = vfs.Default
	}
	if _, err := readTail(fs, dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		fault(fmt.Sprintf("%s: %v", tailName, err))
	}
	known, err := readSums(fs, dir, fault)
	if err != nil {
		return 0, err
	}
	return files, eachFile(fs, dir, func(name string, f vfs.File) error {
		files++
		unwritten, nonce, ok, err := readHeader(f)
		if err != nil || unwritten {
			return err
		}
		if !ok {
			fault(name + ": its header is damaged")
			return nil
		}
		want, is := known[nonce]
		if !is {
			return nil
		}
		h := crc32.New(castagnoli)
		n, err := io.Copy(h, io.NewSectionReader(f, 0, want.size))
		if err != nil {
			return err
		}
		if n != want.size || h.Sum32() != want.crc {
			fault(fmt.Sprintf("%s: its bytes are not those that were written (file %s)", name, hex.EncodeToString(nonce[:4])))
		}
		return nil
	})
}
