package openid

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/oidc"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/safedial"
)

const space = record.Space("openid")

// Config of the provider.
type Config struct {
	Account string
	Issuer  string // the address of this server as clients reach it, without a slash at the end
	Records record.Store
	Dial    *safedial.Dialer // reaches the key sets of clients
	// Authorizer decides whether who registers a client may pass it the role.
	Authorizer authz.Authorizer
	Now        func() time.Time // nil = time.Now
}

// Service is the provider.
type Service struct {
	cfg Config

	mu      sync.Mutex
	remotes map[string]*oidc.Remote // key sets of clients, by address
	loaded  []signingKey
	read    time.Time
}

var (
	_ httproute.Set  = (*Service)(nil)
	_ oidc.Directory = (*Service)(nil)
)

// Kinds are the kinds of records that are kept here; who moves records asks for them.
func Kinds() []record.KindDef {
	return []record.KindDef{clients.Def(), signingKeys.Def(), assertions.Def()}
}

// New opens the provider.
func New(ctx context.Context, cfg Config) (*Service, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := cfg.Records.Declare(Kinds()...); err != nil {
		return nil, err
	}
	if err := cfg.Records.CreateSpace(ctx, space, key.Ref{Context: map[string]string{"galen:space": string(space)}}); err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, remotes: map[string]*oidc.Remote{}}, nil
}

// ARN is the provider's name in trust policies: its issuer without the scheme.
func (s *Service) ARN() string {
	_, host, _ := strings.Cut(s.cfg.Issuer, "://")
	return "arn:aws:iam::" + s.cfg.Account + ":oidc-provider/" + host
}

// Provider implements oidc.Directory for its own issuer. Its tokens act under the role of their client.
func (s *Service) Provider(_ context.Context, issuer string) (*oidc.Provider, error) {
	if issuer != s.cfg.Issuer {
		return nil, errs.New(errs.NotFound, "the issuer is not this server")
	}
	return &oidc.Provider{ARN: s.ARN(), Issuer: issuer, Audiences: []string{issuer}, Keys: own{s}, Role: func(ctx context.Context, c *oidc.Claims) (string, error) {
		k, err := s.client(ctx, c.Subject)
		if errs.Is(err, errs.NotFound) {
			return "", errs.Named(errs.Unauthenticated, oidc.ErrInvalid, "The client of the token is gone.")
		} else if err != nil {
			return "", err
		}
		return k.Role, nil
	}}, nil
}

// own are the provider's keys.
type own struct{ s *Service }

// Find implements oidc.Keys.
func (o own) Find(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	set, err := o.s.public(ctx)
	if err != nil {
		return nil, err
	}
	return set.Find(ctx, kid)
}

// view reads one consistent state.
func (s *Service) view(ctx context.Context, fn func(v record.View) error) error {
	v, err := s.cfg.Records.View(ctx, space)
	if err != nil {
		return err
	}
	defer v.Close()
	return fn(v)
}

func absent(err error) bool { return errs.Is(err, errs.NotFound) || errs.Is(err, errs.Gone) }

// answer writes JSON that no cache may keep (RFC 6749 §5.1).
func answer(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the answer cannot be written")
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client may be gone: nothing is left to tell it
	return nil
}

// statuses of the errors of RFC 6749 §5.2 and RFC 7591 §3.2.2.
var statuses = map[errs.Code]int{errs.Unauthenticated: 401, errs.Denied: 403, errs.NotFound: 404, errs.TooLarge: 413, errs.Unavailable: 503, errs.Invalid: 400, errs.Exhausted: 400}

// fail writes an error as OAuth has it: a name of its registry, and words for people.
func fail(w http.ResponseWriter, _ *http.Request, err error) {
	e := errs.As(err)
	status, ok := statuses[e.Code]
	name := e.Name
	switch {
	case !ok:
		status, name = 500, "server_error"
	case strings.ToLower(name) != name || name == "":
		name = map[int]string{401: "invalid_client", 403: "access_denied", 503: "temporarily_unavailable"}[status]
		if name == "" {
			name = "invalid_request"
		}
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="galen"`)
	}
	_ = answer(w, status, map[string]string{"error": name, "error_description": e.Message}) // strings only: it cannot fail
}
