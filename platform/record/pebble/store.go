package pebble

import (
	"context"
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// format is the version of the layout; see docs/formats/record.md.
const format = 1

// Options of a store.
type Options struct {
	FS    vfs.FS           // nil = the disk
	Now   func() time.Time // nil = time.Now
	Cache int64            // bytes of block cache; 0 = 64 MiB
}

// Store is a record.Store in one folder.
type Store struct {
	db      *pebble.DB
	ring    key.Ring
	now     func() time.Time
	changed chan struct{}
	locks   nameLocks

	mu     sync.RWMutex // guards what follows
	kinds  map[string]*record.KindDef
	names  map[string]uint16 // kinds and indexes share the numbers
	back   map[uint16]string
	spaces map[record.Space]*space

	line   line
	seq    uint64 // of the last commit; only who commits touches these
	pid    uint64
	outbox uint64
}

var _ record.Store = (*Store)(nil)

// space is an open space.
type space struct {
	id     uint32
	ref    key.Ref
	keyARN string
	aead   cipher.AEAD
}

// spaceDoc is how a space is stored.
type spaceDoc struct {
	ID      uint32            `json:"id"`
	Wrapped []byte            `json:"wrapped"`
	KeyARN  string            `json:"keyArn"`
	RefKey  string            `json:"refKey"`
	Context map[string]string `json:"context,omitempty"`
}

func fsContext() map[string]string { return map[string]string{"galen:purpose": "records"} }

func spaceContext(s record.Space) map[string]string {
	return map[string]string{"galen:space": string(s)}
}

// Open opens or makes the store in dir. One process at a time: a second gets errs.Conflict.
func Open(dir string, ring key.Ring, opts Options) (*Store, error) {
	fs := opts.FS
	if fs == nil {
		fs = vfs.Default
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the record folder cannot be made")
	}
	dataKey, err := folderKey(fs, dir, ring)
	if err != nil {
		return nil, err
	}
	crypt, err := newCryptFS(fs, dataKey)
	clear(dataKey)
	if err != nil {
		return nil, err
	}
	size := opts.Cache
	if size == 0 {
		size = 64 << 20
	}
	cache := pebble.NewCache(size)
	defer cache.Unref()
	po := &pebble.Options{FS: crypt, Cache: cache, MemTableSize: 32 << 20, MemTableStopWritesThreshold: 4, L0CompactionThreshold: 4, L0StopWritesThreshold: 20,
		MaxOpenFiles: 512, FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}, WALBytesPerSync: 1 << 20,
		// Damage comes back as errs.Corrupt from the read that met it; Pebble's own way is to end the process, and with it every read of what is whole.
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}}}
	db, err := pebble.Open(filepath.Join(dir, "db"), po)
	if err != nil {
		if isLocked(err) {
			return nil, errs.Wrap(errs.Conflict, err, "the record folder %s is in use by another process: one process may open it", dir)
		}
		return nil, errs.Wrap(errs.Unavailable, err, "the record store in %s cannot be opened", dir)
	}
	s := &Store{db: db, ring: ring, now: opts.Now, changed: make(chan struct{}, 1), kinds: map[string]*record.KindDef{}, names: map[string]uint16{}, back: map[uint16]string{}, spaces: map[record.Space]*space{}}
	if s.now == nil {
		s.now = time.Now
	}
	s.line.init()
	s.locks.held = map[string]*nameLock{}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// quiet keeps Pebble's chatter out of our logs; what matters comes back as errors. A fatal condition of Pebble ends the process, as an fsync failure must.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "galen: record store: "+format+"\n", args...)
	os.Exit(1)
}

func isLocked(err error) bool {
	return errors.Is(err, os.ErrExist) || contains(err.Error(), "lock") || contains(err.Error(), "temporarily unavailable")
}

func contains(s, sub string) bool {
	for i := 0; i+len(sub) <= len(s); i++ {
		if s[i:i+len(sub)] == sub {
			return true
		}
	}
	return false
}

// folderKey opens the wrapped key of the folder's files, or makes one in an empty folder.
func folderKey(fs vfs.FS, dir string, ring key.Ring) ([]byte, error) {
	path := filepath.Join(dir, "KEY")
	if f, err := fs.Open(path); err == nil {
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		wrapped := make([]byte, info.Size())
		if _, err := f.ReadAt(wrapped, 0); err != nil {
			return nil, errs.Wrap(errs.Corrupt, err, "the record folder's key file cannot be read")
		}
		dk, err := ring.Open(context.Background(), wrapped, fsContext())
		if err != nil {
			return nil, fmt.Errorf("open the record folder's key: %w", err)
		}
		return dk.Plain, nil
	}
	if _, err := fs.Stat(filepath.Join(dir, "db")); err == nil {
		return nil, errs.New(errs.Corrupt, "the record folder %s has data but no key file: restore it from a backup", dir)
	}
	dk, err := ring.DataKey(context.Background(), key.Ref{Context: fsContext()})
	if err != nil {
		return nil, err
	}
	tmp := path + ".new"
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(dk.Wrapped); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close(), fs.Rename(tmp, path)); err != nil {
		return nil, err
	}
	return dk.Plain, syncDir(fs, dir)
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// load reads counters, names and spaces.
func (s *Store) load() error {
	meta, err := s.get([]byte{tableMeta})
	if err != nil {
		return err
	}
	if meta == nil {
		b := make([]byte, 0, 40)
		b = append(b, format)
		if err := s.db.Set([]byte{tableMeta}, append(b, make([]byte, 32)...), pebble.Sync); err != nil {
			return err
		}
	} else {
		if len(meta) != 33 {
			return corrupt("the store's counters cannot be read")
		}
		if meta[0] > format {
			return errs.New(errs.Unsupported, "the record folder has format %d, this version of Galen reads up to %d: use the newer version", meta[0], format)
		}
		s.seq, s.pid, s.outbox = binary.BigEndian.Uint64(meta[1:]), binary.BigEndian.Uint64(meta[9:]), binary.BigEndian.Uint64(meta[17:])
		s.line.last = int64(binary.BigEndian.Uint64(meta[25:]))
	}
	if err := s.scan([]byte{tableName}, func(k, v []byte) error {
		n := binary.BigEndian.Uint16(v)
		s.names[string(k[1:])], s.back[n] = n, string(k[1:])
		return nil
	}); err != nil {
		return err
	}
	return s.scan([]byte{tableSpace}, func(k, v []byte) error {
		var d spaceDoc
		if err := json.Unmarshal(v, &d); err != nil {
			return corrupt("a space's record cannot be read")
		}
		s.spaces[record.Space(k[1:])] = &space{id: d.ID, ref: key.Ref{Key: d.RefKey, Context: d.Context}, keyARN: d.KeyARN}
		return nil
	})
}

func (s *Store) meta(batch *pebble.Batch, time int64) error {
	b := make([]byte, 0, 33)
	b = append(b, format)
	for _, n := range []uint64{s.seq, s.pid, s.outbox, uint64(time)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return batch.Set([]byte{tableMeta}, b, nil)
}

// get returns a copy of a value, nil when the key is absent.
func (s *Store) get(k []byte) ([]byte, error) { return getFrom(s.db, k) }

func getFrom(r pebble.Reader, k []byte) ([]byte, error) {
	v, closer, err := r.Get(k)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, storeError(err)
	}
	out := append(make([]byte, 0, len(v)), v...)
	return out, closer.Close()
}

func (s *Store) scan(prefix []byte, fn func(k, v []byte) error) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: next(prefix)})
	if err != nil {
		return storeError(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if err := fn(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return it.Error()
}

// storeError gives Pebble's errors our codes.
func storeError(err error) error {
	switch {
	case err == nil:
		return nil
	case pebble.IsCorruptionError(err):
		return errs.Wrap(errs.Corrupt, err, "the record store is damaged; run galen verify")
	case vfs.IsNoSpaceError(err):
		return errs.Wrap(errs.Exhausted, err, "the disk of the record store is full")
	}
	return errs.Wrap(errs.Unavailable, err, "the record store cannot serve")
}

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

// number returns the number of a kind or index name, giving it one when create is set. 0 = the name has none.
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
	if len(s.names) >= 65_535 {
		return 0, errs.New(errs.Exhausted, "the store has no number left for the name %q", name)
	}
	n = uint16(len(s.names) + 1)
	if err := s.db.Set(append([]byte{tableName}, name...), binary.BigEndian.AppendUint16(nil, n), pebble.Sync); err != nil {
		return 0, storeError(err)
	}
	s.names[name], s.back[n] = n, name
	return n, nil
}

// CreateSpace implements record.Store.
func (s *Store) CreateSpace(ctx context.Context, name record.Space, ref key.Ref) error {
	if name == "" || len(name) > 512 {
		return errs.New(errs.Invalid, "a space needs a name of at most 512 bytes")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sp := s.spaces[name]; sp != nil {
		if sp.ref.Key != ref.Key {
			return errs.New(errs.Conflict, "the space exists under another key")
		}
		return nil
	}
	bound := spaceContext(name)
	for k, v := range ref.Context {
		bound[k] = v
	}
	dk, err := s.ring.DataKey(ctx, key.Ref{Key: ref.Key, Context: bound})
	if err != nil {
		return err
	}
	defer clear(dk.Plain)
	last, err := s.get([]byte{tableMeta, 's'})
	if err != nil {
		return err
	}
	var id uint32 = 1
	if last != nil {
		id = binary.BigEndian.Uint32(last) + 1 // ids are never used again
	}
	d := spaceDoc{ID: id, Wrapped: dk.Wrapped, KeyARN: dk.KeyARN, RefKey: ref.Key, Context: ref.Context}
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	batch := s.db.NewBatch()
	defer batch.Close()
	if err := errors.Join(batch.Set(append([]byte{tableSpace}, name...), b, nil), batch.Set([]byte{tableMeta, 's'}, binary.BigEndian.AppendUint32(nil, id), nil)); err != nil {
		return err
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		return storeError(err)
	}
	aead, err := newSealer(dk.Plain)
	if err != nil {
		return err
	}
	s.spaces[name] = &space{id: id, ref: ref, keyARN: dk.KeyARN, aead: aead}
	return nil
}

// DropSpace implements record.Store.
func (s *Store) DropSpace(_ context.Context, name record.Space) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sp := s.spaces[name]
	if sp == nil {
		return nil
	}
	batch := s.db.NewBatch()
	defer batch.Close()
	if err := batch.Delete(append([]byte{tableSpace}, name...), nil); err != nil {
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
	delete(s.spaces, name)
	return nil
}

// Spaces implements record.Store.
func (s *Store) Spaces(context.Context) ([]record.Space, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]record.Space, 0, len(s.spaces))
	for n := range s.spaces {
		out = append(out, n)
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out, nil
}

// open returns a space whose key may be used now.
func (s *Store) open(ctx context.Context, name record.Space) (*space, error) {
	s.mu.RLock()
	sp := s.spaces[name]
	var aead cipher.AEAD
	if sp != nil {
		aead = sp.aead
	}
	s.mu.RUnlock()
	if sp == nil {
		return nil, errs.New(errs.NotFound, "the space does not exist")
	}
	if aead != nil {
		if c, ok := s.ring.(key.Checker); ok {
			return sp, c.Check(ctx, sp.keyARN)
		}
		return sp, nil
	}
	b, err := s.get(append([]byte{tableSpace}, name...))
	if err != nil {
		return nil, err
	}
	var d spaceDoc
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, errs.New(errs.NotFound, "the space does not exist")
	}
	bound := spaceContext(name)
	for k, v := range d.Context {
		bound[k] = v
	}
	dk, err := s.ring.Open(ctx, d.Wrapped, bound)
	if err != nil {
		return nil, err
	}
	defer clear(dk.Plain)
	if aead, err = newSealer(dk.Plain); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := *sp // others may hold the old one
	fresh.aead = aead
	if s.spaces[name] == sp {
		s.spaces[name] = &fresh
	}
	return &fresh, nil
}

// Outbox implements record.Store.
func (s *Store) Outbox(_ context.Context, after uint64, limit int) ([]record.Message, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: outboxKey(after + 1), UpperBound: []byte{tableOutbox + 1}})
	if err != nil {
		return nil, storeError(err)
	}
	defer it.Close()
	var out []record.Message
	for ok := it.First(); ok && len(out) < limit; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return nil, storeError(err)
		}
		r := &reader{b: v}
		m := record.Message{Seq: binary.BigEndian.Uint64(it.Key()[1:]), Time: time.UnixMicro(r.varint()).UTC(), Space: record.Space(r.bytes(r.uvarint())), Topic: string(r.bytes(r.uvarint()))}
		m.Body = append([]byte(nil), r.b...)
		if r.bad {
			return nil, corrupt("a message of the outbox cannot be read")
		}
		out = append(out, m)
	}
	return out, storeError(it.Error())
}

// Trim implements record.Store.
func (s *Store) Trim(_ context.Context, upTo uint64) error {
	return storeError(s.db.DeleteRange([]byte{tableOutbox}, outboxKey(upTo+1), pebble.NoSync))
}

// Changed implements record.Store.
func (s *Store) Changed() <-chan struct{} { return s.changed }

// Close implements record.Store.
func (s *Store) Close() error { return storeError(s.db.Close()) }
