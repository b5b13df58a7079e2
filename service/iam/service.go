package iam

import (
	"context"
	"encoding/base64"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/oidc"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/safedial"
)

const space = record.Space("iam")

// Config says whose account it is.
type Config struct {
	Account string
	// RootAccessKeyID and RootSecret are the root user's credentials; the service keeps them nowhere.
	RootAccessKeyID, RootSecret string
	Dial                        *safedial.Dialer // reaches outside OpenID providers; nil = public addresses only
	Now                         func() time.Time // nil = time.Now
}

// Service implements the contract.
type Service struct {
	api.Unimplemented
	cfg     Config
	records record.Store
	ring    key.Ring

	mu   sync.Mutex
	keys map[string]*oidc.Remote // of outside OpenID providers, by issuer
}

var (
	_ api.Service           = (*Service)(nil)
	_ authz.Directory       = (*Service)(nil)
	_ authz.ManagedPolicies = (*Service)(nil)
	_ authz.RoleSource      = (*Service)(nil)
	_ oidc.Directory        = (*Service)(nil)
)

// Kinds are the kinds of records that are kept here; who moves records asks for them.
func Kinds() []record.KindDef {
	return []record.KindDef{users.Def(), groups.Def(), roles.Def(), policies.Def(), accessKeys.Def(), oidcProviders.Def()}
}

// New opens the service.
func New(ctx context.Context, cfg Config, records record.Store, ring key.Ring) (*Service, error) {
	if cfg.RootAccessKeyID == "" || cfg.RootSecret == "" {
		return nil, errs.New(errs.Invalid, "the root user needs an access key id and a secret")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := records.Declare(Kinds()...); err != nil {
		return nil, err
	}
	if err := records.CreateSpace(ctx, space, key.Ref{Context: map[string]string{"galen:space": string(space)}}); err != nil {
		return nil, err
	}
	if cfg.Dial == nil {
		var err error
		if cfg.Dial, err = safedial.New(nil); err != nil {
			return nil, err
		}
	}
	return &Service{cfg: cfg, records: records, ring: ring, keys: map[string]*oidc.Remote{}}, nil
}

// change makes one batch. IAM changes seldom: they run one after the other, so that a policy cannot be deleted while it is being attached.
func (s *Service) change(ctx context.Context, fn func(tx record.Tx) error) error {
	_, err := s.records.Update(ctx, space, []string{"iam"}, fn)
	return err
}

// view reads one consistent state.
func (s *Service) view(ctx context.Context, fn func(v record.View) error) error {
	v, err := s.records.View(ctx, space)
	if err != nil {
		return err
	}
	defer v.Close()
	return fn(v)
}

// arn makes an ARN of this account: arn("user", "/path/", "alice").
func (s *Service) arn(kind, path, name string) string {
	return "arn:aws:iam::" + s.cfg.Account + ":" + kind + path + name
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

func absent(err error) bool { return errs.Is(err, errs.NotFound) || errs.Is(err, errs.Gone) }

func noSuch(what, name string) error {
	return errs.Named(errs.NotFound, "NoSuchEntity", "The %s with name %s cannot be found.", what, name)
}

func exists(what, name string) error {
	return errs.Named(errs.Conflict, "EntityAlreadyExists", "%s with name %s already exists.", what, name)
}

func deleteConflict(format string, args ...any) error {
	return errs.Named(errs.Conflict, "DeleteConflict", "Cannot delete entity, "+format, args...)
}

func limit(format string, args ...any) error {
	return errs.Named(errs.Exhausted, "LimitExceeded", format, args...)
}

// checkPolicy parses a document and bounds its size without white space.
func checkPolicy(document string, use authz.Use, most int) error {
	if _, err := authz.ParsePolicy(document, use); err != nil {
		return errs.Named(errs.Invalid, "MalformedPolicyDocument", "%s", errs.As(err).Message)
	}
	if n := policySize(document); n > most {
		return limit("Cannot exceed quota for PolicySize: %d", most)
	}
	return nil
}

func policySize(document string) int {
	return len(document) - strings.Count(document, " ") - strings.Count(document, "\n") - strings.Count(document, "\t") - strings.Count(document, "\r")
}

// encoded is a document as IAM answers it: percent-encoded as RFC 3986 says.
func encoded(document string) string {
	return strings.ReplaceAll(url.QueryEscape(document), "+", "%20")
}

// pageOf is a page of a query's hits: MaxItems defaults to 100, at most 1,000.
func pageOf(v record.View, ctx context.Context, kind string, where record.Expr, marker string, max *int32) (hits []record.Version, truncated *bool, next string, err error) {
	after, err := base64.RawURLEncoding.DecodeString(marker)
	if err != nil {
		return nil, nil, "", errs.Named(errs.Invalid, "ValidationError", "Invalid Marker.")
	}
	p, err := v.Query(ctx, record.Query{Kind: kind, Where: where, Order: []record.Order{{Index: "name"}}, After: record.Cursor(after), Limit: size(max)})
	if err != nil {
		return nil, nil, "", err
	}
	if p.Next != "" {
		next = base64.RawURLEncoding.EncodeToString([]byte(p.Next))
	}
	return p.Hits, aws.Ptr(next != ""), next, nil
}

func size(max *int32) int {
	if max == nil {
		return 100
	}
	return int(min(*max, 1000))
}

// cut is a page of a list that lies within one record; the marker is the last name that was sent.
func cut[T any](items []T, name func(T) string, marker string, max *int32) (page []T, truncated *bool, next string) {
	for len(items) > 0 && marker != "" && name(items[0]) <= marker {
		items = items[1:]
	}
	if n := size(max); len(items) > n {
		return items[:n], aws.Ptr(true), name(items[n-1])
	}
	return items, aws.Ptr(false), ""
}

// underPath narrows a list to a path.
func underPath(prefix string) record.Expr {
	if prefix == "" || prefix == "/" {
		return nil
	}
	return record.Prefix{Index: "path", Value: record.String(prefix)}
}

// self is the user whose name an operation may leave out: the caller.
func self(ctx context.Context, name string) (string, error) {
	if name != "" {
		return name, nil
	}
	if p := call.From(ctx).Principal; p.Kind == call.IAMUser {
		return p.Name, nil
	}
	return "", errs.Named(errs.Invalid, "ValidationError", "Must specify userName when calling with non-User credentials")
}
