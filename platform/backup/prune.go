package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// Keep says which points a prune leaves: those that any of the rules names.
type Keep struct {
	Last  int       // the newest so many, at least one
	Since time.Time // those that show this time or a later one; zero: none for this reason
}

// Pruned is what a prune removed, or would remove.
type Pruned struct {
	Points []string `json:"points"`
	Kept   int      `json:"kept"` // points
	Chunks int64    `json:"chunks"`
	Blobs  int64    `json:"blobs"`
	Roots  int64    `json:"roots"`
}

// Prune removes points, and then what no point that is left names. Points go first: a prune that is cut off leaves whole points and files that the next one removes.
// dry = nothing is removed.
func Prune(ctx context.Context, place Place, ring Ring, keep Keep, dry bool, progress func(Progress)) (done Pruned, err error) {
	if keep.Last < 1 {
		return done, errs.New(errs.Invalid, "a prune keeps the newest point at least")
	}
	v, err := openVault(ctx, place, ring.Regardless(), false)
	if err != nil {
		return done, err
	}
	held := &lease{}
	if !dry {
		if held, err = hold(ctx, place, prunes); err != nil {
			return done, err
		}
		defer func() { err = errors.Join(err, held.release(ctx)) }()
	}
	names, err := points(ctx, place)
	if err != nil {
		return done, err
	}
	kept, gone, err := keep.split(names)
	if err != nil {
		return done, err
	}
	p := &pruner{ctx: ctx, v: v, dry: dry, held: held, progress: progress, needed: map[string]bool{}}
	for i, name := range kept { // before anything goes: a point that cannot be read does not tell what it needs
		if err := p.need(name); err != nil {
			return done, err
		}
		progress(Progress{"points", int64(i + 1), int64(len(kept))})
	}
	done.Points, done.Kept = gone, len(kept)
	for _, name := range gone {
		if err := p.remove(name); err != nil {
			return done, err
		}
	}
	if err := p.settle(); err != nil {
		return done, err
	}
	for _, f := range []struct {
		folder string
		count  *int64
		skip   bool
	}{{chunkFolder, &done.Chunks, false}, {blobFolder, &done.Blobs, false}, {rootFolder, &done.Roots, p.anyRoot}} {
		if f.skip {
			continue
		}
		if *f.count, err = p.sweep(f.folder); err != nil {
			return done, err
		}
	}
	return done, p.settle()
}

// split tells the points that stay and those that go, the oldest first.
func (k Keep) split(names []string) (kept, gone []string, err error) {
	for i, name := range names {
		at, err := timeOf(name)
		if err != nil {
			return nil, nil, err
		}
		if len(names)-i <= k.Last || !k.Since.IsZero() && !at.Before(k.Since) {
			kept = append(kept, name)
		} else {
			gone = append(gone, name)
		}
	}
	return kept, gone, nil
}

type pruner struct {
	ctx      context.Context
	v        *vault
	dry      bool
	held     *lease
	progress func(Progress)
	needed   map[string]bool // files
	anyRoot  bool            // a point that is left does not say which sealed root key it needs
}

// need notes what a point names.
func (p *pruner) need(name string) error {
	point, err := p.v.point(p.ctx, name)
	if err != nil {
		return err
	}
	for _, list := range [][]string{point.Records, point.Blobs, point.Files} {
		for _, c := range list {
			if !isName(c) {
				return errs.New(errs.Corrupt, "%s is damaged", name)
			}
			p.needed[chunkPlace(c)] = true
		}
	}
	p.anyRoot = p.anyRoot || point.Roots == nil
	for _, r := range point.Roots {
		p.needed[r] = true
	}
	r, raw := &joined{ctx: p.ctx, v: p.v, names: slices.Clone(point.Blobs)}, make([]byte, 16)
	for {
		_, err := io.ReadFull(r, raw)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return damaged(err)
		}
		id := hex.EncodeToString(raw)
		p.needed[blobFolder+id[:2]+"/"+id] = true
	}
}

// sweep removes the files of a folder that nothing needs. What Galen did not put there stays.
func (p *pruner) sweep(folder string) (n int64, err error) {
	var gone []string
	if err := p.v.place.List(p.ctx, folder, func(name string) error {
		last := name[strings.LastIndexByte(name, '/')+1:]
		if !p.needed[name] && (folder == rootFolder || isName(last) && name == folder+last[:2]+"/"+last) {
			gone = append(gone, name)
		}
		return nil
	}); err != nil {
		return 0, err
	}
	for i, name := range gone {
		if err := p.remove(name); err != nil {
			return n, err
		}
		n++
		if i%50 == 0 {
			p.progress(Progress{strings.TrimSuffix(folder, "/"), n, int64(len(gone))})
		}
	}
	return n, nil
}

func (p *pruner) remove(name string) error {
	if p.dry {
		return nil
	}
	if err := p.held.still(p.ctx); err != nil { // a backup that began meanwhile counts on what is there
		return err
	}
	return p.v.place.Remove(p.ctx, name)
}

func (p *pruner) settle() error {
	if p.dry {
		return nil
	}
	return p.v.place.Settle(p.ctx)
}
