package healthlake

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/tape"
)

// answers are the HTTP status and issue type of each kind of failure (R4 http.html, issue-type value set).
var answers = map[errs.Code]struct {
	status int
	issue  string
}{
	errs.Internal: {500, "exception"}, errs.Invalid: {400, "invalid"}, errs.NotFound: {404, "not-found"}, errs.Conflict: {409, "conflict"},
	errs.Denied: {403, "forbidden"}, errs.Unauthenticated: {401, "login"}, errs.Exhausted: {429, "throttled"}, errs.Throttled: {429, "throttled"},
	errs.Precondition: {412, "conflict"}, errs.Unsupported: {501, "not-supported"}, errs.Unavailable: {503, "transient"}, errs.Corrupt: {500, "exception"},
	errs.TooLarge: {413, "too-long"}, errs.NotAcceptable: {406, "not-supported"}, errs.OutOfRange: {416, "invalid"}, errs.Gone: {410, "deleted"},
	errs.Timeout: {504, "timeout"}, errs.UnsupportedMedia: {415, "not-supported"},
}

// outcome is the status and OperationOutcome of an error.
func outcome(err error) (int, []byte) {
	var issues fhir.Issues
	if errors.As(err, &issues) {
		return http.StatusBadRequest, fhir.Outcome(issues...)
	}
	var syntax *tape.Error
	if errors.As(err, &syntax) {
		code, status := "structure", http.StatusBadRequest
		if syntax.Limit {
			code, status = "too-costly", http.StatusRequestEntityTooLarge
		}
		return status, fhir.Outcome(fhir.Issue{Severity: "error", Code: code, Diagnostics: "the body is not JSON as FHIR writes it: " + syntax.Error()})
	}
	e := errs.As(err)
	a := answers[e.Code]
	if issues, ok := e.Details.(fhir.Issues); ok {
		return a.status, fhir.Outcome(issues...)
	}
	return a.status, fhir.Outcome(fhir.Issue{Severity: "error", Code: a.issue, Diagnostics: e.Message})
}

// fail writes an error as an OperationOutcome.
func fail(w http.ResponseWriter, _ *http.Request, err error) {
	status, body := outcome(err)
	w.Header().Set("Content-Type", fhirJSON)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone: nothing is left to tell it
}
