package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/galen-health/galen/platform/blob/sealed"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// Ring is the key ring that a backup takes with it.
type Ring interface {
	// Regardless minds no key's state but deletion: a disabled key's data is carried like other data, and stays under that key.
	Regardless() key.Ring
	// Sealed is the ring as it is now, sealed under the root key.
	Sealed() ([]byte, error)
}

// Source is what is backed up. While Take runs, no blob may be deleted.
type Source struct {
	Ring    Ring
	Records record.Portable
	Blobs   Place // sealed blobs, each as xy/id
	// Files gives small files that are carried whole, in the order of their names; what it gives must include what records rely on, so it is asked last.
	Files func(ctx context.Context, fn func(name string, body []byte) error) error
	// Roots are the files with sealed root keys beside the ring, by name.
	Roots map[string][]byte
	// Progress is told now and then; nil = nobody asks.
	Progress func(Progress)
}

// Progress is how far a backup or restore is.
type Progress struct {
	Doing string `json:"doing"` // "records", "blobs", "files", "check"
	Done  int64  `json:"done"`
	Of    int64  `json:"of,omitempty"` // 0 = not known
}

// Report is what a backup did.
type Report struct {
	Point    string    `json:"point"`
	Time     time.Time `json:"time"`
	Count    Count     `json:"count"`
	Written  int64     `json:"written"` // bytes of records and files that were new
	NewBlobs int64     `json:"newBlobs"`
	NewBytes int64     `json:"newBytes"`           // of blobs
	Unproven int64     `json:"unproven,omitempty"` // blobs under deleted keys: nobody can open them
	Faults   []string  `json:"faults,omitempty"`   // what is damaged where it was copied from, and so is not in the backup
}

// copiers is how many blobs are copied at a time.
const copiers = 4

// Take makes a point. One that is cut off leaves no point, and what it copied is not copied again.
func Take(ctx context.Context, src Source, dest Place) (rep Report, err error) {
	ring := src.Ring.Regardless()
	v, err := openVault(ctx, dest, ring, true)
	if err != nil {
		return rep, err
	}
	held, err := hold(ctx, dest, backups)
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, held.release(ctx)) }()
	if err := v.list(ctx); err != nil {
		return rep, err
	}
	t := &taker{ctx: ctx, src: src, v: v, ring: ring, rep: &rep, point: &Point{}}
	if src.Progress == nil {
		t.src.Progress = func(Progress) {}
	}
	for _, step := range []func() error{t.records, t.blobs, t.files} {
		if err := step(); err != nil {
			return rep, err
		}
	}
	if t.point.Roots, err = keepRoots(ctx, dest, src.Roots); err != nil {
		return rep, err
	}
	if err := dest.Settle(ctx); err != nil {
		return rep, err
	}
	// The ring comes last: it has every key that the data above is under.
	sealedRing, err := src.Ring.Sealed()
	if err != nil {
		return rep, err
	}
	p := t.point
	p.Made = time.Now().UTC().Truncate(time.Millisecond)
	rep.Unproven = t.unproven.Load()
	rep.Point, rep.Time, rep.Count = p.name(), p.Time, p.Count
	if err := held.still(ctx); err != nil {
		return rep, err
	}
	if err := v.write(ctx, p, sealedRing); err != nil {
		return rep, err
	}
	if err := held.still(ctx); err != nil {
		return rep, errors.Join(err, dest.Remove(context.WithoutCancel(ctx), p.name()))
	}
	return rep, nil
}

type taker struct {
	ctx   context.Context
	src   Source
	v     *vault
	ring  key.Ring
	rep   *Report
	point *Point
	out   *chunker
	buf   []byte

	unproven atomic.Int64
}

func (t *taker) stream() { t.out = &chunker{ctx: t.ctx, v: t.v, written: &t.rep.Written} }

func (t *taker) add(it any) (err error) {
	var identity uint64
	if t.buf, identity, err = encode(t.buf[:0], it); err != nil {
		return err
	}
	return t.out.item(t.buf, identity)
}

func (t *taker) tell(doing string, done, of int64, every int64) {
	if done%every == 0 {
		t.src.Progress(Progress{doing, done, of})
	}
}

// The taker is the export's record.Exporter.

// Begin implements record.Exporter.
func (t *taker) Begin(p record.ExportPoint) error { t.point.ExportPoint = p; return nil }

// Space implements record.Exporter.
func (t *taker) Space(s record.ExportSpace) error {
	t.point.Count.Spaces++
	if s.Lost {
		t.point.Count.Lost++
	}
	return t.add(s)
}

// Record implements record.Exporter.
func (t *taker) Record(r record.ExportRecord) error {
	t.point.Count.Records++
	t.point.Count.Versions += int64(len(r.Versions))
	t.tell("records", t.point.Count.Records, 0, 1000)
	return t.add(r)
}

// Message implements record.Exporter.
func (t *taker) Message(m record.Message) error {
	t.point.Count.Messages++
	return t.add(m)
}

func (t *taker) records() (err error) {
	t.stream()
	if err := t.src.Records.Export(t.ctx, t.ring, t); err != nil {
		return err
	}
	t.point.Records, err = t.out.end()
	return err
}

func (t *taker) files() (err error) {
	t.stream()
	if err := t.src.Files(t.ctx, func(name string, body []byte) error {
		t.point.Count.Files++
		t.tell("files", t.point.Count.Files, 0, 100)
		return t.add(file{name, body})
	}); err != nil {
		return err
	}
	t.point.Files, err = t.out.end()
	return err
}

// blobs copies every blob that is there: those that the records name are among them, for a blob is there before its record and none is deleted meanwhile.
func (t *taker) blobs() error {
	var ids []string
	if err := t.src.Blobs.List(t.ctx, "", func(name string) error {
		if id := name[strings.LastIndexByte(name, '/')+1:]; isName(id) && name == id[:2]+"/"+id {
			ids = append(ids, id)
		}
		return nil
	}); err != nil {
		return err
	}
	slices.Sort(ids)
	damaged, err := t.copies(ids)
	if err != nil {
		return err
	}
	t.stream()
	for _, id := range ids {
		if damaged[id] {
			continue
		}
		raw, err := hex.DecodeString(id)
		if err != nil {
			return err
		}
		t.point.Count.Blobs++
		if err := t.out.item(raw, nameIdentity(id)); err != nil {
			return err
		}
	}
	t.point.Blobs, err = t.out.end()
	return err
}

// copies copies the blobs that are not there yet, a few at a time.
func (t *taker) copies(ids []string) (damaged map[string]bool, err error) {
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var wg sync.WaitGroup
	var done int64
	damaged = map[string]bool{}
	work := make(chan string)
	for range copiers {
		wg.Go(func() {
			for id := range work {
				n, fault, err := t.copy(ctx, id)
				mu.Lock()
				done++
				t.tell("blobs", done, int64(len(ids)), 50)
				switch {
				case err != nil:
					cancel(err)
				case fault != nil:
					damaged[id] = true
					t.rep.Faults = append(t.rep.Faults, errs.As(fault).Message)
				case n >= 0:
					t.rep.NewBlobs++
					t.rep.NewBytes += n
				}
				mu.Unlock()
			}
		})
	}
	for _, id := range ids {
		select {
		case work <- id:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(work)
	wg.Wait()
	return damaged, context.Cause(ctx)
}

// copy copies one blob as it is and proves the copy. n is -1 when it is there already; fault says that the original is damaged.
func (t *taker) copy(ctx context.Context, id string) (n int64, fault, err error) {
	name := id[:2] + "/" + id
	at := blobFolder + name
	if t.v.has(at) {
		return -1, nil, nil
	}
	src, err := t.src.Blobs.Open(ctx, name)
	if err != nil {
		return 0, nil, errs.Wrap(errs.Unavailable, err, "blob %s went away while it was copied: run the backup again", id)
	}
	r := &counting{r: io.NewSectionReader(src, 0, 1<<62)}
	src.Expect(0, 1<<62)
	err = t.v.place.Put(ctx, at, r)
	_ = src.Close() // only read
	if err != nil {
		return 0, nil, err
	}
	switch err := prove(ctx, t.v.place, at, t.ring, id); {
	case errs.Is(err, errs.NotFound):
		t.unproven.Add(1)
	case err != nil:
		if rerr := t.v.place.Remove(ctx, at); rerr != nil {
			return 0, nil, rerr
		}
		if perr := prove(ctx, t.src.Blobs, name, t.ring, id); errs.Is(perr, errs.Corrupt) {
			return 0, perr, nil
		}
		return 0, nil, errs.Wrap(errs.Unavailable, err, "%s does not give back what was written to it", t.v.place)
	}
	t.v.got(at)
	return r.n, nil, nil
}

type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// prove reads a sealed blob to its end; errs.NotFound when its key is deleted, errs.Corrupt when it is damaged.
func prove(ctx context.Context, place Place, name string, ring key.Ring, id string) error {
	src, err := place.Open(ctx, name)
	if err != nil {
		return errs.Wrap(errs.Corrupt, err, "blob %s is missing", id)
	}
	r, err := sealed.NewReader(ctx, ring, src, blobID(id))
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	return r.Check()
}
