package backup

import (
	"context"
	"errors"
	"io"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Check reads all points and everything that they name, and calls fault for each thing that is missing, damaged, or not what its point counted. It returns how
// many points and files it looked at.
func Check(ctx context.Context, place Place, ring Ring, fault func(string), progress func(Progress)) (checked, files int64, err error) {
	v, err := openVault(ctx, place, ring.Regardless(), false)
	if err != nil {
		return 0, 0, err
	}
	names, err := points(ctx, place)
	if err != nil {
		return 0, 0, err
	}
	switch _, err := Roots(ctx, place); {
	case errs.Is(err, errs.Corrupt):
		fault(errs.As(err).Message)
	case err != nil:
		return 0, 0, err
	}
	c := &checker{ctx: ctx, b: &Backup{v: v, ring: ring.Regardless()}, fault: fault, progress: progress, chunks: map[string]bool{}, blobs: map[string]bool{}}
	for _, n := range names {
		if err := c.point(n); err != nil {
			return 0, 0, err
		}
	}
	return int64(len(names)), int64(len(names) + len(c.chunks) + len(c.blobs)), nil
}

type checker struct {
	ctx      context.Context
	b        *Backup
	fault    func(string)
	progress func(Progress)
	chunks   map[string]bool // looked at, and whether whole
	blobs    map[string]bool
}

// note makes a fault of what is damaged.
func (c *checker) note(where string, err error) error {
	if errs.Is(err, errs.Corrupt) || errs.Is(err, errs.Unsupported) {
		c.fault(where + ": " + errs.As(err).Message)
		return nil
	}
	return err
}

func (c *checker) point(name string) error {
	p, err := c.b.v.point(c.ctx, name)
	if err != nil {
		return c.note("point", err)
	}
	whole := true
	for _, list := range [][]string{p.Records, p.Blobs, p.Files} {
		for _, chunk := range list {
			ok, seen := c.chunks[chunk]
			if !seen {
				_, err := c.b.v.chunk(c.ctx, chunk)
				ok = err == nil
				if err := c.note(name, err); err != nil {
					return err
				}
				c.chunks[chunk] = ok
				c.progress(Progress{Doing: "check", Done: int64(len(c.chunks) + len(c.blobs))})
			}
			whole = whole && ok
		}
	}
	if !whole {
		return nil // each chunk was told of, by the first point that names it
	}
	c.b.point = p
	return errors.Join(c.note(name, c.streams(p)), c.each(name))
}

// streams reads the point's items and counts them.
func (c *checker) streams(p *Point) error {
	d := newDecoder(&joined{ctx: c.ctx, v: c.b.v, names: p.Records})
	got := Count{Blobs: p.Count.Blobs}
	for {
		it, err := d.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch x := it.(type) {
		case record.ExportSpace:
			got.Spaces++
			if x.Lost {
				got.Lost++
			}
		case record.ExportRecord:
			got.Records++
			got.Versions += int64(len(x.Versions))
		case record.Message:
			got.Messages++
		default:
			return errItem
		}
	}
	if err := c.b.Files(c.ctx, func(string, []byte) error { got.Files++; return nil }); err != nil {
		return err
	}
	if got != p.Count {
		return errs.New(errs.Corrupt, "it holds %+v, but should hold %+v", got, p.Count)
	}
	return nil
}

// each proves the point's blobs.
func (c *checker) each(name string) error {
	ids, err := c.b.ids(c.ctx)
	if err != nil {
		return c.note(name, err)
	}
	for _, id := range ids {
		if c.blobs[id] {
			continue
		}
		c.blobs[id] = true
		c.progress(Progress{Doing: "check", Done: int64(len(c.chunks) + len(c.blobs))})
		err := prove(c.ctx, c.b.v.place, blobFolder+id[:2]+"/"+id, c.b.ring, id)
		if errs.Is(err, errs.NotFound) { // under a deleted key: nobody can say
			continue
		}
		if err := c.note(name, err); err != nil {
			return err
		}
	}
	return nil
}
