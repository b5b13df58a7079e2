package sam

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of a header.
const (
	MaxHeaderText = 256 << 20
	maxReferences = 16 << 20
	maxName       = 1 << 16
)

// Header is the header of an alignment file (SAMv1 §1.3).
type Header struct {
	Text       string // all lines, each ended by a line feed
	References []Reference
}

// Reference is a sequence that alignments refer to.
type Reference struct {
	Name   string
	Length int64
	MD5    string // M5 of the @SQ line, "" when it has none
}

// SortOrder is SO of the @HD line: "coordinate", "queryname", "unsorted"; "unknown" when it is not said.
func (h *Header) SortOrder() string {
	for _, l := range h.lines("HD") {
		if v := l["SO"]; v != "" {
			return v
		}
	}
	return "unknown"
}

// lines gives the fields of all lines of a type.
func (h *Header) lines(typ string) []map[string]string {
	var out []map[string]string
	for line := range strings.SplitSeq(h.Text, "\n") {
		if rest, ok := strings.CutPrefix(line, "@"+typ+"\t"); ok {
			out = append(out, fields(rest))
		}
	}
	return out
}

func fields(line string) map[string]string {
	m := map[string]string{}
	for f := range strings.SplitSeq(line, "\t") {
		if len(f) > 3 && f[2] == ':' {
			m[f[:2]] = f[3:]
		}
	}
	return m
}

// ReadGroup is an @RG line.
type ReadGroup struct{ ID, Sample, Library, Platform string }

// ReadGroups lists the @RG lines.
func (h *Header) ReadGroups() []ReadGroup {
	var out []ReadGroup
	for _, l := range h.lines("RG") {
		out = append(out, ReadGroup{l["ID"], l["SM"], l["LB"], l["PL"]})
	}
	return out
}

// ParseHeader reads header text, as CRAM and SAM have it: the references are its @SQ lines.
func ParseHeader(text string) (*Header, error) {
	text = strings.TrimRight(text, "\x00")
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	h := &Header{Text: text}
	n := 0
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		n++
		if line == "" && text == "" {
			continue
		}
		if len(line) < 4 || line[0] != '@' || line[3] != '\t' {
			return nil, fmt.Errorf("sam: header line %d does not begin with @, a two-letter type and a tab", n)
		}
		if line[1:3] != "SQ" {
			continue
		}
		f := fields(line[4:])
		length, ok := positive(f["LN"])
		if f["SN"] == "" || !ok {
			return nil, fmt.Errorf("sam: header line %d: @SQ needs SN and LN, a number from 1", n)
		}
		if len(h.References) == maxReferences {
			return nil, fmt.Errorf("sam: the header has more than %d references", maxReferences)
		}
		h.References = append(h.References, Reference{f["SN"], length, f["M5"]})
	}
	return h, nil
}

func positive(s string) (int64, bool) {
	if s == "" || len(s) > 15 {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, n > 0
}

// errTruncated is an end of the stream inside something.
func errTruncated(what string, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("sam: the file ends within %s: %w", what, io.ErrUnexpectedEOF)
	}
	return err
}

// readHeader reads a BAM header (SAMv1 §4.2).
func readHeader(r io.Reader) (*Header, error) {
	magic := make([]byte, 8)
	if _, err := io.ReadFull(r, magic); err != nil {
		return nil, errTruncated("the magic of BAM", err)
	}
	if string(magic[:4]) != "BAM\x01" {
		return nil, errors.New("sam: not a BAM file: it does not begin with BAM\\1")
	}
	text, err := readString(r, binary.LittleEndian.Uint32(magic[4:]), MaxHeaderText, "the header text")
	if err != nil {
		return nil, err
	}
	n, err := readUint32(r)
	if err != nil {
		return nil, errTruncated("the references", err)
	}
	if n > maxReferences {
		return nil, fmt.Errorf("sam: the header says %d references, the most is %d", n, maxReferences)
	}
	if i := bytes.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	h := &Header{Text: string(text)}
	if h.Text != "" && !strings.HasSuffix(h.Text, "\n") {
		h.Text += "\n"
	}
	md5 := map[string]string{}
	for _, l := range h.lines("SQ") {
		md5[l["SN"]] = l["M5"]
	}
	for i := range n {
		length, err := readUint32(r)
		if err != nil {
			return nil, errTruncated("the references", err)
		}
		name, err := readString(r, length, maxName, "a reference name")
		if err != nil {
			return nil, err
		}
		if len(name) < 2 || name[len(name)-1] != 0 {
			return nil, fmt.Errorf("sam: the name of reference %d is empty or does not end with NUL", i)
		}
		size, err := readUint32(r)
		if err != nil {
			return nil, errTruncated("the references", err)
		}
		ref := Reference{Name: string(name[:len(name)-1]), Length: int64(size)}
		ref.MD5 = md5[ref.Name]
		h.References = append(h.References, ref)
	}
	return h, nil
}

func readUint32(r io.Reader) (uint32, error) {
	var b [4]byte
	_, err := io.ReadFull(r, b[:])
	return binary.LittleEndian.Uint32(b[:]), err
}

// readString reads n bytes, growing as they come so that a false length costs nothing.
func readString(r io.Reader, n uint32, most int64, what string) ([]byte, error) {
	if int64(n) > most {
		return nil, fmt.Errorf("sam: %s has %d bytes, the most is %d", what, n, most)
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(n)); err != nil {
		return nil, errTruncated(what, err)
	}
	return b.Bytes(), nil
}

// appendBAM writes the header as BAM has it.
func (h *Header) appendBAM(b []byte) []byte {
	b = append(b, "BAM\x01"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.Text)))
	b = append(b, h.Text...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.References)))
	for _, r := range h.References {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Name)+1))
		b = append(b, r.Name...)
		b = append(b, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(r.Length))
	}
	return b
}
