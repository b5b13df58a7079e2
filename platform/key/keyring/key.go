package keyring

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// State is the state of a KMS key, with KMS's words.
type State string

// The states that a key can be in.
const (
	Enabled         State = "Enabled"
	Disabled        State = "Disabled"
	PendingDeletion State = "PendingDeletion"
	Deleted         State = "Deleted" // a tombstone: no material is left
)

// Version is one key material of a key; the newest wraps, all open.
type Version struct {
	Number   uint32    `json:"number"` // from 1
	Created  time.Time `json:"created"`
	OnDemand bool      `json:"onDemand,omitempty"` // made by RotateKeyOnDemand
	material []byte
}

// Key is what is known of a key, without its material.
type Key struct {
	ID      string    `json:"id"` // UUID
	ARN     string    `json:"-"`
	State   State     `json:"state"`
	Purpose string    `json:"purpose,omitempty"` // set for keys that Galen owns
	Created time.Time `json:"created"`
	// DeleteAt is set while PendingDeletion; from then on the key is gone. For Deleted keys it is when that happened.
	DeleteAt time.Time `json:"deleteAt,omitzero"`
	// RotationDays is the period of automatic rotation; 0 = off.
	RotationDays int `json:"rotationDays,omitempty"`
	// RotationFrom is when the period began: automatic rotation was turned on then, or was last due. A rotation on demand leaves it.
	RotationFrom time.Time `json:"rotationFrom,omitzero"`
	Versions     []Version `json:"-"`
}

// Owned reports whether Galen owns the key: the KMS API does not show it.
func (k *Key) Owned() bool { return k.Purpose != "" }

// NextRotation is when automatic rotation is due; zero when it is off.
func (k *Key) NextRotation() time.Time {
	if k.RotationDays == 0 || len(k.Versions) == 0 {
		return time.Time{}
	}
	from := k.RotationFrom
	if from.IsZero() { // of a ring from before this was kept
		from = k.Versions[len(k.Versions)-1].Created
	}
	return from.AddDate(0, 0, k.RotationDays)
}

// rotate gives the key its automatic rotation. The schedule stays; only a rotation that is late by a whole period, because the key was disabled or nothing ran,
// begins it anew.
func (k *Key) rotate(now time.Time) {
	due := k.NextRotation()
	k.addVersion(now, false)
	if k.RotationFrom = due; !now.Before(k.NextRotation()) {
		k.RotationFrom = now
	}
}

// usable returns why the key may not be used at this moment, or nil.
func (k *Key) usable(now time.Time) error {
	switch {
	case k.State == Deleted, k.State == PendingDeletion && !now.Before(k.DeleteAt):
		return notFound(k.ARN)
	case k.State == Disabled:
		return errs.Named(errs.Conflict, "DisabledException", "%s is disabled.", k.ARN)
	case k.State == PendingDeletion:
		return errs.Named(errs.Conflict, "KMSInvalidStateException", "%s is pending deletion.", k.ARN)
	}
	return nil
}

func notFound(name string) error {
	return errs.Named(errs.NotFound, "NotFoundException", "Key '%s' does not exist", name)
}

// clone copies what a caller may keep; the material stays here.
func (k *Key) clone() *Key {
	c := *k
	c.Versions = make([]Version, len(k.Versions))
	for i, v := range k.Versions {
		v.material = nil
		c.Versions[i] = v
	}
	return &c
}

func (k *Key) version(number uint32) *Version {
	for i := range k.Versions {
		if k.Versions[i].Number == number {
			return &k.Versions[i]
		}
	}
	return nil
}

func (k *Key) addVersion(now time.Time, onDemand bool) {
	material := make([]byte, 32)
	_, _ = rand.Read(material) // never fails
	n := uint32(len(k.Versions)) + 1
	k.Versions = append(k.Versions, Version{Number: n, Created: now, OnDemand: onDemand, material: material})
}

// wipe forgets the material.
func (k *Key) wipe() {
	for i := range k.Versions {
		clear(k.Versions[i].material)
	}
	k.Versions = nil
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return formatID(b)
}

func formatID(b [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// parseID reads a UUID in its canonical form only.
func parseID(s string) (b [16]byte, ok bool) {
	raw, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(raw) != len(b) {
		return b, false
	}
	copy(b[:], raw)
	return b, formatID(b) == s
}
