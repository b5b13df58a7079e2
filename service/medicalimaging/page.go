package medicalimaging

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"github.com/galen-health/galen/platform/errs"
)

// pager makes the page tokens that go out: a cursor, authenticated together with what it is a page of, so that a token works for
// the request it was made for and nothing else.
type pager struct{ key []byte }

const macSize = 12

func (p pager) mac(of, cursor string) []byte {
	h := hmac.New(sha256.New, p.key)
	h.Write([]byte(of))
	h.Write([]byte{0})
	h.Write([]byte(cursor))
	return h.Sum(nil)[:macSize]
}

// token is "" for an empty cursor.
func (p pager) token(of, cursor string) string {
	if cursor == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(p.mac(of, cursor), cursor...))
}

func (p pager) cursor(of, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < macSize || !hmac.Equal(b[:macSize], p.mac(of, string(b[macSize:]))) {
		return "", errs.New(errs.Invalid, "the page token is not one that this request was answered with")
	}
	return string(b[macSize:]), nil
}
