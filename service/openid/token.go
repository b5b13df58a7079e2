package openid

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"time"

	"github.com/galen-health/galen/platform/authz/smart"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
	"github.com/galen-health/galen/platform/limits"
	"github.com/galen-health/galen/platform/oidc"
	"github.com/galen-health/galen/platform/record"
)

const (
	grantType     = "client_credentials"
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	tokenPath     = "/oauth2/token"
	lifetime      = 5 * time.Minute // of a token: the longest that SMART recommends, and of an assertion
	maxForm       = 64 << 10
)

// assertion remembers that a client's assertion was used, until it ends.
type assertion struct {
	Ends time.Time `json:"ends"`
}

var assertions = record.Kind[assertion]{Name: "openid.assertion", Volatile: true, Indexes: record.Indexes[assertion]{
	record.ByTime("ends", func(a *assertion) time.Time { return a.Ends }),
}}

func noClient(format string, args ...any) error {
	return errs.Named(errs.Unauthenticated, "invalid_client", format, args...)
}

func badRequest(name, format string, args ...any) error {
	return errs.Named(errs.Invalid, name, format, args...)
}

// claims are those of an access token (RFC 9068 §2.2).
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience []string `json:"aud"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope,omitempty"`
	Expires  int64    `json:"exp"`
	Issued   int64    `json:"iat"`
	Begins   int64    `json:"nbf"`
	ID       string   `json:"jti"`
}

// token answers the token endpoint.
func (s *Service) token(w http.ResponseWriter, r *http.Request) error {
	b, err := limits.ReadAll(r.Body, maxForm, "the form")
	if err != nil {
		return err
	}
	form, err := url.ParseQuery(string(b))
	if err != nil {
		return badRequest("invalid_request", "the body is not a form")
	}
	for name, list := range form {
		if len(list) != 1 {
			return badRequest("invalid_request", "the parameter %.40q is given more than once", name)
		}
	}
	switch form.Get("grant_type") {
	case grantType:
	case "":
		return badRequest("invalid_request", "grant_type is missing")
	default:
		return badRequest("unsupported_grant_type", "only %s is offered: people sign in at their own provider", grantType)
	}
	c, err := s.prove(r, form)
	if err != nil {
		return err
	}
	httproute.Note(r.Context(), "clientId", c.ID)
	scope, err := c.scope(form.Get("scope"))
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	raw, err := s.sign(r.Context(), claims{Issuer: s.cfg.Issuer, Subject: c.ID, Audience: []string{s.cfg.Issuer}, ClientID: c.ID, Scope: scope, Expires: now.Add(lifetime).Unix(), Issued: now.Unix(), Begins: now.Unix(), ID: random(16)})
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int    `json:"expires_in"`
		Scope   string `json:"scope"`
	}{raw, "bearer", int(lifetime / time.Second), scope})
}

// scope is what a token may say of what was asked: nothing beyond the registration.
func (c *client) scope(asked string) (string, error) {
	allowed, _ := smart.Parse(c.Scopes)
	want, clinical := smart.Parse(asked)
	if !clinical { // what the client has; names that are no FHIR scopes (openid, …) change nothing
		return c.Scopes, nil
	}
	if c.Scopes == "" {
		allowed = want // its role is its only limit
	}
	granted := smart.Within(want, allowed)
	if len(granted) == 0 {
		return "", badRequest("invalid_scope", "none of the scopes asked for can be granted; the client has %q", c.Scopes)
	}
	return smart.Text(granted), nil
}

// prove finds the client and checks that the request is its own (RFC 6749 §2.3, RFC 7523 §2.2).
func (s *Service) prove(r *http.Request, form url.Values) (*client, error) {
	if form.Get("client_assertion") != "" || form.Get("client_assertion_type") != "" {
		if form.Get("client_assertion_type") != assertionType {
			return nil, badRequest("invalid_request", "client_assertion_type must be %s", assertionType)
		}
		return s.proveByKey(r.Context(), form.Get("client_assertion"), form.Get("client_id"))
	}
	id, secret, basic := r.BasicAuth()
	method := byBasic
	if basic { // both are form-encoded in the header (§2.3.1)
		id, secret = unescape(id), unescape(secret)
	} else {
		id, secret, method = form.Get("client_id"), form.Get("client_secret"), byPost
	}
	wrong := noClient("the client is unknown, or its secret is wrong")
	c, err := s.client(r.Context(), id)
	if errs.Is(err, errs.NotFound) {
		return nil, wrong
	} else if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(secret))
	if c.Method == byKey || subtle.ConstantTimeCompare(sum[:], c.Secret) != 1 {
		return nil, wrong
	}
	if c.Method != method {
		return nil, noClient("the client is registered for %s", c.Method)
	}
	return c, nil
}

func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// proveByKey checks a client assertion (SMART "Backend Services"): issued by the client for this endpoint, ending within five minutes, never used before.
func (s *Service) proveByKey(ctx context.Context, raw, named string) (*client, error) {
	var c *client
	now := s.cfg.Now()
	got, err := oidc.VerifyWith(ctx, raw, []string{s.cfg.Issuer + tokenPath, s.cfg.Issuer}, now, func(issuer string) (k oidc.Keys, err error) {
		if c, err = s.client(ctx, issuer); errs.Is(err, errs.NotFound) || err == nil && c.Method != byKey {
			return nil, noClient("the assertion's issuer (iss) is not a client that is registered for %s", byKey)
		} else if err != nil {
			return nil, err
		}
		return s.keysOf(c)
	})
	switch {
	case err != nil && errs.As(err).Name == oidc.ErrUnheard:
		return nil, noClient("the client's key set cannot be had: %s", errs.As(err).Message)
	case errs.Is(err, errs.Unauthenticated):
		return nil, noClient("%s", errs.As(err).Message)
	case err != nil:
		return nil, err
	case got.Subject != c.ID || named != "" && named != c.ID:
		return nil, noClient("the assertion's subject (sub) and client_id must be its issuer")
	case got.ID == "" || len(got.ID) > 255:
		return nil, noClient("the assertion has no identifier (jti)")
	case got.Expires.After(now.Add(lifetime + oidc.Skew)):
		return nil, noClient("the assertion ends later than %s from now", lifetime)
	}
	sum := sha256.Sum256([]byte(c.ID + "\x00" + got.ID))
	_, err = s.cfg.Records.Update(ctx, space, []string{"assertion/" + hex.EncodeToString(sum[:])}, func(tx record.Tx) error {
		return assertions.Create(tx, hex.EncodeToString(sum[:]), &assertion{got.Expires.Add(oidc.Skew)})
	})
	if errs.Is(err, errs.Conflict) {
		return nil, noClient("the assertion was used before: make one for each request")
	}
	return c, err
}

// keysOf are a client's keys.
func (s *Service) keysOf(c *client) (oidc.Keys, error) {
	if c.JWKSURI == "" {
		return oidc.ParseSet(c.JWKS)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.remotes[c.JWKSURI]
	if !ok {
		if len(s.remotes) >= maxClients {
			clear(s.remotes)
		}
		r = oidc.At(s.cfg.Dial, c.JWKSURI)
		s.remotes[c.JWKSURI] = r
	}
	return r, nil
}

// Tick forgets assertions that have ended: they would be refused for their time. It is periodic work.
func (s *Service) Tick(ctx context.Context) error {
	now := s.cfg.Now()
	_, err := s.cfg.Records.Update(ctx, space, []string{"assertions"}, func(tx record.Tx) error {
		page, err := tx.Query(record.Query{Kind: assertions.Name, Where: record.Range{Index: "ends", High: record.Instant(now)}, Limit: 1000, IDsOnly: true})
		if err != nil {
			return err
		}
		for _, h := range page.Hits {
			if err := tx.Purge(assertions.Name, h.ID); err != nil && !absent(err) {
				return err
			}
		}
		return nil
	})
	return err
}
