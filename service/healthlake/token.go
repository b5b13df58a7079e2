package healthlake

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// clientToken remembers what a client token was used for: the same request again has the same answer, another one is a conflict.
type clientToken struct {
	Request string // SHA-256 of the input
	ID      string // what was made
}

var clientTokens = record.Kind[clientToken]{Name: "healthlake.clienttoken"}

// once runs make unless the operation had this client token before; it returns the id of what was made then or now. The caller holds
// the lock "token/<op>/<token>" in tx.
func once(tx record.Tx, op, token string, input any, make func() (id string, err error)) (string, error) {
	if token == "" {
		return make()
	}
	b, err := json.Marshal(input)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "the request cannot be remembered")
	}
	sum := sha256.Sum256(b)
	request := hex.EncodeToString(sum[:])
	old, _, err := clientTokens.Get(tx, op+"/"+token)
	switch {
	case err == nil && old.Request == request:
		return old.ID, nil
	case err == nil:
		return "", errs.New(errs.Invalid, "ClientToken was used before for a different request: use a new token")
	case !errs.Is(err, errs.NotFound):
		return "", err
	}
	id, err := make()
	if err != nil {
		return "", err
	}
	return id, clientTokens.Create(tx, op+"/"+token, &clientToken{request, id})
}
