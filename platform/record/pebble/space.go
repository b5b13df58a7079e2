package pebble

import (
	"context"
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

// space is an open space. It does not change; opening its key makes another.
type space struct {
	id     uint32
	ref    key.Ref
	keyARN string
	aead   cipher.AEAD // nil until first used
}

// spaceDoc is how a space is stored.
type spaceDoc struct {
	ID      uint32            `json:"id"`
	Wrapped []byte            `json:"wrapped"`
	KeyARN  string            `json:"keyArn"`
	RefKey  string            `json:"refKey"`
	Context map[string]string `json:"context,omitempty"`
}

func spaceKey(name record.Space) []byte { return append([]byte{tableSpace}, name...) }

// spaceContext binds a space's wrapped key to the space's name.
func spaceContext(name record.Space, more map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, more)
	out["galen:space"] = string(name)
	return out
}

func (s *Store) known(name record.Space) *space {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.spaces[name]
}

// CreateSpace implements record.Store.
func (s *Store) CreateSpace(ctx context.Context, name record.Space, ref key.Ref) error {
	if name == "" || len(name) > 512 {
		return errs.New(errs.Invalid, "a space needs a name of at most 512 bytes")
	}
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	s.spaceMu.Lock()
	defer s.spaceMu.Unlock()
	if sp := s.known(name); sp != nil {
		if sp.ref.Key != ref.Key {
			return errs.New(errs.Conflict, "the space exists under another key")
		}
		return nil
	}
	dk, err := s.ring.DataKey(ctx, key.Ref{Key: ref.Key, Context: spaceContext(name, ref.Context)})
	if err != nil {
		return err
	}
	defer clear(dk.Plain)
	aead, err := seal.New(dk.Plain)
	if err != nil {
		return err
	}
	counter := []byte{tableMeta, 's'}
	last, err := s.get(counter)
	if err != nil {
		return err
	}
	var id uint32 = 1
	if last != nil {
		if len(last) != 4 {
			return corrupt("the counter of spaces cannot be read")
		}
		id = binary.BigEndian.Uint32(last) + 1 // ids are never used again
	}
	doc, err := json.Marshal(spaceDoc{ID: id, Wrapped: dk.Wrapped, KeyARN: dk.KeyARN, RefKey: ref.Key, Context: ref.Context})
	if err != nil {
		return err
	}
	batch := s.db.NewBatch()
	defer batch.Close() //nolint:errcheck // committed or dropped
	if err := errors.Join(batch.Set(spaceKey(name), doc, nil), batch.Set(counter, binary.BigEndian.AppendUint32(nil, id), nil)); err != nil {
		return err
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		return storeError(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spaces[name] = &space{id: id, ref: ref, keyARN: dk.KeyARN, aead: aead}
	return nil
}

// DropSpace implements record.Store. It has its place in the line, so that no batch commits into the space after it.
func (s *Store) DropSpace(_ context.Context, name record.Space) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	s.spaceMu.Lock()
	defer s.spaceMu.Unlock()
	sp := s.known(name)
	if sp == nil {
		return nil
	}
	t := s.line.ticket(s.now().UnixMicro(), true)
	for !s.line.wait(t) {
		s.line.leave(t, false)
		t = s.line.ticket(s.now().UnixMicro(), true)
	}
	defer s.line.leave(t, false)
	batch := s.db.NewBatch()
	defer batch.Close() //nolint:errcheck // committed or dropped
	if err := batch.Delete(spaceKey(name), nil); err != nil {
		return err
	}
	for _, table := range []byte{tableDir, tableHead, tableVersion, tablePosting, tableHistory} {
		p := appendSpace(nil, table, sp.id)
		if err := batch.DeleteRange(p, next(p), nil); err != nil {
			return err
		}
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		return storeError(err)
	}
	s.mu.Lock()
	delete(s.spaces, name)
	s.mu.Unlock()
	s.settled.advance(s.db.NewSnapshot(), s.seq) // an older snapshot would keep the space; all before this is on the disk, for the drop was synced
	// The wrapped key shall not wait in an old table for a compaction that may never come.
	return storeError(s.db.Compact(context.Background(), []byte{tableSpace}, []byte{tableSpace + 1}, false))
}

// Spaces implements record.Store.
func (s *Store) Spaces(context.Context) ([]record.Space, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.spaces)), nil
}

// open returns a space whose key may be used now.
func (s *Store) open(ctx context.Context, name record.Space) (*space, error) {
	sp := s.known(name)
	if sp == nil {
		return nil, errs.New(errs.NotFound, "the space does not exist")
	}
	if sp.aead != nil {
		if c, ok := s.ring.(key.Checker); ok {
			return sp, c.Check(ctx, sp.keyARN)
		}
		return sp, nil
	}
	b, err := s.get(spaceKey(name))
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, errs.New(errs.NotFound, "the space does not exist")
	}
	var d spaceDoc
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, corrupt("a space's record cannot be read")
	}
	dk, err := s.ring.Open(ctx, d.Wrapped, spaceContext(name, d.Context))
	if err != nil {
		return nil, err
	}
	defer clear(dk.Plain)
	opened := *sp
	if opened.aead, err = seal.New(dk.Plain); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spaces[name] == sp {
		s.spaces[name] = &opened
	}
	return &opened, nil
}
