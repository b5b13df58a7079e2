package healthlake

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/tape"
)

// operation is one entry of a transaction or batch.
type operation struct {
	index   int
	node    int // the resource in the Bundle's document; -1 = none
	method  string
	typ, id string // of PUT, DELETE and POST
	fresh   string // the id that a resource gets that is new
	own     string // the id that the resource came with
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

// existsLocks are the locks of an operation that says what it is about by a condition.
func (op *operation) existsLocks(d *tape.Doc) []string {
	var own []string
	if op.node >= 0 && op.method != http.MethodDelete {
		own = identifiersIn(d, op.node)
	}
	return existsLocks(op.typ, op.query+op.exists, own)
}

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
		op.own = strings.Clone(d.StrAt(e.Node, "id"))
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

// resolveConditions finds what conditional creates, updates and deletes are about.
func resolveConditions(tx record.Tx, writes []*operation) error {
	for _, op := range writes {
		if err := op.resolve(tx); err != nil {
			return atEntry(err, op.index)
		}
	}
	return nil
}

// resolve finds what the operation is about, if it says so by a condition.
func (op *operation) resolve(tx record.Tx) error {
	cond := op.query
	if op.method == "POST" {
		cond = op.exists
	}
	if cond == "" {
		return nil
	}
	where, err := condition(op.typ, cond)
	if err != nil {
		return err
	}
	found, err := one(tx, op.typ, where)
	if err != nil {
		return err
	}
	op.found = nil
	switch {
	case op.method == "POST":
		op.found, op.id = found, op.fresh
		if found != nil {
			op.id = found.ID
		}
	case found != nil && op.own != "" && op.own != found.ID:
		return fhir.Issues{{Severity: "error", Code: "invalid", Diagnostics: "the condition matches a resource with another id than this one", Expression: op.typ + ".id"}}
	case found != nil:
		op.id = found.ID
	case op.method == "DELETE":
		op.id = "" // nothing to delete
	case op.own != "":
		op.id = op.own
	default:
		op.id = op.fresh
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

// maxIssues bounds what is reported of one Bundle.
const maxIssues = 50

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
			if all = append(all, atEntry(issues, op.index).(fhir.Issues)...); len(all) >= maxIssues {
				return all[:maxIssues]
			}
		case err != nil:
			return atEntry(err, op.index)
		}
		op.made = p
	}
	if len(all) > 0 {
		return all
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
