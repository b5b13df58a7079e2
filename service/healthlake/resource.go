package healthlake

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/tape"
)

// create is POST /{type}: a new resource with an id of ours.
func (q *request) create() error {
	if q.typ == "Bundle" {
		// A document or collection is kept as a resource; a transaction or batch belongs to the root.
		httproute.Note(q.r.Context(), "as", "resource")
	}
	lvl, err := validationLevel(q.r.Header)
	if err != nil {
		return err
	}
	body, err := q.body(maxResource)
	if err != nil {
		return err
	}
	cond := q.r.Header.Get("If-None-Exist")
	var identifiers []string
	p, err := withReader(func(r *reader) (*prepared, error) {
		p, err := r.read(body, q.typ, fhir.NewID(), lvl)
		if err == nil && cond != "" {
			identifiers = identifiersIn(&r.doc, 0)
		}
		return p, err
	})
	if err != nil {
		return err
	}
	key, err := idempotencyKey(q.r.Header)
	if err != nil {
		return err
	}
	var locks []string
	var exists record.Expr
	if cond != "" {
		if exists, err = condition(q.typ, cond); err != nil {
			return err
		}
		locks = append(locks, existsLocks(q.typ, cond, identifiers)...)
	}
	if key != "" {
		locks = append(locks, "idempotency/"+key)
	}
	var found *record.Version // what the request would have made is there already
	status := http.StatusCreated
	commit, err := q.records.Update(q.r.Context(), q.space, locks, func(tx record.Tx) error {
		found, status = nil, http.StatusCreated
		if key != "" {
			if found, err = madeBefore(tx, key); err != nil || found != nil {
				status = http.StatusConflict
				return err
			}
		}
		if exists != nil {
			if found, err = one(tx, q.typ, exists); err != nil || found != nil {
				status = http.StatusOK
				return err
			}
		}
		if key != "" {
			if err := idempotencyKeys.Create(tx, key, &madeOnce{q.typ, p.id}); err != nil {
				return err
			}
		}
		_, err := tx.Put(record.Put{Kind: kindOf(q.typ), ID: p.id, Body: p.body, Entries: p.entries, Expect: record.Absent})
		return err
	})
	if err != nil {
		return err
	}
	if found != nil {
		return q.answer(status, found.Kind, found.ID, found.Body, found.Version, found.Time, nil)
	}
	return q.answer(status, kindOf(q.typ), p.id, p.body, 1, commit.Time, p.issues)
}

// condition compiles the query of a conditional interaction.
func condition(typ, query string) (record.Expr, error) {
	values, err := url.ParseQuery(strings.TrimPrefix(query, "?"))
	if err != nil || len(values) == 0 {
		return nil, errs.New(errs.Invalid, "the condition is not a search: parameter=value&…")
	}
	parsed, err := fhir.ParseQuery(typ, values, false)
	if err != nil {
		return nil, err
	}
	if len(parsed.Clauses) == 0 {
		return nil, errs.New(errs.Invalid, "the condition selects nothing in particular")
	}
	return compile(parsed.Clauses)
}

// one finds the only match of a condition; nil when there is none, errs.Precondition when there are several.
func one(tx record.Tx, typ string, where record.Expr) (*record.Version, error) {
	page, err := tx.Query(record.Query{Kind: kindOf(typ), Where: where, Limit: 2})
	if err != nil || len(page.Hits) == 0 {
		return nil, err
	}
	if len(page.Hits) > 1 {
		return nil, errs.New(errs.Precondition, "the condition matches several resources")
	}
	return &page.Hits[0], nil
}

// answer writes a resource that was made, changed or read, with its headers, as Prefer wants it (R4 http.html#ops).
func (q *request) answer(status int, kind, id string, body []byte, version int64, at time.Time, issues fhir.Issues) error {
	if q.id == "" { // the resource's id is in no path: it was given now, or found
		httproute.Note(q.r.Context(), "resourceId", id)
	}
	h := q.w.Header()
	h.Set("ETag", fhir.ETag(version))
	h.Set("Last-Modified", at.UTC().Format(http.TimeFormat))
	if q.r.Method == http.MethodPost || q.r.Method == http.MethodPut {
		h.Set("Location", q.base+"/"+typeOf(kind)+"/"+id+"/_history/"+strconv.FormatInt(version, 10))
		if len(issues) > 0 {
			h.Set("x-amzn-healthlake-validation-issues", "true")
		}
		switch prefer(q.r.Header, "return") {
		case "minimal":
			h.Set("Content-Length", "0")
			q.w.WriteHeader(status)
			return nil
		case "OperationOutcome":
			return q.send(status, fhir.Outcome(issues...))
		}
	}
	return q.send(status, fhir.Present(make([]byte, 0, len(body)+100), body, version, at))
}

// prefer is the value of a preference (RFC 7240), "" when not given.
func prefer(h http.Header, name string) string {
	for _, line := range h.Values("Prefer") {
		for _, p := range strings.FieldsFunc(line, func(r rune) bool { return r == ';' || r == ',' }) {
			if k, v, ok := strings.Cut(strings.TrimSpace(p), "="); ok && k == name {
				return strings.Trim(v, `"`)
			}
		}
	}
	return ""
}

// validate is POST /{type}/$validate: what create would say, as an OperationOutcome with status 200. The resource comes alone or as the
// parameter "resource" of a Parameters.
func (q *request) validate() error {
	body, err := q.body(maxResource)
	if err != nil {
		return err
	}
	issues, err := withReader(func(r *reader) (fhir.Issues, error) {
		if err := r.doc.Parse(body, tape.Limits{}); err != nil {
			return nil, err
		}
		node := 0
		if list := r.doc.Get(0, "parameter"); list >= 0 && r.doc.StrAt(0, "resourceType") == "Parameters" && q.typ != "Parameters" {
			node = -1
			for p := r.doc.First(list); p >= 0; p = r.doc.After(list, p) {
				if r.doc.StrAt(p, "name") == "resource" {
					node = r.doc.Get(p, "resource")
				}
			}
			if node < 0 {
				return nil, fhir.Issues{{Severity: "error", Code: "required", Diagnostics: "the parameter resource is missing", Expression: "Parameters.parameter"}}
			}
		}
		_, err := r.prepare(node, q.typ, "", strict)
		var issues fhir.Issues
		if errors.As(err, &issues) {
			return issues, nil
		}
		return nil, err
	})
	if err != nil {
		return err
	}
	return q.send(http.StatusOK, fhir.Outcome(issues...))
}

// read is GET /{type}/{id}, conditional on If-None-Match and If-Modified-Since.
func (q *request) read() error {
	v, err := q.records.View(q.r.Context(), q.space)
	if err != nil {
		return err
	}
	defer v.Close()
	ver, err := v.Get(kindOf(q.typ), q.id)
	if err != nil {
		return absent(err, q.typ)
	}
	if unchanged(q.r.Header, ver) {
		q.w.Header().Set("ETag", fhir.ETag(ver.Version))
		q.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	mode := q.r.URL.Query().Get("_summary")
	if elements := q.r.URL.Query().Get("_elements"); elements != "" || mode != "" && mode != "false" {
		query, err := fhir.ParseQuery(q.typ, url.Values{"_elements": q.r.URL.Query()["_elements"], "_summary": q.r.URL.Query()["_summary"]}, false)
		if err != nil {
			return err
		}
		q.w.Header().Set("ETag", fhir.ETag(ver.Version))
		return q.send(http.StatusOK, shown(query, ver)(nil))
	}
	return q.answer(http.StatusOK, ver.Kind, ver.ID, ver.Body, ver.Version, ver.Time, nil)
}

func unchanged(h http.Header, v *record.Version) bool {
	if none := h.Get("If-None-Match"); none != "" {
		for _, tag := range strings.Split(none, ",") {
			if n, ok := fhir.ParseETag(tag); ok && n == v.Version {
				return true
			}
		}
		return false
	}
	since, err := http.ParseTime(h.Get("If-Modified-Since"))
	return err == nil && !v.Time.Truncate(time.Second).After(since)
}

func absent(err error, typ string) error {
	switch errs.CodeOf(err) {
	case errs.NotFound:
		return errs.New(errs.NotFound, "there is no %s with this id", typ)
	case errs.Gone:
		return errs.New(errs.Gone, "this %s was deleted; its versions are in its history", typ)
	}
	return err
}

// vread is GET /{type}/{id}/_history/{vid}.
func (q *request) vread() error {
	n, ok := fhir.ParseETag(q.r.PathValue("vid"))
	if !ok {
		return errs.New(errs.NotFound, "versions are whole numbers from 1")
	}
	v, err := q.records.View(q.r.Context(), q.space)
	if err != nil {
		return err
	}
	defer v.Close()
	ver, err := v.GetVersion(kindOf(q.typ), q.id, n)
	if errs.Is(err, errs.NotFound) {
		return errs.New(errs.NotFound, "there is no such version of this %s", q.typ)
	}
	if err != nil {
		return err
	}
	if ver.Deleted {
		return errs.New(errs.Gone, "this version says that the %s was deleted", q.typ)
	}
	return q.answer(http.StatusOK, ver.Kind, ver.ID, ver.Body, ver.Version, ver.Time, nil)
}

// update is PUT /{type}/{id}: it replaces, or creates under the client's id; If-Match guards against lost updates.
func (q *request) update() error {
	lvl, err := validationLevel(q.r.Header)
	if err != nil {
		return err
	}
	body, err := q.body(maxResource)
	if err != nil {
		return err
	}
	p, err := withReader(func(r *reader) (*prepared, error) {
		p, err := r.read(body, q.typ, "", lvl)
		if err == nil && p.id != q.id {
			return nil, fhir.Issues{{Severity: "error", Code: "invalid", Diagnostics: "the resource's id must be the one in the URL", Expression: q.typ + ".id"}}
		}
		return p, err
	})
	if err != nil {
		return err
	}
	guard := guards{match: q.r.Header.Get("If-Match"), noneMatch: q.r.Header.Get("If-None-Match")}
	var version int64
	var created bool
	commit, err := q.records.Update(q.r.Context(), q.space, []string{q.typ + "/" + q.id}, func(tx record.Tx) (err error) {
		version, created, err = replace(tx, p, guard)
		return err
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return q.answer(status, kindOf(q.typ), q.id, p.body, version, commit.Time, p.issues)
}

// guards are the conditions of an update on the version that it replaces.
type guards struct{ match, noneMatch string }

// replace writes a resource over whatever is there, if the guards allow. The caller holds the lock "Type/id".
func replace(tx record.Tx, p *prepared, g guards) (version int64, created bool, err error) {
	expect := record.Absent
	switch cur, err := tx.Get(kindOf(p.typ), p.id); {
	case err == nil:
		expect = record.Expect(cur.Version)
	case !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Gone):
		return 0, false, err
	}
	if err := g.allow(expect); err != nil {
		return 0, false, err
	}
	version, err = tx.Put(record.Put{Kind: kindOf(p.typ), ID: p.id, Body: p.body, Entries: p.entries, Expect: expect})
	return version, expect == record.Absent, err
}

func (g guards) allow(current record.Expect) error {
	if g.match != "" {
		for _, tag := range strings.Split(g.match, ",") {
			if n, ok := fhir.ParseETag(tag); ok && record.Expect(n) == current {
				return nil
			}
		}
		return errs.New(errs.Precondition, "If-Match names another version than the current one: read it again and redo the change")
	}
	if g.noneMatch == "*" && current != record.Absent {
		return errs.New(errs.Precondition, "If-None-Match: * forbids replacing a resource, and one is there")
	}
	return nil
}

// delete is DELETE /{type}/{id}; deleting again is no error.
func (q *request) delete() error {
	var version int64
	guard := guards{match: q.r.Header.Get("If-Match")}
	_, err := q.records.Update(q.r.Context(), q.space, []string{q.typ + "/" + q.id}, func(tx record.Tx) (err error) {
		version, err = remove(tx, q.typ, q.id, guard)
		return err
	})
	if err != nil {
		return err
	}
	if version > 0 {
		q.w.Header().Set("ETag", fhir.ETag(version))
	}
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}

// remove writes a tombstone; version is 0 when there was one already.
func remove(tx record.Tx, typ, id string, g guards) (version int64, err error) {
	cur, err := tx.Get(kindOf(typ), id)
	if errs.Is(err, errs.Gone) && g.match == "" {
		return 0, nil
	}
	if err != nil {
		return 0, absent(err, typ)
	}
	if err := g.allow(record.Expect(cur.Version)); err != nil {
		return 0, err
	}
	return tx.Delete(kindOf(typ), id, record.Expect(cur.Version))
}
