package sql

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/limits"
	"github.com/galen-health/galen/platform/span"
)

// ChildArg is the hidden subcommand that makes this binary the child: the program's main must call duck.Main when it is the first argument.
const ChildArg = "__sql"

// Engine runs queries.
type Engine struct {
	Program string        // this binary; "" = os.Executable
	Dir     string        // for decrypted files without names; made with mode 0700
	Memory  string        // of a child: "512MB"
	Threads int           // of a child
	Timeout time.Duration // of a query
	// MaxBytes bounds the Parquet that one query reads.
	MaxBytes int64
	// Concurrency bounds the children; others wait.
	slots chan struct{}
}

// NewEngine returns an engine with these bounds: one child a slot.
func NewEngine(dir string, slots int) (*Engine, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the folder for queries cannot be made")
	}
	return &Engine{Dir: dir, Memory: "512MB", Threads: 2, Timeout: 30 * time.Minute, MaxBytes: 64 << 30, slots: make(chan struct{}, max(slots, 1))}, nil
}

// Query is one query with the tables that it may read.
type Query struct {
	SQL      string
	Database string // that unqualified names are in; "" = none
	Tables   []*Table
}

// Page is some rows of a result; a cell that is nil is NULL. Text is as Athena writes it.
type Page struct {
	Columns []Column
	Rows    [][]*string
}

// Name is a table that a query names.
type Name struct{ Database, Table string }

// Names tells which tables a query reads. errs.Invalid when it is not one SELECT, SHOW, DESCRIBE or EXPLAIN.
func (e *Engine) Names(ctx context.Context, query, database string) ([]Name, error) {
	var out []Name
	err := e.run(ctx, Request{SQL: query, Names: true}, nil, func(m *Message) error {
		for _, n := range m.Names {
			parts := strings.Split(n, "\x00")
			switch {
			case len(parts) == 1 && database != "":
				out = append(out, Name{database, parts[0]})
			case len(parts) == 2:
				out = append(out, Name{parts[0], parts[1]})
			case len(parts) == 3 && strings.EqualFold(parts[0], DataCatalog):
				out = append(out, Name{parts[1], parts[2]})
			default:
				return errs.New(errs.Invalid, "the table %s is in no known database", strings.Join(parts, "."))
			}
		}
		return nil
	})
	return out, err
}

// DataCatalog is the name of the only catalog, as Athena calls its own.
const DataCatalog = "awsdatacatalog"

// Run runs a query and calls fn with each page of its result, at least once. The error of fn ends the query.
func (e *Engine) Run(ctx context.Context, q Query, fn func(Page) error) (err error) {
	ctx, part := span.Begin(ctx, "sql.query", "")
	defer func() { part.End(err) }()
	req := Request{SQL: q.SQL, Database: q.Database}
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close() // nothing was written that must last
		}
	}()
	left := e.MaxBytes
	for _, t := range q.Tables {
		h := Handed{Database: t.Database, Name: t.Name, Columns: t.Columns}
		for _, f := range t.Files {
			if left -= f.Size; left < 0 {
				return errs.New(errs.TooLarge, "the query reads more than %d bytes of Parquet", e.MaxBytes)
			}
			file, err := e.stage(ctx, f)
			if err != nil {
				return err
			}
			h.Descriptors = append(h.Descriptors, firstFile+len(files))
			files = append(files, file)
		}
		req.Tables = append(req.Tables, h)
	}
	var columns []Column
	pages := 0
	err = e.run(ctx, req, files, func(m *Message) error {
		if m.Columns != nil {
			columns = m.Columns
		}
		if len(m.Rows) == 0 && (pages > 0 || !m.End) {
			return nil
		}
		pages++
		return fn(Page{columns, m.Rows})
	})
	return err
}

// firstFile is the child's first descriptor beyond standard input, output and error.
const firstFile = 3

// stage copies a file in the clear into a file without a name.
func (e *Engine) stage(ctx context.Context, f File) (*os.File, error) {
	out, err := os.CreateTemp(e.Dir, "table-")
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "a file for the query cannot be made")
	}
	if err := os.Remove(out.Name()); err != nil {
		_ = out.Close()
		return nil, errs.Wrap(errs.Unavailable, err, "a file for the query cannot be unlinked")
	}
	in, err := f.Open(ctx)
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	defer in.Close() //nolint:errcheck // only read from
	if _, err := io.Copy(out, limits.Until(ctx, in)); err != nil {
		_ = out.Close()
		return nil, err
	}
	return out, nil
}

// run starts a child, sends the request and reads messages until the last.
func (e *Engine) run(ctx context.Context, req Request, files []*os.File, fn func(*Message) error) error {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	ctx, cancel := limits.Time(ctx, e.Timeout, "the query")
	defer cancel()
	program := e.Program
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return errs.Wrap(errs.Unavailable, err, "this program cannot be found to start it again")
		}
	}
	req.Memory, req.Threads = e.Memory, e.Threads
	cmd := exec.CommandContext(ctx, program, ChildArg)
	cmd.Env = []string{"LANG=C.UTF-8"} // no keys, no credentials
	cmd.Dir = "/"
	cmd.ExtraFiles = files
	cmd.WaitDelay = 5 * time.Second
	var last tail
	cmd.Stderr = &last
	in, err := cmd.StdinPipe() // stays open: its end tells the child that we are gone
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "the query process cannot be started")
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "the query process cannot be started")
	}
	if err := cmd.Start(); err != nil {
		return errs.Wrap(errs.Unavailable, err, "the query process cannot be started")
	}
	err = Send(in, req)
	if err == nil {
		err = receive(bufio.NewReaderSize(out, 1<<16), fn)
	}
	cancelled := context.Cause(ctx)
	_ = in.Close()
	if err != nil {
		_ = cmd.Process.Kill()
	}
	_, _ = io.Copy(io.Discard, out) // Wait must not close what is still written to
	wait := cmd.Wait()
	var known *errs.Error
	switch {
	case err == nil:
		return nil
	case cancelled != nil:
		return cancelled
	case errors.As(err, &known):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errs.Wrap(errs.Unavailable, errors.Join(wait, errors.New(last.String())), "the query process ended before the result was complete")
	}
	return err
}

func receive(r io.Reader, fn func(*Message) error) error {
	for {
		var m Message
		if err := Receive(r, &m); err != nil {
			return err
		}
		if m.Error != "" {
			if m.Memory {
				return errs.New(errs.Exhausted, "the query needs more memory than it may have: %s", m.Error)
			}
			return errs.New(errs.Invalid, "%s", m.Error)
		}
		if err := fn(&m); err != nil {
			return err
		}
		if m.End {
			return nil
		}
	}
}

// tail keeps the last bytes of what a child says on standard error, for operators.
type tail struct{ b bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	if t.b.Len()+len(p) > 1<<16 {
		t.b.Reset()
	}
	t.b.Write(p[max(0, len(p)-1<<16):])
	return len(p), nil
}

func (t *tail) String() string {
	s := t.b.String()
	return s[max(0, len(s)-2000):]
}
