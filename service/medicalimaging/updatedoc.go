package medicalimaging

import (
	"encoding/json"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/strictjson"
	"github.com/galen-health/galen/standard/dicom"
)

// maxUpdate bounds the payload of an update, as HealthImaging's quota.
const maxUpdate = 10 << 10

// updateDoc is the metadata JSON of an update or a selection: the shape of image set metadata, with only what is meant.
type updateDoc struct {
	SchemaVersion any
	Patient       struct{ DICOM map[string]json.RawMessage }
	Study         struct {
		DICOM  map[string]json.RawMessage
		Series map[string]struct {
			DICOM     map[string]json.RawMessage
			DICOMVRs  map[string]string
			Instances map[string]struct {
				DICOM    map[string]json.RawMessage
				DICOMVRs map[string]string
			}
		}
	}
}

// readUpdate reads a document of updates; nil when there is none.
func readUpdate(b []byte, name string) (*updateDoc, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if len(b) > maxUpdate {
		return nil, errs.New(errs.TooLarge, "%s has more than %d bytes", name, maxUpdate)
	}
	d := new(updateDoc)
	if err := strictjson.Decode(b, d, strictjson.Limits{}); err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "%s is not image set metadata in JSON: SchemaVersion, Patient and Study with DICOM, Series and Instances", name)
	}
	return d, nil
}

// edit is one attribute that an update sets or removes.
type edit struct {
	tag    dicom.Tag
	level  level
	sop    string // for the instance level
	value  []byte // DICOM JSON; nil removes
	single bool   // neither a sequence nor several values, and known to the standard
}

// edits turns a document into changes of one image set. Values become DICOM JSON by the VR of the attribute.
func (d *updateDoc) edits(series string, remove bool) (out []edit, drop []string, err error) {
	if d == nil {
		return nil, nil, nil
	}
	add := func(l level, sop string, attrs map[string]json.RawMessage, vrs map[string]string) error {
		names := make([]string, 0, len(attrs))
		for n := range attrs {
			names = append(names, n)
		}
		sort.Strings(names)
		for _, n := range names {
			e, err := oneEdit(l, sop, n, attrs[n], vrs, remove)
			if err != nil {
				return err
			}
			out = append(out, e)
		}
		return nil
	}
	if err := add(patientLevel, "", d.Patient.DICOM, nil); err != nil {
		return nil, nil, err
	}
	if err := add(studyLevel, "", d.Study.DICOM, nil); err != nil {
		return nil, nil, err
	}
	for uid, s := range d.Study.Series {
		if uid != series {
			return nil, nil, errs.New(errs.Invalid, "the image set does not hold the series that the update names")
		}
		if err := add(seriesLevel, "", s.DICOM, s.DICOMVRs); err != nil {
			return nil, nil, err
		}
		for sop, in := range s.Instances {
			if remove && in.DICOM == nil {
				drop = append(drop, sop)
				continue
			}
			if err := add(instanceLevel, sop, in.DICOM, in.DICOMVRs); err != nil {
				return nil, nil, err
			}
		}
	}
	slices.Sort(drop)
	return out, drop, nil
}

func oneEdit(l level, sop, name string, raw json.RawMessage, vrs map[string]string, remove bool) (edit, error) {
	t, ok := dicom.ParseKey(name)
	if !ok {
		return edit{}, errs.New(errs.Invalid, "%q is not an attribute of the DICOM standard, nor a tag of eight hex digits", short(name))
	}
	if t == dicom.TagPixelData || t.Group() < 8 || t == dicom.TagSpecificCharacterSet {
		return edit{}, errs.New(errs.Invalid, "%s cannot be changed", name)
	}
	if levelOf(t) != l {
		return edit{}, errs.New(errs.Invalid, "%s does not belong to the level at which the update names it", name)
	}
	e := edit{tag: t, level: l, sop: sop, single: dicom.Lookup(t) != nil}
	if remove {
		return e, nil
	}
	vr := dicom.UN
	if entry := dicom.Lookup(t); entry != nil {
		vr = entry.VR
	}
	if v, ok := dicom.ParseVR(vrs[name]); ok {
		vr = v
	} else if t.Private() {
		vr = dicom.LO // replaced by that of the attribute that is there
	}
	b, n, err := attributeJSON(vr, raw, 0)
	if err != nil {
		return e, errs.Wrap(errs.Invalid, err, "the value of %s is not one of VR %v", name, vr)
	}
	e.value, e.single = b, e.single && vr != dicom.SQ && n <= 1
	return e, nil
}

// attributeJSON turns a value as HealthImaging writes it into DICOM JSON, and tells how many values it has.
func attributeJSON(vr dicom.VR, raw json.RawMessage, depth int) ([]byte, int, error) {
	bad := errs.New(errs.Invalid, "not a value of %v", vr)
	if depth > 8 || vr.Binary() {
		return nil, 0, bad
	}
	var values []json.RawMessage
	switch {
	case string(raw) == "null":
	case raw[0] == '[':
		if err := json.Unmarshal(raw, &values); err != nil {
			return nil, 0, bad
		}
	default:
		values = []json.RawMessage{raw}
	}
	b := []byte(`{"vr":"` + vr.String() + `"`)
	for i, v := range values {
		if i == 0 {
			b = append(b, `,"Value":[`...)
		} else {
			b = append(b, ',')
		}
		one, err := valueJSON(vr, v, depth)
		if err != nil {
			return nil, 0, err
		}
		b = append(b, one...)
	}
	if len(values) > 0 {
		b = append(b, ']')
	}
	b = append(b, '}')
	if _, err := dicom.ParseJSONElement(0, b); err != nil { // numbers in range, names as they should be
		return nil, 0, err
	}
	return b, len(values), nil
}

func valueJSON(vr dicom.VR, raw json.RawMessage, depth int) ([]byte, error) {
	bad := errs.New(errs.Invalid, "not a value of %v", vr)
	if vr == dicom.SQ {
		return itemJSON(raw, depth)
	}
	if string(raw) == "null" {
		return raw, nil
	}
	var s string
	switch c := raw[0]; {
	case c == '"':
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, bad
		}
	case c == '-' || c >= '0' && c <= '9':
		s = string(raw)
	default:
		return nil, bad
	}
	if strings.Contains(s, "\\") && vr != dicom.ST && vr != dicom.LT && vr != dicom.UT && vr != dicom.UR {
		return nil, bad
	}
	if most := vr.MaxLength(); most > 0 && vr != dicom.PN && len([]rune(s)) > most {
		return nil, bad
	}
	if err := checkText(vr, s); err != nil {
		return nil, err
	}
	switch {
	case vr == dicom.PN:
		name := map[string]string{}
		for i, g := range strings.SplitN(s, "=", 3) {
			if g != "" {
				name[[]string{"Alphabetic", "Ideographic", "Phonetic"}[i]] = g
			}
		}
		return json.Marshal(name)
	case vr == dicom.DS || vr == dicom.IS, !vr.Text() && vr != dicom.AT:
		if json.Valid([]byte(s)) {
			return []byte(s), nil
		}
		if vr == dicom.DS || vr == dicom.IS {
			return dicom.AppendJSONString(nil, s), nil
		}
		return nil, bad
	}
	return dicom.AppendJSONString(nil, s), nil
}

// checkText refuses text that its VR does not allow.
func checkText(vr dicom.VR, s string) error {
	ok := true
	switch {
	case s == "":
	case vr == dicom.DA:
		_, err := dicom.ParseDate(s)
		ok = err == nil
	case vr == dicom.TM:
		_, _, err := dicom.ParseTime(s)
		ok = err == nil
	case vr == dicom.UI:
		ok = validUID(s)
	case vr == dicom.IS:
		_, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
		ok = err == nil
	case vr == dicom.DS:
		_, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		ok = err == nil
	case vr == dicom.CS:
		ok = strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _") == ""
	}
	if !ok {
		return errs.New(errs.Invalid, "not a value of %v", vr)
	}
	return nil
}

func itemJSON(raw json.RawMessage, depth int) ([]byte, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return nil, errs.New(errs.Invalid, "an item of a sequence is an object")
	}
	var ms []member
	for name, v := range m {
		t, ok := dicom.ParseKey(name)
		if !ok {
			return nil, errs.New(errs.Invalid, "%q is not an attribute", short(name))
		}
		vr := dicom.LO
		if e := dicom.Lookup(t); e != nil {
			vr = e.VR
		}
		b, _, err := attributeJSON(vr, v, depth+1)
		if err != nil {
			return nil, err
		}
		ms = append(ms, member{t.Hex(), b})
	}
	slices.SortFunc(ms, func(x, y member) int { return strings.Compare(x.Tag, y.Tag) })
	return object(ms), nil
}
