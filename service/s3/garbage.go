package s3

import (
	"cmp"
	"context"
	"time"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// garbage is a body that no version names any more. It is deleted after a grace time, so that reads in progress end well. Or it is the key of a bucket that is gone.
type garbage struct {
	Key      string    `json:"key,omitempty"` // ARN
	Blob     blob.ID   `json:"blob,omitempty"`
	Manifest string    `json:"manifest,omitempty"`
	Since    time.Time `json:"since"`
}

var garbages = record.Kind[garbage]{Name: "s3.garbage", Volatile: true, Single: []string{"since"}, Indexes: record.Indexes[garbage]{
	record.ByTime("since", func(g *garbage) time.Time { return g.Since }),
}}

// discard puts the body of a version aside, in the batch that forgets the version.
func (s *Service) discard(tx record.Tx, o *object) error {
	switch {
	case o.Manifest != "":
		return garbages.Put(tx, o.Manifest, &garbage{Manifest: o.Manifest, Since: tx.Time()})
	case o.Blob != "":
		return discardBlob(tx, o.Blob)
	}
	return nil
}

func discardBlob(tx record.Tx, id blob.ID) error {
	return garbages.Put(tx, string(id), &garbage{Blob: id, Since: tx.Time()})
}

// Clean deletes the bodies whose grace time is over and returns how many records of them it was done with.
func (s *Service) Clean(ctx context.Context) (int, error) {
	done := 0
	for {
		var page []garbage
		err := s.view(ctx, func(v record.View) error {
			p, err := v.Query(ctx, record.Query{Kind: garbages.Name, Limit: 100, Order: []record.Order{{Index: "since"}},
				Where: record.Range{Index: "since", High: record.Instant(time.Now().Add(-s.cfg.Grace))}})
			if err != nil {
				return err
			}
			for _, h := range p.Hits {
				g, err := garbages.Decode(h.Body)
				if err != nil {
					return err
				}
				page = append(page, *g)
			}
			return nil
		})
		if err != nil || len(page) == 0 {
			return done, err
		}
		if err := s.cleanAll(ctx, page); err != nil {
			return done, err
		}
		done += len(page)
	}
}

// cleanAll removes things for good, and then the records of them.
func (s *Service) cleanAll(ctx context.Context, all []garbage) error {
	for _, g := range all {
		if err := s.remove(ctx, g); err != nil {
			return err
		}
	}
	_, err := s.records.Update(ctx, space, nil, func(tx record.Tx) error {
		for _, g := range all {
			if g.Manifest != "" {
				if err := tx.Purge(manifests.Name, g.Manifest); err != nil && !absent(err) {
					return err
				}
			}
			if err := tx.Purge(garbages.Name, cmp.Or(g.Manifest, g.Key, string(g.Blob))); err != nil && !absent(err) {
				return err
			}
		}
		return nil
	})
	return err
}

func (s *Service) remove(ctx context.Context, g garbage) error {
	if g.Key != "" {
		if err := s.cfg.Keys.DestroyOwned(ctx, g.Key); !errs.Is(err, errs.NotFound) {
			return err
		}
		return nil
	}
	if g.Manifest == "" {
		return s.blobs.Delete(ctx, g.Blob)
	}
	m, err := s.manifest(ctx, g.Manifest)
	if absent(err) {
		return nil
	} else if err != nil {
		return err
	}
	for _, p := range m.Parts {
		if err := s.blobs.Delete(ctx, p.Blob); err != nil {
			return err
		}
	}
	return nil
}

// Tick is Clean for whoever calls it now and then.
func (s *Service) Tick(ctx context.Context) error {
	_, err := s.Clean(ctx)
	return err
}

// Keeps reports whether a record of this service names a blob. The sweep of the blob store asks every service.
func (s *Service) Keeps(ctx context.Context, id blob.ID) (kept bool, err error) {
	err = s.view(ctx, func(v record.View) error {
		for _, kind := range []string{objects.Name, versions.Name, parts.Name, manifests.Name} {
			n, err := v.Count(ctx, kind, record.Match{Index: "blob", Value: record.Token("", string(id))})
			if kept = kept || n > 0; err != nil || kept {
				return err
			}
		}
		_, _, err := garbages.Get(v, string(id))
		kept = err == nil
		if absent(err) {
			return nil
		}
		return err
	})
	return kept, err
}
