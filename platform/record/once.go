package record

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// onceDoc remembers what a client token was answered.
type onceDoc struct {
	Input  string // SHA-256 of the input
	Output json.RawMessage
	Time   time.Time
}

// OnceKind must be declared by whoever opens a store that Once is used on.
var OnceKind = Kind[onceDoc]{Name: "galen.once", Volatile: true, Indexes: Indexes[onceDoc]{ByTime("time", func(d *onceDoc) time.Time { return d.Time })}}

// onceKept is how long a client token is remembered.
const onceKept = 24 * time.Hour

// Of tokens whose time is over, every onceSweep-th new token takes away up to onceSwept in its own batch: twice as many as came, so they do not gather.
const (
	onceSweep = 32
	onceSwept = 2 * onceSweep
)

// Once makes a request with a client token idempotent: the same token and input answer the same without running fn again, the same token with another
// input is errs.Conflict. Without a token fn runs as it is. The token's memory is written in fn's own batch.
func Once[In, Out any](ctx context.Context, s Store, space Space, token string, in In, fn func(tx Tx) (*Out, error)) (*Out, error) {
	var out *Out
	if token == "" {
		_, err := s.Update(ctx, space, nil, func(tx Tx) (err error) { out, err = fn(tx); return err })
		return out, err
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the request cannot be remembered")
	}
	sum := sha256.Sum256(body)
	input := hex.EncodeToString(sum[:])
	_, err = s.Update(ctx, space, []string{"once/" + token}, func(tx Tx) error {
		old, _, err := OnceKind.Get(tx, token)
		switch {
		case err == nil && tx.Time().Sub(old.Time) < onceKept:
			if old.Input != input {
				return errs.New(errs.Conflict, "the client token was used before with another request: take a new one")
			}
			out = new(Out)
			return json.Unmarshal(old.Output, out)
		case err != nil && !errs.Is(err, errs.NotFound):
			return err
		}
		if out, err = fn(tx); err != nil {
			return err
		}
		answer, err := json.Marshal(out)
		if err != nil {
			return errs.Wrap(errs.Internal, err, "the answer cannot be remembered")
		}
		if err := OnceKind.Put(tx, token, &onceDoc{Input: input, Output: answer, Time: tx.Time()}); err != nil {
			return err
		}
		return sweepOnce(tx, token)
	})
	return out, err
}

// sweepOnce forgets tokens whose time is over. Which tokens sweep is decided by the token, so that a batch that is made again does the same.
func sweepOnce(tx Tx, token string) error {
	if sum := sha256.Sum256([]byte(token)); sum[0]%onceSweep != 0 {
		return nil
	}
	page, err := tx.Query(Query{Kind: OnceKind.Name, IDsOnly: true, Limit: onceSwept, Where: Range{Index: "time", High: Instant(tx.Time().Add(-onceKept))}})
	if err != nil {
		return err
	}
	for _, h := range page.Hits {
		if h.ID == token { // just written again
			continue
		}
		if err := tx.Purge(OnceKind.Name, h.ID); err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	return nil
}
