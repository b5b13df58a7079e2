package pebble

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/guard"
)

// Options of a store. The zero value is right for a server.
type Options struct {
	FS       vfs.FS           // nil = the disk
	Now      func() time.Time // nil = time.Now
	Cache    int64            // bytes of block cache; 0 = 128 MiB
	Reserve  uint64           // bytes of the disk that new versions leave free, so that the store can still tidy up; 0 = 128 MiB
	fatal    func(msg string) // nil = end the process
	memTable uint64           // 0 = 64 MiB
}

// Store is a record.Store in one folder.
type Store struct {
	db      *pebble.DB
	fs      vfs.FS
	dir     string
	lock    io.Closer
	ring    key.Ring
	now     func() time.Time
	changed chan struct{}
	locks   guard.Names
	room    room
	plan    plan

	mu     sync.RWMutex // guards what follows
	kinds  map[string]*record.KindDef
	names  map[string]uint16 // kinds and indexes share the numbers
	back   map[uint16]string
	spaces map[record.Space]*space

	spaceMu sync.Mutex // one space is made or dropped at a time

	line   line
	recent recent // of whoever has the line's turn, as are the next three
	seq    uint64 // of the last commit
	pid    uint64
	outbox uint64

	begun   atomic.Uint64 // commits that reads may see already
	applied atomic.Uint64 // commits that new reads of batches see
	settled settled       // commits that views see
	durable atomic.Uint64 // outbox messages that are on the disk

	sums   *sums
	tail   *tail
	counts counts
	inUse  guard.InUse
	fatal  func(msg string)
}

var _ record.Store = (*Store)(nil)

// Open opens or makes the store in dir. One process at a time: a second gets errs.Conflict. A folder of a newer format is errs.Unsupported.
func Open(dir string, ring key.Ring, opts Options) (_ *Store, err error) {
	fs := opts.FS
	if fs == nil {
		fs = vfs.Default
	}
	if err := makeDir(fs, dir); err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the record folder cannot be made")
	}
	lock, err := fs.Lock(fs.PathJoin(dir, "LOCK"))
	if err != nil {
		return nil, errs.Wrap(errs.Conflict, err, "the record folder %s is in use by another process: one process may open it", dir)
	}
	var sums *sums
	defer func() {
		if err != nil {
			if sums != nil {
				err = errors.Join(err, sums.close())
			}
			err = errors.Join(err, lock.Close())
		}
	}()
	dataKey, err := folderKey(fs, dir, ring)
	if err != nil {
		return nil, err
	}
	if sums, err = openSums(fs, dir); err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the checksums of the record folder cannot be written")
	}
	crypt, err := newCryptFS(fs, dataKey, sums)
	clear(dataKey)
	if err != nil {
		return nil, err
	}
	if opts.fatal == nil {
		opts.fatal = func(msg string) {
			fmt.Fprintln(os.Stderr, "galen: record store: "+msg)
			os.Exit(1)
		}
	}
	db, err := openDB(fs.PathJoin(dir, "db"), pebbleOptions(crypt, opts))
	if err != nil {
		if pebble.IsCorruptionError(err) || errors.Is(err, errHeader) {
			return nil, errs.Wrap(errs.Corrupt, err, "the record store in %s is damaged: restore it from a backup", dir)
		}
		return nil, errs.Wrap(errs.Unavailable, err, "the record store in %s cannot be opened", dir)
	}
	s := &Store{db: db, fs: fs, dir: dir, lock: lock, sums: sums, ring: ring, now: opts.Now, fatal: opts.fatal, changed: make(chan struct{}, 1), plan: usualPlan, kinds: map[string]*record.KindDef{}, names: map[string]uint16{}, back: map[uint16]string{}, spaces: map[record.Space]*space{}}
	if s.now == nil {
		s.now = time.Now
	}
	s.room.reserve = opts.Reserve
	if s.room.reserve == 0 {
		s.room.reserve = 128 << 20
	}
	s.line.init()
	if err := s.load(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if s.tail, err = openTail(fs, dir, s.seq); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.settled.start(db.NewSnapshot(), s.seq)
	return s, nil
}

// openDB opens the database. Pebble panics when a sync fails in there; nothing was acknowledged yet, so it is an error like others.
func openDB(dir string, opts *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			cause, ok := p.(error)
			if _, ours := p.(runtime.Error); !ok || ours { // a defect
				panic(p)
			}
			err = cause
		}
	}()
	return pebble.Open(dir, opts)
}

func pebbleOptions(fs vfs.FS, opts Options) *pebble.Options {
	size := opts.Cache
	if size == 0 {
		size = 128 << 20
	}
	if opts.memTable == 0 {
		opts.memTable = 64 << 20
	}
	po := &pebble.Options{FS: fs, CacheSize: size, MemTableSize: opts.memTable, MemTableStopWritesThreshold: 4, L0CompactionThreshold: 4, L0StopWritesThreshold: 24,
		LBaseMaxBytes: 256 << 20, MaxOpenFiles: 512, FormatMajorVersion: pebble.FormatNewest, Logger: quiet{opts.fatal}, WALBytesPerSync: 1 << 20, BytesPerSync: 1 << 20,
		// Damage comes back as errs.Corrupt from the read that met it; Pebble's own way is to end the process, and with it every read of what is whole.
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}}}
	for i := range po.Levels {
		po.Levels[i].FilterPolicy = idFilter{bloom.FilterPolicy(10)}
		po.Levels[i].BlockSize = 8 << 10
	}
	return po
}

// quiet keeps Pebble's chatter out of our logs; what matters comes back as errors. A fatal condition of Pebble ends the process, as a failed sync must:
// what the disk holds after it is unknown, and the next start finds out.
type quiet struct{ fatal func(string) }

func (quiet) Infof(string, ...any)                {}
func (quiet) Errorf(string, ...any)               {}
func (q quiet) Fatalf(format string, args ...any) { q.fatal(fmt.Sprintf(format, args...)) }

// load reads counters, names and spaces.
func (s *Store) load() error {
	meta, err := s.get([]byte{tableMeta})
	if err != nil {
		return err
	}
	if meta == nil {
		if err := s.db.Set([]byte{tableMeta}, make([]byte, 32), pebble.Sync); err != nil {
			return storeError(err)
		}
	} else {
		if len(meta) != 32 {
			return corrupt("the store's counters cannot be read")
		}
		s.seq, s.pid, s.outbox = binary.BigEndian.Uint64(meta), binary.BigEndian.Uint64(meta[8:]), binary.BigEndian.Uint64(meta[16:])
		s.line.start(int64(binary.BigEndian.Uint64(meta[24:])))
		s.begun.Store(s.seq)
		s.applied.Store(s.seq)
		s.durable.Store(s.outbox) // opening made what the log held durable
		s.recent.floor = s.seq
	}
	if err := s.scan([]byte{tableName}, func(k, v []byte) error {
		if len(v) != 2 {
			return corrupt("a name's number cannot be read")
		}
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
	return each(s.db, prefix, next(prefix), fn)
}

// storeError gives Pebble's errors our codes; errors that have one keep it.
func storeError(err error) error {
	var ours *errs.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case pebble.IsCorruptionError(err), errors.Is(err, errHeader):
		return errs.Wrap(errs.Corrupt, err, "the record store is damaged; run galen verify")
	case vfs.IsNoSpaceError(err):
		return errs.Wrap(errs.Exhausted, err, "the disk of the record store is full")
	}
	return errs.Wrap(errs.Unavailable, err, "the record store cannot serve")
}

var errClosed = errs.New(errs.Unavailable, "the record store is closed")

// use keeps the store open until the result is called; errClosed when it is closing.
func (s *Store) use() (func(), error) {
	done, open := s.inUse.Enter()
	if !open {
		return nil, errClosed
	}
	return done, nil
}

// Changed implements record.Store.
func (s *Store) Changed() <-chan struct{} { return s.changed }

// Close implements record.Store. It waits for calls in progress; views that are still open make it fail.
// It leaves nothing in the write-ahead log alone: damage within the log's last block cannot be told from the torn end that a crash leaves, so commits
// there would be lost in silence; in a table file every block has its checksum.
func (s *Store) Close() error {
	if !s.inUse.Close() {
		return nil
	}
	s.settled.stop()
	return errors.Join(storeError(s.db.Flush()), storeError(s.db.Close()), s.sums.close(), s.tail.close(), s.lock.Close())
}
