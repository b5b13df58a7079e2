package keyring

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// Sealed is the ring as it is now, as one of its files holds it: sealed under the root key, good for a backup.
func (r *Ring) Sealed() ([]byte, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.keys == nil {
		return nil, r.broken
	}
	b, err := encodeRing(r.root, r.sequence, r.content())
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the key ring cannot be encoded")
	}
	return b, nil
}

// OpenSealed opens what Sealed gave, in memory: it takes no changes. Errors as Open's.
func OpenSealed(b, rootKey []byte, cfg Config) (*Ring, error) {
	_, c, err := decodeRing(rootKey, b)
	switch {
	case err == errOtherRoot: //nolint:errorlint // decodeRing returns it as it is
		return nil, errs.Wrap(errs.Invalid, err, "the root key does not open the key ring: give the root key that made it (GALEN_ROOT_KEY)")
	case err != nil:
		return nil, errs.Wrap(errs.Corrupt, err, "the key ring is damaged")
	}
	r := newRing(nil, cfg)
	r.root = append(r.root, rootKey...)
	r.take(c)
	r.broken = errs.New(errs.Unavailable, "a copy of a key ring takes no changes")
	return r, nil
}

// Files are the names of the ring's files; each of them is what Sealed gives.
func Files() []string { return append([]string(nil), copies[:]...) }

// Regardless is the ring for who carries data without reading it for anybody: it opens and wraps under disabled keys and keys that wait for their deletion too.
// Deleted keys open nothing here either.
func (r *Ring) Regardless() key.Ring { return regardless{r} }

type regardless struct{ *Ring }

// Check hides the ring's: a key's state is not minded.
func (g regardless) Check(_ context.Context, arn string) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	k, err := g.find(arn)
	if err != nil {
		return err
	}
	return k.there(g.now())
}

// there is the error of a key that is gone.
func (k *Key) there(now time.Time) error {
	if err := k.usable(now); errs.Is(err, errs.NotFound) || len(k.Versions) == 0 {
		return notFound(k.ARN)
	}
	return nil
}

// DataKey implements key.Ring.
func (g regardless) DataKey(_ context.Context, ref key.Ref) (key.DataKey, error) {
	return g.dataKey(ref, (*Key).there)
}

// Open implements key.Ring.
func (g regardless) Open(_ context.Context, wrapped []byte, context map[string]string) (key.DataKey, error) {
	return g.openKey(wrapped, context, (*Key).there)
}

// VerifyFiles checks both copies of the ring in its folder while it is open; it returns how many keys there are.
func (r *Ring) VerifyFiles() (keys int, faults []error) {
	r.mu.RLock() // no change is half written meanwhile
	defer r.mu.RUnlock()
	if r.d == nil {
		return 0, nil
	}
	l, err := load(r.d, r.root)
	l.content.wipe()
	if err != nil && len(l.faults) == 0 {
		return len(r.keys), []error{err}
	}
	return len(r.keys), l.faults
}

// CheckFormat says whether a ring's file is of a format that this version does not know; what is damaged otherwise is for Open to say.
func CheckFormat(b []byte) error {
	if len(b) >= 10 && string(b[:8]) == ringMagic {
		if f := binary.BigEndian.Uint16(b[8:]); f > ringFormat {
			return errs.New(errs.Unsupported, "the key ring has format %d, this version of Galen reads %d", f, ringFormat)
		}
	}
	return nil
}
