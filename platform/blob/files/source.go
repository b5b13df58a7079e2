package files

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/sealed"
	"github.com/galen-health/galen/platform/disk"
)

// source is the file of a blob.
type source struct {
	s *Store
	f disk.File
}

func (q source) ReadAt(p []byte, off int64) (int, error) {
	n, err := q.f.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = q.s.ioError(err, "a blob cannot be read")
	}
	return n, err
}

func (q source) Size() (int64, error) {
	st, err := q.f.Stat()
	if err != nil {
		return 0, q.s.ioError(err, "a blob cannot be read")
	}
	return st.Size(), nil
}

func (q source) Expect(int64, int64) {} // the kernel reads ahead

func (q source) Close() error { return q.f.Close() }

// open opens a blob and proves its header.
func (s *Store) open(ctx context.Context, id blob.ID) (*sealed.Reader, error) {
	name, ok := place(id)
	if !ok {
		return nil, notFound(id)
	}
	f, err := s.d.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, notFound(id)
	case err != nil:
		return nil, s.ioError(err, "a blob cannot be opened")
	}
	return sealed.NewReader(ctx, s.keys, source{s, f}, id)
}
