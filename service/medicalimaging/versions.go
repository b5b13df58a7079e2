package medicalimaging

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
)

// GetImageSet tells how an image set is, or was in a version.
func (s *Service) GetImageSet(ctx context.Context, in *api.GetImageSetInput) (*api.GetImageSetOutput, error) {
	d, err := s.active(ctx, in.DatastoreId)
	if err != nil {
		return nil, err
	}
	var set storedSet
	if err := s.view(ctx, space(d.ID), func(v record.View) error {
		if set, err = getSet(v, in.ImageSetId); err != nil || in.VersionId == "" || set.State == api.ImageSetStateDeleted {
			return err
		}
		set, err = usable(v, in.ImageSetId, in.VersionId)
		return err
	}); err != nil {
		return nil, err
	}
	out := &api.GetImageSetOutput{DatastoreId: d.ID, ImageSetId: set.ID, VersionId: strconv.FormatInt(set.version, 10), ImageSetState: set.State,
		ImageSetWorkflowStatus: set.Status, CreatedAt: set.Created, UpdatedAt: set.Updated, DeletedAt: set.Deleted, ImageSetArn: s.setARN(d.ID, set.ID),
		IsPrimary: aws.Ptr(set.Primary), LastAccessedAt: set.Updated, StorageTier: api.StorageTierFrequentAccess}
	if set.Forced {
		out.Overrides = &api.Overrides{Forced: aws.Ptr(true)}
	}
	return out, nil
}

// ListImageSetVersions lists the versions of an image set, the newest first.
func (s *Service) ListImageSetVersions(ctx context.Context, in *api.ListImageSetVersionsInput) (*api.ListImageSetVersionsOutput, error) {
	d, err := s.active(ctx, in.DatastoreId)
	if err != nil {
		return nil, err
	}
	of, err := page.Of("ListImageSetVersions", []string{d.ID, in.ImageSetId})
	if err != nil {
		return nil, err
	}
	cursor, err := s.pages.Cursor(of, in.NextToken)
	if err != nil {
		return nil, err
	}
	limit := 50
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	out := &api.ListImageSetVersionsOutput{ImageSetPropertiesList: []api.ImageSetProperties{}}
	err = s.view(ctx, space(d.ID), func(v record.View) error {
		newest, err := getSet(v, in.ImageSetId)
		if err != nil {
			return err
		}
		from := newest.version
		if cursor != "" {
			if from, err = strconv.ParseInt(cursor, 10, 64); err != nil {
				return errs.Wrap(errs.Internal, err, "a page token of ours cannot be read")
			}
		}
		for n := from; n > 0; n-- {
			if len(out.ImageSetPropertiesList) == limit {
				out.NextToken = s.pages.Token(of, strconv.FormatInt(n, 10))
				return nil
			}
			ver, err := v.GetVersion(imageSets.Name, in.ImageSetId, n)
			if err != nil {
				return err
			}
			set, err := imageSets.Decode(ver.Body)
			if err != nil {
				return err
			}
			p := api.ImageSetProperties{ImageSetId: set.ID, VersionId: strconv.FormatInt(n, 10), ImageSetState: set.State, ImageSetWorkflowStatus: set.Status,
				CreatedAt: set.Created, UpdatedAt: set.Updated, DeletedAt: set.Deleted, IsPrimary: aws.Ptr(set.Primary)}
			if set.Forced {
				p.Overrides = &api.Overrides{Forced: aws.Ptr(true)}
			}
			out.ImageSetPropertiesList = append(out.ImageSetPropertiesList, p)
		}
		return nil
	})
	return out, err
}

// DeleteImageSet deletes an image set with all its versions; a job purges its bodies and records.
func (s *Service) DeleteImageSet(ctx context.Context, in *api.DeleteImageSetInput) (*api.DeleteImageSetOutput, error) {
	d, err := s.active(ctx, in.DatastoreId)
	if err != nil {
		return nil, err
	}
	set, err := s.imageSet(ctx, d.ID, in.ImageSetId)
	if err != nil {
		return nil, err
	}
	_, err = s.records.Update(ctx, space(d.ID), []string{"study/" + set.Study}, func(tx record.Tx) error {
		now, err := getSet(tx, in.ImageSetId)
		if err != nil {
			return err
		}
		if now.State != api.ImageSetStateActive {
			return errs.New(errs.Conflict, "the image set is %s, not ACTIVE", now.State)
		}
		now.Status, now.State = api.ImageSetWorkflowStatusDeleting, api.ImageSetStateLocked
		if err := s.setEvent(tx, "Image Set Deleting", d.ID, now.imageSet, now.version); err != nil {
			return err
		}
		b := &batch{s: s, tx: tx, store: d.ID, study: now.Study, sets: map[string]*working{}}
		w, err := b.open(now.imageSet, now.version)
		if err != nil {
			return err
		}
		w.State, w.Status, w.Deleted = api.ImageSetStateDeleted, api.ImageSetWorkflowStatusDeleted, tx.Time()
		if err := b.put(w, "Image Set Deleted"); err != nil {
			return err
		}
		return s.cfg.Jobs.Start(tx, "imaging.purge", w.ID, nil)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteImageSetOutput{DatastoreId: d.ID, ImageSetId: set.ID, ImageSetState: api.ImageSetStateLocked, ImageSetWorkflowStatus: api.ImageSetWorkflowStatusDeleting}, nil
}

// purge removes the instances of a deleted image set and the bodies that no other set refers to.
func (s *Service) purge(ctx context.Context, r job.Run) error {
	sp, id := r.Space(), r.ID()
	for {
		var ids []string
		named := map[string]bool{}
		if err := s.view(ctx, sp, func(v record.View) error {
			set, err := getSet(v, id)
			if errs.Is(err, errs.NotFound) {
				return nil // purged before a crash
			}
			if err != nil {
				return err
			}
			q := record.Query{Kind: instances.Name, Where: record.Match{Index: "set", Value: record.Token("", id)}, Limit: 500, IDsOnly: true}
			page, err := v.Query(ctx, q)
			if err != nil {
				return err
			}
			for _, h := range page.Hits {
				ids = append(ids, h.ID)
			}
			for _, sop := range set.Removed {
				if _, err := v.Get(instances.Name, instanceID(id, sop)); err == nil {
					ids = append(ids, instanceID(id, sop))
				}
			}
			for _, one := range ids {
				for ver, err := range v.History(instances.Name, one, 0, time.Time{}) {
					if err != nil {
						return err
					}
					in, err := instances.Decode(ver.Body)
					if err != nil {
						return err
					}
					if in.Blob != "" {
						named[string(in.Blob)] = true
					}
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if len(ids) == 0 { // nothing is left but what was said of it
			_, err := s.records.Update(ctx, sp, nil, func(tx record.Tx) error {
				for _, kind := range []string{imageSets.Name, setTags.Name} {
					if err := tx.Purge(kind, id); err != nil && !absent(err) {
						return err
					}
				}
				return r.Finish(tx)
			})
			return err
		}
		if err := s.release(ctx, sp, id, ids, named); err != nil {
			return err
		}
	}
}

// release takes a set's name off bodies, deletes those that nobody names, and then forgets the instances.
func (s *Service) release(ctx context.Context, sp record.Space, set string, ids []string, named map[string]bool) error {
	var free []blob.ID
	locks := []string{"bodies"}
	if _, err := s.records.Update(ctx, sp, locks, func(tx record.Tx) error {
		free = free[:0]
		for id := range named {
			b, _, err := bodies.Get(tx, id)
			if absent(err) {
				continue
			}
			if err != nil {
				return err
			}
			b.Sets = slices.DeleteFunc(b.Sets, func(s string) bool { return s == set })
			if len(b.Sets) == 0 {
				free = append(free, blob.ID(id))
			}
			if err := bodies.Put(tx, id, b); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for _, id := range free {
		if err := s.blobs.Delete(ctx, id); err != nil {
			return err
		}
	}
	_, err := s.records.Update(ctx, sp, locks, func(tx record.Tx) error {
		for _, id := range free {
			if err := tx.Purge(bodies.Name, string(id)); err != nil && !absent(err) {
				return err
			}
		}
		for _, id := range ids {
			if err := tx.Purge(instances.Name, id); err != nil && !absent(err) {
				return err
			}
		}
		return nil
	})
	return err
}

// Keeps reports whether a record of this service names a blob. The sweep of the blob store asks every service. What stands under a key that may
// not be used now is kept.
func (s *Service) Keeps(ctx context.Context, id blob.ID) (bool, error) {
	var stores []string
	if err := s.view(ctx, control, func(v record.View) error {
		for d, err := range v.Scan(datastores.Name, 0) {
			if err != nil {
				return err
			}
			st, err := datastores.Decode(d.Body)
			if err != nil {
				return err
			}
			if st.Status == api.DatastoreStatusActive || st.Status == api.DatastoreStatusDeleting {
				stores = append(stores, st.ID)
			}
		}
		return nil
	}); err != nil {
		return false, err
	}
	for _, st := range stores {
		found := false
		err := s.view(ctx, space(st), func(v record.View) error {
			_, err := v.Get(bodies.Name, string(id))
			if found = err == nil; absent(err) {
				return nil
			}
			return err
		})
		if errs.Is(err, errs.NotFound) {
			continue // its space is gone
		}
		if errs.Is(err, errs.Conflict) {
			return true, nil // its key is disabled: nobody can tell
		}
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}
