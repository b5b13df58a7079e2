// Package page answers list operations page by page, with page tokens: a cursor, authenticated together with what it is a page of, so that a token works for the
// request that it was made for, on every server of a store and over restarts, and for nothing else. It hides nothing: a cursor must not name what a
// caller may not know.
package page

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Secret is the record that holds a service's key.
type Secret struct{ Key []byte }

// Kind is the kind of that record, for the service to declare.
func Kind(name string) record.Kind[Secret] { return record.Kind[Secret]{Name: name} }

// Tokens makes and reads the tokens of one service, whose records it lists.
type Tokens struct {
	key     []byte
	records record.Store
	space   record.Space
}

// Open reads the key from the service's space, or makes it.
func Open(ctx context.Context, records record.Store, space record.Space, kind record.Kind[Secret]) (Tokens, error) {
	t := Tokens{records: records, space: space}
	_, err := records.Update(ctx, space, []string{"secret"}, func(tx record.Tx) error {
		v, _, err := kind.Get(tx, "pages")
		if errs.Is(err, errs.NotFound) {
			v = &Secret{make([]byte, 32)}
			_, _ = rand.Read(v.Key) // never fails (crypto/rand)
			err = kind.Create(tx, "pages", v)
		}
		if err == nil {
			t.key = v.Key
		}
		return err
	})
	return t, err
}

const macSize = 12

func (t Tokens) mac(of, cursor string) []byte {
	h := hmac.New(sha256.New, t.key)
	h.Write([]byte(of))
	h.Write([]byte{0})
	h.Write([]byte(cursor))
	return h.Sum(nil)[:macSize]
}

// Token is "" for an empty cursor. of names the operation and all that decides what it lists; it has no zero byte.
func (t Tokens) Token(of, cursor string) string {
	if cursor == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(t.mac(of, cursor), cursor...))
}

// Cursor reads a token; "" is the first page. A token of another request, or of nobody, is errs.Invalid.
func (t Tokens) Cursor(of, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < macSize || !hmac.Equal(b[:macSize], t.mac(of, string(b[macSize:]))) {
		return "", errs.New(errs.Invalid, "the page token is not one that this request was answered with")
	}
	return string(b[macSize:]), nil
}
