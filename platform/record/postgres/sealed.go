package postgres

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

// What is sealed beside bodies: ids, entries and messages. Each is bound to where it stands.

func sealShort(aead cipher.AEAD, plain, place []byte) ([]byte, error) {
	n := aead.NonceSize()
	out := make([]byte, n, n+len(plain)+aead.Overhead())
	if _, err := rand.Read(out); err != nil {
		return nil, err
	}
	return aead.Seal(out, out, plain, place), nil
}

func openShort(aead cipher.AEAD, sealed, place []byte) ([]byte, error) {
	n := aead.NonceSize()
	if len(sealed) < n+aead.Overhead() {
		return nil, corrupt("a sealed value is too short")
	}
	plain, err := aead.Open(nil, sealed[:n], sealed[n:], place)
	if err != nil {
		return nil, corrupt("a sealed value does not authenticate")
	}
	return plain, nil
}

// An id is bound to its digest, which names kind and id.
func (sp *space) sealID(digest []byte, id string) ([]byte, error) {
	return sealShort(sp.aead, []byte(id), append([]byte("id"), digest...))
}

func (sp *space) openID(digest, sealed []byte) (string, error) {
	b, err := openShort(sp.aead, sealed, append([]byte("id"), digest...))
	return string(b), err
}

// place binds a body to its record and version.
func (sp *space) place(kind int16, id string, version int64) []byte {
	return seal.Place(uint32(sp.id), uint16(kind), id, version)
}

// entry is one index entry with its index as number.
type entry struct {
	index int16
	value record.Value
}

func compareEntries(a, b entry) int {
	if a.index != b.index {
		return int(a.index) - int(b.index)
	}
	return strings.Compare(string(a.value), string(b.value))
}

// sealEntries seals the entries of a record's version; none for none.
func (sp *space) sealEntries(kind int16, id string, version int64, entries []entry) ([]byte, error) {
	if len(entries) == 0 {
		return []byte{}, nil
	}
	n := 0
	for _, e := range entries {
		n += 12 + len(e.value)
	}
	b := make([]byte, 0, n)
	for _, e := range entries {
		b = binary.AppendUvarint(b, uint64(e.index))
		b = binary.AppendUvarint(b, uint64(len(e.value)))
		b = append(b, e.value...)
	}
	return seal.Seal(sp.aead, b, append(sp.place(kind, id, version), "entries"...))
}

// openEntries reads what sealEntries made.
func (sp *space) openEntries(kind int16, id string, version int64, sealed []byte) ([]entry, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	b, err := seal.Open(sp.aead, sealed, append(sp.place(kind, id, version), "entries"...))
	if err != nil {
		return nil, err
	}
	return decodeEntries(b)
}

func decodeEntries(b []byte) (out []entry, err error) {
	bad := corrupt("a record's index entries cannot be read")
	for len(b) > 0 {
		index, n := binary.Uvarint(b)
		if n <= 0 || index == 0 || index > maxNames {
			return nil, bad
		}
		b = b[n:]
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, bad
		}
		out = append(out, entry{int16(index), record.Value(b[n : n+int(size)])})
		b = b[n+int(size):]
	}
	if !slices.IsSortedFunc(out, compareEntries) {
		return nil, bad
	}
	return out, nil
}

// message is an outbox entry before it is sealed under the store's key: space, topic, body, the first two with their lengths.
func sealMessage(aead cipher.AEAD, seq uint64, space record.Space, m *record.Message) ([]byte, error) {
	b := binary.AppendUvarint(make([]byte, 0, 8+len(space)+len(m.Topic)+len(m.Body)), uint64(len(space)))
	b = append(b, space...)
	b = binary.AppendUvarint(b, uint64(len(m.Topic)))
	b = append(b, m.Topic...)
	return sealShort(aead, append(b, m.Body...), binary.BigEndian.AppendUint64([]byte("message"), seq))
}

func openMessage(aead cipher.AEAD, seq uint64, sealed []byte) (m record.Message, err error) {
	b, err := openShort(aead, sealed, binary.BigEndian.AppendUint64([]byte("message"), seq))
	if err != nil {
		return m, err
	}
	part := func() string {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) {
			err = corrupt("a message of the outbox cannot be read")
			return ""
		}
		p := string(b[k : k+int(n)])
		b = b[k+int(n):]
		return p
	}
	m.Seq, m.Space = seq, record.Space(part())
	if err == nil {
		m.Topic = part()
	}
	m.Body = b
	return m, err
}
