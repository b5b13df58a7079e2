package access

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	sdkaws "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-jose/go-jose/v4"

	trailapi "github.com/galen-health/galen/aws/cloudtrail"
	healthlakeapi "github.com/galen-health/galen/aws/healthlake"
	iamapi "github.com/galen-health/galen/aws/iam"
	imagingapi "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/test/galen"
)

type object = map[string]any

var ctx = context.Background()

const account = galen.Account

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// hospital is a server with a FHIR store, an imaging store and an outside identity provider.
type hospital struct {
	t            *testing.T
	g            *galen.Server
	iam          *iamapi.Client
	fhir, images string
	login        *httptest.Server
	key          *ecdsa.PrivateKey
}

func open(t *testing.T) *hospital {
	h := &hospital{t: t}
	var err error
	if h.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	h.login = httptest.NewServer(mux)
	t.Cleanup(h.login.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(object{"issuer": h.login.URL, "jwks_uri": h.login.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &h.key.PublicKey, KeyID: "k1", Use: "sig"}}})
	})
	h.g = galen.Start(t, "--allow-host", "127.0.0.1")
	h.iam = iamapi.NewClient(h.g.Client())
	hl, mi := healthlakeapi.NewClient(h.g.Client()), imagingapi.NewClient(h.g.Client())
	h.fhir = must[*healthlakeapi.CreateFHIRDatastoreOutput](t)(hl.CreateFHIRDatastore(ctx, &healthlakeapi.CreateFHIRDatastoreInput{DatastoreTypeVersion: "R4"})).DatastoreId
	h.images = must[*imagingapi.CreateDatastoreOutput](t)(mi.CreateDatastore(ctx, &imagingapi.CreateDatastoreInput{DatastoreName: "ward", ClientToken: "ward-1"})).DatastoreId
	for range 200 {
		a := must[*healthlakeapi.DescribeFHIRDatastoreOutput](t)(hl.DescribeFHIRDatastore(ctx, &healthlakeapi.DescribeFHIRDatastoreInput{DatastoreId: h.fhir}))
		b := must[*imagingapi.GetDatastoreOutput](t)(mi.GetDatastore(ctx, &imagingapi.GetDatastoreInput{DatastoreId: h.images}))
		if a.DatastoreProperties.DatastoreStatus == "ACTIVE" && b.DatastoreProperties.DatastoreStatus == "ACTIVE" {
			return h
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the data stores did not become active")
	return nil
}

func doc(statement string) string { return `{"Version":"2012-10-17","Statement":[` + statement + `]}` }

// role makes a role that trusts an OpenID provider.
func (h *hospital) role(name, provider, policy string) string {
	h.t.Helper()
	trust := doc(`{"Effect":"Allow","Principal":{"Federated":"` + provider + `"},"Action":"sts:AssumeRoleWithWebIdentity"}`)
	arn := must[*iamapi.CreateRoleOutput](h.t)(h.iam.CreateRole(ctx, &iamapi.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: trust})).Role.Arn
	must[*iamapi.PutRolePolicyOutput](h.t)(h.iam.PutRolePolicy(ctx, &iamapi.PutRolePolicyInput{RoleName: name, PolicyName: "own", PolicyDocument: policy}))
	return arn
}

// builtin is the provider that the server is itself.
func (h *hospital) builtin() string {
	return "arn:aws:iam::" + account + ":oidc-provider/" + strings.TrimPrefix(h.g.URL, "http://")
}

// send sends a request; edit sets its headers. Signed requests go through signed.
func (h *hospital) send(method, path, body string, edit func(*http.Request)) (int, string, http.Header) {
	h.t.Helper()
	r, err := http.NewRequest(method, h.g.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if edit != nil {
		edit(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/fhir+json")
	}
}

// client registers a client and returns its id and secret.
func (h *hospital) client(m object) (id, secret string) {
	h.t.Helper()
	b, _ := json.Marshal(m)
	status, answer, err := h.g.Client().Send(ctx, "iam", "POST", "/oauth2/register", map[string]string{"Content-Type": "application/json"}, bytes.NewReader(b), 1<<20)
	out := object{}
	if err != nil || status != http.StatusCreated || json.Unmarshal(answer, &out) != nil {
		h.t.Fatalf("register: %d %s %v", status, answer, err)
	}
	secret, _ = out["client_secret"].(string)
	return out["client_id"].(string), secret
}

// token asks the token endpoint.
func (h *hospital) token(id, secret, scope string) string {
	h.t.Helper()
	status, b, _ := h.send("POST", "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}.Encode(), func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(id, secret)
	})
	out := object{}
	if status != 200 || json.Unmarshal([]byte(b), &out) != nil {
		h.t.Fatalf("token: %d %s", status, b)
	}
	return out["access_token"].(string)
}

// outside makes a token of the outside provider.
func (h *hospital) outside(edit object) string {
	h.t.Helper()
	claims := object{"iss": h.login.URL, "sub": "nurse-7", "aud": "galen", "iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix()}
	for k, v := range edit {
		claims[k] = v
	}
	return sign(h.t, h.key, claims)
}

func sign(t *testing.T, key *ecdsa.PrivateKey, claims object) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(claims)
	jws, err := s.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := jws.CompactSerialize()
	return raw
}

const everything = `{"Effect":"Allow","Action":"*","Resource":"*"}`

// TestBearerOfTheBuiltInProvider: a backend service gets a token, and the token opens what its scopes say on FHIR and DICOMweb.
func TestBearerOfTheBuiltInProvider(t *testing.T) {
	h := open(t)
	role := h.role("lab", h.builtin(), doc(everything))
	id, secret := h.client(object{"client_name": "lab", "galen_role": role, "scope": "system/*.cruds"})
	all, observations, reads := h.token(id, secret, ""), h.token(id, secret, "system/Observation.cruds"), h.token(id, secret, "system/*.rs")
	fhir, images := "/fhir/"+h.fhir, "/dicomweb/"+h.images
	patient := `{"resourceType":"Patient","id":"p1"}`
	observation := `{"resourceType":"Observation","status":"final","code":{"text":"x"}}`
	batch := func(entries string) string {
		return `{"resourceType":"Bundle","type":"transaction","entry":[` + entries + `]}`
	}
	post := func(resource, typ string) string {
		return `{"resource":` + resource + `,"request":{"method":"POST","url":"` + typ + `"}}`
	}
	for _, c := range []struct {
		name, token, method, path, body string
		want                            int
	}{
		{"all: create", all, "PUT", fhir + "/Patient/p1", patient, 201},
		{"all: at HealthLake's own address", all, "GET", "/datastore/" + h.fhir + "/r4/Patient/p1", "", 200},
		{"all: images", all, "GET", images + "/studies", "", 200},
		{"reads: read", reads, "GET", fhir + "/Patient/p1", "", 200},
		{"reads: search with an include", reads, "GET", fhir + "/Observation?_include=Observation:subject", "", 200},
		{"reads: images", reads, "GET", images + "/studies", "", 200},
		{"reads: create", reads, "POST", fhir + "/Patient", `{"resourceType":"Patient"}`, 403},
		{"reads: delete", reads, "DELETE", fhir + "/Patient/p1", "", 403},
		{"reads: a transaction that writes", reads, "POST", fhir, batch(post(observation, "Observation")), 403},
		{"reads: store images", reads, "POST", images + "/studies", "", 403},
		{"observations: create", observations, "POST", fhir + "/Observation", observation, 201},
		{"observations: search", observations, "GET", fhir + "/Observation", "", 200},
		{"observations: capabilities", observations, "GET", fhir + "/metadata", "", 200},
		{"observations: a transaction of them", observations, "POST", fhir, batch(post(observation, "Observation")), 200},
		{"observations: a transaction with a patient", observations, "POST", fhir, batch(post(observation, "Observation") + "," + post(`{"resourceType":"Patient"}`, "Patient")), 403},
		{"observations: a patient", observations, "GET", fhir + "/Patient/p1", "", 403},
		{"observations: an include of patients", observations, "GET", fhir + "/Observation?_include=Observation:subject", "", 403},
		{"observations: a chain over patients", observations, "GET", fhir + "/Observation?subject:Patient.name=x", "", 403},
		{"observations: everything of a patient", observations, "GET", fhir + "/Patient/p1/$everything", "", 403},
		{"observations: a compartment", observations, "GET", fhir + "/Patient/p1/Observation", "", 403},
		{"observations: images", observations, "GET", images + "/studies", "", 403},
		{"no token at all", "", "GET", fhir + "/Patient/p1", "", 401},
		{"changed", all[:len(all)-6] + "AAAAAA", "GET", fhir + "/Patient/p1", "", 401},
		{"not a token", "abc", "GET", images + "/studies", "", 401},
		{"algorithm none", "eyJhbGciOiJub25lIn0." + strings.Split(all, ".")[1] + ".", "GET", fhir + "/Patient/p1", "", 401},
	} {
		edit := bearer(c.token)
		if c.token == "" {
			edit = nil
		}
		status, body, header := h.send(c.method, c.path, c.body, edit)
		if status != c.want {
			t.Errorf("%s: %d %.300s, want %d", c.name, status, body, c.want)
		}
		if c.want == 401 && c.token != "" && !strings.Contains(header.Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("%s: no challenge: %v", c.name, header)
		}
		if strings.HasPrefix(c.path, fhir) && c.want >= 400 && !strings.Contains(body, "OperationOutcome") {
			t.Errorf("%s: the refusal is no OperationOutcome: %s", c.name, body)
		}
	}
	// A token opens no AWS operation, and says what to do instead.
	status, body, _ := h.send("POST", "/", `{}`, func(r *http.Request) {
		bearer(all)(r)
		r.Header.Set("X-Amz-Target", "HealthLake.ListFHIRDatastores")
		r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	})
	if status < 400 || !strings.Contains(body, "AssumeRoleWithWebIdentity") {
		t.Errorf("a token on an AWS operation: %d %s", status, body)
	}
	// The role's policy is the limit of every scope, at once.
	must[*iamapi.PutRolePolicyOutput](t)(h.iam.PutRolePolicy(ctx, &iamapi.PutRolePolicyInput{RoleName: "lab", PolicyName: "own", PolicyDocument: doc(`{"Effect":"Allow","Action":"healthlake:ReadResource","Resource":"*"}`)}))
	if status, _, _ := h.send("GET", fhir+"/Observation", "", bearer(all)); status != 403 {
		t.Errorf("the role may no longer search, its token may: %d", status)
	}
	if status, _, _ := h.send("GET", fhir+"/Patient/p1", "", bearer(all)); status != 200 {
		t.Errorf("the role may read: %d", status)
	}
	must[*iamapi.UpdateAssumeRolePolicyOutput](t)(h.iam.UpdateAssumeRolePolicy(ctx, &iamapi.UpdateAssumeRolePolicyInput{RoleName: "lab", PolicyDocument: doc(`{"Effect":"Deny","Principal":"*","Action":"sts:*"}`)}))
	if status, _, _ := h.send("GET", fhir+"/Patient/p1", "", bearer(all)); status != 403 {
		t.Errorf("the role trusts nobody any more: %d", status)
	}
}

// TestBearerOfAnOutsideProvider: tokens of a provider that IAM knows act under the role that its tag names, and each wrong one is refused for its own reason.
func TestBearerOfAnOutsideProvider(t *testing.T) {
	h := open(t)
	fhir := "/fhir/" + h.fhir
	if status, body, _ := h.send("GET", fhir+"/Patient", "", bearer(h.outside(nil))); status != 401 || !strings.Contains(body, "CreateOpenIDConnectProvider") {
		t.Errorf("a provider that is not registered: %d %s", status, body)
	}
	provider := must[*iamapi.CreateOpenIDConnectProviderOutput](t)(h.iam.CreateOpenIDConnectProvider(ctx, &iamapi.CreateOpenIDConnectProviderInput{Url: h.login.URL, ClientIDList: []string{"galen"}})).OpenIDConnectProviderArn
	role := h.role("nurse", provider, doc(`{"Effect":"Allow","Action":["healthlake:SearchWithGet","s3:*"],"Resource":"*"}`))
	if status, body, _ := h.send("GET", fhir+"/Patient", "", bearer(h.outside(nil))); status != 403 || !strings.Contains(body, "galen:role") {
		t.Errorf("a provider without a role: %d %s", status, body)
	}
	must[*iamapi.TagOpenIDConnectProviderOutput](t)(h.iam.TagOpenIDConnectProvider(ctx, &iamapi.TagOpenIDConnectProviderInput{OpenIDConnectProviderArn: provider, Tags: []iamapi.Tag{{Key: "galen:role", Value: role}}}))
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, token string
		want        int
		words       string
	}{
		{"right", h.outside(nil), 200, ""},
		{"right, narrowed by its scopes", h.outside(object{"scope": "openid system/Observation.rs"}), 403, "session policy"},
		{"right, a scope of a patient that cannot be kept", h.outside(object{"scope": "patient/*.rs"}), 403, "session policy"},
		{"wrong audience", h.outside(object{"aud": "viewer"}), 401, "audience"},
		{"expired", h.outside(object{"exp": time.Now().Add(-time.Hour).Unix()}), 401, "expired"},
		{"from the future", h.outside(object{"iat": time.Now().Add(time.Hour).Unix()}), 401, "in the future"},
		{"unknown key", sign(t, stranger, object{"iss": h.login.URL, "sub": "nurse-7", "aud": "galen", "exp": time.Now().Add(time.Minute).Unix()}), 401, "does not verify"},
		{"another issuer", h.outside(object{"iss": "https://login.example.org"}), 401, "not a provider"},
		{"algorithm none", "eyJhbGciOiJub25lIn0." + strings.Split(h.outside(nil), ".")[1] + ".", 401, "algorithm"},
	} {
		if status, body, _ := h.send("GET", fhir+"/Patient", "", bearer(c.token)); status != c.want || !strings.Contains(body, c.words) {
			t.Errorf("%s: %d %.400s, want %d with %q", c.name, status, body, c.want, c.words)
		}
	}

	// The same tokens open sessions for SDKs, and those AWS operations.
	cfg := sdkaws.Config{Region: galen.Region, BaseEndpoint: &h.g.URL}
	assume := func(token string) (*sts.AssumeRoleWithWebIdentityOutput, error) {
		return sts.NewFromConfig(cfg).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{RoleArn: &role, RoleSessionName: sdkaws.String("shift"), WebIdentityToken: &token})
	}
	payload := func(token string) string { return strings.Split(token, ".")[1] }
	for _, c := range []struct{ name, token, want, words string }{
		{"expired", h.outside(object{"exp": time.Now().Add(-time.Hour).Unix()}), "ExpiredTokenException", "expired"},
		{"wrong audience", h.outside(object{"aud": "viewer"}), "InvalidIdentityToken", "audience"},
		{"no audience", h.outside(object{"aud": []string{}}), "InvalidIdentityToken", "audience"},
		{"issued in the future", h.outside(object{"iat": time.Now().Add(time.Hour).Unix()}), "InvalidIdentityToken", "in the future"},
		{"good only later", h.outside(object{"nbf": time.Now().Add(time.Hour).Unix()}), "InvalidIdentityToken", ""},
		{"without an end", h.outside(object{"exp": nil}), "InvalidIdentityToken", "exp"},
		{"without a subject", h.outside(object{"sub": ""}), "InvalidIdentityToken", "sub"},
		{"unknown key", sign(t, stranger, object{"iss": h.login.URL, "sub": "nurse-7", "aud": "galen", "exp": time.Now().Add(time.Minute).Unix()}), "InvalidIdentityToken", "does not verify"},
		{"another issuer", h.outside(object{"iss": "https://login.example.org"}), "InvalidIdentityToken", "not a provider"},
		{"algorithm none", "eyJhbGciOiJub25lIn0." + payload(h.outside(nil)) + ".", "InvalidIdentityToken", "algorithm"},
		{"a secret's algorithm", "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0." + payload(h.outside(nil)) + ".AAAA", "InvalidIdentityToken", "algorithm"},
		{"no token", "rubbish", "InvalidIdentityToken", ""},
	} {
		if _, err := assume(c.token); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), payload(h.outside(nil))[:30]) {
			t.Errorf("%s: %v, want %s with %q", c.name, err, c.want, c.words)
		}
	}
	opened, err := assume(h.outside(nil))
	if err != nil || *opened.SubjectFromWebIdentityToken != "nurse-7" || *opened.Provider != provider || *opened.Audience != "galen" {
		t.Fatalf("%+v, %v", opened, err)
	}
	cfg.Credentials = sdkaws.CredentialsProviderFunc(func(context.Context) (sdkaws.Credentials, error) {
		c := opened.Credentials
		return sdkaws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken}, nil
	})
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil || !strings.Contains(*who.Arn, ":assumed-role/nurse/") {
		t.Fatalf("%v, %v", who, err)
	}
	if _, err := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: sdkaws.String("by-token")}); err != nil {
		t.Error(err)
	}
	// The trail names who showed a token, whether it was taken or not.
	trail := trailapi.NewClient(h.g.Client())
	for event, want := range map[string][]string{"AssumeRoleWithWebIdentity": {"nurse-7", "WebIdentityUser", "AccessDenied|InvalidIdentityToken|ExpiredTokenException"}, "SearchWithGet": {":assumed-role/nurse/nurse-7", "AssumedRole", "Unauthorized"}} {
		events := must[*trailapi.LookupEventsOutput](t)(trail.LookupEvents(ctx, &trailapi.LookupEventsInput{LookupAttributes: []trailapi.LookupAttribute{{AttributeKey: "EventName", AttributeValue: event}}})).Events
		var all strings.Builder
		for _, e := range events {
			all.WriteString(e.CloudTrailEvent + "\n")
		}
		for _, w := range want {
			if !regexp.MustCompile(w).MatchString(all.String()) {
				t.Errorf("%s: the trail has no %q in %d events:\n%.3000s", event, w, len(events), all.String())
			}
		}
	}
	if strings.Contains(h.g.Log(), h.outside(nil)[:40]) || strings.Contains(h.g.Log(), "Bearer ey") {
		t.Error("the log shows a token")
	}
}
