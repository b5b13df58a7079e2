package keyring

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// Config says whose keys these are. The zero Config is account 000000000000 in us-east-1 by the real clock.
type Config struct {
	Account string
	Region  string
	Now     func() time.Time
}

// Ring is a local key ring. It is a key.Ring and a key.Checker; the methods in admin.go are the kms service's.
type Ring struct {
	cfg  Config
	d    disk.FS
	root []byte

	mu       gate
	sequence uint64
	keys     map[string]*Key
	aliases  map[string]alias
	account  string // id of the key for Ref.Key == ""
	broken   error  // a failed sync: no change is possible until a restart
	faults   []error
}

var (
	_ key.Ring    = (*Ring)(nil)
	_ key.Checker = (*Ring)(nil)
)

// Open opens the ring in a folder, or makes it. rootKey is 32 bytes, or nil for the folder's own root key file, which is made together
// with a new ring. A ring that another root key sealed is errs.Invalid, two damaged copies are errs.Corrupt; neither is written to.
func Open(dir string, rootKey []byte, cfg Config) (*Ring, error) {
	d, err := disk.Open(dir)
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the key folder cannot be opened")
	}
	r, err := OpenFS(d, rootKey, cfg)
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	return r, nil
}

// OpenFS is Open on any disk; Close closes it.
func OpenFS(d disk.FS, rootKey []byte, cfg Config) (*Ring, error) {
	r := newRing(d, cfg)
	if rootKey != nil && len(rootKey) != 32 {
		return nil, errs.New(errs.Invalid, "the root key has %d bytes, not 32", len(rootKey))
	}
	r.root = append([]byte(nil), rootKey...)
	if rootKey == nil {
		fresh, err := isFresh(d)
		if err != nil {
			return nil, errs.Wrap(errs.Unavailable, err, "the key folder cannot be read")
		}
		if r.root, err = readRoot(d, fresh); err != nil {
			return nil, err
		}
	}
	l, err := load(d, r.root)
	if err != nil {
		clear(r.root)
		return nil, err
	}
	if l.absent {
		k := r.newKey("account")
		r.keys[k.ID], r.account = k, k.ID
		return r, r.save()
	}
	r.sequence = l.sequence
	r.take(l.content)
	r.faults = l.faults
	if len(l.faults) > 0 || l.behind { // a crash between the two copies, or damage to one: make them equal again
		return r, r.save()
	}
	return r, nil
}

// newRing is a ring without keys.
func newRing(d disk.FS, cfg Config) *Ring {
	if cfg.Account == "" {
		cfg.Account = "000000000000"
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Ring{cfg: cfg, d: d, keys: make(map[string]*Key), aliases: make(map[string]alias)}
}

// Faults tells what was wrong with one copy of the ring at Open and has been mended from the other; also an ordinary crash between the
// copies shows here.
func (r *Ring) Faults() []error { return r.faults }

// Verify checks the ring in a folder, server stopped, and returns a fault a damaged copy; it changes nothing.
func Verify(dir string, rootKey []byte) (keys int, faults []error) {
	d, err := disk.Open(dir)
	if err != nil {
		return 0, []error{err}
	}
	defer d.Close() //nolint:errcheck // only read
	if rootKey == nil {
		if rootKey, err = readRoot(d, false); err != nil {
			return 0, []error{err}
		}
		defer clear(rootKey)
	}
	l, err := load(d, rootKey)
	defer l.content.wipe()
	switch {
	case l.absent:
		return 0, []error{errs.New(errs.Corrupt, "there is no key ring")}
	case err != nil && len(l.faults) == 0:
		return 0, []error{err}
	case l.content == nil:
		return 0, l.faults
	}
	return len(l.content.Keys), l.faults
}

func isFresh(d disk.FS) (bool, error) {
	names, err := d.List(".")
	if err != nil {
		return false, err
	}
	for _, n := range names {
		for _, c := range copies {
			if n == c {
				return false, nil
			}
		}
	}
	return true, nil
}

// take makes the ring from what was read.
func (r *Ring) take(c *content) {
	for _, kk := range c.Keys {
		k := kk.Key
		k.ARN = r.arn(k.ID)
		for _, kv := range kk.Kept {
			kv.material = kv.Material
			k.Versions = append(k.Versions, kv.Version)
		}
		r.keys[k.ID] = &k
	}
	maps.Copy(r.aliases, c.Aliases)
	r.account = c.Account
}

// content is the present state as it is kept. The caller holds mu.
func (r *Ring) content() *content {
	c := &content{Aliases: r.aliases, Account: r.account}
	for _, k := range r.keys {
		kk := keptKey{Key: *k, Kept: []keptVersion{}}
		for _, v := range k.Versions {
			kk.Kept = append(kk.Kept, keptVersion{v, v.material})
		}
		c.Keys = append(c.Keys, kk)
	}
	return c
}

// save makes the present state durable in both copies. The caller holds mu and undoes its change when save fails; after a failed write of
// the second copy the first may be ahead, so the state counts as unknown and the ring as broken, as after a failed sync.
func (r *Ring) save() error {
	if r.broken != nil {
		return r.broken
	}
	if err := r.mu.fit(); err != nil {
		return err
	}
	b, err := encodeRing(r.root, r.sequence+1, r.content())
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the key ring cannot be encoded")
	}
	for i, name := range copies {
		if err := disk.Replace(r.d, name, b); err != nil {
			err = errs.Wrap(errs.Unavailable, err, "the key ring cannot be written")
			if i > 0 || disk.IsSync(err) {
				r.broken = errs.Wrap(errs.Unavailable, err, "the key ring takes no changes since a write failed: mend the disk and restart")
			}
			return err
		}
	}
	r.sequence++
	return nil
}

// Close wipes the keys from memory and lets the folder go.
func (r *Ring) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.keys {
		k.wipe()
	}
	r.keys = nil
	clear(r.root)
	r.broken = errs.New(errs.Unavailable, "the key ring is closed")
	if r.d == nil { // a copy in memory
		return nil
	}
	return r.d.Close()
}

func (r *Ring) now() time.Time { return r.cfg.Now().UTC().Truncate(time.Millisecond) }

func (r *Ring) arn(id string) string {
	return fmt.Sprintf("arn:aws:kms:%s:%s:key/%s", r.cfg.Region, r.cfg.Account, id)
}

func (r *Ring) newKey(purpose string) *Key {
	k := &Key{ID: newID(), State: Enabled, Purpose: purpose, Created: r.now()}
	k.ARN = r.arn(k.ID)
	k.addVersion(k.Created, false)
	return k
}

// find resolves a key id, key ARN, alias name or alias ARN; "" is the account's own key. The caller holds mu.
func (r *Ring) find(name string) (*Key, error) {
	if err := r.mu.fit(); err != nil {
		return nil, err
	}
	id := name
	prefix := "arn:aws:kms:" + r.cfg.Region + ":" + r.cfg.Account + ":"
	switch {
	case name == "":
		id = r.account
	case strings.HasPrefix(name, prefix):
		id = strings.TrimPrefix(strings.TrimPrefix(name, prefix), "key/")
	}
	if strings.HasPrefix(id, "alias/") {
		target, ok := r.aliases[id]
		if !ok {
			return nil, errs.Named(errs.NotFound, "NotFoundException", "Alias %s%s is not found.", prefix, id)
		}
		id = target.KeyID
	}
	k, ok := r.keys[id]
	if !ok {
		return nil, notFound(name)
	}
	return k, nil
}

// DataKey makes a fresh data key.
func (r *Ring) DataKey(_ context.Context, ref key.Ref) (key.DataKey, error) {
	return r.dataKey(ref, (*Key).usable)
}

func (r *Ring) dataKey(ref key.Ref, may func(*Key, time.Time) error) (key.DataKey, error) {
	plain := make([]byte, 32)
	_, _ = rand.Read(plain) // never fails
	wrapped, arn, err := r.encrypt(ref.Key, plain, ref.Context, may)
	if err != nil {
		clear(plain)
		return key.DataKey{}, err
	}
	return key.DataKey{Plain: plain, Wrapped: wrapped, KeyARN: arn}, nil
}

// Encrypt seals a small plaintext under a key and returns the key's ARN.
func (r *Ring) Encrypt(_ context.Context, name string, plain []byte, context map[string]string) (ciphertext []byte, arn string, err error) {
	return r.encrypt(name, plain, context, (*Key).usable)
}

// encrypt asks may whether the key is good for it.
func (r *Ring) encrypt(name string, plain []byte, context map[string]string, may func(*Key, time.Time) error) (ciphertext []byte, arn string, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	k, err := r.find(name)
	if err != nil {
		return nil, "", err
	}
	if err := may(k, r.now()); err != nil {
		return nil, "", err
	}
	ciphertext, err = seal(k, plain, context)
	return ciphertext, k.ARN, err
}

// Decrypt opens what Encrypt or DataKey sealed and returns the key's ARN; errors as Ring.Open.
func (r *Ring) Decrypt(_ context.Context, ciphertext []byte, context map[string]string) (plain []byte, arn string, err error) {
	return r.decrypt(ciphertext, context, (*Key).usable)
}

func (r *Ring) decrypt(ciphertext []byte, context map[string]string, may func(*Key, time.Time) error) (plain []byte, arn string, err error) {
	id, version, err := keyOf(ciphertext)
	if err != nil {
		return nil, "", err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if err := r.mu.fit(); err != nil {
		return nil, "", err
	}
	k, ok := r.keys[id]
	if !ok { // of another ring, or damaged: the same to the caller
		return nil, "", invalidCiphertext()
	}
	if err := may(k, r.now()); err != nil {
		return nil, "", err
	}
	v := k.version(version)
	if v == nil {
		return nil, "", invalidCiphertext()
	}
	plain, err = unseal(v, ciphertext, context)
	return plain, k.ARN, err
}

// Open unwraps a data key.
func (r *Ring) Open(_ context.Context, wrapped []byte, context map[string]string) (key.DataKey, error) {
	return r.openKey(wrapped, context, (*Key).usable)
}

func (r *Ring) openKey(wrapped []byte, context map[string]string, may func(*Key, time.Time) error) (key.DataKey, error) {
	plain, arn, err := r.decrypt(wrapped, context, may)
	if err != nil {
		return key.DataKey{}, err
	}
	if len(plain) != 32 {
		clear(plain)
		return key.DataKey{}, errs.Named(errs.Invalid, "InvalidCiphertextException", "The ciphertext is no wrapped data key.")
	}
	return key.DataKey{Plain: plain, Wrapped: wrapped, KeyARN: arn}, nil
}

// Rewrap wraps the same data key again. An empty to.Key means the key that wraps it now; to.Context is the new context.
func (r *Ring) Rewrap(ctx context.Context, wrapped []byte, context map[string]string, to key.Ref) ([]byte, error) {
	dk, err := r.Open(ctx, wrapped, context)
	if err != nil {
		return nil, err
	}
	defer clear(dk.Plain)
	if to.Key == "" {
		to.Key = dk.KeyARN
	}
	out, _, err := r.Encrypt(ctx, to.Key, dk.Plain, to.Context)
	return out, err
}

// Check reports whether a key may be used now.
func (r *Ring) Check(_ context.Context, arn string) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	k, err := r.find(arn)
	if err != nil {
		return err
	}
	return k.usable(r.now())
}

// CreateOwned makes a key that Galen owns.
func (r *Ring) CreateOwned(_ context.Context, purpose string) (string, error) {
	if purpose == "" {
		return "", errs.New(errs.Invalid, "an owned key needs a purpose")
	}
	k, err := r.create(purpose)
	if err != nil {
		return "", err
	}
	return k.ARN, nil
}

// DestroyOwned deletes an owned key at once. Destroying it again is not an error.
func (r *Ring) DestroyOwned(_ context.Context, arn string) error {
	return r.change(arn, func(k *Key) error {
		if !k.Owned() || k.ID == r.account {
			return errs.New(errs.Conflict, "%s is not a key that can be destroyed at once: schedule its deletion", arn)
		}
		r.bury(k)
		return nil
	})
}
