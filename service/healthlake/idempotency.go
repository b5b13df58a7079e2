package healthlake

import (
	"net/http"
	"strings"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// madeOnce remembers what a POST with an idempotency key made. It lives in the data store's own space.
type madeOnce struct{ Type, ID string }

var idempotencyKeys = record.Kind[madeOnce]{Name: "healthlake.idempotency"}

// idempotencyKey reads x-amz-fhir-idempotency-key, a UUID; "" when absent.
func idempotencyKey(h http.Header) (string, error) {
	k := strings.ToLower(h.Get("x-amz-fhir-idempotency-key"))
	if k == "" {
		return "", nil
	}
	ok := len(k) == 36
	for i := 0; ok && i < len(k); i++ {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			ok = k[i] == '-'
		} else {
			ok = strings.IndexByte("0123456789abcdef", k[i]) >= 0
		}
	}
	if !ok {
		return "", errs.New(errs.Invalid, "x-amz-fhir-idempotency-key is a UUID")
	}
	return k, nil
}

// madeBefore is the resource that an earlier request with this key made, as it is now; nil when there was none.
func madeBefore(tx record.Tx, key string) (*record.Version, error) {
	m, _, err := idempotencyKeys.Get(tx, key)
	if errs.Is(err, errs.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v, err := tx.Get(kindOf(m.Type), m.ID)
	if err != nil {
		return nil, absent(err, m.Type)
	}
	return v, nil
}
