package pebble

import (
	"encoding/binary"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Declare implements record.Store.
func (s *Store) Declare(kinds ...record.KindDef) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range kinds {
		if k.Name == "" || k.Entries == nil {
			return errs.New(errs.Invalid, "a kind needs a name and a function for its entries")
		}
		if _, twice := s.kinds[k.Name]; twice {
			return errs.New(errs.Conflict, "kind %s is declared twice", k.Name)
		}
		s.kinds[k.Name] = &k
	}
	return nil
}

// def returns a declared kind.
func (s *Store) def(kind string) (*record.KindDef, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d := s.kinds[kind]; d != nil {
		return d, nil
	}
	return nil, errs.New(errs.Internal, "kind %s was not declared", kind)
}

// single reports whether records of a kind have at most one value of an index.
func (s *Store) single(kind, index string) bool {
	if index == "@time" {
		return true
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	def := s.kinds[kind]
	return def != nil && slices.Contains(def.Single, index)
}

// number returns the number of a kind or index name, giving it one when create is set. 0 = the name has none. A number is durable before it is used.
func (s *Store) number(name string, create bool) (uint16, error) {
	s.mu.RLock()
	n, ok := s.names[name]
	s.mu.RUnlock()
	if ok || !create {
		return n, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok = s.names[name]; ok {
		return n, nil
	}
	if len(s.names) >= maxNames || name == "" || len(name) > 512 {
		return 0, errs.New(errs.Exhausted, "the store has no number left for the name %q", name)
	}
	n = uint16(len(s.names) + 1)
	if err := s.db.Set(append([]byte{tableName}, name...), binary.BigEndian.AppendUint16(nil, n), pebble.Sync); err != nil {
		return 0, storeError(err)
	}
	s.names[name], s.back[n] = n, name
	return n, nil
}

// indexNumber is the number of an index in queries; found is false when no record ever had it.
func (s *Store) indexNumber(name string) (n uint16, found bool) {
	if name == "@time" {
		return indexTime, true
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	n, found = s.names[name]
	return n, found
}

// name is the name of a number.
func (s *Store) name(n uint16) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.back[n]
}
