package fhir

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
)

// Line is one line of NDJSON.
type Line struct {
	Number int64  // from 1, blank lines counted
	Offset int64  // of its first byte
	End    int64  // of the byte after it and its line end
	Body   []byte // without the line end; valid until the next line
	Long   bool   // longer than the bound: Body is nil
}

// Lines yields the lines of r that are not blank. A line longer than max bytes is passed over and marked Long. An error of r ends it.
func Lines(r io.Reader, max int) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		b := bufio.NewReaderSize(r, 256<<10)
		var long []byte
		l := Line{}
		next := int64(0)
		for {
			l.Number++
			l.Offset, l.Long, l.Body = next, false, nil
			long = long[:0]
			var part []byte
			var err error
			for {
				part, err = b.ReadSlice('\n')
				next += int64(len(part))
				if !errors.Is(err, bufio.ErrBufferFull) {
					break
				}
				if l.Long = l.Long || len(long)+len(part) > max; !l.Long {
					long = append(long, part...)
				}
			}
			l.End = next
			body := part
			if len(long) > 0 {
				long = append(long, part...)
				body = long
			}
			body = bytes.TrimSpace(body)
			if l.Long = l.Long || len(body) > max; !l.Long {
				l.Body = body
			}
			if err != nil && err != io.EOF {
				yield(l, err)
				return
			}
			if (len(body) > 0 || l.Long) && !yield(l, nil) {
				return
			}
			if err == io.EOF {
				return
			}
		}
	}
}
