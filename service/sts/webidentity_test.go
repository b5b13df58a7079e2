package sts_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/sts"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/authz/session"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/oidc"
	"github.com/galen-health/galen/service/sts"
)

const (
	issuer      = "https://login.example.org/realm"
	providerARN = "arn:aws:iam::" + acct + ":oidc-provider/login.example.org/realm"
)

// login is an OpenID provider whose tokens the tests make.
type login struct {
	t   *testing.T
	key *ecdsa.PrivateKey
}

func (l *login) Provider(_ context.Context, iss string) (*oidc.Provider, error) {
	if iss != issuer {
		return nil, errs.New(errs.NotFound, "no provider")
	}
	return &oidc.Provider{ARN: providerARN, Issuer: issuer, Audiences: []string{"galen"}, Keys: oidc.Set{{Key: &l.key.PublicKey, KeyID: "k"}}, Role: func(context.Context, *oidc.Claims) (string, error) { return roleARN, nil }}, nil
}

func (l *login) token(edit map[string]any) string {
	l.t.Helper()
	now := time.Now()
	claims := map[string]any{"iss": issuer, "sub": "nurse 7", "aud": "galen", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	for k, v := range edit {
		claims[k] = v
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: l.key, KeyID: "k"}}, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	b, _ := json.Marshal(claims)
	jws, err := s.Sign(b)
	if err != nil {
		l.t.Fatal(err)
	}
	raw, _ := jws.CompactSerialize()
	return raw
}

func withLogin(t *testing.T, a account) (*sts.Service, *login, *keyring.Ring) {
	t.Helper()
	r, err := keyring.Open(t.TempDir(), nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	l := &login{t, k}
	return sts.New(sts.Config{Account: acct, Providers: l, Authorizer: authz.New(a, acct, "us-east-1")}, r, a), l, r
}

func federated(actions, condition string) account {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return account{trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + providerARN + `"},"Action":` + actions + condition + `}]}`}
}

var nobody = call.With(context.Background(), &call.Call{})

func TestWebIdentity(t *testing.T) {
	all := `["sts:AssumeRoleWithWebIdentity","sts:TagSession","sts:SetSourceIdentity"]`
	plain := `"sts:AssumeRoleWithWebIdentity"`
	tags := map[string]any{"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]any{"Unit": []string{"icu"}}, "transitive_tag_keys": []string{"Unit"}}}
	for _, c := range []struct {
		name  string
		acc   account
		claim map[string]any
		in    api.AssumeRoleWithWebIdentityInput
		want  string // the error's name; "" = a session
	}{
		{"the role trusts the provider", federated(plain, ""), nil, api.AssumeRoleWithWebIdentityInput{}, ""},
		{"audience and subject are conditions", federated(plain, `{"StringEquals":{"login.example.org/realm:aud":"galen","login.example.org/realm:sub":"nurse 7"}}`), nil, api.AssumeRoleWithWebIdentityInput{}, ""},
		{"another subject", federated(plain, `{"StringEquals":{"login.example.org/realm:sub":"nurse 8"}}`), nil, api.AssumeRoleWithWebIdentityInput{}, "AccessDenied"},
		{"the session's name is a condition", federated(plain, `{"StringLike":{"sts:RoleSessionName":"ward-*"}}`), nil, api.AssumeRoleWithWebIdentityInput{}, "AccessDenied"},
		{"the role trusts everybody of AWS", account{trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:*"}]}`}, nil, api.AssumeRoleWithWebIdentityInput{}, "AccessDenied"},
		{"the role trusts another provider", account{trust: strings.Replace(federated(plain, "").trust, "login.", "other.", 1)}, nil, api.AssumeRoleWithWebIdentityInput{}, "AccessDenied"},
		{"the role trusts it for another action", federated(`"sts:AssumeRole"`, ""), nil, api.AssumeRoleWithWebIdentityInput{}, "AccessDenied"},
		{"no such role", federated(plain, ""), nil, api.AssumeRoleWithWebIdentityInput{RoleArn: roleARN + "x"}, "AccessDenied"},
		{"tags need TagSession", federated(plain, ""), tags, api.AssumeRoleWithWebIdentityInput{}, "AccessDenied"},
		{"tags", federated(all, `{"StringEquals":{"aws:RequestTag/Unit":"icu"}}`), tags, api.AssumeRoleWithWebIdentityInput{}, ""},
		{"a source identity", federated(all, ""), map[string]any{"https://aws.amazon.com/source_identity": "nurse7"}, api.AssumeRoleWithWebIdentityInput{}, ""},
		{"a source identity needs its action", federated(plain, ""), map[string]any{"https://aws.amazon.com/source_identity": "nurse7"}, api.AssumeRoleWithWebIdentityInput{}, "AccessDenied"},
		{"expired", federated(plain, ""), map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}, api.AssumeRoleWithWebIdentityInput{}, "ExpiredTokenException"},
		{"wrong audience", federated(plain, ""), map[string]any{"aud": "else"}, api.AssumeRoleWithWebIdentityInput{}, "InvalidIdentityToken"},
		{"from the future", federated(plain, ""), map[string]any{"iat": time.Now().Add(time.Hour).Unix()}, api.AssumeRoleWithWebIdentityInput{}, "InvalidIdentityToken"},
		{"unknown issuer", federated(plain, ""), map[string]any{"iss": "https://evil.example.org"}, api.AssumeRoleWithWebIdentityInput{}, "InvalidIdentityToken"},
		{"algorithm none", federated(plain, ""), nil, api.AssumeRoleWithWebIdentityInput{WebIdentityToken: "eyJhbGciOiJub25lIn0.eyJpc3MiOiJhIn0."}, "InvalidIdentityToken"},
		{"too long", federated(plain, ""), nil, api.AssumeRoleWithWebIdentityInput{DurationSeconds: aws.Ptr(int32(7201))}, "ValidationError"},
		{"a session policy that is none", federated(plain, ""), nil, api.AssumeRoleWithWebIdentityInput{Policy: "{}"}, "MalformedPolicyDocument"},
		{"an OAuth provider", federated(plain, ""), nil, api.AssumeRoleWithWebIdentityInput{ProviderId: "graph.facebook.com"}, "InvalidIdentityToken"},
	} {
		s, l, ring := withLogin(t, c.acc)
		c.in.RoleSessionName = "shift"
		if c.in.RoleArn == "" {
			c.in.RoleArn = roleARN
		}
		if c.in.WebIdentityToken == "" {
			c.in.WebIdentityToken = l.token(c.claim)
		}
		out, err := s.AssumeRoleWithWebIdentity(nobody, &c.in)
		if c.want != "" {
			if err == nil || errs.As(err).Name != c.want || errs.Is(err, errs.Unauthenticated) {
				t.Errorf("%s: %v, want %s", c.name, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if out.SubjectFromWebIdentityToken != "nurse 7" || out.Provider != providerARN || out.Audience != "galen" || out.AssumedRoleUser.Arn != "arn:aws:sts::"+acct+":assumed-role/clinic/shift" {
			t.Errorf("%s: %+v", c.name, out)
		}
		got, err := session.Open(context.Background(), ring, out.Credentials.AccessKeyId, out.Credentials.SessionToken, time.Now())
		if err != nil || got.Principal.Kind != call.AssumedRole || got.Principal.Session.Provider != providerARN {
			t.Fatalf("%s: %+v, %v", c.name, got.Principal, err)
		}
		if c.claim != nil && c.claim["https://aws.amazon.com/tags"] != nil && (got.Principal.Tags["Unit"] != "icu" || !slices.Equal(got.Principal.Session.Transitive, []string{"Unit"}) || got.Principal.Tags["Team"] != "red") {
			t.Errorf("%s: tags %v, transitive %v", c.name, got.Principal.Tags, got.Principal.Session.Transitive)
		}
	}
	s, _ := open(t, account{})
	if _, err := s.AssumeRoleWithWebIdentity(nobody, &api.AssumeRoleWithWebIdentityInput{}); !errs.Is(err, errs.Unsupported) {
		t.Errorf("without providers: %v", err)
	}
}

func TestBearer(t *testing.T) {
	s, l, _ := withLogin(t, federated(`"sts:AssumeRoleWithWebIdentity"`, ""))
	p, err := s.Bearer(nobody, l.token(map[string]any{"scope": "openid system/Patient.rs"}))
	if err != nil || p.RoleARN != roleARN || p.ARN != "arn:aws:sts::"+acct+":assumed-role/clinic/nurse-7" || len(p.Session.Policies) != 1 || !strings.Contains(p.Session.Policies[0], "Patient") || time.Until(p.Session.Expires) > 5*time.Minute {
		t.Errorf("%+v %+v, %v", p, p.Session, err)
	}
	if p, err := s.Bearer(nobody, l.token(nil)); err != nil || len(p.Session.Policies) != 0 {
		t.Errorf("no FHIR scopes: %+v, %v", p.Session, err)
	}
	if p, err := s.Bearer(nobody, l.token(map[string]any{"scope": "patient/*.rs"})); err != nil || len(p.Session.Policies) != 1 || strings.Contains(p.Session.Policies[0], "ReadResource") {
		t.Errorf("scopes that cannot be kept must narrow to nothing: %+v, %v", p.Session, err)
	}
	if _, err := s.Bearer(nobody, l.token(map[string]any{"aud": "else"})); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("wrong audience: %v", err)
	}
	s, l, _ = withLogin(t, federated(`"sts:AssumeRole"`, ""))
	if _, err := s.Bearer(nobody, l.token(nil)); !errs.Is(err, errs.Denied) {
		t.Errorf("a role that does not trust the provider: %v", err)
	}
}

// TestTransitiveTags: they go on through a chain of roles, and cannot be changed on the way.
func TestTransitiveTags(t *testing.T) {
	a := account{trust: trust("*", `"sts:*"`, "")}
	s, ring := open(t, a)
	next := func(p call.Principal, in *api.AssumeRoleInput) (call.Principal, error) {
		t.Helper()
		in.RoleArn, in.RoleSessionName = roleARN, "s1"
		out, err := assume(s, a, p, in)
		if err != nil {
			return p, err
		}
		got, err := session.Open(context.Background(), ring, out.Credentials.AccessKeyId, out.Credentials.SessionToken, time.Now())
		return got.Principal, err
	}
	p, err := next(alice, &api.AssumeRoleInput{Tags: []api.Tag{{Key: "Unit", Value: "icu"}, {Key: "Shift", Value: "night"}}, TransitiveTagKeys: []string{"unit"}})
	if err != nil || p.Tags["Unit"] != "icu" || p.Tags["Shift"] != "night" || !slices.Equal(p.Session.Transitive, []string{"Unit"}) {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := next(p, &api.AssumeRoleInput{Tags: []api.Tag{{Key: "UNIT", Value: "lab"}}}); !errs.Is(err, errs.Invalid) {
		t.Errorf("an inherited tag was changed: %v", err)
	}
	p, err = next(p, &api.AssumeRoleInput{Tags: []api.Tag{{Key: "Bed", Value: "4"}}})
	if err != nil || p.Tags["Unit"] != "icu" || p.Tags["Shift"] != "" || p.Tags["Bed"] != "4" || !slices.Equal(p.Session.Transitive, []string{"Unit"}) {
		t.Errorf("second: %+v %v, %v", p.Tags, p.Session.Transitive, err)
	}
	p, err = next(p, &api.AssumeRoleInput{})
	if err != nil || p.Tags["Unit"] != "icu" || p.Tags["Bed"] != "" {
		t.Errorf("third: %+v, %v", p.Tags, err)
	}
}
