package oidc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/oidc"
	"github.com/galen-health/galen/platform/safedial"
)

var (
	ctx = context.Background()
	now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
)

const issuer = "https://login.example.org"

// directory is one provider.
type directory struct{ keys oidc.Keys }

func (d directory) Provider(_ context.Context, iss string) (*oidc.Provider, error) {
	if iss != issuer {
		return nil, errs.New(errs.NotFound, "no provider")
	}
	return &oidc.Provider{Issuer: issuer, Audiences: []string{"galen", "other-app"}, Keys: d.keys}, nil
}

func ec(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, claims any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, ok := claims.(string)
	if !ok {
		j, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		b = string(j)
	}
	jws, err := s.Sign([]byte(b))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

type object = map[string]any

// good are the claims of a right token, changed by edit.
func good(edit object) object {
	c := object{"iss": issuer, "sub": "nurse-7", "aud": "galen", "iat": now.Add(-time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": "t1"}
	for k, v := range edit {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	return c
}

func TestVerify(t *testing.T) {
	own, stranger := ec(t), ec(t)
	strong, weak := rsaKey(t, 2048), rsaKey(t, 1024)
	enc := ec(t)
	dir := directory{oidc.Set{{Key: &own.PublicKey, KeyID: "k1"}, {Key: &strong.PublicKey, KeyID: "r1", Use: "sig", Algorithm: "RS256"}, {Key: &weak.PublicKey, KeyID: "weak"}, {Key: &enc.PublicKey, KeyID: "enc", Use: "enc"}}}
	es := func(edit object) string { return sign(t, jose.ES256, own, "k1", good(edit)) }
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	none := part(`{"alg":"none"}`) + "." + strings.Split(es(nil), ".")[1] + "."
	for _, c := range []struct {
		name, raw string
		want      string // the refusal's name and part of its words; "" = taken
	}{
		{"right", es(nil), ""},
		{"right, RSA", sign(t, jose.RS256, strong, "r1", good(nil)), ""},
		{"right, no kid", sign(t, jose.ES256, own, "", good(nil)), ""},
		{"right, several audiences", es(object{"aud": []string{"x", "galen"}}), ""},
		{"right, clock a little behind", es(object{"iat": now.Add(30 * time.Second).Unix(), "nbf": now.Add(30 * time.Second).Unix()}), ""},
		{"wrong audience", es(object{"aud": "someone-else"}), "InvalidIdentityToken: it is for others"},
		{"no audience", es(object{"aud": nil}), "InvalidIdentityToken: no audience"},
		{"expired", es(object{"exp": now.Add(-2 * time.Minute).Unix()}), "ExpiredTokenException: expired at"},
		{"no end", es(object{"exp": nil}), "InvalidIdentityToken: no end"},
		{"issued in the future", es(object{"iat": now.Add(time.Hour).Unix()}), "InvalidIdentityToken: in the future"},
		{"begins in the future", es(object{"nbf": now.Add(time.Hour).Unix()}), "InvalidIdentityToken: begins only"},
		{"unknown key", sign(t, jose.ES256, stranger, "k9", good(nil)), "InvalidIdentityToken: not one that its issuer publishes"},
		{"another's key under a known id", sign(t, jose.ES256, stranger, "k1", good(nil)), "InvalidIdentityToken: does not verify"},
		{"another's key without an id", sign(t, jose.ES256, stranger, "", good(nil)), "InvalidIdentityToken: does not verify"},
		{"algorithm none", none, "InvalidIdentityToken: algorithm"},
		{"the public key as a secret", sign(t, jose.HS256, own.X.Bytes(), "k1", good(nil)), "InvalidIdentityToken: algorithm"},
		{"a weak key", sign(t, jose.RS256, weak, "weak", good(nil)), "InvalidIdentityToken: does not verify"},
		{"a key for encryption", sign(t, jose.ES256, enc, "enc", good(nil)), "InvalidIdentityToken: does not verify"},
		{"another algorithm than the key's", sign(t, jose.PS256, strong, "r1", good(nil)), "InvalidIdentityToken: does not verify"},
		{"unknown issuer", es(object{"iss": "https://evil.example.org"}), "InvalidIdentityToken: not a provider"},
		{"no issuer", es(object{"iss": nil}), "InvalidIdentityToken: no issuer"},
		{"no subject", es(object{"sub": nil}), "InvalidIdentityToken: subject"},
		{"long subject", es(object{"sub": strings.Repeat("x", 300)}), "InvalidIdentityToken: subject"},
		{"changed claims", func() string {
			p := strings.Split(es(nil), ".")
			return p[0] + "." + part(`{"iss":"`+issuer+`","sub":"root","aud":"galen","exp":99999999999}`) + "." + p[2]
		}(), "InvalidIdentityToken: does not verify"},
		{"claims of the wrong type", es(object{"exp": "soon"}), "InvalidIdentityToken: wrong type"},
		{"a name twice", sign(t, jose.ES256, own, "k1", `{"iss":"`+issuer+`","sub":"a","sub":"b","aud":"galen","exp":99999999999}`), "InvalidIdentityToken: repeated names"},
		{"not an object", sign(t, jose.ES256, own, "k1", `[1]`), "InvalidIdentityToken: wrong type"},
		{"no token", "abc", "InvalidIdentityToken: not a signed JWT"},
		{"empty", "", "InvalidIdentityToken: not a signed JWT"},
		{"too long", strings.Repeat("a", 30_000), "InvalidIdentityToken: longer than"},
	} {
		claims, provider, err := oidc.Verify(ctx, dir, c.raw, now)
		if c.want == "" {
			if err != nil || claims.Subject != "nurse-7" || provider.Issuer != issuer {
				t.Errorf("%s: %+v, %v", c.name, claims, err)
			}
			continue
		}
		name, words, _ := strings.Cut(c.want, ": ")
		if e := errs.As(err); err == nil || e.Code != errs.Unauthenticated || e.Name != name || !strings.Contains(e.Message, words) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "nurse-7") || strings.Contains(err.Error(), "someone-else")) {
			t.Errorf("%s: the message repeats what the token says: %v", c.name, err)
		}
	}
}

func TestSessionClaims(t *testing.T) {
	k := ec(t)
	raw := sign(t, jose.ES256, k, "k1", good(object{"azp": "app", "scp": []string{"system/*.rs", "openid"}, "https://aws.amazon.com/tags": object{"principal_tags": object{"Team": []string{"red"}}, "transitive_tag_keys": []string{"Team"}}, "https://aws.amazon.com/source_identity": "nurse"}))
	c, _, err := oidc.Verify(ctx, directory{oidc.Set{{Key: &k.PublicKey, KeyID: "k1"}}}, raw, now)
	if err != nil || c.ClientID != "app" || c.Scope != "system/*.rs openid" || c.Session.Tags["Team"] != "red" || c.Session.Transitive[0] != "Team" || c.Session.Identity != "nurse" {
		t.Errorf("%+v, %v", c, err)
	}
}

// idp is an outside provider.
func idp(t *testing.T, keys *oidc.Set, fetches *atomic.Int32, fail *atomic.Bool) *httptest.Server {
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(object{"issuer": s.URL, "jwks_uri": s.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		if fail.Load() {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: *keys})
	})
	return s
}

func TestRemoteKeys(t *testing.T) {
	a, b := ec(t), ec(t)
	keys := oidc.Set{{Key: &a.PublicKey, KeyID: "a"}}
	var fetches atomic.Int32
	var fail atomic.Bool
	s := idp(t, &keys, &fetches, &fail)
	closed, err := safedial.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oidc.Discovered(closed, s.URL).Find(ctx, "a"); errs.As(err).Name != oidc.ErrUnheard || !strings.Contains(err.Error(), "--allow-host") {
		t.Errorf("an address that the operator did not allow: %v", err)
	}
	if fetches.Load() != 0 {
		t.Error("it was reached all the same")
	}
	open, err := safedial.New([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	r := oidc.Discovered(open, s.URL)
	clock := now
	oidc.SetClock(r, func() time.Time { return clock })
	find := func(kid string, want, fetched int) {
		t.Helper()
		got, err := r.Find(ctx, kid)
		if err != nil || len(got) != want || int(fetches.Load()) != fetched {
			t.Errorf("%s: %d keys after %d fetches (%v), want %d after %d", kid, len(got), fetches.Load(), err, want, fetched)
		}
	}
	find("a", 1, 1)
	find("a", 1, 1)
	find("b", 0, 1) // not again within half a minute
	keys = append(keys, jose.JSONWebKey{Key: &b.PublicKey, KeyID: "b"})
	clock = clock.Add(time.Minute)
	find("b", 1, 2)
	fail.Store(true)
	clock = clock.Add(59 * time.Minute)
	find("a", 1, 2)
	clock = clock.Add(2 * time.Minute)
	if _, err := r.Find(ctx, "a"); errs.As(err).Name != oidc.ErrUnheard {
		t.Errorf("keys older than an hour, and the issuer fails: %v", err)
	}
	if _, err := oidc.At(open, s.URL+"/nothing").Find(ctx, "a"); errs.As(err).Name != oidc.ErrUnheard {
		t.Errorf("no keys there: %v", err)
	}
}

// TestOneFetchForMany: callers that come at once wait for one fetch, and one that goes away does not spoil it for the others.
func TestOneFetchForMany(t *testing.T) {
	k := ec(t)
	keys := oidc.Set{{Key: &k.PublicKey, KeyID: "a"}}
	var fetches atomic.Int32
	s := idp(t, &keys, &fetches, new(atomic.Bool))
	dial, err := safedial.New([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	r := oidc.Discovered(dial, s.URL)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c := ctx
			if i%4 == 0 {
				c = gone
			}
			if found, err := r.Find(c, "a"); err != nil || len(found) != 1 {
				t.Errorf("%d keys, %v", len(found), err)
			}
		}()
	}
	wg.Wait()
	if n := fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

func TestParseSet(t *testing.T) {
	k := ec(t)
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k, KeyID: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	for text, ok := range map[string]bool{`{"keys":[]}`: true, `{"keys":[{"kty":"quantum"}]}`: true, string(private): false, `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`: false, `{}`: false, `[]`: false, `{"keys":[],"keys":[]}`: false,
		`{"keys":[` + strings.Repeat(`{},`, 200) + `{}]}`: false, strings.Repeat("[", 100): false} {
		if _, err := oidc.ParseSet([]byte(text)); (err == nil) != ok || err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	k := ec(f)
	f.Add(sign(f, jose.ES256, k, "k1", good(nil)))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	other := directory{oidc.Set{}}
	f.Fuzz(func(t *testing.T, raw string) {
		if _, _, err := oidc.Verify(ctx, other, raw, now); err == nil || !errs.Is(err, errs.Unauthenticated) {
			t.Fatalf("%v", err)
		}
		if _, err := oidc.VerifyWith(ctx, raw, []string{"a"}, now, func(string) (oidc.Keys, error) { return oidc.Set{}, nil }); err == nil || !errs.Is(err, errs.Unauthenticated) {
			t.Fatalf("%v", err)
		}
	})
}

func FuzzSet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"a"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		set, err := oidc.ParseSet(b)
		if err != nil && !errs.Is(err, errs.Invalid) {
			t.Fatal(err)
		}
		for _, k := range set {
			if !k.IsPublic() {
				t.Fatal("a key that is not public was taken")
			}
		}
	})
}
