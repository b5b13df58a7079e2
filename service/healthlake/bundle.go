package healthlake

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/tape"
)

// maxEntries bounds a Bundle.
const maxEntries = 10_000

// bundle is POST / with a transaction or batch (R4 http.html#transaction).
func (q *request) bundle() error {
	lvl, err := validationLevel(q.r.Header)
	if err != nil {
		return err
	}
	body, err := q.body(maxBundle)
	if err != nil {
		return err
	}
	var d tape.Doc
	if err := d.Parse(body, tape.Limits{Bytes: maxBundle}); err != nil {
		return err
	}
	envelope := fhir.Checker{Shallow: true}
	if _, issues := envelope.Check(&d, 0, "Bundle"); len(issues) > 0 {
		return fhir.Issues(issues)
	}
	b := fhir.ParseBundle(&d)
	if len(b.Entries) > maxEntries {
		return errs.New(errs.TooLarge, "the Bundle has %d entries, at most %d are taken", len(b.Entries), maxEntries)
	}
	var issues fhir.Issues
	ops := make([]*operation, len(b.Entries))
	for i := range b.Entries {
		op, err := parseOperation(&d, &b.Entries[i], i, q.base)
		if err != nil && b.Type == "transaction" {
			issues = append(issues, *err)
			continue
		}
		if err != nil {
			op = &operation{index: i, failed: fhir.Issues{*err}}
		}
		ops[i] = op
	}
	if len(issues) > 0 {
		return issues
	}
	if err := q.mayAll(ops); err != nil {
		return err
	}
	switch b.Type {
	case "transaction":
		return q.transaction(&d, ops, lvl)
	case "batch":
		return q.batch(&d, ops, lvl)
	}
	return fhir.Issues{{Severity: "error", Code: "invalid", Diagnostics: "a Bundle posted to the root is a transaction or a batch", Expression: "Bundle.type"}}
}

// operation is one entry of a transaction or batch.
type operation struct {
	index   int
	node    int // the resource in the Bundle's document; -1 = none
	method  string
	typ, id string // of PUT, DELETE and POST
	fresh   string // the id that a resource gets that is new
	query   string // condition of PUT and DELETE, or parameters of GET
	url     string // of GET
	fullURL string
	guard   guards
	exists  string // If-None-Exist
	failed  error  // batch: what is wrong with it already

	// What became of it.
	status  string
	version int64
	made    *prepared
	found   *record.Version // conditional create: what was there already
	body    []byte          // GET: the answer
}

func (op *operation) ref() string { return op.typ + "/" + op.id }

func parseOperation(d *tape.Doc, e *fhir.BundleEntry, i int, base string) (*operation, *fhir.Issue) {
	at := "Bundle.entry[" + strconv.Itoa(i) + "]"
	wrong := func(element, msg string) (*operation, *fhir.Issue) {
		return nil, &fhir.Issue{Severity: "error", Code: "invalid", Diagnostics: msg, Expression: at + element}
	}
	op := &operation{index: i, node: e.Node, method: e.Method, fullURL: strings.Clone(e.FullURL), exists: strings.Clone(e.IfNoneExist), fresh: fhir.NewID(), guard: guards{e.IfMatch, e.IfNoneMatch}}
	path, query, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(e.URL, base), "/"), "?")
	typ, id, hasID := strings.Cut(path, "/")
	op.query = strings.Clone(query)
	switch e.Method {
	case "GET":
		op.url = e.URL
		return op, nil
	case "POST", "PUT", "DELETE":
	case "":
		return wrong(".request", "every entry needs a request")
	default:
		return wrong(".request.method", "only GET, POST, PUT and DELETE are taken in a Bundle")
	}
	if !fhir.IsResourceType(typ) {
		return wrong(".request.url", "the URL does not name a resource type of FHIR R4")
	}
	op.typ = typ
	if e.Method != "DELETE" {
		if e.Node < 0 {
			return wrong(".resource", "the entry needs a resource")
		}
		if d.StrAt(e.Node, "resourceType") != typ {
			return wrong(".resource", "the resource is not of the type that the URL names")
		}
	}
	switch {
	case e.Method == "POST":
		if hasID || query != "" {
			return wrong(".request.url", "POST takes the type alone")
		}
		op.id = op.fresh
	case hasID && fhir.IsID(id):
		op.id = strings.Clone(id)
		if e.Method == "PUT" && d.StrAt(e.Node, "id") != id {
			return wrong(".resource.id", "the resource's id must be the one in the URL")
		}
	case query == "" || hasID:
		return wrong(".request.url", "PUT and DELETE take Type/id or Type?condition")
	}
	return op, nil
}

// mayAll asks whether the caller may do what the entries do: a Bundle is no way around the policy.
func (q *request) mayAll(ops []*operation) error {
	actions := map[string]string{"POST": "CreateResource", "PUT": "UpdateResource", "DELETE": "DeleteResource", "GET": "ReadResource"}
	need := map[string]bool{}
	for _, op := range ops {
		switch {
		case op.method == "GET" && (strings.Contains(op.url, "?") || !strings.Contains(op.url, "/")):
			need["SearchWithGet"] = true
		case op.method != "":
			need[actions[op.method]] = true
		}
	}
	names := make([]string, 0, len(need))
	for a := range need {
		names = append(names, a)
	}
	sort.Strings(names)
	for _, a := range names {
		if err := q.cfg.Authorizer.Check(q.r.Context(), authz.Request{Action: "healthlake:" + a, Resource: q.arn(q.store.ID)}); err != nil {
			return err
		}
	}
	return nil
}

// transaction does all entries or none: DELETE, POST, PUT, then GET, whatever their order in the Bundle. Entries see each other's ids by
// fullUrl; conditions see the store as it was before.
func (q *request) transaction(d *tape.Doc, ops []*operation, lvl level) error {
	conditional := false
	var locks []string
	var writes []*operation
	for _, op := range ops {
		if op.method == "GET" {
			continue
		}
		writes = append(writes, op)
		switch {
		case op.id == "":
			conditional = true
			locks = append(locks, "exists/"+op.typ+"?"+op.query)
		case op.exists != "":
			conditional = true
			locks = append(locks, "exists/"+op.typ+"?"+op.exists)
		case op.method != "POST":
			locks = append(locks, op.ref())
		}
	}
	conditional = conditional || hasConditionalReference(d)
	sort.SliceStable(writes, func(i, j int) bool { return methodOrder(writes[i].method) < methodOrder(writes[j].method) })
	if !conditional { // all that can be done before the locks are taken
		if err := prepareAll(nil, d, writes, lvl); err != nil {
			return err
		}
	}
	commit, err := q.records.Update(q.r.Context(), q.space, locks, func(tx record.Tx) error {
		if conditional {
			if err := resolveConditions(tx, writes); err != nil {
				return err
			}
			if err := prepareAll(tx, d, writes, lvl); err != nil {
				return err
			}
		}
		for _, op := range writes {
			if err := op.write(tx); err != nil {
				return atEntry(err, op.index)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, op := range ops {
		if op.method == "GET" {
			q.get(op)
		}
	}
	return q.respond("transaction-response", ops, func(*operation) time.Time { return commit.Time })
}

func methodOrder(m string) int { return strings.Index("DELETE POST PUT", m) }

// atEntry says which entry an error is about, keeping its kind.
func atEntry(err error, i int) error {
	at := "Bundle.entry[" + strconv.Itoa(i) + "]"
	var issues fhir.Issues
	if errors.As(err, &issues) {
		out := make(fhir.Issues, len(issues))
		for k, is := range issues {
			if _, rest, ok := strings.Cut(is.Expression, "."); ok {
				is.Expression = at + ".resource." + rest
			} else {
				is.Expression = at + ".resource"
			}
			out[k] = is
		}
		return out
	}
	e := errs.As(err)
	return e.With(fhir.Issues{{Severity: "error", Code: answers[e.Code].issue, Diagnostics: e.Message, Expression: at}})
}

// resolveConditions finds what conditional creates, updates and deletes are about.
func resolveConditions(tx record.Tx, writes []*operation) error {
	for _, op := range writes {
		cond := op.exists
		if op.method != "POST" {
			if cond = op.query; cond == "" {
				continue
			}
		}
		if cond == "" {
			continue
		}
		where, err := condition(op.typ, cond)
		if err != nil {
			return atEntry(err, op.index)
		}
		found, err := one(tx, op.typ, where)
		if err != nil {
			return atEntry(err, op.index)
		}
		op.found = nil
		switch {
		case op.method == "POST":
			op.found, op.id = found, op.fresh
			if found != nil {
				op.id = found.ID
			}
		case found != nil:
			op.id = found.ID
		case op.method == "PUT":
			op.id = op.fresh
		default:
			op.id = "" // nothing to delete
		}
	}
	return nil
}

// hasConditionalReference reports whether any reference of the document is a search ("Patient?identifier=…").
func hasConditionalReference(d *tape.Doc) bool {
	for i := range d.Nodes {
		if n := &d.Nodes[i]; n.Kind == tape.String && n.KeyEnd-n.KeyStart == 9 && d.Key(i) == "reference" && strings.Contains(d.Str(i), "?") {
			return true
		}
	}
	return false
}

// prepareAll rewrites the references between entries, checks every resource and makes it ready to write.
func prepareAll(tx record.Tx, d *tape.Doc, writes []*operation, lvl level) error {
	ids := make(map[string]string, len(writes))
	for _, op := range writes {
		if op.fullURL != "" && op.id != "" {
			ids[op.fullURL] = op.ref()
		}
	}
	if err := distinct(writes); err != nil {
		return err
	}
	var failed error
	resolve := func(ref string) (string, bool) {
		if to, ok := ids[ref]; ok {
			return to, true
		}
		if typ, cond, ok := strings.Cut(ref, "?"); ok && tx != nil && fhir.IsResourceType(typ) {
			to, err := conditionalReference(tx, typ, cond)
			if err != nil && failed == nil {
				failed = err
			}
			return to, err == nil
		}
		return "", false
	}
	var all fhir.Issues
	for _, op := range writes {
		if op.method == "DELETE" || op.found != nil {
			continue
		}
		p, err := withReader(func(r *reader) (*prepared, error) {
			body := fhir.Store(make([]byte, 0, len(d.Raw(op.node))+64), d, op.node, op.id, resolve)
			return r.readStored(body, op.typ, op.id, lvl)
		})
		if failed != nil {
			return atEntry(failed, op.index)
		}
		var issues fhir.Issues
		switch {
		case errors.As(err, &issues):
			all = append(all, atEntry(issues, op.index).(fhir.Issues)...)
		case err != nil:
			return atEntry(err, op.index)
		}
		op.made = p
	}
	if len(all) > 0 {
		return all[:min(len(all), 50)]
	}
	return nil
}

// distinct refuses two entries about one resource: which of them counts would depend on their order.
func distinct(writes []*operation) error {
	seen := map[string]int{}
	for _, op := range writes {
		if op.id == "" || op.found != nil {
			continue
		}
		if first, twice := seen[op.ref()]; twice {
			return fhir.Issues{{Severity: "error", Code: "duplicate", Diagnostics: "entry " + strconv.Itoa(first) + " is about the same resource", Expression: "Bundle.entry[" + strconv.Itoa(op.index) + "]"}}
		}
		seen[op.ref()] = op.index
	}
	return nil
}

// conditionalReference is the one resource that a reference by search means.
func conditionalReference(tx record.Tx, typ, cond string) (string, error) {
	where, err := condition(typ, cond)
	if err != nil {
		return "", err
	}
	v, err := one(tx, typ, where)
	if err != nil {
		return "", err
	}
	if v == nil {
		return "", errs.New(errs.Precondition, "a reference by search to a %s matches nothing", typ)
	}
	return typ + "/" + v.ID, nil
}

// write does the operation in a batch.
func (op *operation) write(tx record.Tx) (err error) {
	switch {
	case op.method == "DELETE":
		op.status = "204 No Content"
		if op.id != "" {
			op.version, err = remove(tx, op.typ, op.id, op.guard)
		}
	case op.method == "POST" && op.found != nil:
		op.status, op.version = "200 OK", op.found.Version
	case op.method == "POST":
		op.status = "201 Created"
		op.version, err = tx.Put(record.Put{Kind: kindOf(op.typ), ID: op.id, Body: op.made.body, Entries: op.made.entries, Expect: record.Absent})
	default:
		var created bool
		op.version, created, err = replace(tx, op.made, op.guard)
		op.status = map[bool]string{true: "201 Created", false: "200 OK"}[created]
	}
	return err
}

// batch does each entry by itself; one that fails does not stop the others.
func (q *request) batch(d *tape.Doc, ops []*operation, lvl level) error {
	times := make(map[*operation]time.Time, len(ops))
	for _, op := range ops {
		switch {
		case op.failed != nil:
		case op.method == "GET":
			q.get(op)
		default:
			op.failed = q.alone(d, op, lvl, times)
		}
	}
	return q.respond("batch-response", ops, func(op *operation) time.Time { return times[op] })
}

func (q *request) alone(d *tape.Doc, op *operation, lvl level, times map[*operation]time.Time) error {
	lock := op.ref()
	if cond := op.query + op.exists; cond != "" {
		lock = "exists/" + op.typ + "?" + cond
	}
	commit, err := q.records.Update(q.r.Context(), q.space, []string{lock}, func(tx record.Tx) error {
		writes := []*operation{op}
		if err := resolveConditions(tx, writes); err != nil {
			return err
		}
		if err := prepareAll(tx, d, writes, lvl); err != nil {
			return err
		}
		return op.write(tx)
	})
	times[op] = commit.Time
	return err
}

// respond writes the response Bundle: an entry for each of the request, in its order.
func (q *request) respond(typ string, ops []*operation, at func(*operation) time.Time) error {
	q.w.Header().Set("Content-Type", fhirJSON)
	q.w.WriteHeader(http.StatusOK)
	b := fhir.NewBundleWriter(q.w, typ, -1, time.Now())
	full := prefer(q.r.Header, "return") == "representation"
	for _, op := range ops {
		r := fhir.Response{Status: op.status}
		var resource func([]byte) []byte
		switch {
		case op.failed != nil:
			status, body := outcome(op.failed)
			r.Status, r.Outcome = strconv.Itoa(status)+" "+http.StatusText(status), body
		case op.method == "GET":
			if op.body != nil {
				resource = func(dst []byte) []byte { return append(dst, op.body...) }
			}
		default:
			r.LastModified = at(op)
			if op.found != nil {
				r.LastModified = op.found.Time
			}
			if op.version > 0 {
				r.ETag = fhir.ETag(op.version)
			}
			if op.method != "DELETE" {
				r.Location = op.ref() + "/_history/" + strconv.FormatInt(op.version, 10)
				if full && op.made != nil {
					resource = func(dst []byte) []byte { return fhir.Present(dst, op.made.body, op.version, r.LastModified) }
				}
			}
		}
		b.Entry("", resource, "", r)
	}
	return gone(b.Close())
}

// get answers a GET entry through the same interactions as the REST API.
func (q *request) get(op *operation) {
	u, err := url.Parse(strings.TrimPrefix(strings.TrimPrefix(op.url, q.base), "/"))
	if err != nil {
		op.failed = fhir.Issues{{Severity: "error", Code: "invalid", Diagnostics: "the URL is malformed"}}
		return
	}
	f := strings.Split(strings.Trim(u.Path, "/"), "/")
	w := &memory{header: http.Header{}, status: http.StatusOK}
	r := q.r.Clone(q.r.Context())
	r.Method, r.Body, r.Header = http.MethodGet, http.NoBody, http.Header{"Accept": {fhirJSON}}
	r.URL = &url.URL{Path: rootPath(q.base) + "/" + strings.Trim(u.Path, "/"), RawQuery: u.RawQuery}
	sub := &request{Service: q.Service, w: w, r: r, store: q.store, space: q.space, base: q.base, typ: f[0]}
	if len(f) > 1 {
		sub.id = f[1]
	}
	do := (*request).search
	switch {
	case !fhir.IsResourceType(f[0]) || len(f) > 1 && !fhir.IsID(f[1]) || len(f) > 4:
		do = func(*request) error {
			return errs.New(errs.NotFound, "the URL is not one that is answered in a Bundle")
		}
	case len(f) == 2:
		do = (*request).read
	case len(f) == 3 && f[2] == "_history":
		do = (*request).history
	case len(f) == 4 && f[2] == "_history":
		r.SetPathValue("vid", f[3])
		do = (*request).vread
	case len(f) > 1:
		do = func(*request) error {
			return errs.New(errs.NotFound, "the URL is not one that is answered in a Bundle")
		}
	}
	if err := do(sub); err != nil {
		op.failed = err
		return
	}
	op.status, op.body = strconv.Itoa(w.status)+" "+http.StatusText(w.status), w.body.Bytes()
}

// memory keeps an answer that becomes part of another.
type memory struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (m *memory) Header() http.Header         { return m.header }
func (m *memory) WriteHeader(status int)      { m.status = status }
func (m *memory) Write(b []byte) (int, error) { return m.body.Write(b) }
