package record

import (
	"encoding/json"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// Kind is a typed kind of record, kept as JSON, for control-plane objects.
type Kind[T any] struct {
	Name     string
	Indexes  Indexes[T]
	Volatile bool
	Single   []string // as in KindDef
}

// Indexes are the index definitions of a typed kind.
type Indexes[T any] []Index[T]

// Index computes the entries of one index.
type Index[T any] struct {
	Name   string
	Values func(*T) []Value
}

// ByToken indexes a code without system.
func ByToken[T any](name string, f func(*T) string) Index[T] {
	return Index[T]{name, func(v *T) []Value {
		if s := f(v); s != "" {
			return []Value{Token("", s)}
		}
		return nil
	}}
}

// ByTime indexes a point in time.
func ByTime[T any](name string, f func(*T) time.Time) Index[T] {
	return Index[T]{name, func(v *T) []Value {
		if t := f(v); !t.IsZero() {
			return []Value{Instant(t)}
		}
		return nil
	}}
}

// ByString indexes text.
func ByString[T any](name string, f func(*T) string) Index[T] {
	return Index[T]{name, func(v *T) []Value {
		if s := f(v); s != "" {
			return []Value{String(s)}
		}
		return nil
	}}
}

// Def is the declaration for Store.Declare.
func (k Kind[T]) Def() KindDef {
	return KindDef{Name: k.Name, Volatile: k.Volatile, Single: k.Single, Entries: func(_ string, body []byte) ([]Entry, error) {
		v, err := k.Decode(body)
		if err != nil {
			return nil, err
		}
		return k.entries(v), nil
	}}
}

func (k Kind[T]) entries(v *T) []Entry {
	var out []Entry
	for _, ix := range k.Indexes {
		for _, val := range ix.Values(v) {
			out = append(out, Entry{ix.Name, val})
		}
	}
	return out
}

// Decode reads a body.
func (k Kind[T]) Decode(body []byte) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(body, v); err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "a stored %s record cannot be read", k.Name)
	}
	return v, nil
}

func (k Kind[T]) put(tx Tx, id string, v *T, expect Expect) (int64, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return 0, errs.Wrap(errs.Internal, err, "a %s record cannot be written", k.Name)
	}
	e := k.entries(v)
	if e == nil {
		e = []Entry{}
	}
	return tx.Put(Put{Kind: k.Name, ID: id, Body: body, Entries: e, Expect: expect})
}

// Create writes a new record; errs.Conflict when the id is taken.
func (k Kind[T]) Create(tx Tx, id string, v *T) error { _, err := k.put(tx, id, v, Absent); return err }

// Put writes whatever was there.
func (k Kind[T]) Put(tx Tx, id string, v *T) error { _, err := k.put(tx, id, v, Any); return err }

// Replace writes over exactly this version.
func (k Kind[T]) Replace(tx Tx, id string, v *T, version int64) error {
	_, err := k.put(tx, id, v, Expect(version))
	return err
}

// Getter is a Tx or a View.
type Getter interface {
	Get(kind, id string) (*Version, error)
}

// Get reads a record; errors as Tx.Get.
func (k Kind[T]) Get(g Getter, id string) (*T, int64, error) {
	ver, err := g.Get(k.Name, id)
	if err != nil {
		return nil, 0, err
	}
	v, err := k.Decode(ver.Body)
	return v, ver.Version, err
}

// Change reads a record, lets fn change it and writes it over the version that was read.
func (k Kind[T]) Change(tx Tx, id string, fn func(*T) error) (*T, error) {
	v, version, err := k.Get(tx, id)
	if err != nil {
		return nil, err
	}
	if err := fn(v); err != nil {
		return nil, err
	}
	return v, k.Replace(tx, id, v, version)
}
