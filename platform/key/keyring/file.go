package keyring

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
)

// The ring is one file in two equal copies. A change is acknowledged when both are durable; the newer whole copy counts at the next start.
var copies = [...]string{"ring.a", "ring.b"}

const (
	ringMagic  = "GALENKEY"
	ringFormat = 1
	// header: magic 8 | format 2 | sequence 8 | root check 16 | nonce 12; then the sealed JSON.
	ringHeader = 8 + 2 + 8 + 16 + nonceLen
	maxRing    = 256 << 20
)

// errOtherRoot says that a ring is sealed under another root key; it is told apart from damage by the root check.
var errOtherRoot = errors.New("sealed under another root key")

// content is what is sealed.
type content struct {
	Keys    []keptKey        `json:"keys"`
	Aliases map[string]alias `json:"aliases,omitempty"` // by "alias/name"
	Account string           `json:"account"`           // the default key's id
}

type alias struct {
	KeyID   string    `json:"keyId"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

type keptKey struct {
	Key
	Kept []keptVersion `json:"versions"`
}

type keptVersion struct {
	Version
	Material []byte `json:"material"`
}

// wipe forgets the material of a content that did not become the ring.
func (c *content) wipe() {
	if c == nil {
		return
	}
	for _, k := range c.Keys {
		for _, v := range k.Kept {
			clear(v.Material)
		}
	}
}

func derive(root []byte, purpose string, n int) []byte {
	k, err := hkdf.Key(sha256.New, root, nil, "galen key ring "+purpose, n)
	if err != nil {
		panic(err) // only for lengths that no caller asks for
	}
	return k
}

func encodeRing(root []byte, sequence uint64, c *content) ([]byte, error) {
	plain, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	out := make([]byte, 0, ringHeader+len(plain)+tagLen)
	out = append(out, ringMagic...)
	out = binary.BigEndian.AppendUint16(out, ringFormat)
	out = binary.BigEndian.AppendUint64(out, sequence)
	out = append(out, derive(root, "check", 16)...)
	out = out[:ringHeader]
	_, _ = rand.Read(out[ringHeader-nonceLen:]) // never fails
	k := derive(root, "seal", 32)
	defer clear(k)
	aead, err := gcm(k)
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, out[ringHeader-nonceLen:ringHeader], plain, out[:ringHeader]), nil
}

func decodeRing(root, b []byte) (sequence uint64, c *content, err error) {
	if len(b) < ringHeader+tagLen || string(b[:8]) != ringMagic {
		return 0, nil, errors.New("it is no key ring")
	}
	if f := binary.BigEndian.Uint16(b[8:]); f != ringFormat {
		return 0, nil, fmt.Errorf("format %d is unknown to this version", f)
	}
	if !bytes.Equal(b[18:34], derive(root, "check", 16)) {
		return 0, nil, errOtherRoot
	}
	k := derive(root, "seal", 32)
	defer clear(k)
	aead, err := gcm(k)
	if err != nil {
		return 0, nil, err
	}
	plain, err := aead.Open(nil, b[ringHeader-nonceLen:ringHeader], b[ringHeader:], b[:ringHeader])
	if err != nil {
		return 0, nil, errors.New("its seal is broken")
	}
	defer clear(plain)
	c = new(content)
	if err := json.Unmarshal(plain, c); err != nil {
		return 0, nil, errors.New("its content cannot be read")
	}
	return binary.BigEndian.Uint64(b[10:]), c, nil
}

// loaded is what the two copies said.
type loaded struct {
	sequence uint64
	content  *content
	faults   []error // one a damaged, missing or stale copy
	behind   bool    // one copy lacks the last change, as a crash between the two leaves it: no fault, and mended
	absent   bool    // there is no ring at all
}

func load(d disk.FS, root []byte) (loaded, error) {
	var l loaded
	missing, otherRoot := 0, 0
	stale := -1
	for i, name := range copies {
		b, err := disk.ReadFile(d, name, maxRing)
		if errors.Is(err, fs.ErrNotExist) {
			missing++
			l.faults = append(l.faults, fmt.Errorf("key ring %s is missing", name))
			continue
		}
		var seq uint64
		var c *content
		if err == nil {
			seq, c, err = decodeRing(root, b)
		}
		was := l.content
		switch {
		case errors.Is(err, errOtherRoot):
			otherRoot++
			l.faults = append(l.faults, fmt.Errorf("key ring %s is damaged or %w", name, err))
		case err != nil:
			l.faults = append(l.faults, fmt.Errorf("key ring %s is damaged: %w", name, err))
		case l.content == nil:
			l.sequence, l.content = seq, c
			stale = i
		case seq+1 == l.sequence:
			l.behind = true
		case seq == l.sequence+1:
			l.sequence, l.content, l.behind = seq, c, true
		case seq != l.sequence:
			if seq > l.sequence {
				l.sequence, l.content = seq, c
			} else {
				stale = i
			}
			l.faults = append(l.faults, fmt.Errorf("key ring %s is older than the other copy", copies[stale]))
		}
		if c != l.content {
			c.wipe()
		} else if was != l.content {
			was.wipe()
		}
	}
	switch {
	case l.content != nil:
		return l, nil
	case missing == len(copies):
		l.absent = true
		return l, nil
	case otherRoot > 0:
		return l, errs.Wrap(errs.Invalid, errors.Join(l.faults...), "the root key does not open the key ring: give the root key that made it (GALEN_ROOT_KEY or the file %s)", rootFile)
	}
	return l, errs.Wrap(errs.Corrupt, errors.Join(l.faults...), "both copies of the key ring are damaged; restore one from a backup")
}
