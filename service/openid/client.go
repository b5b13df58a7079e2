package openid

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/authz/smart"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
	"github.com/galen-health/galen/platform/limits"
	"github.com/galen-health/galen/platform/oidc"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/safedial"
	"github.com/galen-health/galen/platform/strictjson"
)

// client is a program that may ask for tokens.
type client struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Role    string          `json:"role"`
	Method  string          `json:"method"`
	Scopes  string          `json:"scopes,omitempty"`  // the clinical scopes that it may ask for; "" = its tokens are not narrowed
	JWKS    json.RawMessage `json:"jwks,omitempty"`    // of private_key_jwt: the key set,
	JWKSURI string          `json:"jwksUri,omitempty"` // or its address
	Secret  []byte          `json:"secret,omitempty"`  // SHA-256 of a secret of 256 random bits
	Created time.Time       `json:"created"`
}

var clients = record.Kind[client]{Name: "openid.client", Indexes: record.Indexes[client]{
	record.ByString("name", func(c *client) string { return c.Name }),
}}

// The ways in which a client proves who it is.
const (
	byKey        = "private_key_jwt"
	byBasic      = "client_secret_basic"
	byPost       = "client_secret_post"
	maxClients   = 10_000
	maxClientDoc = 256 << 10
)

// metadata is a client as registration says it (RFC 7591 §2). galen_role is ours: the role that its tokens act under.
type metadata struct {
	ClientID     string          `json:"client_id,omitempty"`
	ClientSecret string          `json:"client_secret,omitempty"`
	IssuedAt     int64           `json:"client_id_issued_at,omitempty"`
	ExpiresAt    *int            `json:"client_secret_expires_at,omitempty"`
	Name         string          `json:"client_name,omitempty"`
	Role         string          `json:"galen_role,omitempty"`
	GrantTypes   []string        `json:"grant_types,omitempty"`
	Method       string          `json:"token_endpoint_auth_method,omitempty"`
	Scope        string          `json:"scope,omitempty"`
	JWKS         json.RawMessage `json:"jwks,omitempty"`
	JWKSURI      string          `json:"jwks_uri,omitempty"`
}

func (c *client) metadata() metadata {
	return metadata{ClientID: c.ID, IssuedAt: c.Created.Unix(), Name: c.Name, Role: c.Role, GrantTypes: []string{grantType}, Method: c.Method, Scope: c.Scopes, JWKS: c.JWKS, JWKSURI: c.JWKSURI}
}

func badMetadata(format string, args ...any) error {
	return errs.Named(errs.Invalid, "invalid_client_metadata", format, args...)
}

var roleForm = regexp.MustCompile(`^arn:aws:iam::[0-9]{12}:role/[\w+=,.@/-]+$`)

// newClient checks what is to be registered.
func newClient(m *metadata, now time.Time) (*client, error) {
	c := &client{ID: random(18), Name: m.Name, Role: m.Role, Method: m.Method, JWKS: m.JWKS, JWKSURI: m.JWKSURI, Created: now.UTC()}
	if c.Method == "" {
		c.Method = byBasic
		if len(m.JWKS) > 0 || m.JWKSURI != "" {
			c.Method = byKey
		}
	}
	granted, clinical := smart.Parse(m.Scope)
	c.Scopes = smart.Text(granted)
	switch {
	case m.Name == "" || len(m.Name) > 128:
		return nil, badMetadata("client_name has 1 to 128 characters")
	case !roleForm.MatchString(m.Role):
		return nil, badMetadata("galen_role is the ARN of the role that the client's tokens act under")
	case len(m.GrantTypes) > 0 && !slices.Equal(m.GrantTypes, []string{grantType}):
		return nil, badMetadata("grant_types: only %s is offered", grantType)
	case clinical && len(granted) == 0:
		return nil, badMetadata("scope: none of the scopes can be granted; take system/ or user/ scopes without search parameters")
	}
	switch c.Method {
	case byBasic, byPost:
		if len(m.JWKS) > 0 || m.JWKSURI != "" {
			return nil, badMetadata("jwks and jwks_uri are for %s", byKey)
		}
	case byKey:
		return c, c.checkKeys()
	default:
		return nil, badMetadata("token_endpoint_auth_method is one of %s, %s, %s", byKey, byBasic, byPost)
	}
	return c, nil
}

func (c *client) checkKeys() error {
	switch {
	case (len(c.JWKS) > 0) == (c.JWKSURI != ""):
		return badMetadata("%s needs either jwks or jwks_uri", byKey)
	case c.JWKSURI != "":
		u, err := safedial.CheckURL(c.JWKSURI)
		if err != nil {
			return badMetadata("jwks_uri: %s", errs.As(err).Message)
		}
		if h := u.Hostname(); u.Scheme != "https" && h != "127.0.0.1" && h != "::1" && h != "localhost" {
			return badMetadata("jwks_uri begins with https://")
		}
		return nil
	}
	set, err := oidc.ParseSet(c.JWKS)
	if err != nil {
		return badMetadata("jwks: %s", errs.As(err).Message)
	}
	if len(set) == 0 {
		return badMetadata("jwks holds no key that can be used")
	}
	return nil
}

// register is RFC 7591: who registers a client must be allowed to pass it the role.
func (s *Service) register(w http.ResponseWriter, r *http.Request) error {
	b, err := limits.ReadAll(r.Body, maxClientDoc, "the client's metadata")
	if err != nil {
		return err
	}
	if err := strictjson.Check(b, strictjson.Limits{Size: maxClientDoc, Depth: 8}); err != nil {
		return badMetadata("%s", errs.As(err).Message)
	}
	var m metadata
	if err := json.Unmarshal(b, &m); err != nil {
		return badMetadata("a member has the wrong type")
	}
	c, err := newClient(&m, s.cfg.Now())
	if err != nil {
		return err
	}
	ctx := r.Context()
	if err := s.cfg.Authorizer.Check(ctx, authz.Request{Action: "iam:PassRole", Resource: c.Role, Context: map[string]string{"iam:PassedToService": "openid.galen.amazonaws.com"}}); err != nil {
		return err
	}
	secret := ""
	if c.Method != byKey {
		secret = random(32)
		sum := sha256.Sum256([]byte(secret))
		c.Secret = sum[:]
	}
	err = s.view(ctx, func(v record.View) error {
		n, err := v.Count(ctx, clients.Name, nil)
		if err == nil && n >= maxClients {
			err = badMetadata("the account has %d clients already", maxClients)
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := s.cfg.Records.Update(ctx, space, []string{"clients"}, func(tx record.Tx) error { return clients.Create(tx, c.ID, c) }); err != nil {
		return err
	}
	httproute.Note(ctx, "clientId", c.ID)
	out := c.metadata()
	if secret != "" {
		never := 0
		out.ClientSecret, out.ExpiresAt = secret, &never
	}
	return answer(w, http.StatusCreated, out)
}

// client finds one; errs.NotFound when there is none.
func (s *Service) client(ctx context.Context, id string) (c *client, err error) {
	if id == "" || len(id) > 128 || strings.ContainsAny(id, "/ \x00") {
		return nil, errs.New(errs.NotFound, "there is no client with this id")
	}
	err = s.view(ctx, func(v record.View) error {
		c, _, err = clients.Get(v, id)
		if absent(err) {
			return errs.New(errs.NotFound, "there is no client with this id")
		}
		return err
	})
	return c, err
}

func (s *Service) getClient(w http.ResponseWriter, r *http.Request) error {
	c, err := s.client(r.Context(), r.PathValue("clientId"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, c.metadata())
}

// deleteClient ends a client and every token of it.
func (s *Service) deleteClient(w http.ResponseWriter, r *http.Request) error {
	c, err := s.client(r.Context(), r.PathValue("clientId"))
	if err != nil {
		return err
	}
	if _, err := s.cfg.Records.Update(r.Context(), space, []string{"clients"}, func(tx record.Tx) error { return tx.Purge(clients.Name, c.ID) }); err != nil && !absent(err) {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Service) listClients(w http.ResponseWriter, r *http.Request) error {
	out := struct {
		Clients []metadata `json:"clients"`
	}{[]metadata{}}
	err := s.view(r.Context(), func(v record.View) error {
		q := record.Query{Kind: clients.Name, Order: []record.Order{{Index: "name"}}, Limit: 1000}
		for {
			page, err := v.Query(r.Context(), q)
			if err != nil {
				return err
			}
			for _, h := range page.Hits {
				c, err := clients.Decode(h.Body)
				if err != nil {
					return err
				}
				m := c.metadata()
				m.JWKS = nil
				out.Clients = append(out.Clients, m)
			}
			if page.Next == "" {
				return nil
			}
			q.After = page.Next
		}
	})
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, out)
}
