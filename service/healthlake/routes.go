package healthlake

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/fhir"
)

// Bounds of request bodies. A resource is bounded as HealthLake's is; Bundles are taken much larger.
const (
	maxResource = 5 << 20
	maxBundle   = 64 << 20
	maxForm     = 1 << 20
)

// request is one FHIR interaction in progress.
type request struct {
	*Service
	w       http.ResponseWriter
	r       *http.Request
	store   *datastore
	space   record.Space
	base    string // absolute URL of the FHIR root, without a slash at the end
	typ, id string // from the path; "" when not in it
}

// interaction is a row of the route table below.
type interaction struct {
	method, path string // below the FHIR root
	name, action string
	readOnly     bool
	maxBody      int64
	do           func(*request) error
}

// interactions of FHIR R4 (http.html), each an IAM action of HealthLake's.
var interactions = []interaction{
	{"GET", "/metadata", "GetCapabilities", "GetCapabilities", true, 0, (*request).capabilities},
	{"POST", "/{$}", "ProcessBundle", "ProcessBundle", false, maxBundle, (*request).bundle},
	{"POST", "", "ProcessBundle", "ProcessBundle", false, maxBundle, (*request).bundle},
	{"GET", "/_history", "GetHistory", "GetHistoryByResourceId", true, 0, (*request).history},
	{"GET", "/{type}", "SearchWithGet", "SearchWithGet", true, 0, (*request).search},
	{"POST", "/{type}/_search", "SearchWithPost", "SearchWithPost", true, maxForm, (*request).search},
	{"POST", "/{type}/$validate", "ValidateResource", "ValidateResource", true, maxResource, (*request).validate},
	{"POST", "/{type}", "CreateResource", "CreateResource", false, maxResource, (*request).create},
	{"PUT", "/{type}", "UpdateResource", "UpdateResource", false, maxResource, (*request).conditional},
	{"DELETE", "/{type}", "DeleteResource", "DeleteResource", false, 0, (*request).conditional},
	{"GET", "/{type}/_history", "GetHistory", "GetHistoryByResourceId", true, 0, (*request).history},
	{"GET", "/{type}/{id}", "ReadResource", "ReadResource", true, 0, (*request).read},
	{"PUT", "/{type}/{id}", "UpdateResource", "UpdateResource", false, maxResource, (*request).update},
	{"DELETE", "/{type}/{id}", "DeleteResource", "DeleteResource", false, 0, (*request).delete},
	{"GET", "/{type}/{id}/_history", "GetHistoryByResourceId", "GetHistoryByResourceId", true, 0, (*request).history},
	{"GET", "/{type}/{id}/_history/{vid}", "VersionReadResource", "VersionReadResource", true, 0, (*request).vread},
	{"GET", "/Patient/{id}/$everything", "SearchEverything", "SearchEverything", true, 0, (*request).everything},
	{"GET", "/{compartment}/{id}/{type}", "SearchWithGet", "SearchWithGet", true, 0, (*request).compartment},
	{"PATCH", "/{rest...}", "PatchResource", "PatchResource", false, maxResource, (*request).unknown},
	{"GET", "/{rest...}", "Unknown", "GetCapabilities", true, 0, (*request).unknown},
	{"POST", "/{rest...}", "Unknown", "GetCapabilities", true, maxResource, (*request).unknown},
	{"PUT", "/{rest...}", "Unknown", "GetCapabilities", true, maxResource, (*request).unknown},
	{"DELETE", "/{rest...}", "Unknown", "GetCapabilities", true, 0, (*request).unknown},
}

// unknown answers what is under the root and no interaction above, so that a client gets an OperationOutcome there too.
func (q *request) unknown() error {
	if q.r.Method == http.MethodPatch {
		return errs.New(errs.Unsupported, "PATCH is not offered here: read the resource and PUT it back with If-Match")
	}
	return errs.New(errs.NotFound, "the URL is not one of an interaction offered here; GET metadata lists them")
}

// roots under which FHIR is served: HealthLake's own, and the one for bearer tokens.
var roots = []string{"/datastore/{datastoreId}/r4", "/fhir/{datastoreId}"}

// Routes registers the FHIR interactions with the edge.
func (s *Service) Routes() []httproute.Route {
	out := s.auditRoutes()
	for _, root := range roots {
		for _, in := range interactions {
			out = append(out, httproute.Route{
				Service: "healthlake", Method: in.method, Pattern: root + in.path, Name: in.name, Action: "healthlake:" + in.action,
				ReadOnly: in.readOnly, MaxBody: in.maxBody,
				Resource: func(r *http.Request) string { return s.arn(r.PathValue("datastoreId")) },
				Context:  func(r *http.Request) map[string]string { return keys(in, r) },
				Tags: func(r *http.Request) map[string]string {
					return s.tagsOf(r.Context(), s.arn(r.PathValue("datastoreId")))
				},
				Subject: func(r *http.Request) map[string]string {
					out := map[string]string{}
					subject(in, r, func(name, id string) { out[name] = id })
					return out
				},
				Handle: func(w http.ResponseWriter, r *http.Request) error { return s.serve(in, w, r) },
				Fail:   fail,
			})
		}
	}
	return out
}

// subject tells the identifiers in a path; what is none is not noted. The id of a search in a compartment is the compartment's.
func subject(in interaction, r *http.Request, note func(name, id string)) {
	note("datastoreId", r.PathValue("datastoreId"))
	typ, id := r.PathValue("type"), r.PathValue("id")
	switch of := r.PathValue("compartment"); {
	case of != "":
		if fhir.IsResourceType(typ) {
			note("searchedType", typ)
		}
		typ = of
	case in.name == "SearchEverything":
		typ = "Patient"
	}
	if fhir.IsResourceType(typ) {
		note("resourceType", typ)
		if fhir.IsID(id) {
			note("resourceId", id)
		}
	}
}

func (s *Service) serve(in interaction, w http.ResponseWriter, r *http.Request) error {
	if err := acceptable(r); err != nil {
		return err
	}
	d, err := s.active(r.Context(), r.PathValue("datastoreId"))
	if err != nil {
		return err
	}
	q := &request{Service: s, w: w, r: r, store: d, space: space(d.ID), typ: r.PathValue("type"), id: r.PathValue("id")}
	q.base = baseURL(r, d.ID)
	subject(in, r, func(name, id string) { httproute.Note(r.Context(), name, id) })
	if q.typ != "" && !fhir.IsResourceType(q.typ) {
		return errs.New(errs.NotFound, "the path does not name a resource type of FHIR R4, nor an operation offered here")
	}
	if q.id != "" && !fhir.IsID(q.id) {
		return errs.New(errs.NotFound, "the path does not name an operation offered here, and is not a resource id")
	}
	return in.do(q)
}

// baseURL is the FHIR root as this client sees it.
func baseURL(r *http.Request, id string) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	path := "/datastore/" + id + "/r4"
	if strings.HasPrefix(r.URL.Path, "/fhir/") {
		path = "/fhir/" + id
	}
	return scheme + "://" + r.Host + path
}

const fhirJSON = "application/fhir+json"

// acceptable refuses what is not JSON: this service speaks no XML or Turtle.
func acceptable(r *http.Request) error {
	if f := r.URL.Query().Get("_format"); f != "" && !isJSON(f) {
		return errs.New(errs.NotAcceptable, "_format: resources are served as %s only", fhirJSON)
	}
	accept := r.Header.Get("Accept")
	if accept == "" || r.URL.Query().Get("_format") != "" {
		return nil
	}
	for _, part := range strings.Split(accept, ",") {
		t, params, err := mime.ParseMediaType(part)
		if err == nil && params["q"] != "0" && (isJSON(t) || t == "*/*" || t == "application/*") {
			return nil
		}
	}
	return errs.New(errs.NotAcceptable, "Accept: resources are served as %s only", fhirJSON)
}

func isJSON(t string) bool {
	switch strings.ReplaceAll(strings.TrimSpace(t), " ", "+") { // a "+" in a query arrives as a space
	case "json", "application/json", fhirJSON, "text/json", "application/json+fhir":
		return true
	}
	return false
}

// body reads the request's body, which must be FHIR JSON.
func (q *request) body(limit int64) ([]byte, error) {
	if ct := q.r.Header.Get("Content-Type"); ct != "" {
		t, _, err := mime.ParseMediaType(ct)
		if err != nil || !isJSON(t) && t != "application/octet-stream" {
			return nil, errs.New(errs.UnsupportedMedia, "Content-Type: resources are taken as %s only", fhirJSON)
		}
	}
	if enc := q.r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, errs.New(errs.UnsupportedMedia, "Content-Encoding: bodies are taken as they are, not compressed")
	}
	return q.bytes(limit)
}

func (q *request) bytes(limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(q.r.Body, limit+1))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) || int64(len(b)) > limit {
		return nil, errs.New(errs.TooLarge, "the body is larger than %d bytes", limit)
	}
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "the body could not be read to its end")
	}
	return b, nil
}

// params are the search parameters of the URL and, for _search, of the form.
func (q *request) params() (url.Values, error) {
	p, err := url.ParseQuery(q.r.URL.RawQuery)
	if err != nil {
		return nil, errs.New(errs.Invalid, "the query of the URL is malformed")
	}
	if q.r.Method != http.MethodPost {
		return p, nil
	}
	t, _, err := mime.ParseMediaType(q.r.Header.Get("Content-Type"))
	if err != nil || t != "application/x-www-form-urlencoded" {
		return nil, errs.New(errs.UnsupportedMedia, "Content-Type: _search takes application/x-www-form-urlencoded")
	}
	b, err := q.bytes(maxForm)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(b))
	if err != nil {
		return nil, errs.New(errs.Invalid, "the form is malformed")
	}
	for k, v := range form {
		p[k] = append(p[k], v...)
	}
	return p, nil
}

// send writes an answer that is not streamed.
func (q *request) send(status int, body []byte) error {
	q.w.Header().Set("Content-Type", fhirJSON)
	q.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	q.w.WriteHeader(status)
	_, err := q.w.Write(body)
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "the client went away")
	}
	return nil
}

func (q *request) capabilities() error {
	return q.send(http.StatusOK, fhir.CapabilityStatement(fhir.Capability{
		URL: q.base, Software: "Galen", Version: q.cfg.Version, Date: q.started,
		Interactions:       []string{"read", "vread", "update", "delete", "history-instance", "history-type", "create", "search-type"},
		SystemInteractions: []string{"transaction", "batch", "history-system"},
		Operations:         map[string][]string{"": {"validate"}, "Patient": {"everything"}},
	}))
}
