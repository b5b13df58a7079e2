package vcf

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// Reader reads a VCF file.
type Reader struct {
	Header *Header
	b      *bufio.Reader
	line   int64
	long   []byte
	rec    Record
	err    error
}

// NewReader reads the header from uncompressed text.
func NewReader(r io.Reader) (*Reader, error) {
	z := &Reader{b: bufio.NewReaderSize(r, 1<<20)}
	var p headerParser
	for {
		line, err := z.next()
		if err == io.EOF {
			return nil, &fault{z.line + 1, "", "the file ends before the #CHROM line"}
		}
		if err != nil {
			return nil, err
		}
		done, err := p.add(string(line))
		if err != nil {
			return nil, err
		}
		if done {
			z.Header = &p.h
			return z, nil
		}
	}
}

// next is the next line without its end, valid until the following call.
func (z *Reader) next() ([]byte, error) {
	line, err := z.b.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		z.long = append(z.long[:0], line...)
		for err == bufio.ErrBufferFull {
			if len(z.long) > maxLine {
				return nil, &fault{z.line + 1, "", fmt.Sprintf("is longer than %d bytes", maxLine)}
			}
			line, err = z.b.ReadSlice('\n')
			z.long = append(z.long, line...)
		}
		line = z.long
	}
	if err == io.EOF && len(line) > 0 {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	z.line++
	return bytes.TrimRight(bytes.TrimSuffix(line, []byte("\n")), "\r"), nil
}

// Next gives the next record, valid until the following call; io.EOF at the end.
func (z *Reader) Next() (*Record, error) {
	if z.err != nil {
		return nil, z.err
	}
	line, err := z.next()
	if err == nil {
		err = z.rec.Parse(z.Header, z.line, line)
	}
	z.err = err
	if err != nil {
		return nil, err
	}
	return &z.rec, nil
}
