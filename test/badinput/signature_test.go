package badinput

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/test/galen"
)

// one harmless call for each protocol, and the names that its services give to what is wrong with a signature.
var protocols = []struct {
	name                                                                        string
	call                                                                        call
	mismatch, unknownKey, missing, incomplete, skewed, token, foreign, unsigned string
	status, denied                                                              int
}{
	{"JSON 1.0", call{service: "healthlake", header: target("HealthLake.ListFHIRDatastores", "1.0"), body: "{}"},
		"InvalidSignatureException", "UnrecognizedClientException", "MissingAuthenticationTokenException", "IncompleteSignatureException", "InvalidSignatureException", "UnrecognizedClientException", "InvalidSignatureException", "InvalidSignatureException", 400, 403},
	{"JSON 1.1", call{service: "kms", header: target("TrentService.ListKeys", "1.1"), body: "{}"},
		"InvalidSignatureException", "UnrecognizedClientException", "MissingAuthenticationTokenException", "IncompleteSignatureException", "InvalidSignatureException", "UnrecognizedClientException", "InvalidSignatureException", "InvalidSignatureException", 400, 400},
	{"CBOR", call{service: "comprehendmedical", path: "/service/ComprehendMedical_20181030/operation/DetectPHI", header: map[string]string{"Smithy-Protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}, body: "\xa1dTextax"},
		"InvalidSignatureException", "UnrecognizedClientException", "MissingAuthenticationTokenException", "IncompleteSignatureException", "InvalidSignatureException", "UnrecognizedClientException", "InvalidSignatureException", "InvalidSignatureException", 400, 403},
	{"REST JSON", call{service: "medical-imaging", method: "GET", path: "/datastore"},
		"InvalidSignatureException", "UnrecognizedClientException", "MissingAuthenticationTokenException", "IncompleteSignatureException", "InvalidSignatureException", "UnrecognizedClientException", "InvalidSignatureException", "", 403, 403},
	{"REST XML", call{service: "s3", method: "GET", path: "/"},
		"SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied", "AuthorizationHeaderMalformed", "RequestTimeTooSkewed", "InvalidToken", "SignatureDoesNotMatch", "", 403, 403},
	{"query", call{service: "sts", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, body: "Action=GetCallerIdentity&Version=2011-06-15"},
		"SignatureDoesNotMatch", "InvalidClientTokenId", "MissingAuthenticationToken", "IncompleteSignature", "SignatureDoesNotMatch", "InvalidClientTokenId", "SignatureDoesNotMatch", "SignatureDoesNotMatch", 403, 403},
}

func target(operation, version string) map[string]string {
	return map[string]string{"X-Amz-Target": operation, "Content-Type": "application/x-amz-json-" + version}
}

// TestSignatures breaks the signature of one call of each protocol in every way.
func TestSignatures(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			p.call.send(t, g).accepted(t, "the call as it should be")
			with := func(change func(*call)) answer {
				c := p.call
				change(&c)
				return c.send(t, g)
			}
			wrong := sigv4.Credentials{AccessKeyID: galen.AccessKeyID, SecretAccessKey: "another secret"}
			with(func(c *call) { c.credentials = &wrong }).refused(t, "another secret", p.status, p.mismatch)
			unknown := sigv4.Credentials{AccessKeyID: "AKIAUNKNOWN000000000", SecretAccessKey: "another secret"}
			with(func(c *call) { c.credentials = &unknown }).refused(t, "an unknown key", p.status, p.unknownKey)
			token := sigv4.Credentials{AccessKeyID: galen.AccessKeyID, SecretAccessKey: galen.SecretAccessKey, SessionToken: "forged"}
			with(func(c *call) { c.credentials = &token }).refused(t, "a forged session token", p.status, p.token)
			with(func(c *call) { c.when = time.Now().Add(-20 * time.Minute) }).refused(t, "20 minutes late", p.status, p.skewed)
			with(func(c *call) { c.when = time.Now().Add(20 * time.Minute) }).refused(t, "20 minutes early", p.status, p.skewed)
			header := func(change func(string) string) func(*call) {
				return func(c *call) {
					c.after = func(r *http.Request) { r.Header.Set("Authorization", change(r.Header.Get("Authorization"))) }
				}
			}
			with(header(func(h string) string { return strings.Replace(h, "/"+galen.Region+"/", "/eu-west-9/", 1) })).refused(t, "another region", p.status, p.mismatch)
			with(header(func(h string) string { return h[:len(h)-1] + "z" })).refused(t, "a signature that is not hexadecimal", p.status, p.incomplete)
			with(header(func(h string) string { return strings.Replace(h, "host;", "", 1) })).refused(t, "a host that is not signed", p.status, p.mismatch)
			with(func(c *call) { c.after = func(r *http.Request) { r.Header.Set("X-Amz-Meta-Added", "1") } }).refused(t, "an x-amz- header that is not signed", p.denied, "AccessDenied", "AccessDeniedException")
			with(func(c *call) { c.after = func(r *http.Request) { r.URL.RawQuery = "added=1" } }).refused(t, "a query that is not signed", p.status, p.mismatch)
			if p.call.body != "" {
				with(func(c *call) {
					c.after = func(r *http.Request) {
						r.Body, r.ContentLength = io.NopCloser(strings.NewReader(c.body+" ")), int64(len(c.body)+1)
					}
				}).refused(t, "another body", 400, "XAmzContentSHA256Mismatch")
				with(func(c *call) {
					c.before = func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }
				}).refused(t, "an unsigned payload", p.status, p.unsigned)
			}
			// The same signed request twice within its five minutes is the same request: clients retry so. It is refused once the minutes are over, as above.
			r := p.call.request(t, g)
			for range 2 {
				r.Body, _ = r.GetBody()
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("sent as it was signed: %d", resp.StatusCode)
				}
			}
		})
	}
	t.Run("nothing unsigned is answered", func(t *testing.T) {
		for _, p := range protocols {
			c := p.call
			c.unsigned = true
			a := c.send(t, g)
			if a.status < 400 || a.status > 403 || a.code() == "" {
				t.Errorf("%s: %d %s", p.name, a.status, a.body)
			}
		}
	})
	t.Run("presigned", func(t *testing.T) { presigned(t, g) })
}

// presign makes a URL that the SDK for Go signed for GET; change is done to it afterwards.
func presign(t *testing.T, g *galen.Server, path string, when time.Time, expires string, change func(url.Values)) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+path+"?X-Amz-Expires="+expires, nil)
	if err != nil {
		t.Fatal(err)
	}
	creds := aws.Credentials{AccessKeyID: galen.AccessKeyID, SecretAccessKey: galen.SecretAccessKey}
	signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), creds, r, "UNSIGNED-PAYLOAD", "s3", galen.Region, when, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		q := u.Query()
		change(q)
		u.RawQuery = q.Encode()
	}
	return u.RequestURI()
}

// presigned URLs of S3 that are old, early, too long or changed.
func presigned(t *testing.T, g *galen.Server) {
	call{service: "s3", method: "PUT", path: "/presigned"}.send(t, g).accepted(t, "a bucket")
	call{service: "s3", method: "PUT", path: "/presigned/k", body: marked}.send(t, g).accepted(t, "an object")
	now := time.Now()
	for what, c := range map[string]struct {
		when    time.Time
		expires string
		change  func(url.Values)
		status  int
		code    string
	}{
		"good":                {now, "60", nil, 200, ""},
		"expired":             {now.Add(-2 * time.Minute), "60", nil, 403, "AccessDenied"},
		"not yet valid":       {now.Add(time.Hour), "60", nil, 403, "AccessDenied"},
		"for too long":        {now, "604801", nil, 400, "AuthorizationQueryParametersError"},
		"for a negative time": {now, "-1", nil, 400, "AuthorizationQueryParametersError"},
		"for no time":         {now, "soon", nil, 400, "AuthorizationQueryParametersError"},
		"longer by hand":      {now.Add(-2 * time.Minute), "60", func(q url.Values) { q.Set("X-Amz-Expires", "3600") }, 403, "SignatureDoesNotMatch"},
		"with one more query": {now, "60", func(q url.Values) { q.Set("versionId", "x") }, 403, "SignatureDoesNotMatch"},
		"without a signature": {now, "60", func(q url.Values) { q.Del("X-Amz-Signature") }, 403, "AuthorizationHeaderMalformed"},
		"with a forged token": {now, "60", func(q url.Values) { q.Set("X-Amz-Security-Token", "forged") }, 403, "InvalidToken"},
	} {
		a := call{service: "s3", method: "GET", path: presign(t, g, "/presigned/k", c.when, c.expires, c.change), unsigned: true}.send(t, g)
		if c.code == "" {
			if a.status != 200 || a.body != marked {
				t.Errorf("%s: %d %s", what, a.status, a.body)
			}
			continue
		}
		a.refused(t, "a URL "+what, c.status, c.code)
	}
}
