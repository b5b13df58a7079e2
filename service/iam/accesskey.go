package iam

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	api "github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/platform/authz/session"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// maxKeys is the quota of access keys that a user may have.
const maxKeys = 2

// accessKey is a long-term credential. SigV4 needs the secret itself, so it is sealed and not hashed.
type accessKey struct {
	ID      string    `json:"id"`
	UserID  string    `json:"userId"` // the user's unique id: a new user of the same name does not inherit it
	User    string    `json:"user"`   // record id of the user
	Active  bool      `json:"active"`
	Created time.Time `json:"created"`
	Secret  sealed    `json:"secret"`
}

var accessKeys = record.Kind[accessKey]{Name: "iam.accesskey", Indexes: record.Indexes[accessKey]{
	record.ByToken("user", func(k *accessKey) string { return k.UserID }),
}}

// sealed is a secret under a data key of the key ring, bound to the access key id.
type sealed struct {
	Wrapped []byte `json:"wrapped"`
	Nonce   []byte `json:"nonce"`
	Text    []byte `json:"text"`
}

func sealContext(id string) map[string]string {
	return map[string]string{"galen:purpose": "access-key", "galen:id": id}
}

func (s *Service) seal(ctx context.Context, id, secret string) (sealed, error) {
	dk, err := s.ring.DataKey(ctx, key.Ref{Context: sealContext(id)})
	if err != nil {
		return sealed{}, err
	}
	defer clear(dk.Plain)
	gcm, err := aead(dk.Plain)
	if err != nil {
		return sealed{}, err
	}
	out := sealed{Wrapped: dk.Wrapped, Nonce: make([]byte, gcm.NonceSize())}
	_, _ = rand.Read(out.Nonce) // never fails (crypto/rand)
	out.Text = gcm.Seal(nil, out.Nonce, []byte(secret), []byte(id))
	return out, nil
}

func (s *Service) unseal(ctx context.Context, id string, x sealed) (string, error) {
	dk, err := s.ring.Open(ctx, x.Wrapped, sealContext(id))
	if err != nil {
		return "", err
	}
	defer clear(dk.Plain)
	gcm, err := aead(dk.Plain)
	if err != nil {
		return "", err
	}
	if len(x.Nonce) != gcm.NonceSize() {
		return "", errs.New(errs.Corrupt, "the secret of access key %s is damaged", id)
	}
	plain, err := gcm.Open(nil, x.Nonce, x.Text, []byte(id))
	if err != nil {
		return "", errs.Wrap(errs.Corrupt, err, "the secret of access key %s is damaged", id)
	}
	return string(plain), nil
}

func aead(k []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// querier is a Tx; a View has a context in its Query.
type querier interface {
	Query(record.Query) (*record.Page, error)
}

type viewQuery struct {
	ctx context.Context
	v   record.View
}

func (q viewQuery) Query(x record.Query) (*record.Page, error) { return q.v.Query(q.ctx, x) }

// keysOf lists a user's access keys, oldest first.
func keysOf(q querier, userID string) (out []*accessKey, err error) {
	page, err := q.Query(record.Query{Kind: accessKeys.Name, Where: record.Match{Index: "user", Value: record.Token("", userID)}, Limit: 100})
	if err != nil {
		return nil, err
	}
	for _, h := range page.Hits {
		k, err := accessKeys.Decode(h.Body)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

func (k *accessKey) status() api.StatusType {
	if k.Active {
		return api.StatusTypeActive
	}
	return api.StatusTypeInactive
}

// CreateAccessKey implements the contract: the only time that the secret is told.
func (s *Service) CreateAccessKey(ctx context.Context, in *api.CreateAccessKeyInput) (*api.CreateAccessKeyOutput, error) {
	name, err := self(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	k := &accessKey{ID: session.NewKeyID("AKIA"), Active: true}
	secret := session.NewSecret()
	if k.Secret, err = s.seal(ctx, k.ID, secret); err != nil {
		return nil, err
	}
	err = s.change(ctx, func(tx record.Tx) error {
		u, _, err := users.get(tx, name)
		if err != nil {
			return err
		}
		have, err := keysOf(tx, u.ID)
		if err != nil {
			return err
		}
		if len(have) >= maxKeys {
			return limit("Cannot exceed quota for AccessKeysPerUser: %d", maxKeys)
		}
		k.UserID, k.User, k.Created = u.ID, recordID(u.Name), tx.Time()
		return accessKeys.Create(tx, k.ID, k)
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateAccessKeyOutput{AccessKey: &api.AccessKey{UserName: name, AccessKeyId: k.ID, Status: k.status(), SecretAccessKey: secret, CreateDate: k.Created}}, nil
}

// keyOf finds an access key of a user.
func keyOf(tx record.Tx, name, id string) (*accessKey, int64, error) {
	u, _, err := users.get(tx, name)
	if err != nil {
		return nil, 0, err
	}
	k, v, err := accessKeys.Get(tx, id)
	if absent(err) || err == nil && k.UserID != u.ID {
		return nil, 0, errs.Named(errs.NotFound, "NoSuchEntity", "The Access Key with id %s cannot be found.", id)
	}
	return k, v, err
}

// UpdateAccessKey implements the contract.
func (s *Service) UpdateAccessKey(ctx context.Context, in *api.UpdateAccessKeyInput) (*api.UpdateAccessKeyOutput, error) {
	name, err := self(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	if in.Status != api.StatusTypeActive && in.Status != api.StatusTypeInactive {
		return nil, errInput("The status must be Active or Inactive.")
	}
	return &api.UpdateAccessKeyOutput{}, s.change(ctx, func(tx record.Tx) error {
		k, v, err := keyOf(tx, name, in.AccessKeyId)
		if err != nil {
			return err
		}
		k.Active = in.Status == api.StatusTypeActive
		return accessKeys.Replace(tx, k.ID, k, v)
	})
}

// DeleteAccessKey implements the contract.
func (s *Service) DeleteAccessKey(ctx context.Context, in *api.DeleteAccessKeyInput) (*api.DeleteAccessKeyOutput, error) {
	name, err := self(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	return &api.DeleteAccessKeyOutput{}, s.change(ctx, func(tx record.Tx) error {
		k, _, err := keyOf(tx, name, in.AccessKeyId)
		if err != nil {
			return err
		}
		return tx.Purge(accessKeys.Name, k.ID)
	})
}

// ListAccessKeys implements the contract.
func (s *Service) ListAccessKeys(ctx context.Context, in *api.ListAccessKeysInput) (*api.ListAccessKeysOutput, error) {
	name, err := self(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	out := &api.ListAccessKeysOutput{AccessKeyMetadata: []api.AccessKeyMetadata{}}
	return out, s.view(ctx, func(v record.View) error {
		u, _, err := users.get(v, name)
		if err != nil {
			return err
		}
		keys, err := keysOf(viewQuery{ctx, v}, u.ID)
		if err != nil {
			return err
		}
		slices.SortFunc(keys, func(a, b *accessKey) int { return strings.Compare(a.ID, b.ID) })
		keys, out.IsTruncated, out.Marker = cut(keys, func(k *accessKey) string { return k.ID }, in.Marker, in.MaxItems)
		for _, k := range keys {
			out.AccessKeyMetadata = append(out.AccessKeyMetadata, api.AccessKeyMetadata{UserName: u.Name, AccessKeyId: k.ID, Status: k.status(), CreateDate: k.Created})
		}
		return nil
	})
}
