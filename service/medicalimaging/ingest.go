package medicalimaging

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// outcome is where an instance came to stand.
type outcome struct {
	Set     string
	Version int64
	Primary bool
	New     bool // the image set was made for it
	Same    bool // it was there already, byte for byte
}

// known reports whether exactly this file is in the store already, and then takes over what is kept of it.
func (s *Service) known(ctx context.Context, d *datastore, p *prepared) (found bool, err error) {
	err = s.view(ctx, space(d.ID), func(v record.View) error {
		page, err := v.Query(ctx, record.Query{Kind: instances.Name, Where: record.Match{Index: "sop", Value: record.Token("", p.SOP)}, Limit: 100})
		if err != nil {
			return err
		}
		for i := range page.Hits {
			in, err := instances.Decode(page.Hits[i].Body)
			if err != nil {
				return err
			}
			if in.Source != p.Source {
				continue
			}
			set, err := getSet(v, in.Set)
			if err != nil {
				return err
			}
			if set.Study == p.Study && set.Series == p.Series && set.State == api.ImageSetStateActive {
				p.instance, found = *in, true
				return nil
			}
		}
		return nil
	})
	return found, err
}

// commit gives prepared instances their places, all of one study in one batch, and tells of the image sets that came or changed.
func (s *Service) commit(ctx context.Context, d *datastore, list []*prepared) ([]outcome, error) {
	out := make([]outcome, len(list))
	byStudy := map[string][]int{}
	var order []string
	for i, p := range list {
		if byStudy[p.Study] == nil {
			order = append(order, p.Study)
		}
		byStudy[p.Study] = append(byStudy[p.Study], i)
	}
	for _, uid := range order {
		var unused []blob.ID
		_, err := s.records.Update(ctx, space(d.ID), []string{"study/" + uid}, func(tx record.Tx) error {
			b := &batch{s: s, tx: tx, store: d.ID, study: uid, sets: map[string]*working{}}
			unused = nil
			for _, i := range byStudy[uid] {
				o, err := b.add(list[i])
				if err != nil {
					return err
				}
				if out[i] = o; o.Same && list[i].Set == "" {
					unused = append(unused, list[i].Blob)
				}
			}
			return b.finish()
		})
		if err != nil {
			return nil, err
		}
		for _, id := range unused {
			if err := s.blobs.Delete(ctx, id); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// batch places the instances of one study.
type batch struct {
	s     *Service
	tx    record.Tx
	store string
	study string
	sets  map[string]*working
	order []*working
}

// working is an image set while it changes: it gets one new version a batch.
type working struct {
	*imageSet
	version int64 // that it has now
	dirty   bool
	attrs   []member
}

func (w *working) next() int64 { return w.version + 1 }

func (b *batch) open(set *imageSet, version int64) (*working, error) {
	if w := b.sets[set.ID]; w != nil {
		return w, nil
	}
	attrs, err := set.shared()
	if err != nil {
		return nil, err
	}
	w := &working{imageSet: set, version: version, attrs: attrs}
	b.sets[set.ID] = w
	b.order = append(b.order, w)
	return w, nil
}

// query finds one set by its indexes, in the batch or in the store.
func (b *batch) query(primary bool, index, value string) (*working, error) {
	for _, w := range b.order {
		if w.Primary == primary && (index == "series" && w.Series == value || index == "group" && w.Group == value) {
			return w, nil
		}
	}
	page, err := b.tx.Query(record.Query{Kind: imageSets.Name, Limit: 1, Where: record.And{
		record.Match{Index: index, Value: record.Token("", value)}, record.Match{Index: "primary", Value: record.Token("", strconv.FormatBool(primary))}}})
	if err != nil || len(page.Hits) == 0 {
		return nil, err
	}
	set, err := imageSets.Decode(page.Hits[0].Body)
	if err != nil {
		return nil, err
	}
	return b.open(set, page.Hits[0].Version)
}

// place finds or makes the set that an instance belongs to: the primary set of its series when nothing contradicts it, else one of those that
// agree with it in everything that groups.
func (b *batch) place(p *prepared) (*working, error) {
	group := groupOf(p.keys)
	w, err := b.query(true, "series", p.Series)
	if err != nil {
		return nil, err
	}
	if w != nil && w.Group == group {
		return w, nil
	}
	primary := false
	if w == nil {
		if primary, err = b.agrees(p); err != nil {
			return nil, err
		}
	}
	if !primary {
		if w, err = b.query(false, "group", group); w != nil || err != nil {
			return w, err
		}
	}
	set := &imageSet{ID: newID(), Primary: primary, State: api.ImageSetStateActive, Status: api.ImageSetWorkflowStatusCreated, Created: b.tx.Time(),
		Study: p.Study, Series: p.Series, Group: group, Modality: text(p.shared, "00080060"), Attributes: object(p.shared)}
	return b.open(set, 0)
}

func groupOf(keys []string) string {
	sum := sha256.Sum256([]byte(strings.Join(keys, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// agrees reports whether an instance says the same of its study as the primary sets that the study has.
func (b *batch) agrees(p *prepared) (bool, error) {
	for _, w := range b.order {
		if w.Primary {
			return slices.Equal(keysOf(w.attrs)[:studyKeys], p.keys[:studyKeys]), nil
		}
	}
	st, _, err := studies.Get(b.tx, p.Study)
	if absent(err) {
		return true, nil
	}
	return err == nil && slices.Equal(st.Keys, p.keys[:studyKeys]), err
}

// keysOf are the values that group, as the attributes of a set say them.
func keysOf(ms []member) []string {
	var out []string
	for _, t := range groupingTags {
		out = append(out, text(ms, t.Hex()))
	}
	return out
}

func (b *batch) add(p *prepared) (outcome, error) {
	if p.Set != "" { // it was known: it must still be there
		w := b.sets[p.Set]
		if w == nil {
			set, err := getSet(b.tx, p.Set)
			if err != nil {
				return outcome{}, err
			}
			if w, err = b.open(set.imageSet, set.version); err != nil {
				return outcome{}, err
			}
		}
		old, _, err := instances.Get(b.tx, instanceID(p.Set, p.SOP))
		if err != nil || old.Source != p.Source || w.State != api.ImageSetStateActive {
			return outcome{}, errs.New(errs.Conflict, "the instance changed while it was imported: import it again")
		}
		return outcome{Set: w.ID, Version: w.version, Primary: w.Primary, Same: true}, nil
	}
	w, err := b.place(p)
	if err != nil {
		return outcome{}, err
	}
	id := instanceID(w.ID, p.SOP)
	old, _, err := instances.Get(b.tx, id)
	switch {
	case err == nil && !old.Gone() && old.Source == p.Source:
		return outcome{Set: w.ID, Version: w.version, Primary: w.Primary, Same: true}, nil
	case err == nil && !old.Gone():
	case err == nil || absent(err):
		w.Count++
		w.Removed = slices.DeleteFunc(w.Removed, func(sop string) bool { return sop == p.SOP })
	default:
		return outcome{}, err
	}
	in := p.instance
	in.Set, in.SetVersion = w.ID, w.next()
	in.Attributes = object(mergeOwn(p.own, difference(w.attrs, p.shared)))
	if err := instances.Put(b.tx, id, &in); err != nil {
		return outcome{}, err
	}
	if err := bodies.Put(b.tx, string(in.Blob), &body{Sets: []string{w.ID}}); err != nil {
		return outcome{}, err
	}
	w.dirty = true
	return outcome{Set: w.ID, Version: w.next(), Primary: w.Primary, New: w.version == 0}, nil
}

// difference is what an instance says otherwise than its set.
func difference(shared, mine []member) []member {
	var out []member
	for len(shared) > 0 || len(mine) > 0 {
		switch {
		case len(shared) == 0 || len(mine) > 0 && mine[0].Tag < shared[0].Tag:
			out, mine = append(out, mine[0]), mine[1:]
		case len(mine) == 0 || shared[0].Tag < mine[0].Tag:
			out, shared = append(out, member{shared[0].Tag, []byte(nullAttribute)}), shared[1:]
		default:
			if !bytes.Equal(shared[0].JSON, mine[0].JSON) {
				out = append(out, mine[0])
			}
			shared, mine = shared[1:], mine[1:]
		}
	}
	return out
}

// mergeOwn puts two lists without a common tag into one order.
func mergeOwn(a, b []member) []member {
	if len(b) == 0 {
		return a
	}
	out := append(slices.Clone(a), b...)
	slices.SortFunc(out, func(x, y member) int { return strings.Compare(x.Tag, y.Tag) })
	return out
}

// finish writes the sets that changed, and the study's sum of them.
func (b *batch) finish() error {
	for _, w := range b.order {
		if !w.dirty {
			continue
		}
		detail := "Image Set Created"
		if w.version > 0 {
			w.Status, detail = api.ImageSetWorkflowStatusUpdated, "Image Set Updated"
		}
		if err := b.put(w, detail); err != nil {
			return err
		}
	}
	return nil
}

// put writes a new version of a set with what depends on it, and its event.
func (b *batch) put(w *working, detail string) error {
	w.Updated = b.tx.Time()
	var err error
	if w.version == 0 {
		err = imageSets.Create(b.tx, w.ID, w.imageSet)
	} else {
		err = imageSets.Replace(b.tx, w.ID, w.imageSet, w.version)
	}
	if err != nil {
		return err
	}
	if err := b.sum(w); err != nil {
		return err
	}
	return b.s.setEvent(b.tx, detail, b.store, w.imageSet, w.next())
}

// sum brings the study's record up to a set: primary sets count, the others do not.
func (b *batch) sum(w *working) error {
	st, _, err := studies.Get(b.tx, w.Study)
	if absent(err) {
		st, err = &study{UID: w.Study}, nil
	}
	if err != nil {
		return err
	}
	_, had := st.Sets[w.ID]
	if w.Primary && w.State != api.ImageSetStateDeleted {
		if st.Sets == nil {
			st.Sets = map[string]studySet{}
		}
		st.Sets[w.ID] = studySet{w.Series, w.Modality, w.Count}
		st.Keys = keysOf(w.attrs)[:studyKeys]
		st.Attributes = object(atLevel(w.attrs, patientLevel, studyLevel))
	} else if delete(st.Sets, w.ID); !had {
		return nil
	}
	if len(st.Sets) == 0 {
		_, err := b.tx.Delete(studies.Name, w.Study, record.Any)
		return err
	}
	return studies.Put(b.tx, w.Study, st)
}

// setEvent tells of a change of an image set (the developer guide spells imagesetId so).
func (s *Service) setEvent(tx record.Tx, detailType, store string, set *imageSet, version int64) error {
	return s.emit(tx, detailType, s.setARN(store, set.ID), struct {
		Version  string `json:"imagingVersion"`
		Primary  bool   `json:"isPrimary"`
		Set      string `json:"imageSetVersion"`
		Store    string `json:"datastoreId"`
		ID       string `json:"imagesetId"`
		State    string `json:"imageSetState"`
		Workflow string `json:"imageSetWorkflowStatus"`
	}{"1.0", set.Primary, strconv.FormatInt(version, 10), store, set.ID, string(set.State), string(set.Status)})
}
