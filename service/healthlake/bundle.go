package healthlake

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"slices"
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

// mayAll asks whether the caller may do what the entries do: a Bundle is no way around the policy.
func (q *request) mayAll(ops []*operation) error {
	actions := map[string]string{"POST": "CreateResource", "PUT": "UpdateResource", "DELETE": "DeleteResource", "GET": "ReadResource"}
	type need struct{ action, typ string }
	needs := map[need]bool{}
	for _, op := range ops {
		switch {
		case op.method == "GET" && (strings.Contains(op.url, "?") || !strings.Contains(op.url, "/")):
			needs[need{"SearchWithGet", anyType}] = true // a search in an entry is not looked into: it may include other types
		case op.method == "GET":
			typ, _, _ := strings.Cut(strings.TrimPrefix(op.url, "/"), "/")
			needs[need{actions[op.method], typ}] = true
		case op.method != "":
			needs[need{actions[op.method], op.typ}] = true
		}
	}
	list := slices.SortedFunc(maps.Keys(needs), func(a, b need) int { return cmp.Or(cmp.Compare(a.action, b.action), cmp.Compare(a.typ, b.typ)) })
	tags := func() map[string]string { return q.tagsOf(q.r.Context(), q.arn(q.store.ID)) }
	for _, n := range list {
		keys := map[string]string{typeKey: cmp.Or(n.typ, anyType)}
		if err := q.cfg.Authorizer.Check(q.r.Context(), authz.Request{Action: "healthlake:" + n.action, Resource: q.arn(q.store.ID), Context: keys, Tags: tags}); err != nil {
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
			locks = append(locks, op.existsLocks(d)...)
		case op.exists != "":
			conditional = true
			locks = append(locks, op.existsLocks(d)...)
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
	locks := []string{op.ref()}
	if op.query+op.exists != "" {
		locks = op.existsLocks(d)
	}
	commit, err := q.records.Update(q.r.Context(), q.space, locks, func(tx record.Tx) error {
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
