package healthlake

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/fhir"
)

// within matches the resources of a type that are in a compartment; nil when the type has no part in it.
func within(compartment, id, typ string) record.Expr {
	var any record.Or
	for _, p := range fhir.CompartmentParams(compartment, typ) {
		if p.SameTarget != "" && p.SameTarget != compartment {
			continue
		}
		for _, k := range kept(p) {
			any = append(any, record.Match{Index: k.Code, Value: record.Reference(kindOf(compartment), id)})
		}
	}
	if len(any) == 0 {
		return nil
	}
	return any
}

// compartment is GET /Patient/{id}/{type}?…: a search in what belongs to one patient, encounter, practitioner … (R4 http.html#vsearch).
func (q *request) compartment() error {
	where := within(q.r.PathValue("compartment"), q.id, q.typ)
	if where == nil {
		return errs.New(errs.NotFound, "there is no compartment of this kind with resources of this type")
	}
	return q.searchIn(where)
}

// everything is GET Patient/{id}/$everything (R4 operation-patient-everything): the patient, what is in the patient's compartment, and what
// those refer to, in pages. _type and _since narrow it.
func (q *request) everything() error {
	q.typ = "Patient"
	params, err := url.ParseQuery(q.r.URL.RawQuery)
	if err != nil {
		return errs.New(errs.Invalid, "the query of the URL is malformed")
	}
	asked, err := parseEverything(params)
	if err != nil {
		return err
	}
	of := q.store.ID + q.link(params, "")[len(q.base):]
	cursor, err := q.pages.Cursor(of, params.Get("page"))
	if err != nil {
		return err
	}
	v, err := q.records.View(q.r.Context(), q.space)
	if err != nil {
		return err
	}
	defer v.Close()
	patient, err := v.Get(kindOf("Patient"), q.id)
	if err != nil {
		return absent(err, "Patient")
	}
	var hits []record.Version
	if cursor == "" && patient.Time.UnixMicro() >= asked.since {
		hits = append(hits, *patient)
	}
	hits, next, err := q.compartmentPage(v, asked, cursor, hits)
	if err != nil {
		return err
	}
	query := &fhir.Query{}
	seen := map[string]bool{}
	for i := range hits {
		if typ := typeOf(hits[i].Kind); !seen[typ] {
			seen[typ] = true
			query.Include = append(query.Include, fhir.Include{Source: typ})
		}
	}
	extra, err := q.included(v, query, hits)
	if err != nil {
		return err
	}
	q.w.Header().Set("Content-Type", fhirJSON)
	q.w.WriteHeader(http.StatusOK)
	b := fhir.NewBundleWriter(q.w, "searchset", -1, time.Now(), q.links(params, q.pages.Token(of, next))...)
	for i := range hits {
		q.entry(b, query, &hits[i], "match")
	}
	for i := range extra.versions {
		q.entry(b, query, &extra.versions[i], "include")
	}
	return gone(b.Close())
}

// wanted is what $everything was asked for.
type wanted struct {
	size  int
	types []string
	since int64 // microseconds since 1970; math.MinInt64 = always
}

func parseEverything(params url.Values) (wanted, error) {
	w := wanted{maxCount, fhir.ResourceTypes(), math.MinInt64}
	for name := range params {
		value := params.Get(name)
		switch name {
		case "_count":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > maxCount {
				_, err = pageSize(0)
				return w, err
			}
			w.size = n
		case "_type":
			w.types = strings.Split(value, ",")
			for _, t := range w.types {
				if !fhir.IsResourceType(t) {
					return w, fhir.Issues{{Severity: "error", Code: "invalid", Diagnostics: "_type lists resource types of FHIR R4", Expression: "http._type"}}
				}
			}
		case "_since":
			s, ok := fhir.ParseDate(value)
			if !ok {
				return w, fhir.Issues{{Severity: "error", Code: "invalid", Diagnostics: "_since is an instant", Expression: "http._since"}}
			}
			w.since = s.Low
		case "page", "_format", "_pretty":
		default:
			return w, unsupported(name, "$everything takes _count, _type and _since")
		}
	}
	return w, nil
}

// compartmentPage adds to hits, up to a page, what is in the patient's compartment. A cursor is the place of the type to go on with, and the engine's
// cursor in it; next is "" at the end.
func (q *request) compartmentPage(v record.View, w wanted, cursor string, hits []record.Version) (all []record.Version, next string, err error) {
	at, after := 0, ""
	if cursor != "" {
		number, rest, _ := strings.Cut(cursor, ":")
		if at, err = strconv.Atoi(number); err != nil {
			return nil, "", errs.Wrap(errs.Internal, err, "a page token of ours cannot be read")
		}
		after = rest
	}
	for ; at < len(w.types); at, after = at+1, "" {
		where := within("Patient", q.id, w.types[at])
		if where == nil {
			continue
		}
		if w.since != math.MinInt64 {
			where = record.And{where, record.TimeRange{Low: w.since, High: fhir.End}}
		}
		if len(hits) >= w.size {
			return hits, fmt.Sprintf("%d:%s", at, after), nil
		}
		page, err := v.Query(q.r.Context(), record.Query{Kind: kindOf(w.types[at]), Where: where, After: record.Cursor(after), Limit: w.size - len(hits)})
		if err != nil {
			return nil, "", err
		}
		if hits = append(hits, page.Hits...); page.Next != "" {
			return hits, fmt.Sprintf("%d:%s", at, page.Next), nil
		}
	}
	return hits, "", nil
}
