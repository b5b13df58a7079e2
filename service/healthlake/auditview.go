package healthlake

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
	"github.com/galen-health/galen/standard/fhir"
)

// auditRoot is a FHIR endpoint of its own beside the data store's: AuditEvents that users write are resources of the data store as any other, and these are none of them.
const auditRoot = "/datastore/{datastoreId}/audit/r4"

// auditAction is AWS's action for reading the log. On a data store's ARN it gives that store's entries here, on "*" it gives LookupEvents, too.
const auditAction = "cloudtrail:LookupEvents"

// auditInteractions of the endpoint. The log has no version of an event but one, and nobody writes to it.
var auditInteractions = []interaction{
	{"GET", "/metadata", "GetAuditCapabilities", "", true, 0, (*request).auditCapabilities},
	{"GET", "/AuditEvent", "SearchAuditEvents", "", true, 0, (*request).auditSearch},
	{"POST", "/AuditEvent/_search", "SearchAuditEvents", "", true, maxForm, (*request).auditSearch},
	{"GET", "/AuditEvent/{id}", "ReadAuditEvent", "", true, 0, (*request).auditRead},
	{"GET", "/{rest...}", "Unknown", "", true, 0, (*request).auditUnknown},
}

func (s *Service) auditRoutes() []httproute.Route {
	var out []httproute.Route
	for _, in := range auditInteractions {
		out = append(out, httproute.Route{
			Service: "healthlake", Method: in.method, Pattern: auditRoot + in.path, Name: in.name, Action: auditAction, ReadOnly: true, MaxBody: in.maxBody,
			Resource: func(r *http.Request) string { return s.arn(r.PathValue("datastoreId")) },
			Context:  func(*http.Request) map[string]string { return map[string]string{typeKey: "AuditEvent"} },
			Tags: func(r *http.Request) map[string]string {
				return s.tagsOf(r.Context(), s.arn(r.PathValue("datastoreId")))
			},
			Handle: func(w http.ResponseWriter, r *http.Request) error { return s.serveAudit(in, w, r) },
			Fail:   fail,
		})
	}
	return out
}

// serveAudit does not ask whether the data store is there: what was done to one outlives it.
func (s *Service) serveAudit(in interaction, w http.ResponseWriter, r *http.Request) error {
	if err := acceptable(r); err != nil {
		return err
	}
	d := &datastore{ID: r.PathValue("datastoreId")}
	httproute.Note(r.Context(), "datastoreId", d.ID)
	q := &request{Service: s, w: w, r: r, store: d, typ: "AuditEvent", id: r.PathValue("id")}
	q.base = auditBase(r, d.ID)
	return in.do(q)
}

func auditBase(r *http.Request, id string) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + "/datastore/" + id + "/audit/r4"
}

func (q *request) auditUnknown() error {
	return errs.New(errs.NotFound, "the audit log of a data store is read by GET AuditEvent, GET AuditEvent/id and POST AuditEvent/_search; GET metadata tells the search parameters")
}

func (q *request) auditSearch() error {
	params, err := q.params()
	if err != nil {
		return err
	}
	search, err := readAuditSearch(params)
	if err != nil {
		return err
	}
	size, err := pageSize(search.Count)
	if err != nil {
		return err
	}
	of := q.link(params, "")[len(q.base):]
	after, err := q.pages.Cursor("audit"+q.store.ID+of, search.Page)
	if err != nil {
		return err
	}
	search.filter.Resource = q.arn(q.store.ID)
	found, next, err := q.cfg.Audit.Lookup(q.r.Context(), search.filter, after, size)
	if err != nil {
		return err
	}
	links := []fhir.Link{{Relation: "self", URL: q.base + of}}
	if token := q.pages.Token("audit"+q.store.ID+of, next); token != "" {
		links = append(links, fhir.Link{Relation: "next", URL: q.link(params, token)})
	}
	return q.bundleOf(-1, links, func(b *fhir.BundleWriter) error {
		for i := range found {
			body, err := json.Marshal(auditEventOf(&found[i]))
			if err != nil {
				return errs.Wrap(errs.Internal, err, "an entry of the audit log cannot be written as an AuditEvent")
			}
			b.Entry(q.base+"/AuditEvent/"+found[i].ID, func(dst []byte) []byte { return append(dst, body...) }, "match", fhir.Response{})
		}
		return nil
	})
}

func (q *request) auditRead() error {
	if !fhir.IsID(q.id) {
		return q.auditUnknown()
	}
	f := audit.Filter{ID: q.id, Resource: q.arn(q.store.ID)}
	var found []audit.Entry
	for after := ""; ; {
		var err error
		if found, after, err = q.cfg.Audit.Lookup(q.r.Context(), f, after, 1); err != nil {
			return err
		}
		if len(found) > 0 || after == "" {
			break
		}
	}
	if len(found) == 0 {
		return errs.New(errs.NotFound, "the audit log has no event of this id about this data store")
	}
	body, err := json.Marshal(auditEventOf(&found[0]))
	if err != nil {
		return errs.Wrap(errs.Internal, err, "an entry of the audit log cannot be written as an AuditEvent")
	}
	q.w.Header().Set("ETag", fhir.ETag(1))
	return q.send(http.StatusOK, body)
}

func (q *request) auditCapabilities() error {
	whole := fhir.CapabilityStatement(fhir.Capability{URL: q.base, Software: "Galen", Version: q.cfg.Version, Date: q.started, Resources: []string{"AuditEvent"}, Interactions: []string{"read", "search-type"}})
	// What is said of a store of resources does not hold for a log.
	var c struct {
		Rest []struct {
			Resource []map[string]any `json:"resource"`
		} `json:"rest"`
	}
	var all map[string]any
	if json.Unmarshal(whole, &all) != nil || json.Unmarshal(whole, &c) != nil || len(c.Rest) != 1 || len(c.Rest[0].Resource) != 1 {
		return errs.New(errs.Internal, "the capability statement cannot be narrowed")
	}
	r := c.Rest[0].Resource[0]
	params, _ := r["searchParam"].([]any)
	r["searchParam"] = slices.DeleteFunc(params, func(p any) bool {
		name, _ := p.(map[string]any)["name"].(string)
		return auditParams[name] == nil && name != "date"
	})
	all["rest"] = []any{map[string]any{"mode": "server", "resource": []any{map[string]any{"type": "AuditEvent", "interaction": r["interaction"], "versioning": "no-version", "searchParam": r["searchParam"]}}}}
	body, err := json.Marshal(all)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the capability statement cannot be written")
	}
	return q.send(http.StatusOK, body)
}
