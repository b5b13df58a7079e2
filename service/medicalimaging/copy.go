package medicalimaging

import (
	"context"
	"slices"
	"strconv"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// CopyImageSet copies instances of an image set into a new one, into another, or into the primary image set of their series. Bodies are
// shared, not copied. The copy is made at once: the answer is the documented one, and the next read finds both sets ACTIVE.
func (s *Service) CopyImageSet(ctx context.Context, in *api.CopyImageSetInput) (*api.CopyImageSetOutput, error) {
	d, err := s.active(ctx, in.DatastoreId)
	if err != nil {
		return nil, err
	}
	info := in.CopyImageSetInformation
	source, err := s.imageSet(ctx, d.ID, in.SourceImageSetId)
	if err != nil {
		return nil, err
	}
	c := &copying{s: s, store: d.ID, from: info.SourceImageSet.LatestVersionId, to: info.DestinationImageSet, force: isTrue(in.Force), promote: isTrue(in.PromoteToPrimary)}
	if c.promote && c.to != nil {
		return nil, errs.New(errs.Invalid, "promoteToPrimary chooses the destination itself: leave destinationImageSet out")
	}
	if c.to != nil && c.to.ImageSetId == source.ID {
		return nil, errs.New(errs.Invalid, "source and destination are the same image set")
	}
	if sel := info.SourceImageSet.DICOMCopies; sel != nil {
		doc, err := readUpdate([]byte(sel.CopiableAttributes), "copiableAttributes")
		if err != nil {
			return nil, err
		}
		if _, c.pick, err = doc.edits(source.Series, true); err != nil {
			return nil, err
		}
	}
	locks := []string{"bodies", "study/" + source.Study}
	if c.to != nil {
		dest, err := s.imageSet(ctx, d.ID, c.to.ImageSetId)
		if err != nil {
			return nil, err
		}
		if dest.Study != source.Study {
			locks = append(locks, "study/"+dest.Study)
		}
	}
	slices.Sort(locks)
	var src, dst *working
	if _, err := s.records.Update(ctx, space(d.ID), locks, func(tx record.Tx) error {
		src, dst, err = c.run(tx, in.SourceImageSetId)
		return err
	}); err != nil {
		return nil, err
	}
	return &api.CopyImageSetOutput{
		DatastoreId: d.ID,
		SourceImageSetProperties: &api.CopySourceImageSetProperties{ImageSetId: src.ID, LatestVersionId: strconv.FormatInt(src.version, 10), ImageSetState: api.ImageSetStateLocked,
			ImageSetWorkflowStatus: api.ImageSetWorkflowStatusCopyingWithReadOnlyAccess, CreatedAt: src.Created, UpdatedAt: src.Updated, ImageSetArn: s.setARN(d.ID, src.ID)},
		DestinationImageSetProperties: &api.CopyDestinationImageSetProperties{ImageSetId: dst.ID, LatestVersionId: strconv.FormatInt(dst.next(), 10), ImageSetState: api.ImageSetStateLocked,
			ImageSetWorkflowStatus: api.ImageSetWorkflowStatusCopying, CreatedAt: dst.Created, UpdatedAt: dst.Updated, ImageSetArn: s.setARN(d.ID, dst.ID)},
	}, nil
}

// copying is one copy in progress.
type copying struct {
	s              *Service
	store          string
	from           string // version of the source that the caller knows
	to             *api.CopyDestinationImageSet
	force, promote bool
	pick           []string // instances; nil = all
}

func (c *copying) run(tx record.Tx, id string) (src, dst *working, err error) {
	set, err := c.open(tx, id, c.from)
	if err != nil {
		return nil, nil, err
	}
	b := &batch{s: c.s, tx: tx, store: c.store, study: set.Study, sets: map[string]*working{}}
	if src, err = b.open(set.imageSet, set.version); err != nil {
		return nil, nil, err
	}
	list, err := b.instances(id)
	if err != nil {
		return nil, nil, err
	}
	if c.pick != nil {
		list = slices.DeleteFunc(list, func(in *instance) bool { return !slices.Contains(c.pick, in.SOP) })
		if len(list) != len(c.pick) {
			return nil, nil, errs.New(errs.Invalid, "the source image set does not hold all instances that are to be copied")
		}
	}
	if dst, err = c.destination(b, src); err != nil {
		return nil, nil, err
	}
	for _, in := range list {
		if err := c.put(b, src, dst, in); err != nil {
			return nil, nil, err
		}
	}
	during := *src.imageSet
	during.State, during.Status = api.ImageSetStateLocked, api.ImageSetWorkflowStatusCopyingWithReadOnlyAccess
	if err := c.s.setEvent(tx, "Image Set Copying With Read Only Access", c.store, &during, src.version); err != nil {
		return nil, nil, err
	}
	during = *dst.imageSet
	during.State, during.Status = api.ImageSetStateLocked, api.ImageSetWorkflowStatusCopying
	if err := c.s.setEvent(tx, "Image Set Copying", c.store, &during, dst.next()); err != nil {
		return nil, nil, err
	}
	dst.Status = api.ImageSetWorkflowStatusCopied
	dst.Forced = dst.Forced || c.force
	return src, dst, b.put(dst, "Image Set Copied")
}

// open reads a set that must be ACTIVE and in the version that the caller knows.
func (c *copying) open(tx record.Tx, id, version string) (storedSet, error) {
	set, err := getSet(tx, id)
	switch {
	case err != nil:
		return set, err
	case set.State != api.ImageSetStateActive:
		return set, errs.New(errs.Conflict, "image set %s is %s, not ACTIVE", id, set.State)
	case version != strconv.FormatInt(set.version, 10):
		return set, errs.New(errs.Conflict, "the latest version of image set %s is %d, not %s", id, set.version, version)
	}
	return set, nil
}

// destination finds or makes the set that takes the copies.
func (c *copying) destination(b *batch, src *working) (*working, error) {
	if c.to != nil {
		set, err := c.open(b.tx, c.to.ImageSetId, c.to.LatestVersionId)
		if err != nil {
			return nil, err
		}
		if set.Group != src.Group && !c.force {
			return nil, errs.New(errs.Conflict, "source and destination contradict each other in what groups instances: make them agree first, or use force")
		}
		return b.open(set.imageSet, set.version)
	}
	if c.promote {
		if src.Primary {
			return nil, errs.New(errs.Conflict, "the image set is primary already")
		}
		w, err := b.query(true, "series", src.Series)
		if err != nil {
			return nil, err
		}
		if w != nil && w.Group == src.Group {
			return w, nil
		}
		agrees := false
		if w == nil {
			if agrees, err = b.agrees(&prepared{instance: instance{Study: src.imageSet.Study}, keys: keysOf(src.attrs)}); err != nil {
				return nil, err
			}
		}
		if !agrees {
			return nil, errs.New(errs.Conflict, "the image set contradicts a primary one of its study: make them agree first")
		}
	}
	made := *src.imageSet
	made.ID, made.Primary, made.Created, made.Count, made.Removed, made.Forced = newID(), c.promote, b.tx.Time(), 0, nil, false
	return b.open(&made, 0)
}

// put copies one instance. Where the sets say otherwise, the destination's word stands when forced; else the instance keeps its own.
func (c *copying) put(b *batch, src, dst *working, in *instance) error {
	id := instanceID(dst.ID, in.SOP)
	old, _, err := instances.Get(b.tx, id)
	switch {
	case err == nil && !old.Gone() && !c.promote:
		return errs.New(errs.Conflict, "the destination holds an instance with the same SOPInstanceUID already")
	case err == nil && !old.Gone():
	case err == nil || absent(err):
		dst.Count++
		dst.Removed = slices.DeleteFunc(slices.Clone(dst.Removed), func(s string) bool { return s == in.SOP })
	default:
		return err
	}
	own, err := members(in.Attributes)
	if err != nil {
		return err
	}
	whole := merge(src.attrs, own)
	shared := atLevel(whole, patientLevel, studyLevel, seriesLevel)
	mine := atLevel(whole, instanceLevel)
	cp := *in
	cp.Set, cp.SetVersion, cp.Study, cp.Series = dst.ID, dst.next(), dst.imageSet.Study, dst.imageSet.Series
	for _, tag := range src.Changed {
		cp.Changed = with(cp.Changed, tag)
	}
	apart := difference(dst.attrs, shared)
	if c.force {
		for _, m := range apart {
			cp.Changed = with(cp.Changed, m.Tag)
		}
		apart = nil
	}
	cp.Attributes = object(mergeOwn(mine, apart))
	if cp.Pixel != nil {
		px := *cp.Pixel
		px.Key = frameKey()
		cp.Pixel = &px
	}
	if err := instances.Put(b.tx, id, &cp); err != nil {
		return err
	}
	named, _, err := bodies.Get(b.tx, string(in.Blob))
	if err != nil {
		return err
	}
	named.Sets = with(named.Sets, dst.ID)
	return bodies.Put(b.tx, string(in.Blob), named)
}
