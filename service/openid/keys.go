package openid

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/oidc"
	"github.com/galen-health/galen/platform/record"
)

// signingKey signs tokens while it is the newest; its public half is told until the last token that it signed has ended. The record is sealed like all
// others.
type signingKey struct {
	ID      string    `json:"id"`
	Private []byte    `json:"private"` // PKCS #8, P-256
	Created time.Time `json:"created"`
}

var signingKeys = record.Kind[signingKey]{Name: "openid.signingkey", Volatile: true}

// A key signs for turn; reread is how long another process may not know of a new one, and after retire no token of it can be alive.
const (
	turn   = 90 * 24 * time.Hour
	reread = time.Minute
	retire = turn + lifetime + 2*time.Hour
)

// all returns the keys, newest last, making the first one.
func (s *Service) all(ctx context.Context) ([]signingKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	if n := len(s.loaded); n > 0 && now.Sub(s.read) < reread && now.Sub(s.loaded[n-1].Created) < turn {
		return s.loaded, nil
	}
	var list []signingKey
	_, err := s.cfg.Records.Update(ctx, space, []string{"keys"}, func(tx record.Tx) error {
		list = nil
		page, err := tx.Query(record.Query{Kind: signingKeys.Name, Limit: 100})
		if err != nil {
			return err
		}
		for _, h := range page.Hits {
			k, err := signingKeys.Decode(h.Body)
			if err != nil {
				return err
			}
			if now.Sub(k.Created) > retire {
				if err := tx.Purge(signingKeys.Name, h.ID); err != nil {
					return err
				}
				continue
			}
			list = append(list, *k)
		}
		slices.SortFunc(list, func(a, b signingKey) int { return a.Created.Compare(b.Created) })
		if n := len(list); n > 0 && now.Sub(list[n-1].Created) < turn {
			return nil
		}
		k, err := newKey(now)
		if err != nil {
			return err
		}
		list = append(list, *k)
		return signingKeys.Create(tx, k.ID, k)
	})
	if err != nil {
		return nil, err
	}
	s.loaded, s.read = list, now
	return list, nil
}

func newKey(now time.Time) (*signingKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "a signing key cannot be made")
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "a signing key cannot be kept")
	}
	return &signingKey{ID: random(12), Private: der, Created: now.UTC()}, nil
}

// random is n random bytes as text of URLs.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

func (k *signingKey) private() (*ecdsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(k.Private)
	if err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "the signing key cannot be read")
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errs.New(errs.Corrupt, "the signing key is not of P-256")
	}
	return private, nil
}

// public is the key set that the provider publishes.
func (s *Service) public(ctx context.Context) (oidc.Set, error) {
	list, err := s.all(ctx)
	if err != nil {
		return nil, err
	}
	var out oidc.Set
	for i := range list {
		private, err := list[i].private()
		if err != nil {
			return nil, err
		}
		out = append(out, jose.JSONWebKey{Key: &private.PublicKey, KeyID: list[i].ID, Algorithm: string(jose.ES256), Use: "sig"})
	}
	return out, nil
}

// sign makes a token of claims.
func (s *Service) sign(ctx context.Context, claims any) (string, error) {
	list, err := s.all(ctx)
	if err != nil {
		return "", err
	}
	newest := list[len(list)-1]
	private, err := newest.private()
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: newest.ID}}, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "a token cannot be signed")
	}
	b, err := json.Marshal(claims)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "a token cannot be signed")
	}
	jws, err := signer.Sign(b)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "a token cannot be signed")
	}
	return jws.CompactSerialize()
}
