package sigv4

import (
	"crypto/hmac"
	"encoding/hex"
	"time"
)

// Chain checks the signatures of an event stream: each message's signature covers its date, its payload and the signature before it.
type Chain struct {
	key   []byte
	scope string
	prior string
}

// maxEventAge bounds how old a message may be when it arrives.
const maxEventAge = 5 * time.Minute

// Verify checks the next message: headers is the encoded :date header, payload the wrapped message.
func (c *Chain) Verify(date, now time.Time, headers, payload, signature []byte) error {
	if d := now.Sub(date); d > maxEventAge || d < -maxEventAge {
		return refuse(ErrSkewed, "a message's date is not within %d minutes: check the clocks", int(maxEventAge.Minutes()))
	}
	if !hmac.Equal(signature, c.sign(date, headers, payload)) {
		return refuse(ErrMismatch, "the signature of a message does not match")
	}
	c.prior = hex.EncodeToString(signature)
	return nil
}

func (c *Chain) sign(date time.Time, headers, payload []byte) []byte {
	return mac(c.key, streamString(date, c.scope, c.prior, headers, payload))
}

func streamString(date time.Time, scope, prior string, headers, payload []byte) string {
	return algorithm + "-PAYLOAD\n" + date.UTC().Format(timeFormat) + "\n" + scope + "\n" + prior + "\n" + hexSHA256(headers) + "\n" + hexSHA256(payload)
}
