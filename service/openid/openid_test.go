package openid_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/oidc"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/platform/safedial"
	"github.com/galen-health/galen/service/openid"
)

const (
	issuer = "http://galen.test:8484"
	role   = "arn:aws:iam::000000000000:role/ward"
)

var ctx = context.Background()

// allowed decides every check alike.
type allowed bool

func (a allowed) Decide(context.Context, *call.Call, authz.Request) authz.Decision {
	return authz.Decision{Allowed: bool(a)}
}

func (a allowed) Check(_ context.Context, r authz.Request) error {
	if !a || r.Action != "iam:PassRole" || r.Resource != role {
		return errs.New(errs.Denied, "not allowed")
	}
	return nil
}

// fixture is a provider behind a plain mux: the routes without the edge.
type fixture struct {
	*openid.Service
	t   testing.TB
	mux *http.ServeMux
	now time.Time
}

func open(t testing.TB, may allowed) *fixture {
	t.Helper()
	f := &fixture{t: t, mux: http.NewServeMux(), now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)}
	ring, err := keyring.Open(t.TempDir(), nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := pebble.Open(t.TempDir(), ring, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close(); _ = ring.Close() })
	dial, err := safedial.New([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	f.Service, err = openid.New(ctx, openid.Config{Account: "000000000000", Issuer: issuer, Records: store, Dial: dial, Authorizer: may, Now: func() time.Time { return f.now }})
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range f.Routes() {
		f.mux.HandleFunc(rt.Method+" "+rt.Pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := rt.Handle(w, r); err != nil {
				rt.Fail(w, r, err)
			}
		})
	}
	return f
}

type object = map[string]any

// do sends a request and returns its status and answer.
func (f *fixture) do(method, path, body string, edit func(*http.Request)) (int, object) {
	f.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	out := object{}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			f.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	}
	return w.Code, out
}

func (f *fixture) register(m object) object {
	f.t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		f.t.Fatal(err)
	}
	status, out := f.do("POST", "/oauth2/register", string(b), nil)
	if status != http.StatusCreated {
		f.t.Fatalf("register: %d %v", status, out)
	}
	return out
}

func TestRegistration(t *testing.T) {
	f := open(t, true)
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k, KeyID: "a"}}}
	for name, m := range map[string]object{
		"no name":                        {"galen_role": role},
		"no role":                        {"client_name": "x"},
		"a user for a role":              {"client_name": "x", "galen_role": "arn:aws:iam::000000000000:user/x"},
		"a grant that needs a person":    {"client_name": "x", "galen_role": role, "grant_types": []string{"authorization_code"}},
		"an unknown method":              {"client_name": "x", "galen_role": role, "token_endpoint_auth_method": "none"},
		"a key method without keys":      {"client_name": "x", "galen_role": role, "token_endpoint_auth_method": "private_key_jwt"},
		"a private key":                  {"client_name": "x", "galen_role": role, "jwks": private},
		"no usable key":                  {"client_name": "x", "galen_role": role, "jwks": object{"keys": []any{}}},
		"keys at an address in the open": {"client_name": "x", "galen_role": role, "jwks_uri": "http://keys.example.org/"},
		"keys twice":                     {"client_name": "x", "galen_role": role, "jwks_uri": "https://keys.example.org/", "jwks": object{"keys": []any{}}},
		"keys for a secret":              {"client_name": "x", "galen_role": role, "jwks_uri": "https://keys.example.org/", "token_endpoint_auth_method": "client_secret_basic"},
		"scopes that cannot be kept":     {"client_name": "x", "galen_role": role, "scope": "patient/*.rs"},
		"a wrong type":                   {"client_name": 5},
	} {
		b, _ := json.Marshal(m)
		if status, out := f.do("POST", "/oauth2/register", string(b), nil); status != 400 || out["error"] != "invalid_client_metadata" {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	if status, out := f.do("POST", "/oauth2/register", `{"client_name":"x","client_name":"y"}`, nil); status != 400 {
		t.Errorf("a name twice: %d %v", status, out)
	}
	c := f.register(object{"client_name": "lab", "galen_role": role, "scope": "system/Observation.rs openid"})
	id := c["client_id"].(string)
	if c["scope"] != "system/Observation.rs" || c["token_endpoint_auth_method"] != "client_secret_basic" || len(c["client_secret"].(string)) < 40 || c["client_secret_expires_at"] != 0.0 {
		t.Errorf("registered %v", c)
	}
	status, got := f.do("GET", "/oauth2/register/"+id, "", nil)
	if status != 200 || got["client_name"] != "lab" || got["client_secret"] != nil {
		t.Errorf("get: %d %v", status, got)
	}
	if _, list := f.do("GET", "/oauth2/register", "", nil); len(list["clients"].([]any)) != 1 {
		t.Errorf("list %v", list)
	}
	if status, _ := f.do("DELETE", "/oauth2/register/"+id, "", nil); status != 204 {
		t.Errorf("delete: %d", status)
	}
	if status, _ := f.do("GET", "/oauth2/register/"+id, "", nil); status != 404 {
		t.Errorf("get after delete: %d", status)
	}
	if status, out := open(t, false).do("POST", "/oauth2/register", `{"client_name":"x","galen_role":"`+role+`"}`, nil); status != 403 || out["error"] != "access_denied" {
		t.Errorf("who may not pass the role: %d %v", status, out)
	}
}

func form(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

func TestTokensForASecret(t *testing.T) {
	f := open(t, true)
	c := f.register(object{"client_name": "lab", "galen_role": role, "scope": "system/Observation.rs system/Patient.r"})
	id, secret := c["client_id"].(string), c["client_secret"].(string)
	basic := func(id, secret string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
	}
	for _, bad := range []struct {
		name, body string
		edit       func(*http.Request)
		status     int
		want       string
	}{
		{"no grant type", form("scope", "x"), basic(id, secret), 400, "invalid_request"},
		{"another grant", form("grant_type", "password"), basic(id, secret), 400, "unsupported_grant_type"},
		{"wrong secret", form("grant_type", "client_credentials"), basic(id, secret+"x"), 401, "invalid_client"},
		{"unknown client", form("grant_type", "client_credentials"), basic("nobody", secret), 401, "invalid_client"},
		{"no client", form("grant_type", "client_credentials"), nil, 401, "invalid_client"},
		{"another method", form("grant_type", "client_credentials", "client_id", id, "client_secret", secret), nil, 401, "invalid_client"},
		{"a scope beyond", form("grant_type", "client_credentials", "scope", "system/*.cruds"), basic(id, secret), 400, "invalid_scope"},
		{"a parameter twice", "grant_type=client_credentials&scope=a&scope=b", basic(id, secret), 400, "invalid_request"},
		{"no form", "%zz", basic(id, secret), 400, "invalid_request"},
		{"too large", strings.Repeat("a", 70_000), basic(id, secret), 413, "invalid_request"},
	} {
		if status, out := f.do("POST", "/oauth2/token", bad.body, bad.edit); status != bad.status || out["error"] != bad.want {
			t.Errorf("%s: %d %v, want %d %s", bad.name, status, out, bad.status, bad.want)
		}
	}
	for asked, granted := range map[string]string{"": "system/Observation.rs system/Patient.r", "system/Patient.cruds": "system/Patient.r", "openid system/Observation.read": "system/Observation.rs"} {
		status, out := f.do("POST", "/oauth2/token", form("grant_type", "client_credentials", "scope", asked), basic(id, secret))
		if status != 200 || out["scope"] != granted || out["token_type"] != "bearer" || out["expires_in"] != 300.0 {
			t.Fatalf("%q: %d %v", asked, status, out)
		}
		claims, p, err := oidc.Verify(ctx, f, out["access_token"].(string), f.now)
		if err != nil || claims.Subject != id || claims.Scope != granted || p.ARN != "arn:aws:iam::000000000000:oidc-provider/galen.test:8484" {
			t.Fatalf("%+v, %v", claims, err)
		}
		if got, err := p.Role(ctx, claims); err != nil || got != role {
			t.Errorf("role %s, %v", got, err)
		}
		if _, _, err := oidc.Verify(ctx, f, out["access_token"].(string), f.now.Add(10*time.Minute)); errs.As(err).Name != oidc.ErrExpired {
			t.Errorf("after its end: %v", err)
		}
	}
	_, out := f.do("POST", "/oauth2/token", form("grant_type", "client_credentials"), basic(id, secret))
	claims, p, err := oidc.Verify(ctx, f, out["access_token"].(string), f.now)
	if err != nil {
		t.Fatal(err)
	}
	f.do("DELETE", "/oauth2/register/"+id, "", nil)
	if _, err := p.Role(ctx, claims); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the client is gone, its token acts on: %v", err)
	}
}

func TestTokensForAKey(t *testing.T) {
	f := open(t, true)
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &k.PublicKey, KeyID: "k1", Algorithm: "ES384", Use: "sig"}}}
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(set) }))
	defer served.Close()
	inline := f.register(object{"client_name": "inline", "galen_role": role, "scope": "system/*.rs", "jwks": set})["client_id"].(string)
	remote := f.register(object{"client_name": "remote", "galen_role": role, "scope": "system/*.rs", "jwks_uri": served.URL + "/keys"})["client_id"].(string)
	bysecret := f.register(object{"client_name": "bysecret", "galen_role": role})["client_id"].(string)
	n := 0
	ask := func(id string, key *ecdsa.PrivateKey, edit object) (int, object) {
		t.Helper()
		n++
		claims := object{"iss": id, "sub": id, "aud": issuer + "/oauth2/token", "exp": f.now.Add(4 * time.Minute).Unix(), "jti": "a" + strings.Repeat("x", n)}
		for name, v := range edit {
			claims[name] = v
		}
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES384, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := json.Marshal(claims)
		jws, err := s.Sign(b)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := jws.CompactSerialize()
		return f.do("POST", "/oauth2/token", form("grant_type", "client_credentials", "scope", "system/*.rs", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", raw), nil)
	}
	for _, id := range []string{inline, remote} {
		if status, out := ask(id, k, nil); status != 200 || out["scope"] != "system/*.rs" {
			t.Errorf("%d %v", status, out)
		}
	}
	if status, out := ask(inline, k, object{"jti": "once"}); status != 200 {
		t.Errorf("%d %v", status, out)
	}
	for name, bad := range map[string]struct {
		id   string
		key  *ecdsa.PrivateKey
		edit object
	}{
		"used before":              {inline, k, object{"jti": "once"}},
		"no identifier":            {inline, k, object{"jti": ""}},
		"another's key":            {inline, stranger, nil},
		"for another endpoint":     {inline, k, object{"aud": "https://elsewhere.example.org/token"}},
		"expired":                  {inline, k, object{"exp": f.now.Add(-time.Hour).Unix()}},
		"ends too late":            {inline, k, object{"exp": f.now.Add(time.Hour).Unix()}},
		"issued in the future":     {inline, k, object{"iat": f.now.Add(time.Hour).Unix()}},
		"in another's name":        {inline, k, object{"sub": remote}},
		"unknown client":           {"nobody", k, nil},
		"a client with a secret":   {bysecret, k, nil},
		"an issuer that is a path": {"../x", k, nil},
	} {
		if status, out := ask(bad.id, bad.key, bad.edit); status != 401 || out["error"] != "invalid_client" {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	f.now = f.now.Add(20 * time.Minute)
	if err := f.Tick(ctx); err != nil {
		t.Fatal(err)
	}
	if status, _ := ask(inline, k, object{"jti": "once"}); status != 200 {
		t.Errorf("an identifier is free again after the first assertion ended: %d", status)
	}
}

// TestKeysTurn: keys change after their time, and tokens of the old one are good to their end.
func TestKeysTurn(t *testing.T) {
	f := open(t, true)
	c := f.register(object{"client_name": "x", "galen_role": role})
	token := func() string {
		t.Helper()
		status, out := f.do("POST", "/oauth2/token", form("grant_type", "client_credentials"), func(r *http.Request) { r.SetBasicAuth(c["client_id"].(string), c["client_secret"].(string)) })
		if status != 200 {
			t.Fatalf("%d %v", status, out)
		}
		return out["access_token"].(string)
	}
	keys := func() int {
		_, out := f.do("GET", "/oauth2/jwks", "", nil)
		return len(out["keys"].([]any))
	}
	token()
	f.now = f.now.Add(90*24*time.Hour - time.Minute)
	old := token()
	f.now = f.now.Add(2 * time.Minute)
	fresh := token()
	for _, raw := range []string{old, fresh} {
		if _, _, err := oidc.Verify(ctx, f, raw, f.now); err != nil {
			t.Error(err)
		}
	}
	if n := keys(); n != 2 {
		t.Errorf("%d keys, want 2", n)
	}
	f.now = f.now.Add(24 * time.Hour)
	token()
	if n := keys(); n != 1 {
		t.Errorf("%d keys a day later, want 1", n)
	}
}

func TestDiscovery(t *testing.T) {
	f := open(t, true)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/fhir/x/.well-known/smart-configuration", "/datastore/x/r4/.well-known/smart-configuration"} {
		status, out := f.do("GET", path, "", nil)
		if status != 200 || out["issuer"] != issuer || out["jwks_uri"] != issuer+"/oauth2/jwks" || out["token_endpoint"] != issuer+"/oauth2/token" {
			t.Errorf("%s: %d %v", path, status, out)
		}
	}
	_, set := f.do("GET", "/oauth2/jwks", "", nil)
	for _, k := range set["keys"].([]any) {
		if m := k.(object); m["d"] != nil || m["kty"] != "EC" || m["alg"] != "ES256" {
			t.Errorf("key %v", m)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add("grant_type=client_credentials&scope=system/*.rs&client_id=a&client_secret=b")
	f.Add("grant_type=client_credentials&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion=eyJhbGciOiJub25lIn0.e30.")
	x := open(f, true)
	f.Fuzz(func(t *testing.T, body string) {
		x.t = t
		if status, out := x.do("POST", "/oauth2/token", body, nil); status < 400 || status >= 500 || out["error"] == "" {
			t.Fatalf("%d %v", status, out)
		}
	})
}
