package s3

import (
	"context"
	"io"
	"time"

	api "github.com/galen-health/galen/aws/s3"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/sealed"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// Store keeps blobs in a bucket.
type Store struct {
	b      *bucket
	prefix string
	keys   key.Ring
	now    func() time.Time
}

var _ blob.Store = (*Store)(nil)

// Open reaches the bucket and makes sure that the prefix belongs to the key ring.
func Open(ctx context.Context, t Target, keys key.Ring) (*Store, error) {
	s := &Store{b: newBucket(t), prefix: t.Prefix, keys: keys, now: time.Now}
	if err := s.claim(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Close lets the connections go. Writers and readers must be done.
func (s *Store) Close() error {
	s.b.idle()
	return nil
}

// place is the key of a blob's object.
func (s *Store) place(id blob.ID) string { return s.prefix + string(id[:2]) + "/" + string(id) }

func notFound(id blob.ID) error { return errs.New(errs.NotFound, "there is no blob %q", string(id)) }

// Put stores what r gives.
func (s *Store) Put(ctx context.Context, ref key.Ref, r io.Reader) (blob.Info, error) {
	w, err := s.create(ctx, ref)
	if err != nil {
		return blob.Info{}, err
	}
	defer w.Abort()
	if err := w.Fill(ctx, r); err != nil {
		return blob.Info{}, err
	}
	return w.Commit()
}

// Create starts a blob.
func (s *Store) Create(ctx context.Context, ref key.Ref) (blob.Writer, error) {
	w, err := s.create(ctx, ref)
	if err != nil {
		return nil, err // not a nil *writer in the interface
	}
	return w, nil
}

func (s *Store) open(ctx context.Context, id blob.ID) (*sealed.Reader, error) {
	if !sealed.IsID(id) {
		return nil, notFound(id)
	}
	return sealed.NewReader(ctx, s.keys, s.b.source(ctx, id, s.place(id)), id)
}

// Stat reads and proves the header.
func (s *Store) Stat(ctx context.Context, id blob.ID) (blob.Info, error) {
	r, err := s.open(ctx, id)
	if err != nil {
		return blob.Info{}, err
	}
	defer r.Close() //nolint:errcheck // only read
	return r.Info(), nil
}

// Open reads a range.
func (s *Store) Open(ctx context.Context, id blob.ID, rg blob.Range) (io.ReadCloser, error) {
	r, err := s.open(ctx, id)
	if err != nil {
		return nil, err
	}
	return r.Range(rg)
}

// ReaderAt opens a blob for reads anywhere, also at once from many goroutines.
func (s *Store) ReaderAt(ctx context.Context, id blob.ID) (blob.ReaderAt, error) {
	r, err := s.open(ctx, id)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Delete removes a blob.
func (s *Store) Delete(ctx context.Context, id blob.ID) error {
	if !sealed.IsID(id) {
		return nil
	}
	_, err := s.b.do(ctx, "deleting a blob", func(ctx context.Context) error {
		_, err := s.b.DeleteObject(ctx, &api.DeleteObjectInput{Bucket: s.b.name, Key: s.place(id)})
		return err
	})
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}
