package files

import (
	"context"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/sealed"
	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// writer writes one blob. Its temporary file has the blob's id as its name.
type writer struct {
	*sealed.Writer
	s    *Store
	f    disk.File
	done bool
}

func stopped() error {
	return errs.New(errs.Unavailable, "the blob store takes no writes since a sync failed: mend the disk and restart")
}

func (s *Store) create(ctx context.Context, ref key.Ref) (*writer, error) {
	if s.broken.Load() {
		return nil, stopped()
	}
	body, err := sealed.NewWriter(ctx, s.keys, ref)
	if err != nil {
		return nil, err
	}
	f, err := s.d.Create(tmp + "/" + string(body.ID()))
	if err != nil {
		body.Release()
		return nil, s.ioError(err, "a blob cannot be made")
	}
	body.To(sink{s, f})
	return &writer{Writer: body, s: s, f: f}, nil
}

// sink is the temporary file, with our errors.
type sink struct {
	s *Store
	f disk.File
}

func (k sink) Write(p []byte) (int, error) {
	n, err := k.f.Write(p)
	if err != nil {
		err = k.s.ioError(err, "a blob cannot be written")
	}
	return n, err
}

// Commit makes the blob durable, then visible, then its name durable.
func (w *writer) Commit() (blob.Info, error) {
	if w.done {
		return blob.Info{}, sealed.ErrDone
	}
	defer w.Abort()
	head, in, err := w.Finish(w.s.now())
	if err == nil {
		err = w.publish(head, in.ID)
	}
	if err != nil {
		return blob.Info{}, err
	}
	w.done = true
	w.Release()
	return in, nil
}

func (w *writer) publish(head []byte, id blob.ID) error {
	if _, err := w.f.WriteAt(head, 0); err != nil {
		return w.s.ioError(err, "a blob cannot be written")
	}
	if err := disk.Sync(w.f); err != nil {
		return w.s.ioError(err, "a blob cannot be made durable")
	}
	f := w.f
	w.f = nil
	if err := f.Close(); err != nil {
		return w.s.ioError(err, "a blob cannot be written")
	}
	if w.s.broken.Load() { // another blob's sync failed: what this one's sync said proves nothing
		return stopped()
	}
	name, _ := place(id)
	if err := w.s.d.Rename(tmp+"/"+string(id), name); err != nil {
		return w.s.ioError(err, "a blob cannot be named")
	}
	if err := disk.SyncDir(w.s.d, name[:2]); err != nil {
		_ = w.s.d.Remove(name)
		return w.s.ioError(err, "a blob's name cannot be made durable")
	}
	return nil
}

// Abort removes what was written.
func (w *writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	if w.f != nil {
		_ = w.f.Close()
	}
	_ = w.s.d.Remove(tmp + "/" + string(w.ID())) // if it stays, the next start removes it
	w.Release()
}
