// Package authz answers one question: may this caller do this action on this resource?
//
// It evaluates IAM policy documents (identity, resource, permissions boundary and session policies) with AWS's order: an explicit deny
// wins, then what may allow must allow, and the default is deny. It keeps no users or roles itself: Directory gives them, and the
// iam service owns them.
package authz

import (
	"context"
	"time"

	"github.com/galen-health/galen/platform/call"
)

// Request is one question.
type Request struct {
	Action   string            // "omics:GetReadSet"
	Resource string            // an ARN; "*" for actions on no particular resource
	Context  map[string]string // condition keys beyond the global ones that the evaluator fills from the call: "s3:prefix", "aws:ResourceTag/x"
	// Values are the condition keys with many values: "aws:TagKeys".
	Values map[string][]string
	// Tags gives the tags of the resource, aws:ResourceTag/… as condition keys. It is asked only when a policy that bears on the request names such a key, since
	// it may cost a look-up; nil = they are in Context, or there are none.
	Tags func() map[string]string
	// ResourcePolicies are the policies attached to the resource (bucket policy, key policy, role trust policy), IAM policy JSON.
	ResourcePolicies []string
	// ResourceMustAllow is set where the resource's own policy has to allow explicitly (key policies, role trust policies).
	ResourceMustAllow bool
}

// Decision is the answer and the statement that decided, for the audit log and for explain-access.
type Decision struct {
	Allowed   bool
	Explicit  bool   // an explicit deny decided
	Policy    string // name or ARN of the deciding policy; "" when nothing matched
	Statement string // its Sid or index
	Source    Source // the kind of policy that decided, or whose allow was lacking; "" when it came to none
	Reason    string // for people: "no identity-based policy allows it"
}

// Source is a kind of policy.
type Source string

// The kinds.
const (
	ByIdentity Source = "identity"
	ByResource Source = "resource"
	ByKey      Source = "key" // the resource policy of a KMS key
	ByBoundary Source = "boundary"
	BySession  Source = "session"
	ByRoot     Source = "root" // no policy: the account's root user
)

// Effect is "Allow", "Deny" for an explicit deny, or "ImplicitDeny" where nothing allowed.
func (d Decision) Effect() string {
	switch {
	case d.Allowed:
		return "Allow"
	case d.Explicit:
		return "Deny"
	}
	return "ImplicitDeny"
}

// Authorizer decides. Check returns nil when allowed, else errs.Denied with a message in the form that AWS callers know
// ("User: ARN is not authorized to perform: ACTION on resource: ARN …").
type Authorizer interface {
	Decide(ctx context.Context, c *call.Call, r Request) Decision
	Check(ctx context.Context, r Request) error // for the caller in ctx
}

// Credential is what an access key id stands for.
type Credential struct {
	Secret       string
	SessionToken string // "" for long-term keys; must match the token sent
	Principal    call.Principal
}

// Directory is what authz and the edge need of the users, roles, keys and policies that the iam and sts services own.
type Directory interface {
	// Credential returns errs.Unauthenticated when the key id is unknown, inactive, expired or its token is wrong.
	Credential(ctx context.Context, accessKeyID, sessionToken string) (Credential, error)
	// Policies returns the documents that apply to p: identity policies (inline, attached, of groups or of the role) and the
	// permissions boundary ("" = none). Root has none and is allowed all within the account.
	Policies(ctx context.Context, p call.Principal) (identity []Policy, boundary string, err error)
}

// ManagedPolicies may be implemented by a Directory: it gives the documents that Session.PolicyARNs name. Without it, and for an ARN that is
// not found, such a session policy allows nothing.
type ManagedPolicies interface {
	ManagedPolicy(ctx context.Context, arn string) (document string, err error)
}

// Role is what opening a session of a role needs to know.
type Role struct {
	ARN, ID, Name, Account string
	Trust                  string // the role's trust policy
	Tags                   map[string]string
	MaxSession             time.Duration // the longest session that AssumeRole may open
}

// RoleSource gives roles; the iam service is one. errs.NotFound when there is none.
type RoleSource interface {
	Role(ctx context.Context, arn string) (Role, error)
}

// Policy is one named policy document.
type Policy struct {
	Name     string // inline name or managed policy ARN
	Document string // IAM policy JSON
}

// Roles turns a role into a caller: services run jobs under the role that the caller passed.
type Roles interface {
	// Pass checks that the caller in ctx may pass role to service (iam:PassRole) and that the role trusts it.
	Pass(ctx context.Context, roleARN, servicePrincipal string) error
	// As returns a context whose caller is a session of role, opened by the service principal; errs.Denied when the role is gone
	// or does not trust the service.
	As(ctx context.Context, roleARN, servicePrincipal, sessionName string) (context.Context, error)
}
