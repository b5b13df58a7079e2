// Package httproute is how a service registers the routes of its open standard (FHIR, DICOMweb, GA4GH) with the edge.
//
// AWS operations need none of this: their contract is their registration. No route can be registered without an action and a
// resource, so the authorization matrix can be printed from the table.
package httproute

import (
	"context"
	"net/http"
)

// Route is one interaction of a standard.
type Route struct {
	Service string // SigV4 signing name that reaches it: "healthlake", "medical-imaging"
	Method  string // "GET"; HEAD is served by GET routes
	Pattern string // net/http ServeMux path pattern with {names}: "/datastore/{datastoreId}/r4/{type}/{id}"
	Name    string // the interaction's name in the audit log: "ReadResource"
	Action  string // IAM action: "healthlake:ReadResource"
	// ReadOnly says that the interaction changes nothing.
	ReadOnly bool
	// Open says that anyone may ask, without credentials: for discovery, public keys, and what proves itself by its own input. Action and Resource then only
	// name it in the audit log.
	Open bool
	// Resource returns the ARN that the action is on, from the path values; it must not read the body.
	Resource func(*http.Request) string
	// Context returns extra condition keys for authorization; nil = none.
	Context func(*http.Request) map[string]string
	// Tags returns the tags of the resource; nil = it has none. It is asked when a policy names them.
	Tags func(*http.Request) map[string]string
	// Subject returns the identifiers of what is asked for, for the audit entry of a call that is refused before Handle could note them; nil = none.
	Subject func(*http.Request) map[string]string
	// MaxBody bounds the request body in bytes; 0 = no body allowed.
	MaxBody int64
	// Handle serves an authorised request and writes its answer. An error returned before anything was written goes to Fail.
	Handle func(w http.ResponseWriter, r *http.Request) error
	// Fail writes an error in the standard's own shape (OperationOutcome, DICOMweb, GA4GH).
	Fail func(w http.ResponseWriter, r *http.Request, err error)
}

// Set is what a service offers: its routes. Implementations return the same routes on every call.
type Set interface {
	Routes() []Route
}

type auditKey struct{}

// Notes collects identifiers that a handler wants in the call's audit entry (ids only, never content).
type Notes struct{ values map[string]string }

// Note adds an identifier to the audit entry of the call in ctx, if it has one.
func Note(ctx context.Context, name, id string) {
	if n, ok := ctx.Value(auditKey{}).(*Notes); ok {
		if n.values == nil {
			n.values = make(map[string]string)
		}
		n.values[name] = id
	}
}

// WithNotes is called by the edge before a handler runs; read the result with Values when it returned.
func WithNotes(ctx context.Context) (context.Context, *Notes) {
	n := new(Notes)
	return context.WithValue(ctx, auditKey{}, n), n
}

// Values returns what was noted. It must not be called before the handler has returned.
func (n *Notes) Values() map[string]string { return n.values }
