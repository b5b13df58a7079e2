// Package call carries what is known of the call in progress: who calls, from where, under which request id.
//
// The edge puts a Call into the context once; everything below reads it through From. Work that no caller asked for at that moment
// (a job, a delivery) runs under the Call of the role or service that it acts for. Nothing here is trusted from the wire: the edge
// fills it only after the signature or token was verified.
package call

import (
	"context"
	"net/netip"
	"time"
)

// Kind of principal, with the words of CloudTrail's userIdentity.type.
type Kind string

const (
	Root        Kind = "Root"
	IAMUser     Kind = "IAMUser"
	AssumedRole Kind = "AssumedRole"
	AWSService  Kind = "AWSService" // a service of ours acting for itself
	WebIdentity Kind = "WebIdentityUser"
)

// Principal is who calls.
type Principal struct {
	Kind        Kind
	ARN         string // arn:aws:iam::000000000000:user/x, arn:aws:sts::…:assumed-role/role/session, or a service principal
	ID          string // AIDA…, AROA…:session, or the account id for root
	Account     string
	Name        string            // user name, or role name
	RoleARN     string            // for sessions: the role behind them
	AccessKeyID string            // "" when not signed by an access key
	Tags        map[string]string // aws:PrincipalTag/…
	Session     *Session          // set for temporary credentials
}

// Session is what temporary credentials add: they can only narrow.
type Session struct {
	Name       string
	Policies   []string // inline session policies, IAM policy JSON
	PolicyARNs []string
	Created    time.Time
	Expires    time.Time
	Transitive []string // keys of the session tags that go on to the roles taken from it
	Provider   string   // ARN of the OpenID provider whose token opened it
	Identity   string   // sts source identity: who opened the session, as the identity provider or caller said
}

// Call is one request on its way through.
type Call struct {
	RequestID string
	Principal Principal
	Source    netip.Addr // of the peer; the zero Addr for in-process work
	UserAgent string
	Via       string // the service principal that calls on behalf of Principal ("healthlake.amazonaws.com"), "" when direct
	Secure    bool   // over TLS
	Time      time.Time
}

type contextKey struct{}

// With returns a context that carries c.
func With(ctx context.Context, c *Call) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// From returns the call in progress; a context without one yields a Call that no policy allows anything.
func From(ctx context.Context) *Call {
	if c, ok := ctx.Value(contextKey{}).(*Call); ok {
		return c
	}
	return &Call{}
}
