package medicalimaging

import (
	"context"
	"strconv"
	"strings"
	"time"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/dicom"
)

// imageSet is a series, or a part of one that contradicts the rest. Its version is the version of its record.
type imageSet struct {
	ID       string
	Primary  bool
	State    api.ImageSetState
	Status   api.ImageSetWorkflowStatus
	Created  time.Time
	Updated  time.Time
	Deleted  time.Time
	Forced   bool
	Study    string
	Series   string
	Group    string // what groups instances into this set: the values of groupingTags
	Count    int    // instances
	Modality string
	// Attributes are the elements of the Patient, Study and Series levels.
	Attributes jsonObject
	// Changed names those that an update changed or removed since the instances were imported.
	Changed []string `json:",omitempty"`
	// Removed names instances that older versions hold and this one does not.
	Removed []string `json:",omitempty"`
}

// jsonObject is JSON kept as it is.
type jsonObject []byte

func (j jsonObject) MarshalJSON() ([]byte, error) {
	if len(j) == 0 {
		return []byte("{}"), nil
	}
	return j, nil
}

func (j *jsonObject) UnmarshalJSON(b []byte) error {
	*j = append((*j)[:0:0], b...)
	return nil
}

// instance is a SOP instance in an image set; its id is the set's id, a slash, and the SOP instance UID.
type instance struct {
	Set        string
	SetVersion int64 // of the image set, at which this version of the instance came
	SOPClass   string
	SOP        string
	Study      string
	Series     string
	Source     string // SHA-256 of the file that it came from
	Syntax     string // transfer syntax of that file
	Stored     string // transfer syntax of the frames
	Blob       blob.ID
	Header     span  // the data set without pixels, explicit little endian
	Head       int64 // bytes of Header before where the pixel data belongs
	Pixel      *pixels
	Bulk       map[string]span `json:",omitempty"` // long values by their path, within Header
	Warnings   []warning       `json:",omitempty"`
	Number     *int64          `json:",omitempty"` // InstanceNumber
	// Attributes are the elements of the instance level, and those of the higher levels in which it differs from its set.
	Attributes jsonObject
	Changed    []string `json:",omitempty"`
}

// span is a range of the instance's blob.
type span struct{ Off, Len int64 }

// pixels are the frames of an instance.
type pixels struct {
	Key         string // 24 hex digits; with the number of a frame the frame's id
	Tag         string // 7FE00010, 7FE00008 or 7FE00009
	VR          string
	Photometric string // what the stored frames mean
	Own         bool   // compressed by us
	Bits        bool   // 1-bit pixels: Whole holds them all, frames are cut from it
	Video       bool   // one stream for all frames
	Whole       span   // for Bits
	Frames      []frame
}

// frame is one stored frame.
type frame struct {
	span
	Levels   [][3]uint32 // width, height, CRC-32 of the decoded pixels, from base to full
	Min, Max *int64      `json:",omitempty"` // nil when stored as it came
	Size     int64       // of the decoded frame; of the stored one when stored as it came
}

// warning is why an instance is imported with reservations (developer guide, "HealthImaging Warning Codes").
type warning struct {
	Code    int
	Type    string
	Message string
}

// study sums up the primary image sets of a study.
type study struct {
	UID        string
	Sets       map[string]studySet // by image set id
	Keys       []string            // of the study: the first studyKeys of groupingTags
	Attributes jsonObject          // Patient and Study levels, of the set that changed last
}

type studySet struct {
	Series, Modality string
	Count            int
}

// body is a blob that image sets refer to, in any version.
type body struct{ Sets []string }

var (
	imageSets = record.Kind[imageSet]{Name: "imaging.imageset", Indexes: record.Indexes[imageSet]{
		record.ByToken("series", func(s *imageSet) string { return live(s, s.Series) }),
		record.ByToken("study", func(s *imageSet) string { return live(s, s.Study) }),
		record.ByToken("group", func(s *imageSet) string { return live(s, s.Group) }),
		record.ByToken("primary", func(s *imageSet) string { return live(s, strconv.FormatBool(s.Primary)) }),
		record.ByTime("created", func(s *imageSet) time.Time { return s.Created }),
		record.ByTime("updated", func(s *imageSet) time.Time { return s.Updated }),
		record.ByTime("taken", func(s *imageSet) time.Time {
			return studyTime(text(s.attributes(), "00080020"), text(s.attributes(), "00080030"))
		}),
		{Name: "number", Values: func(s *imageSet) []record.Value { return number(s.attributes(), "00200011") }},
		textIndex("00100010", (*imageSet).attributes), textIndex("00100020", (*imageSet).attributes), textIndex("00080050", (*imageSet).attributes),
		textIndex("00200010", (*imageSet).attributes), textIndex("00080060", (*imageSet).attributes), textIndex("00080020", (*imageSet).attributes),
	}}
	instances = record.Kind[instance]{Name: "imaging.instance", Indexes: record.Indexes[instance]{
		record.ByToken("set", func(in *instance) string { return in.Set }),
		record.ByToken("sop", func(in *instance) string { return standing(in, in.SOP) }),
		record.ByToken("class", func(in *instance) string { return standing(in, in.SOPClass) }),
		record.ByToken("frames", func(in *instance) string {
			if in.Pixel == nil || in.Set == "" {
				return ""
			}
			return in.Pixel.Key
		}),
		{Name: "parent", Values: func(in *instance) []record.Value {
			if in.Set == "" {
				return nil
			}
			return []record.Value{record.Reference("imaging.imageset", in.Set)}
		}},
		{Name: "number", Values: func(in *instance) []record.Value {
			if in.Number == nil {
				return nil
			}
			return []record.Value{record.Number(float64(*in.Number))}
		}},
	}}
	studies = record.Kind[study]{Name: "imaging.study", Indexes: record.Indexes[study]{
		record.ByToken("study", func(s *study) string { return s.UID }),
		textIndex("00100010", (*study).attributes), textIndex("00100020", (*study).attributes), textIndex("00080050", (*study).attributes),
		textIndex("00200010", (*study).attributes), textIndex("00080020", (*study).attributes),
	}}
	bodies = record.Kind[body]{Name: "imaging.body", Volatile: true}
)

// textIndex is an attribute as text: names folded, the others as they stand.
func textIndex[T any](tag string, attributes func(*T) []member) record.Index[T] {
	return record.Index[T]{Name: tag, Values: func(v *T) []record.Value {
		b := find(attributes(v), tag)
		if b == nil {
			return nil
		}
		a := decodeAttribute(b)
		var out []record.Value
		for _, s := range a.strings() {
			switch a.VR {
			case "PN":
				s = dicom.FoldName(s)
			case "DA":
				if c := compact(s); c != "" {
					s = c
				}
			}
			if s != "" {
				out = append(out, record.String(s))
			}
		}
		return out
	}}
}

// number is an attribute as a number, nothing when it is none.
func number(ms []member, tag string) []record.Value {
	f, err := strconv.ParseFloat(strings.TrimSpace(text(ms, tag)), 64)
	if err != nil {
		return nil
	}
	return []record.Value{record.Number(f)}
}

// studyTime is StudyDate and StudyTime as a point in time, zero when the date is none.
func studyTime(date, clock string) time.Time {
	d, err := dicom.ParseDate(date)
	if err != nil {
		return time.Time{}
	}
	if from, _, err := dicom.ParseTime(clock); err == nil {
		d = d.Add(from)
	}
	return d
}

func (s *imageSet) attributes() []member {
	if s.State == api.ImageSetStateDeleted {
		return nil
	}
	ms, _ := members(s.Attributes)
	return ms
}

func (s *study) attributes() []member {
	ms, _ := members(s.Attributes)
	return ms
}

// standing is v, or nothing once the instance has left its set.
func standing(in *instance, v string) string {
	if in.Set == "" {
		return ""
	}
	return v
}

// live is v, or nothing once the set is deleted: searches find no deleted sets.
func live(s *imageSet, v string) string {
	if s.State == api.ImageSetStateDeleted {
		return ""
	}
	return v
}

// liveSets matches the image sets that are not deleted.
var liveSets = record.Not{Expr: record.Missing{Index: "primary"}}

func instanceID(set, sop string) string { return set + "/" + sop }

// frameID names a frame: the key of its instance and its number, 32 hex digits together.
func (p *pixels) frameID(i int) string {
	n := strconv.FormatInt(int64(i), 16)
	return p.Key + "00000000"[len(n):] + n
}

// frameOf takes a frame's id apart.
func frameOf(id string) (key string, i int, ok bool) {
	if len(id) != 32 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(id[24:], 16, 31)
	return id[:24], int(n), err == nil
}

// stored is an image set and the version that it has.
type storedSet struct {
	*imageSet
	version int64
}

func noSet(err error) error {
	if absent(err) {
		return errs.New(errs.NotFound, "there is no image set with this id in the data store")
	}
	return err
}

// imageSet reads the newest version of a set, deleted or not.
func (s *Service) imageSet(ctx context.Context, store, id string) (out storedSet, err error) {
	err = s.view(ctx, space(store), func(v record.View) error {
		out, err = getSet(v, id)
		return err
	})
	return out, err
}

func getSet(g record.Getter, id string) (storedSet, error) {
	set, version, err := imageSets.Get(g, id)
	return storedSet{set, version}, noSet(err)
}

// usable is a set in a version, refusing deleted ones.
func usable(v record.View, id, version string) (storedSet, error) {
	newest, err := getSet(v, id)
	if err != nil {
		return newest, err
	}
	if newest.State == api.ImageSetStateDeleted {
		return newest, noSet(errs.New(errs.NotFound, ""))
	}
	if version == "" || version == strconv.FormatInt(newest.version, 10) {
		return newest, nil
	}
	n, err := strconv.ParseInt(version, 10, 64)
	if err != nil || n < 1 {
		return newest, errs.New(errs.Invalid, "versionId is not a version")
	}
	old, err := v.GetVersion(imageSets.Name, id, n)
	if absent(err) {
		return newest, errs.New(errs.NotFound, "the image set has no version %d", n)
	}
	if err != nil {
		return newest, err
	}
	set, err := imageSets.Decode(old.Body)
	return storedSet{set, n}, err
}

// instancesOf lists the instances that a set holds in a version, in the order of their coming.
func (s *Service) instancesOf(ctx context.Context, v record.View, set storedSet) ([]*instance, error) {
	var out []*instance
	q := record.Query{Kind: instances.Name, Where: record.Match{Index: "set", Value: record.Token("", set.ID)}, Limit: 10_000}
	for {
		page, err := v.Query(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page.Hits {
			in, err := instances.Decode(page.Hits[i].Body)
			if err != nil {
				return nil, err
			}
			if in.SetVersion > set.version {
				if in, err = instanceAt(v, page.Hits[i].ID, set.version); err != nil {
					return nil, err
				}
				if in == nil {
					continue
				}
			}
			out = append(out, in)
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	newest, err := getSet(v, set.ID)
	if err != nil {
		return nil, err
	}
	for _, sop := range newest.Removed { // gone since, but perhaps not yet in this version
		in, err := instanceAt(v, instanceID(set.ID, sop), set.version)
		if err != nil {
			return nil, err
		}
		if in != nil && !held(out, sop) {
			out = append(out, in)
		}
	}
	return out, nil
}

func held(list []*instance, sop string) bool {
	for _, in := range list {
		if in.SOP == sop {
			return true
		}
	}
	return false
}

// instanceAt is an instance as it was in a version of its set, nil when it was not in it. A removal is a version without a blob.
func instanceAt(v record.View, id string, setVersion int64) (*instance, error) {
	for ver, err := range v.History(instances.Name, id, 0, time.Time{}) {
		if err != nil {
			return nil, err
		}
		if ver.Deleted {
			continue
		}
		in, err := instances.Decode(ver.Body)
		if err != nil {
			return nil, err
		}
		if in.SetVersion <= setVersion {
			if in.Gone() {
				return nil, nil
			}
			return in, nil
		}
	}
	return nil, nil
}

// Gone reports whether this version says that the instance left its set.
func (in *instance) Gone() bool { return in.Set == "" }

// shared are the attributes that the set gives to its instances.
func (s *imageSet) shared() ([]member, error) { return members(s.Attributes) }

// atLevel keeps the attributes of some levels.
func atLevel(ms []member, keep ...level) []member {
	var out []member
	for _, m := range ms {
		t, _ := dicom.ParseTag(m.Tag)
		for _, l := range keep {
			if levelOf(t) == l {
				out = append(out, m)
			}
		}
	}
	return out
}
