package healthlake

import (
	"net/http"
	"strings"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/tape"
)

// level says how far a resource must be valid to be stored (header x-amzn-healthlake-fhir-validation-level). Strict and structure-only
// are R4 itself here; minimal stores what has a type and is JSON, and tells what is wrong with it.
type level string

const (
	strict        level = "strict"
	structureOnly level = "structure-only"
	minimal       level = "minimal"
)

func validationLevel(h http.Header) (level, error) {
	switch l := level(h.Get("x-amzn-healthlake-fhir-validation-level")); l {
	case "":
		return strict, nil
	case strict, structureOnly, minimal:
		return l, nil
	}
	return "", errs.New(errs.Invalid, "x-amzn-healthlake-fhir-validation-level is strict, structure-only or minimal")
}

// prepared is a resource ready to be written.
type prepared struct {
	typ, id string
	body    []byte // stored form
	entries []record.Entry
	issues  fhir.Issues // what minimal validation lets pass
}

// prepare checks the resource at a node of r.doc and makes its stored form and index entries. id "" keeps its own. want "" takes any type.
func (r *reader) prepare(node int, want, id string, lvl level) (*prepared, error) {
	p, err := r.checked(node, want, id, lvl)
	if err == nil {
		p.body = fhir.Store(make([]byte, 0, len(r.doc.Raw(node))+64), &r.doc, node, p.id, nil)
	}
	return p, err
}

// readStored is read for a body that is in stored form already, and is kept.
func (r *reader) readStored(body []byte, want, id string, lvl level) (*prepared, error) {
	if err := r.doc.Parse(body, tape.Limits{Bytes: maxBundle}); err != nil {
		return nil, err
	}
	p, err := r.checked(0, want, id, lvl)
	if err == nil {
		p.body = body
	}
	return p, err
}

// checked is prepare without the stored form.
func (r *reader) checked(node int, want, id string, lvl level) (*prepared, error) {
	r.check.Extract = true
	res, issues := r.check.Check(&r.doc, node, want)
	p := &prepared{typ: res.Type, id: id, issues: issues}
	if len(issues) > 0 && (lvl != minimal || res.Type == "") {
		return nil, fhir.Issues(issues)
	}
	if id == "" {
		p.id = strings.Clone(res.ID)
	}
	res.ID = p.id
	p.entries = indexEntries(res)
	return p, nil
}

// read parses a body and prepares it.
func (r *reader) read(body []byte, want, id string, lvl level) (*prepared, error) {
	if err := r.doc.Parse(body, tape.Limits{Bytes: maxBundle}); err != nil {
		return nil, err
	}
	return r.prepare(0, want, id, lvl)
}

func withReader[T any](fn func(*reader) (T, error)) (T, error) {
	r := readers.Get().(*reader)
	defer r.release()
	return fn(r)
}
