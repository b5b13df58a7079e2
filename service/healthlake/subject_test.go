package healthlake

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/httproute"
)

// The audit log is told which resource a call is about, the same whether it is let in or refused, and nothing that is no identifier.
func TestSubjectOfACall(t *testing.T) {
	l := newLab(t)
	mux := http.NewServeMux()
	var found *httproute.Route
	var asked *http.Request
	for _, r := range l.s.Routes() {
		mux.HandleFunc(r.Method+" "+r.Pattern, func(_ http.ResponseWriter, q *http.Request) { found, asked = &r, q })
	}
	for path, want := range map[string]string{
		"/Patient/p1":             "resourceId:p1 resourceType:Patient",
		"/Patient/p1/_history/3":  "resourceId:p1 resourceType:Patient",
		"/Patient/p1/$everything": "resourceId:p1 resourceType:Patient",
		"/Patient/p1/Observation": "resourceId:p1 resourceType:Patient searchedType:Observation",
		"/Observation?patient=p1": "resourceType:Observation",
		"/Ann/Nilsen":             "",
		"/Patient/Ann%20Nilsen":   "resourceType:Patient",
		"/Patient/p1/diagnosis":   "resourceId:p1 resourceType:Patient",
		"/metadata":               "",
	} {
		r := httptest.NewRequest("GET", "http://galen.test/datastore/"+ward+"/r4"+path, nil).WithContext(l.Ctx)
		mux.ServeHTTP(httptest.NewRecorder(), r)
		want = strings.TrimSpace("map[datastoreId:" + ward + " " + want)
		if got := strings.TrimSuffix(fmt.Sprint(found.Subject(asked)), "]"); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
