package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/strictjson"
)

// Provider is one issuer that the account trusts.
type Provider struct {
	ARN       string // arn:aws:iam::000000000000:oidc-provider/login.example.org
	Issuer    string // https://login.example.org
	Audiences []string
	Keys      Keys
	// Role is the role that a bearer token acts under on the routes of the open standards; errs.Denied when there is none.
	Role func(ctx context.Context, c *Claims) (string, error)
}

// Keys gives the public keys of an issuer that a token may be signed with. An empty kid means any.
type Keys interface {
	Find(ctx context.Context, kid string) ([]jose.JSONWebKey, error)
}

// Directory gives the providers; errs.NotFound when an issuer is not one.
type Directory interface {
	Provider(ctx context.Context, issuer string) (*Provider, error)
}

// The names of refusals, as the Security Token Service has them.
const (
	ErrInvalid  = "InvalidIdentityToken"
	ErrExpired  = "ExpiredTokenException"
	ErrRejected = "IDPRejectedClaim"
	ErrUnheard  = "IDPCommunicationError"
)

// Bounds of a token. Skew is how far clocks may differ.
const (
	MaxToken = 20_000 // characters, as AssumeRoleWithWebIdentity takes them
	Skew     = time.Minute
	maxKeys  = 100
	minRSA   = 2048
)

// Algorithms are those that a token may be signed with: asymmetric ones, so that a public key is never taken for a secret, and never none.
var Algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

// Claims are what a verified token says.
type Claims struct {
	Issuer, Subject, ID string
	Audience            []string
	Issued, Expires     time.Time
	ClientID            string // client_id, else azp
	Scope               string
	Session             SessionClaims
}

// SessionClaims are what a token may say about the session that it opens, in the names that AWS gives them.
type SessionClaims struct {
	Tags       map[string]string
	Transitive []string
	Identity   string
}

// list is a string or a list of strings.
type list []string

func (l *list) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*l = make(list, 1)
		return json.Unmarshal(b, &(*l)[0])
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// scope is a space-separated string, or a list as some providers write it.
type scope string

func (s *scope) UnmarshalJSON(b []byte) error {
	var l list
	err := l.UnmarshalJSON(b)
	*s = scope(strings.Join(l, " "))
	return err
}

// date is a NumericDate (RFC 7519 §2).
type date float64

func (d *date) time() time.Time {
	if d == nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(float64(*d) * 1000)).UTC()
}

type payload struct {
	Iss      string `json:"iss"`
	Sub      string `json:"sub"`
	Jti      string `json:"jti"`
	Aud      list   `json:"aud"`
	Azp      string `json:"azp"`
	ClientID string `json:"client_id"`
	Exp      *date  `json:"exp"`
	Nbf      *date  `json:"nbf"`
	Iat      *date  `json:"iat"`
	Scope    scope  `json:"scope"`
	Scp      scope  `json:"scp"`
	Identity string `json:"https://aws.amazon.com/source_identity"`
	Tags     struct {
		Principal  map[string]list `json:"principal_tags"`
		Transitive list            `json:"transitive_tag_keys"`
	} `json:"https://aws.amazon.com/tags"`
}

func invalid(format string, args ...any) error {
	return errs.Named(errs.Unauthenticated, ErrInvalid, "The token is not valid: "+format, args...)
}

// Verify reads a token, finds its provider and checks all of it.
func Verify(ctx context.Context, dir Directory, raw string, now time.Time) (*Claims, *Provider, error) {
	jws, p, err := open(raw)
	if err != nil {
		return nil, nil, err
	}
	if p.Iss == "" {
		return nil, nil, invalid("it has no issuer (iss)")
	}
	provider, err := dir.Provider(ctx, p.Iss)
	if errs.Is(err, errs.NotFound) {
		return nil, nil, invalid("its issuer is not a provider of this account: register it with CreateOpenIDConnectProvider")
	} else if err != nil {
		return nil, nil, err
	}
	keys, err := provider.Keys.Find(ctx, jws.Signatures[0].Protected.KeyID)
	if err != nil {
		return nil, nil, err
	}
	if err := signedBy(jws, keys); err != nil {
		return nil, nil, err
	}
	if err := p.check(provider.Audiences, now); err != nil {
		return nil, nil, err
	}
	return p.claims(), provider, nil
}

// VerifyWith is Verify for a party that signs for itself (a client that proves who it is): the keys are known, and the caller checks the issuer.
func VerifyWith(ctx context.Context, raw string, audiences []string, now time.Time, keys func(issuer string) (Keys, error)) (*Claims, error) {
	jws, p, err := open(raw)
	if err != nil {
		return nil, err
	}
	source, err := keys(p.Iss)
	if err != nil {
		return nil, err
	}
	found, err := source.Find(ctx, jws.Signatures[0].Protected.KeyID)
	if err != nil {
		return nil, err
	}
	if err := signedBy(jws, found); err != nil {
		return nil, err
	}
	if err := p.check(audiences, now); err != nil {
		return nil, err
	}
	return p.claims(), nil
}

// open parses a compact JWS. What it returns is not verified.
func open(raw string) (*jose.JSONWebSignature, *payload, error) {
	if len(raw) > MaxToken {
		return nil, nil, invalid("it is longer than %d characters", MaxToken)
	}
	jws, err := jose.ParseSignedCompact(raw, Algorithms)
	if err != nil || len(jws.Signatures) != 1 {
		if _, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
			return nil, nil, invalid("its algorithm is not an asymmetric signature: %s", names())
		}
		return nil, nil, invalid("it is not a signed JWT (RFC 7519)")
	}
	body := jws.UnsafePayloadWithoutVerification()
	if err := strictjson.Check(body, strictjson.Limits{Size: MaxToken, Depth: 12}); err != nil {
		return nil, nil, invalid("its claims are not one JSON object without repeated names")
	}
	p := &payload{}
	if err := json.Unmarshal(body, p); err != nil {
		return nil, nil, invalid("a registered claim has the wrong type")
	}
	return jws, p, nil
}

func names() string {
	var out []string
	for _, a := range Algorithms {
		out = append(out, string(a))
	}
	return strings.Join(out, ", ")
}

// signedBy checks the signature against each key that may be meant.
func signedBy(jws *jose.JSONWebSignature, keys []jose.JSONWebKey) error {
	if len(keys) == 0 {
		return invalid("its key is not one that its issuer publishes")
	}
	for i := range keys {
		if !usable(&keys[i], jws.Signatures[0].Protected.Algorithm) {
			continue
		}
		if _, err := jws.Verify(keys[i]); err == nil {
			return nil
		}
	}
	return invalid("its signature does not verify")
}

// usable refuses keys that are not for this: secret, weak, for encryption, or of another algorithm.
func usable(k *jose.JSONWebKey, alg string) bool {
	if !k.IsPublic() || k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != alg {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= minRSA
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// check decides on times and audience.
func (p *payload) check(audiences []string, now time.Time) error {
	switch {
	case p.Exp == nil:
		return invalid("it has no end (exp)")
	case !now.Before(p.Exp.time().Add(Skew)):
		return errs.Named(errs.Unauthenticated, ErrExpired, "The token expired at %s.", p.Exp.time().Format(time.RFC3339))
	case p.Nbf != nil && now.Add(Skew).Before(p.Nbf.time()):
		return invalid("it begins only at %s (nbf)", p.Nbf.time().Format(time.RFC3339))
	case p.Iat != nil && now.Add(Skew).Before(p.Iat.time()):
		return invalid("it was issued in the future, at %s (iat): compare the clocks", p.Iat.time().Format(time.RFC3339))
	case p.Sub == "" || len(p.Sub) > 255:
		return invalid("its subject (sub) is empty or longer than 255 characters")
	case len(p.Aud) == 0 && p.Azp == "":
		return invalid("it has no audience (aud)")
	}
	if !slices.ContainsFunc(p.Aud, func(a string) bool { return slices.Contains(audiences, a) }) {
		return errs.Named(errs.Unauthenticated, ErrInvalid, "The token is not valid: Incorrect token audience: it is for others (aud)")
	}
	return nil
}

func (p *payload) claims() *Claims {
	c := &Claims{Issuer: p.Iss, Subject: p.Sub, ID: p.Jti, Audience: p.Aud, Issued: p.Iat.time(), Expires: p.Exp.time(), ClientID: p.ClientID, Scope: string(p.Scope)}
	if c.ClientID == "" {
		c.ClientID = p.Azp
	}
	if c.Scope == "" {
		c.Scope = string(p.Scp)
	}
	c.Session.Identity, c.Session.Transitive = p.Identity, p.Tags.Transitive
	for k, v := range p.Tags.Principal {
		if c.Session.Tags == nil {
			c.Session.Tags = map[string]string{}
		}
		c.Session.Tags[k] = strings.Join(v, ",")
	}
	return c
}
