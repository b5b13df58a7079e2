// Package session makes and opens the tokens of temporary credentials.
//
// A token holds everything about its session, sealed under a data key that the key ring wraps: nothing is stored, and whoever holds the ring
// can open it. It is bound to its access key id, and it ends at its expiry. It never holds more rights than its principal has when it is used:
// policies are read then.
package session

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// MaxToken bounds a token in bytes; longer ones are not looked at.
const MaxToken = 32 << 10

// Names of the errors, as the edge knows them.
const (
	errInvalid = "InvalidToken"
	errExpired = "ExpiredToken"
)

// Credentials are temporary credentials.
type Credentials struct {
	AccessKeyID, SecretAccessKey, Token string
	Expires                             time.Time
}

// content is what a token seals.
type content struct {
	AccessKeyID string         `json:"k"`
	Secret      string         `json:"s"`
	Principal   call.Principal `json:"p"`
}

// The data key is bound to this purpose.
var keyContext = map[string]string{"galen:purpose": "session-token"}

// Issue makes credentials for a principal, whose Session says when they end.
func Issue(ctx context.Context, ring key.Ring, p call.Principal) (Credentials, error) {
	c := Credentials{AccessKeyID: NewKeyID("ASIA"), SecretAccessKey: NewSecret(), Expires: p.Session.Expires}
	p.AccessKeyID = c.AccessKeyID
	plain, err := json.Marshal(content{c.AccessKeyID, c.SecretAccessKey, p})
	if err != nil {
		return Credentials{}, errs.Wrap(errs.Internal, err, "a session token cannot be made")
	}
	dk, err := ring.DataKey(ctx, key.Ref{Context: keyContext})
	if err != nil {
		return Credentials{}, err
	}
	defer clear(dk.Plain)
	gcm, err := aead(dk.Plain)
	if err != nil {
		return Credentials{}, err
	}
	token := binary.BigEndian.AppendUint16([]byte{1}, uint16(len(dk.Wrapped))) // format 1
	token = append(token, dk.Wrapped...)
	nonce := make([]byte, gcm.NonceSize())
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	token = append(token, nonce...)
	token = gcm.Seal(token, nonce, plain, []byte(c.AccessKeyID))
	c.Token = base64.StdEncoding.EncodeToString(token)
	if len(c.Token) > MaxToken {
		return Credentials{}, errs.Named(errs.TooLarge, "PackedPolicyTooLarge", "the session's policies and tags make a token of more than %d bytes", MaxToken)
	}
	return c, nil
}

// Open returns the credential of a token; errs.Unauthenticated when the token is not ours, not of this access key, or over.
func Open(ctx context.Context, ring key.Ring, accessKeyID, token string, now time.Time) (authz.Credential, error) {
	bad := errs.Named(errs.Unauthenticated, errInvalid, "the security token included in the request is invalid")
	raw, err := base64.StdEncoding.DecodeString(token)
	if len(token) > MaxToken || err != nil || len(raw) < 3 || raw[0] != 1 {
		return authz.Credential{}, bad
	}
	n := int(binary.BigEndian.Uint16(raw[1:]))
	if len(raw) < 3+n+12 {
		return authz.Credential{}, bad
	}
	dk, err := ring.Open(ctx, raw[3:3+n], keyContext)
	if err != nil {
		return authz.Credential{}, bad
	}
	defer clear(dk.Plain)
	gcm, err := aead(dk.Plain)
	if err != nil {
		return authz.Credential{}, err
	}
	raw = raw[3+n:]
	plain, err := gcm.Open(nil, raw[:gcm.NonceSize()], raw[gcm.NonceSize():], []byte(accessKeyID))
	if err != nil {
		return authz.Credential{}, bad
	}
	var c content
	if err := json.Unmarshal(plain, &c); err != nil || c.AccessKeyID != accessKeyID || c.Principal.Session == nil {
		return authz.Credential{}, bad
	}
	if !now.Before(c.Principal.Session.Expires) {
		return authz.Credential{}, errs.Named(errs.Unauthenticated, errExpired, "the security token included in the request is expired")
	}
	return authz.Credential{Secret: c.Secret, SessionToken: token, Principal: c.Principal}, nil
}

func aead(k []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// NewKeyID returns a random identifier of AWS's form: a prefix of four letters and 16 letters and digits.
func NewKeyID(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	for i := range b {
		b[i] = letters[b[i]&31]
	}
	return prefix + string(b[:])
}

// NewSecret returns a random secret access key of 40 characters (240 bits).
func NewSecret() string {
	var b [30]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.StdEncoding.EncodeToString(b[:])
}
