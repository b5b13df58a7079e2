package medicalimaging

import (
	"bytes"
	"context"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/dicom"
)

// maxResults is the most that one search answers, as HealthImaging's.
const maxResults = 10_000

// search is a QIDO-RS request (PS3.18 §10.6).
type search struct {
	keys          []searchKey
	include       map[string]bool
	all           bool // includefield=all
	limit, offset int
	fuzzy         bool
}

// Attributes that answers hold without being asked (PS3.18 tables 10.6.3-3 to 10.6.3-5), by level.
var (
	studyAnswer = fields(`00080005 00080020 00080030 00080050 00080056 00080061 00080090 00080201 00081030 00081190 00100010 00100020 00100030 00100040
0020000D 00200010 00201206 00201208`)
	seriesAnswer   = fields(`00080005 00080060 00080201 0008103E 00081190 0020000E 00200011 00201209 00400244 00400245 00400275`)
	instanceAnswer = fields(`00080005 00080016 00080018 00080056 00080201 00081190 00081196 00083002 00200013 00280008 00280010 00280011 00280100`)
)

func fields(s string) map[string]bool {
	m := map[string]bool{}
	for _, f := range strings.Fields(s) {
		m[f] = true
	}
	return m
}

// parseSearch reads the query of the URL.
func parseSearch(values url.Values) (*search, error) {
	s := &search{include: map[string]bool{}, limit: maxResults}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, v := range values[name] {
			switch strings.ToLower(name) {
			case "limit", "offset":
				n, err := strconv.Atoi(v)
				if err != nil || n < 0 {
					return nil, errs.New(errs.Invalid, "%s is a whole number", name)
				}
				if strings.EqualFold(name, "limit") {
					s.limit = min(n, maxResults)
				} else {
					s.offset = n
				}
			case "fuzzymatching":
				s.fuzzy = v == "true"
			case "includefield":
				if err := s.includes(v); err != nil {
					return nil, err
				}
			case "accept", "imagesetid":
			default:
				if err := s.key(name, v); err != nil {
					return nil, err
				}
			}
		}
	}
	for i := range s.keys {
		s.keys[i].fuzzy = s.fuzzy
	}
	return s, nil
}

func (s *search) includes(v string) error {
	for _, f := range strings.Split(v, ",") {
		f = strings.TrimSpace(f)
		if f == "all" {
			s.all = true
			continue
		}
		if f == "" {
			continue
		}
		t, ok := dicom.ParseKey(f)
		if !ok {
			return errs.New(errs.Invalid, "includefield: %q is not an attribute", short(f))
		}
		s.include[t.Hex()] = true
	}
	return nil
}

func (s *search) key(name, value string) error {
	path := strings.Split(name, ".")
	t, ok := dicom.ParseKey(path[0])
	if !ok {
		return errs.New(errs.Invalid, "%q is not an attribute, nor a parameter of a search", short(name))
	}
	k := searchKey{tag: t.Hex(), value: value}
	if e := dicom.Lookup(t); e != nil {
		k.vr = e.VR
	}
	for _, p := range path[1:] { // an attribute within a sequence
		in, ok := dicom.ParseKey(p)
		if !ok {
			return errs.New(errs.Invalid, "%q is not an attribute", short(p))
		}
		k.within = append(k.within, in.Hex())
		k.vr = dicom.UN
		if e := dicom.Lookup(in); e != nil {
			k.vr = e.VR
		}
	}
	if value == "" || value == "*" { // universal matching: everything fits, and the attribute is answered
		s.include[k.tag] = true
		return nil
	}
	if err := k.parse(); err != nil {
		return err
	}
	s.include[k.tag] = true
	s.keys = append(s.keys, k)
	return nil
}

func short(s string) string {
	if len(s) > 40 {
		return s[:40]
	}
	return s
}

// fits reports whether all keys match.
func (s *search) fits(ms []member) bool {
	for _, k := range s.keys {
		if !k.fits(ms) {
			return false
		}
	}
	return true
}

// pick keeps what the answer shall hold.
func (s *search) pick(ms []member, defaults ...map[string]bool) []member {
	if s.all {
		return ms
	}
	return slices.DeleteFunc(ms, func(m member) bool {
		if s.include[m.Tag] {
			return false
		}
		for _, d := range defaults {
			if d[m.Tag] {
				return false
			}
		}
		return true
	})
}

// scan walks the matches of an expression, in order, keeps those that make says fit, and cuts the window of limit and offset out.
func (q *request) scan(ctx context.Context, v record.View, rq record.Query, s *search, fit func(h *record.Version) ([]member, error), out *bytes.Buffer) error {
	rq.Limit = 1000
	if len(s.keys) == 0 || s.limit < 100 {
		rq.Limit = min(1000, max(1, s.limit+s.offset))
	}
	skip, left := s.offset, s.limit
	out.WriteByte('[')
	for left > 0 {
		page, err := v.Query(ctx, rq)
		if err != nil {
			return err
		}
		for i := range page.Hits {
			ms, err := fit(&page.Hits[i])
			if err != nil {
				return err
			}
			if ms == nil {
				continue
			}
			if skip > 0 {
				skip--
				continue
			}
			if out.Len() > 1 {
				out.WriteByte(',')
			}
			out.Write(object(ms))
			if left--; left == 0 {
				break
			}
		}
		if rq.After = page.Next; rq.After == "" {
			break
		}
	}
	out.WriteByte(']')
	return nil
}

// run answers a search.
func (q *request) run(fn func(v record.View, s *search, out *bytes.Buffer) error) error {
	if err := q.json(); err != nil {
		return err
	}
	values, err := url.ParseQuery(q.r.URL.RawQuery)
	if err != nil {
		return errs.New(errs.Invalid, "the query of the URL is malformed")
	}
	s, err := parseSearch(values)
	if err != nil {
		return err
	}
	for _, p := range []struct{ tag, value string }{{"0020000D", q.study}, {"0020000E", q.series}} {
		if p.value != "" {
			k := searchKey{tag: p.tag, vr: dicom.UI, value: p.value}
			if err := k.parse(); err != nil {
				return err
			}
			s.keys = append(s.keys, k)
		}
	}
	var out bytes.Buffer
	if err := q.view(q.r.Context(), space(q.store.ID), func(v record.View) error { return fn(v, s, &out) }); err != nil {
		return err
	}
	return q.compressed(out.Bytes())
}

func jsonStrings(vr string, values ...string) []byte {
	b := append([]byte(`{"vr":"`), vr...)
	b = append(b, `","Value":[`...)
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = dicom.AppendJSONString(b, v)
	}
	return append(b, "]}"...)
}

func jsonInt(vr string, n int) []byte {
	return []byte(`{"vr":"` + vr + `","Value":[` + strconv.Itoa(n) + `]}`)
}

// searchStudies answers studies, the one that changed last first.
func (q *request) searchStudies() error {
	return q.run(func(v record.View, s *search, out *bytes.Buffer) error {
		rq := record.Query{Kind: studies.Name, Where: s.where(studyIndexes), Order: []record.Order{{Index: "@time", Desc: true}}}
		return q.scan(q.r.Context(), v, rq, s, func(h *record.Version) ([]member, error) {
			st, err := studies.Decode(h.Body)
			if err != nil {
				return nil, err
			}
			ms := q.studyAttributes(st)
			if !s.fits(ms) {
				return nil, nil
			}
			return s.pick(ms, studyAnswer), nil
		}, out)
	})
}

// studyAttributes are the attributes of a study with those that sum it up.
func (q *request) studyAttributes(st *study) []member {
	ms := st.attributes()
	seen := map[string]bool{}
	var modalities []string
	for _, one := range st.Sets {
		if one.Modality != "" && !seen[one.Modality] {
			seen[one.Modality] = true
			modalities = append(modalities, one.Modality)
		}
	}
	sort.Strings(modalities)
	nSeries, n := st.counts()
	ms = set(ms, "00080005", jsonStrings("CS", "ISO_IR 192"))
	ms = set(ms, "00080056", jsonStrings("CS", "ONLINE"))
	if modalities != nil {
		ms = set(ms, "00080061", jsonStrings("CS", modalities...))
	}
	ms = set(ms, "00081190", jsonStrings("UR", q.root+"/studies/"+st.UID))
	ms = set(ms, "00201206", jsonInt("IS", nSeries))
	return set(ms, "00201208", jsonInt("IS", n))
}

// searchSeries answers series in the order of their numbers.
func (q *request) searchSeries() error {
	return q.run(func(v record.View, s *search, out *bytes.Buffer) error {
		where := append(s.where(setIndexes), record.Match{Index: "primary", Value: record.Token("", "true")})
		rq := record.Query{Kind: imageSets.Name, Where: where, Order: []record.Order{{Index: "number"}}}
		answer := []map[string]bool{seriesAnswer, {"0020000D": true}}
		if q.study == "" {
			answer = append(answer, studyAnswer)
		}
		return q.scan(q.r.Context(), v, rq, s, func(h *record.Version) ([]member, error) {
			is, err := imageSets.Decode(h.Body)
			if err != nil {
				return nil, err
			}
			ms := q.seriesAttributes(is)
			if !s.fits(ms) {
				return nil, nil
			}
			return s.pick(ms, answer...), nil
		}, out)
	})
}

func (q *request) seriesAttributes(is *imageSet) []member {
	ms := is.attributes()
	ms = set(ms, "00080005", jsonStrings("CS", "ISO_IR 192"))
	if is.Modality != "" {
		ms = set(ms, "00080061", jsonStrings("CS", is.Modality))
	}
	ms = set(ms, "00081190", jsonStrings("UR", q.root+"/studies/"+is.Study+"/series/"+is.Series))
	return set(ms, "00201209", jsonInt("IS", is.Count))
}

// searchInstances answers instances in the order of their numbers.
func (q *request) searchInstances() error {
	return q.run(func(v record.View, s *search, out *bytes.Buffer) error {
		parent := append(s.where(setIndexes), record.Match{Index: "primary", Value: record.Token("", "true")})
		where := append(s.where(instanceIndexes), record.Join{Index: "parent", Kind: imageSets.Name, Where: parent})
		rq := record.Query{Kind: instances.Name, Where: where, Order: []record.Order{{Index: "number"}}}
		answer := []map[string]bool{instanceAnswer, {"0020000D": true, "0020000E": true}}
		if q.series == "" {
			answer = append(answer, seriesAnswer)
		}
		if q.study == "" {
			answer = append(answer, studyAnswer)
		}
		sets := map[string]*imageSet{}
		shared := map[string][]member{}
		return q.scan(q.r.Context(), v, rq, s, func(h *record.Version) ([]member, error) {
			in, err := instances.Decode(h.Body)
			if err != nil {
				return nil, err
			}
			if sets[in.Set] == nil {
				set, err := getSet(v, in.Set)
				if err != nil {
					return nil, err
				}
				sets[in.Set] = set.imageSet
				shared[in.Set] = slices.DeleteFunc(set.attributes(), func(m member) bool { return m.Tag == "00081190" })
			}
			own, err := members(in.Attributes)
			if err != nil {
				return nil, err
			}
			ms := q.instanceAttributes(merge(shared[in.Set], own), in, sets[in.Set])
			if !s.fits(ms) {
				return nil, nil
			}
			return s.pick(ms, answer...), nil
		}, out)
	})
}

func (q *request) instanceAttributes(ms []member, in *instance, is *imageSet) []member {
	ms = set(ms, "00080005", jsonStrings("CS", "ISO_IR 192"))
	ms = set(ms, "00080056", jsonStrings("CS", "ONLINE"))
	ms = set(ms, "00081190", jsonStrings("UR", q.root+"/studies/"+is.Study+"/series/"+is.Series+"/instances/"+in.SOP))
	if len(in.Warnings) > 0 {
		ms = set(ms, "00081196", jsonInt("US", in.Warnings[0].Code))
	}
	if in.Pixel != nil {
		ms = set(ms, "00083002", jsonStrings("UI", in.Stored))
	}
	return ms
}
