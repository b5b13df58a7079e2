package app

import (
	"context"
	"io"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/span"
)

// meteredBlobs counts what goes in and out of a back end, in bytes of the plaintext.
type meteredBlobs struct {
	blobs
	stored, deleted, written, read prometheus.Counter
}

func meterBlobs(b blobs, reg prometheus.Registerer) *meteredBlobs {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "galen_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	return &meteredBlobs{blobs: b, stored: counter("blobs_stored_total", "Blobs that became durable."), deleted: counter("blobs_deleted_total", "Blobs that their owners deleted; sweeps tell of theirs in the log."),
		written: counter("blob_written_bytes_total", "Bytes of the blobs that became durable."), read: counter("blob_read_bytes_total", "Bytes that were read of blobs.")}
}

func (m *meteredBlobs) landed(i blob.Info, err error) (blob.Info, error) {
	if err == nil {
		m.stored.Inc()
		m.written.Add(float64(i.Size))
	}
	return i, err
}

// Put implements blob.Store.
func (m *meteredBlobs) Put(ctx context.Context, ref key.Ref, r io.Reader) (blob.Info, error) {
	ctx, part := span.Begin(ctx, "blob.write", "")
	i, err := m.landed(m.blobs.Put(ctx, ref, r))
	part.End(err)
	return i, err
}

// Create implements blob.Store.
func (m *meteredBlobs) Create(ctx context.Context, ref key.Ref) (blob.Writer, error) {
	_, part := span.Begin(ctx, "blob.write", "")
	w, err := m.blobs.Create(ctx, ref)
	if err != nil {
		part.End(err)
		return nil, err
	}
	return meteredWriter{w, m, part}, nil
}

type meteredWriter struct {
	blob.Writer
	m    *meteredBlobs
	part span.Part
}

func (w meteredWriter) Commit() (blob.Info, error) {
	i, err := w.m.landed(w.Writer.Commit())
	w.part.End(err)
	return i, err
}

// Abort implements blob.Writer.
func (w meteredWriter) Abort() {
	w.Writer.Abort()
	w.part.End(nil)
}

// Open implements blob.Store.
func (m *meteredBlobs) Open(ctx context.Context, id blob.ID, r blob.Range) (io.ReadCloser, error) {
	ctx, part := span.Begin(ctx, "blob.open", "")
	rc, err := m.blobs.Open(ctx, id, r)
	part.End(err)
	if err != nil {
		return nil, err
	}
	return meteredReader{rc, m.read}, nil
}

type meteredReader struct {
	io.ReadCloser
	n prometheus.Counter
}

func (r meteredReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.n.Add(float64(n))
	return n, err
}

// WriteTo keeps the back end's own way of copying.
func (r meteredReader) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, r.ReadCloser)
	r.n.Add(float64(n))
	return n, err
}

// ReaderAt implements blob.Store.
func (m *meteredBlobs) ReaderAt(ctx context.Context, id blob.ID) (blob.ReaderAt, error) {
	r, err := m.blobs.ReaderAt(ctx, id)
	if err != nil {
		return nil, err
	}
	return meteredReaderAt{r, m.read}, nil
}

type meteredReaderAt struct {
	blob.ReaderAt
	n prometheus.Counter
}

func (r meteredReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	r.n.Add(float64(n))
	return n, err
}

// Delete implements blob.Store.
func (m *meteredBlobs) Delete(ctx context.Context, id blob.ID) error {
	err := m.blobs.Delete(ctx, id)
	if err == nil {
		m.deleted.Inc()
	}
	return err
}
