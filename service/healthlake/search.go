package healthlake

import (
	"net/http"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/tape"
)

// search is GET /{type}?… and POST /{type}/_search (R4 search). Pages are keyset pages over the store's commit order or the sort keys: they
// stay whole while others write.
func (q *request) search() error { return q.searchIn(nil) }

// searchIn searches in a part of the store; nil is all of it.
func (q *request) searchIn(part record.Expr) error {
	params, err := q.params()
	if err != nil {
		return err
	}
	query, err := fhir.ParseQuery(q.typ, params, prefer(q.r.Header, "handling") == "lenient")
	if err != nil {
		return err
	}
	for _, name := range query.Ignored {
		params.Del(name)
	}
	where, err := compile(query.Clauses)
	if err != nil {
		return err
	}
	if part != nil && where != nil {
		where = record.And{part, where}
	} else if part != nil {
		where = part
	}
	sort, err := order(query.Sort)
	if err != nil {
		return err
	}
	ctx := q.r.Context()
	v, err := q.records.View(ctx, q.space)
	if err != nil {
		return err
	}
	defer v.Close()

	total := int64(-1)
	if query.Total == "accurate" || query.Total == "estimate" || query.Summary == "count" {
		if total, err = v.Count(ctx, kindOf(q.typ), where); err != nil {
			return err
		}
	}
	if query.Summary == "count" {
		return q.bundleOf(total, []fhir.Link{{Relation: "self", URL: q.link(params, "")}}, func(*fhir.BundleWriter) error { return nil })
	}
	size, err := pageSize(query.Count)
	if err != nil {
		return err
	}
	of := q.link(params, "")
	of = of[len(q.base):]
	cursor, err := q.pages.Cursor(q.store.ID+of, query.Page)
	if err != nil {
		return err
	}
	page, err := v.Query(ctx, record.Query{Kind: kindOf(q.typ), Where: where, Order: sort, After: record.Cursor(cursor), Limit: size})
	if err != nil {
		return err
	}
	links := []fhir.Link{{Relation: "self", URL: q.base + of}}
	if token := q.pages.Token(q.store.ID+of, string(page.Next)); token != "" {
		links = append(links, fhir.Link{Relation: "next", URL: q.link(params, token)})
	}
	extra, err := q.included(v, query, page.Hits)
	if err != nil {
		return err
	}
	return q.bundleOf(total, links, func(b *fhir.BundleWriter) error {
		for i := range page.Hits {
			q.entry(b, query, &page.Hits[i], "match")
		}
		for i := range extra.versions {
			q.entry(b, query, &extra.versions[i], "include")
		}
		if extra.more {
			warning := fhir.Issue{Severity: "warning", Code: "too-costly", Diagnostics: "not all included resources are here: ask for smaller pages"}
			b.Entry("", func(dst []byte) []byte { return append(dst, fhir.Outcome(warning)...) }, "outcome", fhir.Response{})
		}
		return nil
	})
}

// bundleOf streams a searchset.
func (q *request) bundleOf(total int64, links []fhir.Link, fill func(*fhir.BundleWriter) error) error {
	q.w.Header().Set("Content-Type", fhirJSON)
	q.w.WriteHeader(http.StatusOK)
	b := fhir.NewBundleWriter(q.w, "searchset", total, time.Now(), links...)
	if err := fill(b); err != nil {
		return err
	}
	return gone(b.Close())
}

func (q *request) entry(b *fhir.BundleWriter, query *fhir.Query, v *record.Version, mode string) {
	b.Entry(q.base+"/"+typeOf(v.Kind)+"/"+v.ID, shown(query, v), mode, fhir.Response{})
}

// shown writes a resource as _elements and _summary want it: whole, as stored, unless they say otherwise.
func shown(query *fhir.Query, v *record.Version) func([]byte) []byte {
	typ := typeOf(v.Kind)
	var keep func(string) bool
	switch {
	case query.Elements != nil:
		keep = func(name string) bool {
			for _, e := range query.Elements {
				if e == name {
					return true
				}
			}
			return false
		}
	case query.Summary != "" && query.Summary != "false":
		keep = fhir.InSummary(typ, query.Summary)
	default:
		return func(dst []byte) []byte { return fhir.Present(dst, v.Body, v.Version, v.Time) }
	}
	return func(dst []byte) []byte {
		whole := fhir.Present(nil, v.Body, v.Version, v.Time)
		var d tape.Doc
		if err := d.Parse(whole, tape.Limits{}); err != nil {
			return append(dst, whole...) // stored bytes were parsed when they came: whole is better than nothing
		}
		return fhir.Subset(dst, &d, 0, keep)
	}
}

// maxIncluded bounds the resources that one page may bring along.
const maxIncluded = 1000

// inclusion gathers what _include and _revinclude bring.
type inclusion struct {
	versions []record.Version
	more     bool // the bound cut something off
	seen     map[string]bool
}

// add reports whether the version is new.
func (in *inclusion) add(v *record.Version) bool {
	key := v.Kind + "/" + v.ID
	if in.seen[key] {
		return false
	}
	if len(in.versions) >= maxIncluded {
		in.more = true
		return false
	}
	in.seen[key] = true
	c := *v
	c.Body = append([]byte(nil), v.Body...)
	in.versions = append(in.versions, c)
	return true
}

// included follows the includes of a page of matches; those that iterate are followed from what was included as well.
func (q *request) included(v record.View, query *fhir.Query, hits []record.Version) (*inclusion, error) {
	in := &inclusion{seen: map[string]bool{}}
	if len(query.Include)+len(query.RevInclude) == 0 {
		return in, nil
	}
	for i := range hits {
		in.seen[hits[i].Kind+"/"+hits[i].ID] = true
	}
	for from, first := hits, true; len(from) > 0 && !in.more; first = false {
		start := len(in.versions)
		for _, inc := range query.Include {
			if first || inc.Iterate {
				if err := q.forward(v, inc, from, in); err != nil {
					return nil, err
				}
			}
		}
		for _, inc := range query.RevInclude {
			if first || inc.Iterate {
				if err := q.backward(v, inc, from, in); err != nil {
					return nil, err
				}
			}
		}
		from = in.versions[start:]
	}
	return in, nil
}

// forward includes what the given resources refer to.
func (q *request) forward(v record.View, inc fhir.Include, from []record.Version, in *inclusion) error {
	wanted := map[string][]string{} // kind → ids
	asked := map[string]bool{}
	for i := range from {
		if from[i].Kind != kindOf(inc.Source) {
			continue
		}
		_, err := withReader(func(r *reader) (struct{}, error) {
			if err := r.doc.Parse(from[i].Body, tape.Limits{}); err != nil {
				return struct{}{}, err
			}
			r.check.Extract = true
			res, _ := r.check.Check(&r.doc, 0, inc.Source)
			for _, e := range res.Entries {
				if e.Kind != fhir.ReferenceEntry || inc.Param != nil && e.Param != inc.Param || inc.Target != "" && e.System != inc.Target {
					continue
				}
				if kind := kindOf(e.System); !asked[kind+"/"+e.Code] {
					asked[kind+"/"+e.Code] = true
					wanted[kind] = append(wanted[kind], strings.Clone(e.Code))
				}
			}
			return struct{}{}, nil
		})
		if err != nil {
			return err
		}
	}
	for kind, ids := range wanted {
		if err := v.GetMany(kind, ids, func(_ int, ver *record.Version) error {
			if !ver.Deleted {
				in.add(ver)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// backward includes what refers to the given resources.
func (q *request) backward(v record.View, inc fhir.Include, from []record.Version, in *inclusion) error {
	params := []*fhir.Param{inc.Param}
	if inc.Param == nil {
		params = params[:0]
		for _, p := range fhir.Params(inc.Source) {
			if p.Type == fhir.ReferenceParam && len(p.Same) == 0 {
				params = append(params, p)
			}
		}
	}
	var any record.Or
	for i := range from {
		typ := typeOf(from[i].Kind)
		if inc.Target != "" && typ != inc.Target {
			continue
		}
		for _, p := range params {
			if p.SameTarget != "" && p.SameTarget != typ {
				continue
			}
			for _, k := range kept(p) {
				any = append(any, record.Match{Index: k.Code, Value: record.Reference(from[i].Kind, from[i].ID)})
			}
		}
	}
	if len(any) == 0 {
		return nil
	}
	page, err := v.Query(q.r.Context(), record.Query{Kind: kindOf(inc.Source), Where: any, Limit: maxIncluded})
	if err != nil {
		return err
	}
	for i := range page.Hits {
		in.add(&page.Hits[i])
	}
	in.more = in.more || page.Next != ""
	return nil
}
