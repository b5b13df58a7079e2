package medicalimaging

import (
	"context"
	"slices"
	"strconv"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/dicom"
)

// UpdateImageSetMetadata changes attributes of an image set, or brings an older version back, as a new version. The change is made at once: the
// answer is the documented one, and the next read finds the set ACTIVE and UPDATED.
func (s *Service) UpdateImageSetMetadata(ctx context.Context, in *api.UpdateImageSetMetadataInput) (*api.UpdateImageSetMetadataOutput, error) {
	d, err := s.active(ctx, in.DatastoreId)
	if err != nil {
		return nil, err
	}
	set, err := s.imageSet(ctx, d.ID, in.ImageSetId)
	if err != nil {
		return nil, err
	}
	u := &update{s: s, store: d.ID, id: in.ImageSetId, latest: in.LatestVersionId, force: isTrue(in.Force), study: isTrue(in.IncludeStudyImageSets)}
	locks := []string{"study/" + set.Study}
	up := in.UpdateImageSetMetadataUpdates
	if up.RevertToVersionId != "" {
		if u.study {
			return nil, errs.New(errs.Invalid, "includeStudyImageSets cannot be given with revertToVersionId")
		}
		if err := u.remember(ctx, up.RevertToVersionId); err != nil {
			return nil, err
		}
	} else if err := u.read(up.DICOMUpdates, set.Series); err != nil {
		return nil, err
	}
	if uid := u.target(dicom.TagStudyInstanceUID); uid != "" && uid != set.Study {
		locks = append(locks, "study/"+uid)
	}
	var out *api.UpdateImageSetMetadataOutput
	_, err = s.records.Update(ctx, space(d.ID), locks, func(tx record.Tx) error {
		w, err := u.run(tx)
		if err != nil {
			return err
		}
		out = &api.UpdateImageSetMetadataOutput{DatastoreId: d.ID, ImageSetId: w.ID, LatestVersionId: strconv.FormatInt(w.next(), 10),
			ImageSetState: api.ImageSetStateLocked, ImageSetWorkflowStatus: api.ImageSetWorkflowStatusUpdating, CreatedAt: w.Created, UpdatedAt: tx.Time()}
		return nil
	})
	return out, err
}

func isTrue(b *bool) bool { return b != nil && *b }

// update is one update in progress.
type update struct {
	s             *Service
	store, id     string
	latest        string
	force, study  bool
	edits         []edit
	drop          []string // instances to remove
	back          *storedSet
	backInstances map[string]*instance
}

// read takes the documents of an update in.
func (u *update) read(up *api.DICOMUpdates, series string) error {
	if up == nil {
		return errs.New(errs.Invalid, "an update needs DICOMUpdates or revertToVersionId")
	}
	change, err := readUpdate(up.UpdatableAttributes, "updatableAttributes")
	if err != nil {
		return err
	}
	remove, err := readUpdate(up.RemovableAttributes, "removableAttributes")
	if err != nil {
		return err
	}
	first, drop, err := remove.edits(series, true)
	if err != nil {
		return err
	}
	second, _, err := change.edits(series, false)
	if err != nil {
		return err
	}
	u.edits, u.drop = append(first, second...), drop
	if len(u.edits)+len(u.drop) == 0 {
		return errs.New(errs.Invalid, "the update changes nothing")
	}
	return nil
}

// target is the value that a changed UID gets, "" when it stays.
func (u *update) target(t dicom.Tag) string {
	for _, e := range u.edits {
		if e.tag == t && e.value != nil {
			if v := decodeAttribute(e.value).strings(); len(v) == 1 {
				return v[0]
			}
		}
	}
	return ""
}

// remember reads the version that a revert brings back.
func (u *update) remember(ctx context.Context, version string) error {
	return u.s.view(ctx, space(u.store), func(v record.View) error {
		old, err := usable(v, u.id, version)
		if err != nil {
			return err
		}
		list, err := u.s.instancesOf(ctx, v, old)
		if err != nil {
			return err
		}
		u.back, u.backInstances = &old, map[string]*instance{}
		for _, in := range list {
			u.backInstances[in.SOP] = in
		}
		return nil
	})
}

func (u *update) run(tx record.Tx) (*working, error) {
	set, err := getSet(tx, u.id)
	if err != nil {
		return nil, err
	}
	if set.State != api.ImageSetStateActive {
		return nil, errs.New(errs.Conflict, "the image set is %s, not ACTIVE", set.State)
	}
	if u.latest != strconv.FormatInt(set.version, 10) {
		return nil, errs.New(errs.Conflict, "the latest version of the image set is %d, not %s", set.version, u.latest)
	}
	b := &batch{s: u.s, tx: tx, store: u.store, study: set.Study, sets: map[string]*working{}}
	w, err := b.open(set.imageSet, set.version)
	if err != nil {
		return nil, err
	}
	if err := u.announce(b, w); err != nil {
		return nil, err
	}
	if u.back != nil {
		return w, u.revert(b, w)
	}
	if err := u.allowed(w); err != nil {
		return nil, err
	}
	if err := u.apply(b, w, true); err != nil {
		return nil, err
	}
	others, err := u.others(tx, w)
	if err != nil {
		return nil, err
	}
	if len(others) > 0 && w.Primary && !u.study && u.changesStudy() {
		return nil, errs.New(errs.Conflict, "other primary image sets of the study say otherwise then: update all of them with includeStudyImageSets")
	}
	if u.study {
		for _, o := range others {
			ow, err := b.open(o.imageSet, o.version)
			if err != nil {
				return nil, err
			}
			if err := u.announce(b, ow); err != nil {
				return nil, err
			}
			if err := u.apply(b, ow, false); err != nil {
				return nil, err
			}
		}
	}
	return w, nil
}

// announce tells that a set is being updated.
func (u *update) announce(b *batch, w *working) error {
	during := *w.imageSet
	during.State, during.Status = api.ImageSetStateLocked, api.ImageSetWorkflowStatusUpdating
	return u.s.setEvent(b.tx, "Image Set Updating", u.store, &during, w.next())
}

// changesStudy reports whether an attribute changes in which the primary image sets of a study agree.
func (u *update) changesStudy() bool {
	for _, e := range u.edits {
		if slices.Contains(groupingTags[:studyKeys], e.tag) {
			return true
		}
	}
	return false
}

// others are the other primary image sets of the study.
func (u *update) others(tx record.Tx, w *working) (out []storedSet, err error) {
	page, err := tx.Query(record.Query{Kind: imageSets.Name, Limit: 10_000, Where: record.And{
		record.Match{Index: "study", Value: record.Token("", w.imageSet.Study)}, record.Match{Index: "primary", Value: record.Token("", "true")}}})
	if err != nil {
		return nil, err
	}
	for i := range page.Hits {
		if page.Hits[i].ID == w.ID {
			continue
		}
		set, err := imageSets.Decode(page.Hits[i].Body)
		if err != nil {
			return nil, err
		}
		out = append(out, storedSet{set, page.Hits[i].Version})
	}
	return out, nil
}

// allowed holds an update against the constraints (developer guide, "DICOM metadata constraints").
func (u *update) allowed(w *working) error {
	if len(u.drop) > 0 && !u.force {
		return errs.New(errs.Invalid, "removing an instance needs force")
	}
	for _, e := range u.edits {
		name := dicom.Keyword(e.tag)
		switch e.tag {
		case dicom.TagStudyInstanceUID, dicom.TagSeriesInstanceUID, dicom.TagSOPInstanceUID:
			if w.Primary {
				return errs.New(errs.Invalid, "%s of a primary image set cannot be changed", name)
			}
			if e.value == nil || u.target(e.tag) == "" {
				return errs.New(errs.Invalid, "%s cannot be removed", name)
			}
			if !u.force {
				return errs.New(errs.Invalid, "changing %s needs force", name)
			}
		case dicom.TagStudyID:
			if !u.force {
				return errs.New(errs.Invalid, "changing %s needs force", name)
			}
		case dicom.TagSOPClassUID:
			return errs.New(errs.Invalid, "%s cannot be changed", name)
		default:
			if !e.single && !u.force {
				return errs.New(errs.Invalid, "%s is private, a sequence or has several values: changing it needs force", name)
			}
		}
	}
	return nil
}

// apply makes the changes in one set. Other sets of the study take those of the Patient and Study levels only.
func (u *update) apply(b *batch, w *working, whole bool) error {
	shared := map[string]bool{}
	byInstance := map[string][]edit{}
	for _, e := range u.edits {
		switch {
		case e.level == instanceLevel && whole:
			byInstance[e.sop] = append(byInstance[e.sop], e)
		case e.level == patientLevel, e.level == studyLevel, e.level == seriesLevel && whole:
			w.attrs = set(w.attrs, e.tag.Hex(), keepVR(find(w.attrs, e.tag.Hex()), e))
			w.Changed = with(w.Changed, e.tag.Hex())
			shared[e.tag.Hex()] = true
		}
	}
	before := w.imageSet.Study
	w.Attributes = object(w.attrs)
	w.Group = groupOf(keysOf(w.attrs))
	w.Forced = w.Forced || u.force
	w.Modality = text(w.attrs, dicom.TagModality.Hex())
	w.imageSet.Study, w.imageSet.Series = text(w.attrs, "0020000D"), text(w.attrs, "0020000E")
	if err := u.instances(b, w, shared, byInstance, whole); err != nil {
		return err
	}
	if before != w.imageSet.Study { // it leaves the sum of the one study and comes into that of the other
		if err := b.leave(before, w.ID); err != nil {
			return err
		}
	}
	w.Status = api.ImageSetWorkflowStatusUpdated
	return b.put(w, "Image Set Updated")
}

// instances carries an update to the instances: what is changed in one of them, what is changed for all, and removals.
func (u *update) instances(b *batch, w *working, shared map[string]bool, edits map[string][]edit, whole bool) error {
	drop := u.drop
	if !whole {
		drop = nil
	}
	if len(shared)+len(edits)+len(drop) == 0 {
		return nil
	}
	list, err := b.instances(w.ID)
	if err != nil {
		return err
	}
	found := map[string]bool{}
	for _, in := range list {
		found[in.SOP] = true
		old := in.SOP
		own, err := members(in.Attributes)
		if err != nil {
			return err
		}
		dirty := in.Study != w.imageSet.Study || in.Series != w.imageSet.Series
		in.Study, in.Series = w.imageSet.Study, w.imageSet.Series
		for tag := range shared {
			if find(own, tag) != nil {
				own, dirty = set(own, tag, nil), true
			}
		}
		for _, e := range edits[old] {
			own = set(own, e.tag.Hex(), keepVR(find(own, e.tag.Hex()), e))
			in.Changed, dirty = with(in.Changed, e.tag.Hex()), true
			if e.tag == dicom.TagSOPInstanceUID {
				in.SOP = decodeAttribute(e.value).strings()[0]
			}
		}
		in.Attributes, in.SetVersion = object(own), w.next()
		switch {
		case slices.Contains(drop, old):
			err = b.remove(w, old)
		case in.SOP != old:
			if _, _, err = instances.Get(b.tx, instanceID(w.ID, in.SOP)); err == nil {
				return errs.New(errs.Conflict, "the image set has an instance with the new SOPInstanceUID already")
			}
			if err = b.remove(w, old); err == nil {
				w.Count++
				err = instances.Put(b.tx, instanceID(w.ID, in.SOP), in)
			}
		case dirty:
			err = instances.Put(b.tx, instanceID(w.ID, old), in)
		}
		if err != nil {
			return err
		}
	}
	for sop := range edits {
		if !found[sop] {
			return errs.New(errs.Invalid, "the image set does not hold an instance that the update names")
		}
	}
	for _, sop := range drop {
		if !found[sop] {
			return errs.New(errs.Invalid, "the image set does not hold an instance that the update removes")
		}
	}
	if w.Count == 0 {
		return errs.New(errs.Invalid, "the update would leave no instance: delete the image set instead")
	}
	return nil
}

// keepVR gives a changed private attribute the VR that it had.
func keepVR(old []byte, e edit) []byte {
	if e.value == nil || old == nil || !e.tag.Private() {
		return e.value
	}
	was, now := decodeAttribute(old), decodeAttribute(e.value)
	if was.VR == "" || was.VR == now.VR {
		return e.value
	}
	out := append([]byte(`{"vr":"`+was.VR+`"`), e.value[9:]...)
	if _, err := dicom.ParseJSONElement(e.tag, out); err != nil {
		return e.value
	}
	return out
}

func with(list []string, tag string) []string {
	if slices.Contains(list, tag) {
		return list
	}
	return append(slices.Clone(list), tag)
}

// instances reads what a set holds.
func (b *batch) instances(set string) (out []*instance, err error) {
	q := record.Query{Kind: instances.Name, Where: record.Match{Index: "set", Value: record.Token("", set)}, Limit: 10_000}
	for {
		page, err := b.tx.Query(q)
		if err != nil {
			return nil, err
		}
		for i := range page.Hits {
			in, err := instances.Decode(page.Hits[i].Body)
			if err != nil {
				return nil, err
			}
			out = append(out, in)
		}
		if q.After = page.Next; q.After == "" {
			return out, nil
		}
	}
}

// remove takes an instance out of a set; older versions keep it.
func (b *batch) remove(w *working, sop string) error {
	w.Count--
	w.Removed = with(w.Removed, sop)
	return instances.Put(b.tx, instanceID(w.ID, sop), &instance{SetVersion: w.next(), SOP: sop})
}

// leave takes a set out of the sum of a study.
func (b *batch) leave(uid, id string) error {
	st, _, err := studies.Get(b.tx, uid)
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	delete(st.Sets, id)
	if len(st.Sets) == 0 {
		_, err := b.tx.Delete(studies.Name, uid, record.Any)
		return err
	}
	return studies.Put(b.tx, uid, st)
}

// revert writes an older version as the newest.
func (u *update) revert(b *batch, w *working) error {
	list, err := b.instances(w.ID)
	if err != nil {
		return err
	}
	here := map[string]bool{}
	for _, in := range list {
		here[in.SOP] = true
		if u.backInstances[in.SOP] == nil {
			if err := b.remove(w, in.SOP); err != nil {
				return err
			}
		}
	}
	for sop, old := range u.backInstances {
		restored := *old
		restored.SetVersion = w.next()
		if err := instances.Put(b.tx, instanceID(w.ID, sop), &restored); err != nil {
			return err
		}
		if !here[sop] {
			w.Count++
			w.Removed = slices.DeleteFunc(slices.Clone(w.Removed), func(s string) bool { return s == sop })
		}
	}
	before := w.imageSet.Study
	old := u.back.imageSet
	w.Attributes, w.Changed, w.Group, w.Modality = old.Attributes, old.Changed, old.Group, old.Modality
	w.imageSet.Study, w.imageSet.Series = old.Study, old.Series
	if w.attrs, err = w.shared(); err != nil {
		return err
	}
	if w.Primary {
		others, err := u.others(b.tx, w)
		if err != nil {
			return err
		}
		for _, o := range others {
			ms, err := o.shared()
			if err != nil {
				return err
			}
			if !slices.Equal(keysOf(ms)[:studyKeys], keysOf(w.attrs)[:studyKeys]) {
				return errs.New(errs.Conflict, "that version contradicts the other primary image sets of the study")
			}
		}
	}
	if before != w.imageSet.Study {
		if err := b.leave(before, w.ID); err != nil {
			return err
		}
	}
	w.Status = api.ImageSetWorkflowStatusUpdated
	return b.put(w, "Image Set Updated")
}
