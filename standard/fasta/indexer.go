package fasta

import (
	"bytes"
	"crypto/md5"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
)

// Bounds of a file.
const (
	maxSequences = 16 << 20
	maxLine      = 4 << 30 // a chromosome on one line is common
	maxName      = 4096
)

// Sequence is one sequence of a file, as in a line of its .fai.
type Sequence struct {
	Name      string
	Length    int64
	Offset    int64 // of the first base in the uncompressed file
	LineBases int64
	LineWidth int64 // with the line end
	MD5       [16]byte
	SHA512    [24]byte // the first 24 bytes: TRUNC512
}

// Refget is the GA4GH identifier "SQ.…".
func (s *Sequence) Refget() string { return "SQ." + base64.RawURLEncoding.EncodeToString(s.SHA512[:]) }

// MD5Hex is the MD5 as SAM headers and refget write it.
func (s *Sequence) MD5Hex() string { return hex.EncodeToString(s.MD5[:]) }

// Trunc512 is the older refget identifier: 48 hex digits.
func (s *Sequence) Trunc512() string { return hex.EncodeToString(s.SHA512[:]) }

// Indexer indexes what is written to it. Make one with NewIndexer.
type Indexer struct {
	all    []Sequence
	names  map[string]bool
	cur    *Sequence
	md5    hash.Hash
	sha    hash.Hash
	upper  [4096]byte
	name   []byte // a name line in progress
	inName bool
	line   int64 // lines so far
	at     int64 // bytes so far
	start  int64 // of the line in progress
	bases  int64 // of the line in progress
	cr     bool  // the line in progress has its carriage return
	last   bool  // the file has ended
	short  bool  // the last line of the sequence came
	err    error
}

// NewIndexer returns an Indexer.
func NewIndexer() *Indexer {
	return &Indexer{names: map[string]bool{}, md5: md5.New(), sha: sha512.New()}
}

func (x *Indexer) fail(format string, args ...any) {
	if x.err == nil {
		x.err = fmt.Errorf("fasta: line %d "+format, append([]any{x.line + 1}, args...)...)
	}
}

// Write indexes the next bytes. After an error it returns the same error.
func (x *Indexer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && x.err == nil {
		if x.at == x.start && !x.inName && p[0] == '>' {
			x.inName = true
			x.end()
		}
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		if x.inName {
			if len(x.name) < maxName {
				x.name = append(x.name, part[:min(len(part), maxName-len(x.name))]...)
			}
		} else {
			x.sequence(part)
		}
		x.at += int64(len(part))
		p = p[len(part):]
		if i >= 0 {
			x.at++
			p = p[1:]
			x.endLine()
		}
	}
	if x.err != nil {
		return 0, x.err
	}
	return n, nil
}

// sequence takes in bases of the line in progress.
func (x *Indexer) sequence(part []byte) {
	if len(part) == 0 {
		return
	}
	if x.cr {
		x.fail("has a carriage return before its end")
		return
	}
	if part[len(part)-1] == '\r' {
		part, x.cr = part[:len(part)-1], true
	}
	if len(part) == 0 {
		return
	}
	if x.cur == nil {
		x.fail("has byte %#02x before the first >name", part[0])
		return
	}
	for len(part) > 0 {
		n := min(len(part), len(x.upper))
		for i, c := range part[:n] {
			u := upper[c]
			if u == 0 {
				x.fail("has byte %#02x at column %d, which is no base", c, x.bases+int64(i)+1)
				return
			}
			x.upper[i] = u
		}
		_, _ = x.md5.Write(x.upper[:n]) // hashes do not fail
		_, _ = x.sha.Write(x.upper[:n])
		x.bases += int64(n)
		part = part[n:]
	}
	if x.bases > maxLine {
		x.fail("is longer than %d bytes", int64(maxLine))
	}
}

// upper maps what may stand in a sequence to upper case: letters, * and -.
var upper = func() (t [256]byte) {
	for c := 'A'; c <= 'Z'; c++ {
		t[c], t[c+32] = byte(c), byte(c)
	}
	t['*'], t['-'] = '*', '-'
	return
}()

// endLine ends the line in progress.
func (x *Indexer) endLine() {
	if x.inName {
		x.begin()
	} else if s := x.cur; s != nil {
		width := x.bases + 1
		if x.cr {
			width++
		}
		switch {
		case x.bases == 0:
			x.short = true
		case x.short:
			x.fail("follows a shorter line of the same sequence: all lines but the last must be equally long")
		case s.LineBases == 0:
			s.LineBases, s.LineWidth = x.bases, width
		case x.bases > s.LineBases:
			x.fail("is longer than the line before: all lines of a sequence but the last must be equally long")
		case x.bases < s.LineBases:
			x.short = true
		case width != s.LineWidth && !x.last:
			x.fail("ends in another way than the line before")
		}
		s.Length += x.bases
	}
	x.line++
	x.start, x.bases, x.cr, x.inName, x.name = x.at, 0, false, false, x.name[:0]
}

// begin starts the sequence that the name line in progress names.
func (x *Indexer) begin() {
	name := bytes.TrimRight(x.name[1:], "\r")
	if i := bytes.IndexAny(name, " \t"); i >= 0 {
		name = name[:i]
	}
	switch {
	case len(name) == 0:
		x.fail("names no sequence")
		return
	case len(name) == maxName-1:
		x.fail("has a name longer than %d bytes", maxName-2)
		return
	case x.names[string(name)]:
		x.fail("repeats the name of an earlier sequence")
		return
	case len(x.all) == maxSequences:
		x.fail("begins sequence %d, the most is %d", maxSequences+1, maxSequences)
		return
	}
	x.names[string(name)] = true
	x.cur = &Sequence{Name: string(name), Offset: x.at}
	x.short = false
	x.md5.Reset()
	x.sha.Reset()
}

// end ends the sequence in progress.
func (x *Indexer) end() {
	if x.cur == nil {
		return
	}
	copy(x.cur.MD5[:], x.md5.Sum(nil))
	copy(x.cur.SHA512[:], x.sha.Sum(nil))
	x.all = append(x.all, *x.cur)
	x.cur = nil
}

// Close ends the file and returns its sequences.
func (x *Indexer) Close() ([]Sequence, error) {
	if x.err == nil && x.at > x.start {
		x.last = true
		x.endLine() // the line feed that is not there counts, as in faidx
	}
	if x.err == nil {
		x.end()
		if len(x.all) == 0 {
			x.err = fmt.Errorf("fasta: the file has no sequence: it must begin with >name")
		}
	}
	return x.all, x.err
}

// WriteIndex writes the .fai file.
func WriteIndex(w io.Writer, all []Sequence) error {
	for i := range all {
		s := &all[i]
		if _, err := fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", s.Name, s.Length, s.Offset, s.LineBases, s.LineWidth); err != nil {
			return err
		}
	}
	return nil
}

// Place is where base i (from 0) of the sequence lies in the uncompressed file.
func (s *Sequence) Place(i int64) int64 {
	if s.LineBases == 0 {
		return s.Offset
	}
	return s.Offset + i/s.LineBases*s.LineWidth + i%s.LineBases
}
