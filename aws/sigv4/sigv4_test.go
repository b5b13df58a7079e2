package sigv4

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/galen-health/galen/platform/errs"
)

const (
	testKey    = "AKIDEXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	testToken  = "AQoDYXdzEPT//////////wEXAMPLEtc764assume"
)

var testNow = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// keyring knows one key, with and without a session.
type keyring struct{}

func (keyring) Secret(_ context.Context, id, token string) (string, any, error) {
	if id != testKey || token != "" && token != testToken {
		return "", nil, errs.Named(errs.Unauthenticated, ErrUnknownKey, "unknown key")
	}
	return testSecret, "alice", nil
}

// verify checks a request and reads its body to the end.
func verify(r *http.Request, now time.Time) ([]byte, error) {
	s, err := Verify(r, now, keyring{})
	if err != nil {
		return nil, err
	}
	if s.Principal != "alice" || s.AccessKeyID != testKey {
		return nil, fmt.Errorf("principal %v, key %s", s.Principal, s.AccessKeyID)
	}
	defer s.Body.Close()
	b, err := io.ReadAll(s.Body)
	if err == nil && s.Length >= 0 && int64(len(b)) != s.Length {
		err = fmt.Errorf("%d bytes of %d", len(b), s.Length)
	}
	return b, err
}

// recorded is one request that a foreign client signed.
type recorded struct {
	Name, Method, URL string
	Headers           map[string]string
	Body, Payload     []byte
}

func (c *recorded) request() *http.Request {
	u, err := url.Parse(c.URL)
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest(c.Method, "/", bytes.NewReader(c.Body))
	r.URL = &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	r.Host = u.Host
	for k, v := range c.Headers {
		if !strings.EqualFold(k, "Host") && !strings.EqualFold(k, "Content-Length") && !strings.EqualFold(k, "Transfer-Encoding") {
			r.Header.Set(k, v)
		}
	}
	return r
}

// records returns what botocore recorded (testdata/golden.py) and what the AWS SDK for Go signs here.
func records(t testing.TB) []recorded {
	t.Helper()
	raw, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Requests []recorded }
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Requests) < 19 {
		t.Fatalf("%d recorded requests", len(golden.Requests))
	}
	return append(golden.Requests, goSigned(t)...)
}

// goSigned signs with the SDK's own signer, in its forms.
func goSigned(t testing.TB) (out []recorded) {
	creds := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret, SessionToken: testToken}
	sum := func(b string) string { return hexSHA256([]byte(b)) }
	for _, c := range []struct {
		name, method, url, service, body, hash string
		header                                 http.Header
		options                                func(*v4.SignerOptions)
	}{
		{"go: awsJson", "POST", "http://galen.example:8484/", "healthlake", `{"A":1}`, sum(`{"A":1}`), http.Header{"X-Amz-Target": {"HealthLake.ListFHIRDatastores"}, "Content-Type": {"application/x-amz-json-1.0"}}, nil},
		{"go: an ARN in the path", "GET", "http://galen.example/tags/arn%3Aaws%3Aomics%3Ax%3Arun%2F1?b=2&a=1&a-b=0&a=0", "omics", "", emptySHA256, nil, nil},
		{"go: spaces in a header", "GET", "http://galen.example/run", "omics", "", emptySHA256, http.Header{"X-Amz-Meta": {"  a   b  "}}, nil},
		{"go: an empty query value", "GET", "http://galen.example/b?tagging&x=", "s3", "", emptySHA256, nil, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }},
		{"go: s3 key", "PUT", "http://galen.example/b/a%20b/%C3%BC%2B%26%2525.txt", "s3", "hello", sum("hello"), http.Header{"X-Amz-Content-Sha256": {sum("hello")}}, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }},
		{"go: s3 unsigned payload", "PUT", "http://galen.example/b/k", "s3", "hello", unsignedPayload, http.Header{"X-Amz-Content-Sha256": {unsignedPayload}}, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }},
	} {
		r, err := http.NewRequest(c.method, c.url, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range c.header {
			r.Header[k] = v
		}
		signer := v4.NewSigner()
		options := []func(*v4.SignerOptions){}
		if c.options != nil {
			options = append(options, c.options)
		}
		if err := signer.SignHTTP(context.Background(), creds, r, c.hash, c.service, "us-east-1", testNow, options...); err != nil {
			t.Fatal(err)
		}
		rec := recorded{Name: c.name, Method: c.method, URL: r.URL.String(), Headers: map[string]string{}, Body: []byte(c.body), Payload: []byte(c.body)}
		for k, v := range r.Header {
			rec.Headers[k] = strings.Join(v, ",")
		}
		out = append(out, rec)
	}
	r, err := http.NewRequest("GET", "http://galen.example/b/a%20b?x=1&X-Amz-Expires=300", nil)
	if err != nil {
		t.Fatal(err)
	}
	signedURL, _, err := v4.NewSigner().PresignHTTP(context.Background(), creds, r, unsignedPayload, "s3", "us-east-1", testNow, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		t.Fatal(err)
	}
	return append(out, recorded{Name: "go: s3 presigned", Method: "GET", URL: signedURL})
}

func TestForeignSignatures(t *testing.T) {
	for _, c := range records(t) {
		got, err := verify(c.request(), testNow.Add(10*time.Second))
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if !bytes.Equal(got, c.Payload) {
			t.Errorf("%s: the payload came out as %d bytes %.40q, want %d", c.Name, len(got), got, len(c.Payload))
		}
	}
}

// TestTampering changes each part of each request: none may pass as it was signed.
func TestTampering(t *testing.T) {
	n := 0
	for _, c := range records(t) {
		for what, change := range tamperings(&c) {
			n++
			r := c.request()
			change(r)
			if got, err := verify(r, testNow.Add(10*time.Second)); err == nil {
				t.Errorf("%s passed with %s (%d bytes)", c.Name, what, len(got))
			} else if e := new(errs.Error); !errors.As(err, &e) || e.Code == errs.Internal {
				t.Errorf("%s with %s: %v is not a refusal", c.Name, what, err)
			}
		}
	}
	if n < 300 {
		t.Errorf("only %d changes were tried", n)
	}
}

func tamperings(c *recorded) map[string]func(*http.Request) {
	out := map[string]func(*http.Request){
		"another method":       func(r *http.Request) { r.Method = map[bool]string{true: "POST", false: "DELETE"}[r.Method == "DELETE"] },
		"another path":         func(r *http.Request) { r.URL.Path += "x"; r.URL.RawPath = "" },
		"another host":         func(r *http.Request) { r.Host = "evil.example" },
		"one more query value": func(r *http.Request) { r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&zzz=1", "&") },
		"one more x-amz header": func(r *http.Request) {
			r.Header.Set("X-Amz-Copy-Source", "other/secret")
		},
	}
	if c.Headers["X-Amz-Target"] == "" {
		out["a target"] = func(r *http.Request) { r.Header.Set("X-Amz-Target", "TrentService.DeleteAlias") }
	}
	r := c.request()
	cred, err := parse(r)
	if err != nil {
		panic(err)
	}
	for _, h := range cred.signed {
		if h != "host" && r.Header.Get(h) != "" {
			out["another "+h] = func(r *http.Request) { r.Header.Set(h, r.Header.Get(h)+"1") }
			out["no "+h] = func(r *http.Request) { r.Header.Del(h) }
		}
	}
	for k := range r.URL.Query() {
		out["another value of "+k] = func(r *http.Request) {
			q := r.URL.Query()
			q.Set(k, q.Get(k)+"1")
			r.URL.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
		}
		out["no "+k] = func(r *http.Request) {
			q := r.URL.Query()
			q.Del(k)
			r.URL.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
		}
	}
	if a := c.Headers["Authorization"]; a != "" {
		for i, part := range []string{"Credential=" + testKey, "us-east-1", "aws4_request", "host", "Signature="} {
			out["another "+part] = func(r *http.Request) {
				r.Header.Set("Authorization", strings.Replace(a, part, part+[]string{"X", "x", "x", "x", "0"}[i], 1))
			}
		}
		out["no signature"] = func(r *http.Request) { r.Header.Set("Authorization", a[:strings.Index(a, "Signature=")]) }
		out["no host among the signed headers"] = func(r *http.Request) { r.Header.Set("Authorization", strings.Replace(a, "host;", "", 1)) }
		out["another scheme"] = func(r *http.Request) { r.Header.Set("Authorization", "Basic dXNlcjpwYXNz") }
		out["another token"] = func(r *http.Request) { r.Header.Set(headerToken, testToken+"x") }
	}
	if len(c.Body) > 0 && c.Headers[headerContentSHA256] != unsignedPayload && c.Headers["X-Amz-Content-SHA256"] != unsignedPayload {
		for _, at := range []int{0, len(c.Body) / 2, len(c.Body) - 5} {
			out[fmt.Sprintf("byte %d of the body changed", at)] = func(r *http.Request) {
				b := slices.Clone(c.Body)
				b[max(at, 0)] ^= 1
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
			}
		}
		out["the body cut"] = func(r *http.Request) {
			b := c.Body[:len(c.Body)/2]
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
		}
	}
	return out
}

func TestFreshness(t *testing.T) {
	for _, c := range records(t) {
		presigned := c.Headers["Authorization"] == ""
		for _, x := range []struct {
			after time.Duration
			ok    bool
		}{{-6 * time.Minute, false}, {-4 * time.Minute, true}, {4 * time.Minute, true}, {6 * time.Minute, presigned && !strings.HasPrefix(c.Name, "go")}, {11 * time.Minute, false}, {10 * 24 * time.Hour, false}} {
			if _, err := verify(c.request(), testNow.Add(x.after)); (err == nil) != x.ok {
				t.Errorf("%s, %v after: %v", c.Name, x.after, err)
			}
		}
	}
	r := httptest.NewRequest("GET", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=604801&X-Amz-Credential=a/20260115/us-east-1/s3/aws4_request&X-Amz-Date=20260115T120000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=00", nil)
	if _, err := verify(r, testNow); err == nil || !strings.Contains(err.Error(), "X-Amz-Expires") {
		t.Errorf("eight days: %v", err)
	}
}

// TestOwnSignature: what our client signs, we and the SDK's signer agree on.
func TestOwnSignature(t *testing.T) {
	for _, service := range []string{"s3", "omics", "iam"} {
		for _, target := range []string{"/", "/b/a%20b/c?x=1&y=a%2Fb&x=0", "/tags/arn%3Aaws%3Ax%2F1"} {
			if service == "s3" && strings.Contains(target, "%2F1") {
				continue // a slash inside a key is sent as one
			}
			r, err := http.NewRequest("POST", "http://galen.example:8484"+target, strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "text/plain")
			if err := Sign(r, Credentials{testKey, testSecret, testToken}, service, "us-east-1", testNow); err != nil {
				t.Fatal(err)
			}
			ours := r.Header.Get("Authorization")
			if got, err := verify(r, testNow); err != nil || string(got) != "hello" {
				t.Errorf("%s %s: %q, %v", service, target, got, err)
			}
			again, _ := http.NewRequest("POST", "http://galen.example:8484"+target, nil)
			for k, v := range r.Header {
				if k != "Authorization" {
					again.Header[k] = v
				}
			}
			creds := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret, SessionToken: testToken}
			if err := v4.NewSigner().SignHTTP(context.Background(), creds, again, hexSHA256([]byte("hello")), service, "us-east-1", testNow, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" }); err != nil {
				t.Fatal(err)
			}
			if theirs := again.Header.Get("Authorization"); ours != theirs {
				t.Errorf("%s %s\n ours   %s\n theirs %s", service, target, ours, theirs)
			}
		}
	}
}

// TestStreamChain holds the chain of event-stream signatures to the SDK's stream signer.
func TestStreamChain(t *testing.T) {
	seed := bytes.Repeat([]byte{7}, 32)
	signer := v4.NewStreamSigner(aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}, "transcribe", "us-east-1", seed)
	fresh := func() *Chain {
		return &Chain{key: signingKey(testSecret, "20260115", "us-east-1", "transcribe"), scope: "20260115/us-east-1/transcribe/aws4_request", prior: hex.EncodeToString(seed)}
	}
	type message struct{ headers, payload, signature []byte }
	var messages []message
	for i := range 5 {
		m := message{headers: []byte{5, ':', 'd', 'a', 't', 'e', 8, byte(i)}, payload: bytes.Repeat([]byte{byte(i)}, i*100)}
		var err error
		if m.signature, err = signer.GetSignature(context.Background(), m.headers, m.payload, testNow); err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
	run := func(now time.Time, order ...int) error {
		c := fresh()
		for _, i := range order {
			m := messages[i]
			if err := c.Verify(testNow, now, m.headers, m.payload, m.signature); err != nil {
				return err
			}
		}
		return nil
	}
	if err := run(testNow, 0, 1, 2, 3, 4); err != nil {
		t.Fatal(err)
	}
	for what, order := range map[string][]int{"left out": {0, 2}, "swapped": {1, 0}, "repeated": {0, 0}, "late start": {1}} {
		if run(testNow, order...) == nil {
			t.Errorf("a message %s passed", what)
		}
	}
	for _, d := range []time.Duration{6 * time.Minute, -6 * time.Minute} {
		if run(testNow.Add(d), 0) == nil {
			t.Errorf("a message %v old passed", d)
		}
	}
	m := messages[1]
	for what, x := range map[string]message{"payload": {m.headers, append([]byte{1}, m.payload...), m.signature}, "headers": {append([]byte{1}, m.headers...), m.payload, m.signature}, "signature": {m.headers, m.payload, make([]byte, 32)}, "no signature": {m.headers, m.payload, nil}} {
		c := fresh()
		if err := c.Verify(testNow, testNow, messages[0].headers, messages[0].payload, messages[0].signature); err != nil {
			t.Fatal(err)
		}
		if c.Verify(testNow, testNow, x.headers, x.payload, x.signature) == nil {
			t.Errorf("another %s passed", what)
		}
	}
}

func TestRefusalNames(t *testing.T) {
	for what, c := range map[string]struct {
		change func(r *http.Request)
		name   string
	}{
		"nothing signed": {func(r *http.Request) { r.Header.Del("Authorization") }, ErrMissing},
		"half a header":  {func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a/b") }, ErrIncomplete},
		"no date":        {func(r *http.Request) { r.Header.Del(headerDate) }, ErrIncomplete},
		"wrong key": {func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), testKey, "AKIDOTHER", 1))
		}, ErrUnknownKey},
		"wrong signature": {func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")+"00") }, ErrMismatch},
		"old": {func(r *http.Request) {
			if err := Sign(r, Credentials{testKey, testSecret, ""}, "omics", "us-east-1", testNow.Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
		}, ErrSkewed},
	} {
		r, err := http.NewRequest("GET", "http://galen.example/run", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := Sign(r, Credentials{testKey, testSecret, ""}, "omics", "us-east-1", testNow); err != nil {
			t.Fatal(err)
		}
		r.Body = http.NoBody
		c.change(r)
		_, err = verify(r, testNow)
		if e := new(errs.Error); !errors.As(err, &e) || e.Name != c.name {
			t.Errorf("%s: %v, want %s", what, err, c.name)
		}
	}
}
