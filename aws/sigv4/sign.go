package sigv4

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"sort"
	"strings"
	"time"
)

// Credentials are what a client signs with.
type Credentials struct{ AccessKeyID, SecretAccessKey, SessionToken string }

// Sign puts an Authorization header on a request. A body that can be read again (GetBody, or nil) is hashed; any other goes unsigned.
func Sign(r *http.Request, c Credentials, service, region string, now time.Time) error {
	date := now.UTC().Format(timeFormat)
	r.Header.Set(headerDate, date)
	if c.SessionToken != "" {
		r.Header.Set(headerToken, c.SessionToken)
	}
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	payload := r.Header.Get(headerContentSHA256)
	if payload == "" {
		payload = emptySHA256
		switch {
		case r.Body == nil || r.Body == http.NoBody:
		case r.GetBody != nil:
			body, err := r.GetBody()
			if err != nil {
				return err
			}
			var b bytes.Buffer
			if _, err := io.Copy(&b, body); err != nil {
				return err
			}
			payload = hexSHA256(b.Bytes())
		default:
			payload = unsignedPayload
		}
		r.Header.Set(headerContentSHA256, payload)
	}
	signed := []string{"host"}
	for h := range r.Header {
		switch l := strings.ToLower(h); {
		case strings.HasPrefix(l, "x-amz-"), l == "content-type", l == "content-md5":
			signed = append(signed, l)
		}
	}
	sort.Strings(signed)
	scope := date[:8] + "/" + region + "/" + service + "/aws4_request"
	text := stringToSign(r, canonicalPaths(r.URL, service)[0], canonicalQuery(r.URL.RawQuery), signed, payload, date, scope)
	sig := hex.EncodeToString(mac(signingKey(c.SecretAccessKey, date[:8], region, service), text))
	r.Header.Set("Authorization", algorithm+" Credential="+c.AccessKeyID+"/"+scope+", SignedHeaders="+strings.Join(signed, ";")+", Signature="+sig)
	return nil
}
