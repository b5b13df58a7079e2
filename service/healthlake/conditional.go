package healthlake

import (
	"net/http"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/tape"
)

// conditional is PUT or DELETE /{type}?condition (R4 http.html#cond-update, #3.1.0.7.1): of the one resource that matches. Nothing that
// matches makes PUT a create, under the resource's own id if it has one, and DELETE a success; several are 412.
func (q *request) conditional() error {
	if q.r.URL.RawQuery == "" {
		return errs.New(errs.NotFound, "%s of a type takes a condition: ?parameter=value", q.r.Method)
	}
	lvl, err := validationLevel(q.r.Header)
	if err != nil {
		return err
	}
	op := &operation{method: q.r.Method, typ: q.typ, query: q.r.URL.RawQuery, fresh: fhir.NewID(), guard: guards{match: q.r.Header.Get("If-Match")}}
	var d tape.Doc
	if op.method == http.MethodPut {
		body, err := q.body(maxResource)
		if err != nil {
			return err
		}
		if err := d.Parse(body, tape.Limits{}); err != nil {
			return err
		}
		var c fhir.Checker
		if _, issues := c.Check(&d, 0, q.typ); len(issues) > 0 && lvl != minimal {
			return fhir.Issues(issues)
		}
		op.own = d.StrAt(0, "id")
	}
	commit, err := q.records.Update(q.r.Context(), q.space, op.existsLocks(&d), func(tx record.Tx) error {
		if err := op.resolve(tx); err != nil {
			return err
		}
		if err := prepareAll(tx, &d, []*operation{op}, lvl); err != nil {
			return err
		}
		return op.write(tx)
	})
	if err != nil {
		return err
	}
	if op.method == http.MethodDelete {
		q.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	status := http.StatusOK
	if op.status == "201 Created" {
		status = http.StatusCreated
	}
	return q.answer(status, kindOf(op.typ), op.id, op.made.body, op.version, commit.Time, op.made.issues)
}
