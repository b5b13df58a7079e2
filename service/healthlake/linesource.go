package healthlake

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"strings"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/s3files"
	"github.com/galen-health/galen/standard/fhir"
)

// lineSource deals the lines of all files in chunks, and moves the state on when they are settled.
type lineSource struct {
	open func(s3files.File, int64) (io.ReadCloser, error)
	st   *importState
	bad  map[int]bool // files with errors in lines that are not settled yet

	file   int // being read
	body   io.ReadCloser
	pull   func() (fhir.Line, error, bool)
	stop   func()
	base   int64 // offset and lines at which the file was opened
	before int64
	offset int64 // of the next line
	number int64
	ended  []int // files read to their end since the last settle
}

func (l *lineSource) done() bool { return l.st.File >= len(l.st.Files) }

func (l *lineSource) close() {
	if l.body != nil {
		l.stop()
		_ = l.body.Close() // only read from
		l.body = nil
	}
}

// next is the next chunk, nil at the end of the last file.
func (l *lineSource) next() (*chunk, error) {
	if l.bad == nil {
		l.bad = map[int]bool{}
		l.file, l.offset, l.number = l.st.File, l.st.Offset, l.st.Line
	}
	for l.file < len(l.st.Files) {
		if l.body == nil {
			if err := l.start(); errs.Is(err, errs.NotFound) || errs.Is(err, errs.Conflict) {
				return l.lost(), nil
			} else if err != nil {
				return nil, err
			}
		}
		c, more, err := l.read()
		if err != nil {
			return nil, err
		}
		if !more {
			l.close()
			l.ended = append(l.ended, l.file)
			l.file, l.offset, l.number = l.file+1, 0, 0
		}
		if len(c.lines) > 0 {
			return c, nil
		}
	}
	return nil, nil
}

// lost passes over a file that is not there any more, or not as it was listed: that is the file's own error, and no reason to leave the others.
func (l *lineSource) lost() *chunk {
	c := &chunk{file: l.file}
	status, body := outcome(errs.New(errs.NotFound, "the file, or the rest of it, is gone or was changed since the import began"))
	reportLine(&c.failure, l.number+1, body, status)
	l.bad[l.file] = true
	l.ended = append(l.ended, l.file)
	l.file, l.offset, l.number = l.file+1, 0, 0
	return c
}

func (l *lineSource) start() error {
	f := l.st.Files[l.file]
	body := io.ReadCloser(io.NopCloser(strings.NewReader("")))
	if l.offset < f.Size {
		var err error
		if body, err = l.open(f, l.offset); err != nil {
			return err
		}
	}
	l.body, l.base, l.before = body, l.offset, l.number
	l.pull, l.stop = iter.Pull2(fhir.Lines(body, maxLine))
	return nil
}

// read gathers one chunk; more is false at the end of the file.
func (l *lineSource) read() (c *chunk, more bool, err error) {
	c = &chunk{file: l.file}
	for len(c.lines) < chunkLines && c.size < chunkBytes {
		ln, err, ok := l.pull()
		if !ok {
			return c, false, nil
		}
		if err != nil {
			if ctxErr := new(errs.Error); errors.As(err, &ctxErr) {
				return nil, false, err
			}
			return nil, false, errs.Wrap(errs.Unavailable, err, "an input file could not be read to its end")
		}
		c.lines = append(c.lines, line{l.before + ln.Number, bytes.Clone(ln.Body), ln.Long})
		c.size += len(ln.Body) + 1
		l.number = l.before + ln.Number
		l.offset = l.base + ln.End
	}
	return c, true, nil
}

// settle moves the state to what was read: everything before is durable and reported.
func (l *lineSource) settle() {
	st := l.st
	for _, f := range l.ended {
		bad := l.bad[f] || f == st.File && st.Bad
		if bad {
			st.Done.FilesFailed++
		} else {
			st.Done.FilesDone++
		}
		delete(l.bad, f)
		if f == st.File {
			st.Bad = false
		}
	}
	if l.file != st.File {
		st.Bad = false
	}
	st.File, st.Offset, st.Line, st.Bad = l.file, l.offset, l.number, st.Bad || l.bad[l.file]
	l.ended = l.ended[:0]
}
