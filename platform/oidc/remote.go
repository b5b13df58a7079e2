package oidc

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/limits"
	"github.com/galen-health/galen/platform/safedial"
	"github.com/galen-health/galen/platform/strictjson"
)

// How long keys are kept, how soon an unknown one is asked for again, and how large an answer may be.
const (
	keep   = time.Hour
	again  = 30 * time.Second
	answer = 1 << 20
)

// Set is a fixed set of keys.
type Set []jose.JSONWebKey

// ParseSet reads a JWK set (RFC 7517). Private keys in it are refused: whoever sends one has told a secret.
func ParseSet(b []byte) (Set, error) {
	if err := strictjson.Check(b, strictjson.Limits{Size: answer, Depth: 8}); err != nil {
		return nil, errs.New(errs.Invalid, "the key set is not JSON: %s", errs.As(err).Message)
	}
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &raw); err != nil || raw.Keys == nil || len(raw.Keys) > maxKeys {
		return nil, errs.New(errs.Invalid, "the key set is not an object with a list of at most %d keys", maxKeys)
	}
	out := Set{}
	for _, one := range raw.Keys {
		var k jose.JSONWebKey
		if err := json.Unmarshal(one, &k); err != nil {
			continue // kinds of keys that are not known here (RFC 7517 §5)
		}
		if !k.IsPublic() {
			return nil, errs.New(errs.Invalid, "the key set holds a private or secret key: send public keys only, and take that key for lost")
		}
		out = append(out, k)
	}
	return out, nil
}

// Find implements Keys.
func (s Set) Find(_ context.Context, kid string) ([]jose.JSONWebKey, error) {
	if kid == "" {
		return s, nil
	}
	return slices.DeleteFunc(slices.Clone(s), func(k jose.JSONWebKey) bool { return k.KeyID != kid }), nil
}

// Remote are the keys at an address, fetched when they are needed.
type Remote struct {
	client  *http.Client
	issuer  string // its discovery document names the address; "" when address is given
	address string
	now     func() time.Time

	flight  singleflight.Group // one fetch at a time; who finds its key among the kept ones does not wait for it
	mu      sync.Mutex
	set     Set
	fetched time.Time // the last success
	tried   time.Time // the last try
	failed  error
}

// Discovered are the keys of an issuer, by its discovery document.
func Discovered(dial *safedial.Dialer, issuer string) *Remote {
	return &Remote{client: dial.Client(5 * time.Second), issuer: issuer, now: time.Now}
}

// At are the keys at an address.
func At(dial *safedial.Dialer, address string) *Remote {
	return &Remote{client: dial.Client(5 * time.Second), address: address, now: time.Now}
}

// Find implements Keys. A key that is not among the kept ones makes it fetch again, not more often than every half minute; keys that were fetched within the
// hour are still good when the issuer cannot be reached.
func (r *Remote) Find(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	found, fresh, try, err := r.kept(ctx, kid)
	if fresh && len(found) > 0 || !try {
		return found, err
	}
	ctx = context.WithoutCancel(ctx) // others wait for the same answer; the client has a time limit of its own
	_, _, _ = r.flight.Do("", func() (any, error) {
		if _, _, try, _ := r.kept(ctx, kid); !try { // it was fetched while this one waited
			return nil, nil
		}
		set, err := r.fetch(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tried = r.now()
		if r.failed = err; err == nil {
			r.set, r.fetched = set, r.tried
		}
		return nil, nil
	})
	found, _, _, err = r.kept(ctx, kid)
	return found, err
}

// kept looks among the kept keys. try says that it is time to fetch; err is the last failure when nothing kept is good any more.
func (r *Remote) kept(ctx context.Context, kid string) (found []jose.JSONWebKey, fresh, try bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	fresh, try = r.set != nil && now.Sub(r.fetched) < keep, now.Sub(r.tried) >= again
	if !fresh {
		return nil, false, try, r.failed
	}
	found, err = r.set.Find(ctx, kid)
	return found, true, try, err
}

func (r *Remote) fetch(ctx context.Context) (Set, error) {
	address := r.address
	if r.issuer != "" {
		var doc struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		b, err := r.get(ctx, strings.TrimSuffix(r.issuer, "/")+"/.well-known/openid-configuration")
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, &doc); err != nil || doc.Issuer != r.issuer || doc.Keys == "" {
			return nil, unheard("its discovery document is not that of %s, or names no keys", r.issuer)
		}
		if strings.HasPrefix(r.issuer, "https:") && !strings.HasPrefix(doc.Keys, "https:") {
			return nil, unheard("its keys are not served over HTTPS")
		}
		address = doc.Keys
	}
	b, err := r.get(ctx, address)
	if err != nil {
		return nil, err
	}
	set, err := ParseSet(b)
	if err != nil {
		return nil, unheard("%s", errs.As(err).Message)
	}
	return set, nil
}

func unheard(format string, args ...any) error {
	return errs.Named(errs.Unavailable, ErrUnheard, "The identity provider's keys cannot be had: "+format, args...)
}

func (r *Remote) get(ctx context.Context, address string) ([]byte, error) {
	if _, err := safedial.CheckURL(address); err != nil {
		return nil, unheard("%s", errs.As(err).Message)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, unheard("the address is not a URL")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		if e := errs.As(err); e.Code == errs.Denied { // the dialer's word
			return nil, unheard("%s", e.Message)
		}
		return nil, unheard("the request failed")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, unheard("it answers with status %d", resp.StatusCode)
	}
	b, err := limits.ReadAll(resp.Body, answer, "the identity provider's answer")
	if err != nil {
		return nil, unheard("%s", errs.As(err).Message)
	}
	if err := strictjson.Check(b, strictjson.Limits{Size: answer, Depth: 16}); err != nil {
		return nil, unheard("it does not answer with JSON")
	}
	return b, nil
}
