package audit

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	checkpoint "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"

	"github.com/galen-health/galen/platform/audit/journal"
	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// Config of a Merkle log.
type Config struct {
	Dir    string       // folder of the log; made when absent. Layout: docs/formats/audit.md
	Origin string       // name of the log in its checkpoints: "galen/000000000000/audit"
	Ring   key.Ring     // seals the signing key
	Store  record.Store // holds the look-up index; nil = no Lookup
	Server string       // tells servers apart that share a Store, each with a log of its own; "" = the Store is this log's alone
	Log    *slog.Logger // nil = slog.Default()
}

const (
	// treeEvery is how long entries wait in the journal for the tree, if nobody looks them up. Each batch rewrites a handful of files, so fewer are cheaper.
	treeEvery = 4 * time.Second
	// treeBatch is how many entries the tree takes at once.
	treeBatch = 8192
	// treeAge is how long the tree waits for the rest of a batch: shorter, and one batch would be taken in many pieces.
	treeAge = 50 * time.Millisecond
	// gather is how long entries that come in a crowd wait for more to share their sync, for each that came last time: the more callers, the longer a sync for
	// each would hold them all up. One that comes alone does not wait.
	gather     = 75 * time.Microsecond
	gatherMost = 2 * time.Millisecond
	// maxWaiting bounds the entries that are in the journal and not yet in the tree, in memory as on the disk.
	maxWaiting = 1 << 16
	// maxEntry keeps a leaf below the 64 KiB that the tile format can hold.
	maxEntry = 60 << 10
)

// Merkle is the log on local files. It implements Log and Reader.
type Merkle struct {
	cfg      Config
	append   tessera.AddFn
	reader   tessera.LogReader
	shutdown func(context.Context) error
	stop     context.CancelFunc
	failed   atomic.Pointer[errs.Error] // set by the first failed write: the disk is not to be trusted any more

	journal *journal.Journal // of the writer, until it has ended
	dropped int64            // see Dropped
	writer  sync.WaitGroup

	mu      sync.Mutex
	queue   []pending     // handed over, not yet in the journal
	waiting [][]byte      // in the journal, not yet in the tree
	size    uint64        // entries in the tree
	grew    chan struct{} // closed and replaced when size moved
	closing bool
	arrived chan struct{} // somebody queued
	hurry   chan struct{} // somebody waits for the tree

	index   *index
	workers sync.WaitGroup

	signer  note.Signer
	horizon atomic.Pointer[horizon] // where the entries begin
	removed uint64                  // bundles that Retain knows to be gone
}

// pending is an entry whose caller waits.
type pending struct {
	entry *Entry
	body  []byte
	done  chan error
}

var (
	_ Log    = (*Merkle)(nil)
	_ Reader = (*Merkle)(nil)
)

// Open opens or makes a log, and takes the entries into the tree that a crash left in the journal. A log that is shorter than what was indexed of it, or whose
// signing key is gone, is errs.Corrupt.
func Open(ctx context.Context, cfg Config) (_ *Merkle, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	quiet.Do(func() { klog.SetSlogLogger(slog.New(errorsOnly{cfg.Log.Handler()})) })
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	signer, journalKey, err := openSigner(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := sound(ctx, cfg.Dir); err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			stop()
		}
	}()
	if err := lockable(cfg.Dir); err != nil {
		return nil, err
	}
	driver, err := posix.New(run, posix.Config{Path: filepath.Join(cfg.Dir, logFolder)})
	if err != nil {
		return nil, err
	}
	appender, shutdown, reader, err := tessera.NewAppender(run, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).WithBatching(treeBatch, treeAge).WithCheckpointInterval(200*time.Millisecond).WithCheckpointRepublishInterval(0).
		WithPushback(1<<17))
	if err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "the audit log cannot be opened")
	}
	m := &Merkle{cfg: cfg, append: appender.Add, reader: reader, shutdown: shutdown, stop: stop, grew: make(chan struct{}), arrived: make(chan struct{}, 1), hurry: make(chan struct{}, 1), signer: signer}
	if err := m.openHorizon(); err != nil {
		return nil, err
	}
	if m.size, err = reader.IntegratedSize(ctx); err != nil {
		return nil, err
	}
	folder, err := disk.Open(filepath.Join(cfg.Dir, journalFolder))
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the journal of the audit log cannot be opened")
	}
	var left *journal.State
	if m.journal, left, err = journal.Open(folder, journalKey, m.size); err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	m.dropped = left.Discarded
	if left.Discarded > 0 {
		cfg.Log.Error("the audit journal ended in what is no entry: a crash while it was written, whose call was never answered, or damage", "bytes", left.Discarded)
	}
	m.waiting = left.Waiting
	if err := m.grow(ctx); err != nil {
		return nil, errors.Join(err, m.journal.Close(0))
	}
	if cfg.Store != nil {
		if m.index, err = openIndex(ctx, cfg.Store, cfg.Server, reader, m.First()); err != nil {
			return nil, errors.Join(err, m.journal.Close(0))
		}
		m.workers.Go(func() { m.index.follow(run, cfg.Log) })
	}
	m.writer.Go(m.write)
	m.workers.Go(func() { m.integrate(run) })
	return m, nil
}

// Append makes the entry durable in the journal, from where the tree takes it within seconds, also after a crash. Concurrent calls share a sync.
func (m *Merkle) Append(_ context.Context, e *Entry) error {
	if f := m.failed.Load(); f != nil {
		return f
	}
	if e.ID == "" {
		e.ID = event.NewID()
	}
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	body, err := encode(e)
	if err != nil {
		return err
	}
	p := pending{e, body, answers.Get().(chan error)}
	m.mu.Lock()
	switch {
	case m.closing:
		err = errs.New(errs.Unavailable, "the audit log is closed")
	case len(m.queue)+len(m.waiting) >= maxWaiting:
		err = errs.New(errs.Throttled, "the audit log cannot keep up")
	default:
		m.queue = append(m.queue, p)
	}
	m.mu.Unlock()
	if err != nil {
		return err
	}
	poke(m.arrived)
	// What was handed over must be waited for: it becomes part of the log although the caller may have gone.
	err = <-p.done
	answers.Put(p.done)
	return err
}

// answers are channels for one error, empty.
var answers = sync.Pool{New: func() any { return make(chan error, 1) }}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// write brings what is queued into the journal, all that came during a sync with the next. It ends when the log closes and the queue is empty.
func (m *Merkle) write() {
	var bodies [][]byte
	crowd := 0
	for range m.arrived {
		if crowd > 1 {
			time.Sleep(min(max(4, time.Duration(crowd))*gather, gatherMost))
		}
		m.mu.Lock()
		batch, closing := m.queue, m.closing
		m.queue = nil
		m.mu.Unlock()
		crowd = len(batch)
		bodies = bodies[:0]
		for _, p := range batch {
			bodies = append(bodies, p.body)
		}
		if len(batch) > 0 {
			err := m.keep(bodies)
			if err == nil && m.index != nil {
				m.index.gather(m.journal.Next()-uint64(len(batch)), batch)
			}
			for _, p := range batch {
				p.done <- err
			}
		}
		if closing {
			return
		}
	}
}

func (m *Merkle) keep(bodies [][]byte) error {
	if f := m.failed.Load(); f != nil {
		return f
	}
	if err := m.journal.Append(bodies); err != nil {
		m.fail(err)
		return err
	}
	m.mu.Lock()
	before := len(m.waiting)
	m.waiting = append(m.waiting, bodies...)
	many, size := before < treeBatch && len(m.waiting) >= treeBatch, m.size // told once
	m.mu.Unlock()
	if many {
		poke(m.hurry)
	}
	if err := m.journal.Done(size); err != nil { // of old files; this entry is safe
		m.cfg.Log.Error("an old file of the audit journal stays", "error", err.Error())
	}
	return nil
}

func (m *Merkle) fail(err error) { m.failed.CompareAndSwap(nil, errs.As(err)) }

// integrate brings what the journal holds into the tree, now and then.
func (m *Merkle) integrate(ctx context.Context) {
	tick := time.NewTicker(treeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-m.hurry:
		}
		if m.failed.Load() != nil {
			continue
		}
		if err := m.grow(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, errLater) {
			m.fail(err)
			m.cfg.Log.Error("the audit log cannot take entries any more; nothing is served without it", "error", err.Error())
		}
	}
}

// grow brings all that waits when it begins into the tree; what comes meanwhile makes a batch of its own later, or, when there is a whole batch of it, at once. One at a
// time: the numbers of the leaves are those of the journal.
func (m *Merkle) grow(ctx context.Context) error {
	m.mu.Lock()
	end := m.size + uint64(len(m.waiting))
	m.mu.Unlock()
	for {
		m.mu.Lock()
		batch := m.waiting[:min(len(m.waiting), treeBatch)]
		done := len(batch) == 0 || m.size >= end && len(batch) < treeBatch
		m.mu.Unlock()
		if done {
			return nil
		}
		if err := m.ground(); err != nil {
			return err
		}
		futures := make([]tessera.IndexFuture, len(batch))
		for i, b := range batch {
			futures[i] = m.append(ctx, tessera.NewEntry(b))
		}
		for i, f := range futures {
			at, err := f()
			if err != nil {
				return errs.Wrap(errs.Unavailable, err, "the audit log cannot be written; nothing is served without it")
			}
			if want := m.size + uint64(i); at.Index != want {
				return errs.New(errs.Corrupt, "entry %d of the audit journal became entry %d of the log", want, at.Index)
			}
		}
		m.mu.Lock()
		m.waiting = m.waiting[len(batch):]
		m.size += uint64(len(batch))
		close(m.grew)
		m.grew = make(chan struct{})
		m.mu.Unlock()
	}
}

// settle waits until the tree has every entry whose Append returned before.
func (m *Merkle) settle(ctx context.Context) error {
	m.mu.Lock()
	want := m.size + uint64(len(m.waiting))
	m.mu.Unlock()
	for {
		m.mu.Lock()
		done, grew := m.size >= want, m.grew
		m.mu.Unlock()
		if done {
			return nil
		}
		if f := m.failed.Load(); f != nil {
			return f
		}
		poke(m.hurry)
		select {
		case <-grew:
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second): // look again whether it failed
		}
	}
}

// Dropped is how many bytes at the end of the journal were no entry when the log was opened: of one that a crash cut off, whose call was never answered, or damaged ones.
func (m *Merkle) Dropped() int64 { return m.dropped }

// Err is the failure after which the log takes nothing more until the process is started anew; nil while it is well.
func (m *Merkle) Err() error {
	if f := m.failed.Load(); f != nil {
		return f
	}
	return nil
}

// Size is how many entries were acknowledged.
func (m *Merkle) Size(context.Context) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.size + uint64(len(m.waiting)), nil
}

// Close brings all entries into the tree, publishes a checkpoint over them and closes the log. It takes at most a quarter of a minute: what is not published
// then is published at the next start.
func (m *Merkle) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	m.mu.Lock()
	if m.closing {
		m.mu.Unlock()
		return nil
	}
	m.closing = true
	m.mu.Unlock()
	poke(m.arrived)
	m.writer.Wait()
	err := m.settle(ctx)
	if err == nil { // else there is nothing to wait for
		err = errors.Join(m.shutdown(ctx), m.published(ctx))
	}
	m.stop()
	m.workers.Wait()
	if m.index != nil { // the index remembers how long the log was; full bundles can wait for the next start
		_, ierr := m.index.step(ctx)
		err = errors.Join(err, ierr)
	}
	return errors.Join(err, m.journal.Close(m.size))
}

// published waits until the checkpoint covers every entry, those of a process that was killed before this one included.
func (m *Merkle) published(ctx context.Context) error {
	size, err := m.reader.IntegratedSize(ctx)
	if err != nil {
		return err
	}
	for {
		var cp checkpoint.Checkpoint
		raw, err := m.reader.ReadCheckpoint(ctx)
		if err == nil {
			_, err = cp.Unmarshal(raw)
		}
		if err == nil && cp.Size >= size {
			return nil
		}
		select {
		case <-ctx.Done():
			return errs.New(errs.Timeout, "the newest checkpoint of the audit log does not cover all entries yet; the next start publishes it")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// quiet keeps the driver's progress messages out of the process's output; its errors go to the operator's log.
var quiet sync.Once

type errorsOnly struct{ slog.Handler }

func (e errorsOnly) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelError && e.Handler.Enabled(ctx, l)
}

// Publish brings every entry whose Append returned before into the tree and under a checkpoint, so that the files of the log show them.
func (m *Merkle) Publish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := m.settle(ctx); err != nil {
		return err
	}
	return m.published(ctx)
}
