package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"sort"
	"strings"
)

const (
	algorithm   = "AWS4-HMAC-SHA256"
	timeFormat  = "20060102T150405Z"
	emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

	unsignedPayload        = "UNSIGNED-PAYLOAD"
	streamingSigned        = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingSignedTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingUnsignedTrail = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	streamingEvents        = "STREAMING-AWS4-HMAC-SHA256-EVENTS"
	headerContentSHA256    = "X-Amz-Content-Sha256"
	headerDate             = "X-Amz-Date"
	headerToken            = "X-Amz-Security-Token"
	headerDecodedLength    = "X-Amz-Decoded-Content-Length"
	queryAlgorithm         = "X-Amz-Algorithm"
	querySignature         = "X-Amz-Signature"
)

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// signingKey derives the key of one day, region and service.
func signingKey(secret, day, region, service string) []byte {
	return mac(mac(mac(mac([]byte("AWS4"+secret), day), region), service), "aws4_request")
}

// escape percent-encodes all but unreserved characters (RFC 3986 §2.3), keeping slashes when asked.
func escape(s string, keepSlash bool) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + 8)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~', keepSlash && c == '/':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// canonicalPaths are the forms of the path that signers use. S3 signs the path encoded once; every other service signs the sent path encoded once more, with
// or without dot segments taken out.
func canonicalPaths(u *url.URL, service string) []string {
	sent := u.EscapedPath()
	if sent == "" {
		sent = "/"
	}
	if service == "s3" {
		once := escape(u.Path, true)
		if once == "" {
			once = "/"
		}
		if once == sent {
			return []string{once}
		}
		return []string{once, sent}
	}
	twice := escape(sent, true)
	out := []string{twice}
	if norm := normalise(sent); norm != sent {
		out = append(out, escape(norm, true))
	}
	if sent != twice {
		out = append(out, sent) // some clients sign the path as they send it
	}
	return out
}

// normalise takes out empty and dot segments (RFC 3986 §5.2.4) as SDKs do before they sign.
func normalise(p string) string {
	var out []string
	for _, s := range strings.Split(p, "/") {
		switch s {
		case "", ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, s)
		}
	}
	n := "/" + strings.Join(out, "/")
	if strings.HasSuffix(p, "/") && n != "/" {
		n += "/"
	}
	return n
}

// canonicalQuery sorts the raw query by encoded name, then value, without the signature itself.
func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	var pairs []string
	for _, kv := range strings.Split(raw, "&") {
		if kv == "" {
			continue
		}
		k, v, _ := strings.Cut(kv, "=")
		uk, err1 := url.QueryUnescape(k)
		uv, err2 := url.QueryUnescape(v)
		if err1 != nil || err2 != nil {
			uk, uv = k, v
		}
		if uk == querySignature {
			continue
		}
		pairs = append(pairs, escape(uk, false)+"="+escape(uv, false))
	}
	return sortPairs(pairs)
}

// sortPairs joins name=value pairs, sorted by name, then value.
func sortPairs(pairs []string) string {
	sort.Slice(pairs, func(i, j int) bool {
		a, x, _ := strings.Cut(pairs[i], "=")
		b, y, _ := strings.Cut(pairs[j], "=")
		if a != b {
			return a < b
		}
		return x < y
	})
	return strings.Join(pairs, "&")
}

// canonicalQueries are the forms of the query that signers use: decoded and encoded by the rules, and, where a client signs what it sends without encoding it anew
// (botocore does for a query inside a URL), sorted as sent.
func canonicalQueries(raw string) []string {
	rules := canonicalQuery(raw)
	var pairs []string
	for _, kv := range strings.Split(raw, "&") {
		k, _, _ := strings.Cut(kv, "=")
		if kv == "" || k == querySignature {
			continue
		}
		if !strings.Contains(kv, "=") {
			kv += "="
		}
		pairs = append(pairs, kv)
	}
	if sent := sortPairs(pairs); sent != rules {
		return []string{rules, sent}
	}
	return []string{rules}
}

// canonicalHeaders writes the signed headers; a header that is signed but was not sent is empty.
func canonicalHeaders(r *http.Request, signed []string) string {
	var b strings.Builder
	for _, name := range signed {
		b.WriteString(name)
		b.WriteByte(':')
		var values []string
		switch name {
		case "host":
			values = []string{r.Host}
		case "content-length":
			if values = r.Header.Values(name); len(values) == 0 && r.ContentLength >= 0 {
				values = []string{itoa(r.ContentLength)}
			}
		case "transfer-encoding":
			values = r.TransferEncoding
		default:
			values = r.Header.Values(name)
		}
		for i, v := range values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strings.Join(strings.Fields(v), " "))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func itoa(n int64) string {
	var b [20]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}

// stringToSign is what the signature of a request signs.
func stringToSign(r *http.Request, path, query string, signed []string, payload, date, scope string) string {
	canonical := r.Method + "\n" + path + "\n" + query + "\n" + canonicalHeaders(r, signed) + "\n" + strings.Join(signed, ";") + "\n" + payload
	return algorithm + "\n" + date + "\n" + scope + "\n" + hexSHA256([]byte(canonical))
}
