// Package key keeps the keys: a root key seals KMS keys, a KMS key wraps data keys, a data key encrypts a blob or a store's records.
//
// Invariants: no plaintext key is on disk; a disabled, pending-deletion or deleted key opens nothing, from the moment the change was
// acknowledged (caches included); rotation rewraps keys, never bodies; deleting a key makes what it wrapped unreadable for ever.
package key

import "context"

// Ref names the key that something is encrypted under and the encryption context that is bound to it.
type Ref struct {
	// Key is a KMS key ARN or key id. "" stands for the key that Galen owns for the account.
	Key string
	// Context is authenticated with the wrapped data key; opening needs the same.
	Context map[string]string
}

// DataKey is 256 bits for one purpose, in the clear and wrapped.
type DataKey struct {
	Plain   []byte // 32 bytes; the holder wipes it when done (clear)
	Wrapped []byte // self-describing: names the KMS key and its version
	KeyARN  string
}

// Ring makes and opens data keys. Every use is checked against the key's state; who may use a key is decided before, by key policy.
type Ring interface {
	// DataKey makes a fresh data key under ref.Key. errs.NotFound: no such key; errs.Conflict: disabled or pending deletion.
	DataKey(ctx context.Context, ref Ref) (DataKey, error)
	// Open unwraps. errs.Invalid: not ours or another context; errs.Conflict: key disabled or pending deletion;
	// errs.NotFound: the key was deleted, so what it wrapped is gone for good.
	Open(ctx context.Context, wrapped []byte, context map[string]string) (DataKey, error)
	// Rewrap wraps the same data key under the current version of its KMS key, or under another key.
	Rewrap(ctx context.Context, wrapped []byte, context map[string]string, to Ref) ([]byte, error)
	// CreateOwned makes a key that Galen owns for one purpose (a data store without a customer key) and returns its ARN; it is
	// not listed by the KMS API. DestroyOwned deletes it at once: crypto-shredding.
	CreateOwned(ctx context.Context, purpose string) (arn string, err error)
	DestroyOwned(ctx context.Context, arn string) error
}
