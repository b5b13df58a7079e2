package sigv4

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// Bounds of time and size.
const (
	maxSkew      = 5 * time.Minute
	maxPresigned = 7 * 24 * time.Hour
	// MaxBuffered bounds a body that must be hashed before its request can be verified, because the client did not send its hash.
	MaxBuffered = 64 << 20
)

// Secrets finds the secret of an access key. It answers errs.Unauthenticated for a key or token that does not count.
type Secrets interface {
	Secret(ctx context.Context, accessKeyID, sessionToken string) (secret string, principal any, err error)
}

// Signed is a request whose signature holds.
type Signed struct {
	AccessKeyID string
	Principal   any
	Service     string // signing name of the scope
	Region      string
	Time        time.Time
	Presigned   bool
	Unsigned    bool          // the payload is not covered: who carries the request can change it
	Body        io.ReadCloser // the payload, checked while it is read
	Length      int64         // of the payload; -1 = unknown
	Chain       *Chain        // set for event streams: checks each message
}

// The names that AWS services give to what is wrong with a signature; the edge translates them where a service has its own.
const (
	ErrMissing      = "MissingAuthenticationToken"
	ErrIncomplete   = "IncompleteSignature"
	ErrUnknownKey   = "UnrecognizedClientException"
	ErrMismatch     = "SignatureDoesNotMatch"
	ErrSkewed       = "RequestTimeTooSkewed"
	ErrExpired      = "ExpiredToken"
	ErrInvalidToken = "InvalidToken"
	ErrPayload      = "XAmzContentSHA256Mismatch"
)

func refuse(name, format string, args ...any) error {
	return errs.Named(errs.Unauthenticated, name, format, args...)
}

// credential is what the header or the query says.
type credential struct {
	key, day, region, service string
	signed                    []string
	signature                 string
	date                      time.Time
	dateText                  string
	token                     string
	presigned                 bool
	expires                   time.Duration
}

// Scope returns the signing name in a request without verifying anything: routing needs it to choose an error's shape, also of a request whose signature is
// not whole.
func Scope(r *http.Request) string {
	if versionTwo(r) {
		return "s3"
	}
	scope := r.URL.Query().Get("X-Amz-Credential")
	if h := r.Header.Get("Authorization"); h != "" {
		_, rest, _ := strings.Cut(h, "Credential=")
		scope, _, _ = strings.Cut(rest, ",")
	}
	parts := strings.Split(strings.TrimSpace(scope), "/")
	if len(parts) < 5 {
		return ""
	}
	return parts[len(parts)-2]
}

// versionTwo says whether a request is signed with Signature Version 2, as older S3 clients sign URLs unless they are told otherwise.
func versionTwo(r *http.Request) bool {
	return r.URL.Query().Has("AWSAccessKeyId") || strings.HasPrefix(r.Header.Get("Authorization"), "AWS ")
}

// IsSigned says whether a request claims a signature at all.
func IsSigned(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-") || r.URL.Query().Has(queryAlgorithm)
}

func parse(r *http.Request) (*credential, error) {
	c := &credential{}
	if versionTwo(r) {
		return nil, errs.Named(errs.Invalid, "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256 (in boto3: signature_version='s3v4').")
	}
	var scope, signed, date string
	if h := r.Header.Get("Authorization"); h != "" {
		rest, ok := strings.CutPrefix(h, algorithm)
		if !ok {
			return nil, refuse(ErrIncomplete, "the Authorization header is not %s", algorithm)
		}
		for _, part := range strings.Split(rest, ",") {
			k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch k {
			case "Credential":
				scope = v
			case "SignedHeaders":
				signed = v
			case "Signature":
				c.signature = v
			}
		}
		if date = r.Header.Get(headerDate); date == "" {
			if t, err := http.ParseTime(r.Header.Get("Date")); err == nil {
				date = t.UTC().Format(timeFormat)
			}
		}
		c.token = r.Header.Get(headerToken)
	} else {
		q := r.URL.Query()
		if !q.Has(queryAlgorithm) {
			return nil, refuse(ErrMissing, "the request is not signed: sign it with an access key, or send a bearer token")
		}
		if q.Get(queryAlgorithm) != algorithm {
			return nil, refuse(ErrIncomplete, "the algorithm is not %s", algorithm)
		}
		scope, signed, date, c.signature, c.token, c.presigned = q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders"), q.Get(headerDate), q.Get(querySignature), q.Get(headerToken), true
		n, err := strconv.Atoi(q.Get("X-Amz-Expires"))
		if err != nil || n < 1 || time.Duration(n)*time.Second > maxPresigned {
			return nil, errs.Named(errs.Invalid, "AuthorizationQueryParametersError", "X-Amz-Expires must be between 1 and %d seconds", int(maxPresigned.Seconds()))
		}
		c.expires = time.Duration(n) * time.Second
	}
	parts := strings.Split(scope, "/")
	if len(parts) < 5 || parts[len(parts)-1] != "aws4_request" || signed == "" || c.signature == "" {
		return nil, refuse(ErrIncomplete, "the signature must have a Credential of five parts, SignedHeaders and a Signature")
	}
	n := len(parts)
	c.key, c.day, c.region, c.service = strings.Join(parts[:n-4], "/"), parts[n-4], parts[n-3], parts[n-2]
	c.signed = strings.Split(signed, ";")
	t, err := time.Parse(timeFormat, date)
	if err != nil {
		return nil, refuse(ErrIncomplete, "the request has no readable date: X-Amz-Date is YYYYMMDDTHHMMSSZ")
	}
	if date[:8] != c.day {
		return nil, refuse(ErrMismatch, "the date in the credential scope is not the request's")
	}
	c.date, c.dateText = t, date
	return c, nil
}

// Verify checks a request's signature at the given time. On success r.Body must no longer be read: Signed.Body is the payload.
func Verify(r *http.Request, now time.Time, secrets Secrets) (*Signed, error) {
	c, err := parse(r)
	if err != nil {
		return nil, err
	}
	if err := c.fresh(now); err != nil {
		return nil, err
	}
	if err := c.covers(r); err != nil {
		return nil, err
	}
	secret, principal, err := secrets.Secret(r.Context(), c.key, c.token)
	if err != nil {
		return nil, err
	}
	out := &Signed{AccessKeyID: c.key, Principal: principal, Service: c.service, Region: c.region, Time: c.date, Presigned: c.presigned, Body: r.Body, Length: r.ContentLength}
	declared := r.Header.Get(headerContentSHA256)
	payloads := []string{declared}
	switch {
	case declared != "":
	case c.presigned:
		payloads = []string{unsignedPayload}
		if c.service != "s3" {
			payloads = append(payloads, emptySHA256)
		}
	default: // most JSON services send no hash: it is of the body
		b, err := io.ReadAll(io.LimitReader(r.Body, MaxBuffered+1))
		if err != nil {
			var known *errs.Error
			if errors.As(err, &known) {
				return nil, err // too slow, too large
			}
			return nil, errs.Wrap(errs.Invalid, err, "the body breaks off")
		}
		if len(b) > MaxBuffered {
			return nil, errs.New(errs.TooLarge, "a body over %d bytes needs the header X-Amz-Content-Sha256", MaxBuffered)
		}
		payloads = []string{hexSHA256(b)}
		out.Body, out.Length = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	}
	scope := c.day + "/" + c.region + "/" + c.service + "/aws4_request"
	key := signingKey(secret, c.day, c.region, c.service)
	queries := canonicalQueries(r.URL.RawQuery)
	want, err := hex.DecodeString(c.signature)
	if err != nil {
		return nil, refuse(ErrIncomplete, "the signature is not hexadecimal")
	}
	payload, ok := "", false
	for _, p := range payloads {
		for _, path := range canonicalPaths(r.URL, c.service) {
			for _, query := range queries {
				if hmac.Equal(want, mac(key, stringToSign(r, path, query, c.signed, p, c.dateText, scope))) {
					payload, ok = p, true
				}
			}
		}
	}
	if !ok {
		return nil, refuse(ErrMismatch, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.")
	}
	if declared == "" && !c.presigned {
		return out, nil // hashed above
	}
	return out, out.payload(r, payload, key, scope, c)
}

// covers checks that the signature is over everything that decides what the request means: the host, each x-amz- header that was sent (targets, tokens, copy
// sources, lists of trailers), and a path whose dot segments cannot be read in two ways.
func (c *credential) covers(r *http.Request) error {
	if !slices.Contains(c.signed, "host") && !slices.Contains(c.signed, ":authority") {
		return refuse(ErrMismatch, "the host header must be signed")
	}
	for h := range r.Header {
		l := strings.ToLower(h)
		if !strings.HasPrefix(l, "x-amz-") || slices.Contains(c.signed, l) || c.presigned && h == headerContentSHA256 && r.Header.Get(h) == unsignedPayload {
			continue
		}
		return errs.Named(errs.Denied, "AccessDenied", "There were headers present in the request which were not signed: %.100s", l)
	}
	if c.service != "s3" {
		for _, segment := range strings.Split(r.URL.EscapedPath(), "/") {
			if segment == "." || segment == ".." {
				return errs.Named(errs.Invalid, "InvalidRequest", "the path has dot segments")
			}
		}
	}
	return nil
}

// fresh bounds when a signature counts.
func (c *credential) fresh(now time.Time) error {
	if c.presigned {
		if now.Before(c.date.Add(-maxSkew)) {
			return errs.Named(errs.Denied, "AccessDenied", "the signed URL is not valid yet: check the clocks")
		}
		if now.After(c.date.Add(c.expires)) {
			return errs.Named(errs.Denied, "AccessDenied", "Request has expired")
		}
		return nil
	}
	if d := now.Sub(c.date); d > maxSkew || d < -maxSkew {
		return refuse(ErrSkewed, "Signature expired: %s is not within %d minutes of %s: check the clocks", c.dateText, int(maxSkew.Minutes()), now.UTC().Format(timeFormat))
	}
	return nil
}

// payload puts the check that the signed payload value asks for around the body.
func (s *Signed) payload(r *http.Request, value string, key []byte, scope string, c *credential) error {
	switch value {
	case unsignedPayload:
		s.Unsigned = r.ContentLength != 0
		return nil
	case streamingSigned, streamingSignedTrailer, streamingUnsignedTrail:
		if !chunked(r) {
			if value == streamingSigned && c.service == "medical-imaging" { // DICOMweb uploads by curl send the literal without chunks, as AWS's guide shows
				s.Unsigned = true
				return nil
			}
			return errs.Named(errs.Invalid, "InvalidRequest", "a streaming payload must be aws-chunked")
		}
		n := int64(-1)
		if l := r.Header.Get(headerDecodedLength); l != "" {
			var err error
			if n, err = strconv.ParseInt(l, 10, 64); err != nil || n < 0 {
				return errs.Named(errs.Invalid, "InvalidArgument", "%s is not a length", headerDecodedLength)
			}
		} else {
			return errs.Named(errs.Exhausted, "MissingContentLength", "an aws-chunked body needs %s", headerDecodedLength)
		}
		trailers := splitTrailers(r.Header.Get("X-Amz-Trailer"))
		if value == streamingSignedTrailer && len(trailers) == 0 {
			return errs.Named(errs.Invalid, "InvalidRequest", "a payload with trailers needs the header X-Amz-Trailer")
		}
		s.Body, s.Length = newChunkReader(r.Body, value != streamingUnsignedTrail, trailers, n, key, scope, c.dateText, c.signature), n
		return nil
	case streamingEvents:
		s.Chain = &Chain{key: key, scope: scope, prior: c.signature}
		return nil
	}
	sum, err := hex.DecodeString(value)
	if err != nil || len(sum) != 32 {
		return errs.Named(errs.Invalid, "InvalidArgument", "%s is neither a SHA-256 nor a known literal", headerContentSHA256)
	}
	s.Body = newHashReader(r.Body, sum, r.ContentLength)
	return nil
}

func chunked(r *http.Request) bool {
	for _, e := range strings.Split(r.Header.Get("Content-Encoding"), ",") {
		if strings.EqualFold(strings.TrimSpace(e), "aws-chunked") {
			return true
		}
	}
	return r.Header.Get(headerDecodedLength) != ""
}
