package audit

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	checkpoint "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"k8s.io/klog/v2"

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
	Log    *slog.Logger // nil = slog.Default()
}

const (
	batchAge  = 2 * time.Millisecond // how long an entry waits for others to share its sync
	batchSize = 256
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

	index   *index
	indexer sync.WaitGroup
}

var (
	_ Log    = (*Merkle)(nil)
	_ Reader = (*Merkle)(nil)
)

// Open opens or makes a log. A log that is shorter than what was indexed of it, or whose signing key is gone, is errs.Corrupt.
func Open(ctx context.Context, cfg Config) (*Merkle, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	quiet.Do(func() { klog.SetSlogLogger(slog.New(errorsOnly{cfg.Log.Handler()})) })
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	signer, err := openSigner(ctx, cfg)
	if err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	driver, err := posix.New(run, posix.Config{Path: filepath.Join(cfg.Dir, logFolder)})
	if err != nil {
		stop()
		return nil, err
	}
	appender, shutdown, reader, err := tessera.NewAppender(run, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).WithBatching(batchSize, batchAge).WithCheckpointInterval(200*time.Millisecond).WithCheckpointRepublishInterval(0).
		WithPushback(1<<16))
	if err != nil {
		stop()
		return nil, errs.Wrap(errs.Corrupt, err, "the audit log cannot be opened")
	}
	m := &Merkle{cfg: cfg, append: appender.Add, reader: reader, shutdown: shutdown, stop: stop}
	if cfg.Store != nil {
		if m.index, err = openIndex(ctx, cfg.Store, reader); err != nil {
			stop()
			return nil, err
		}
		m.indexer.Go(func() { m.index.follow(run, cfg.Log) })
	}
	return m, nil
}

// Append makes the entry durable: sequenced, written, synced and part of the tree. Concurrent calls share a sync.
func (m *Merkle) Append(ctx context.Context, e *Entry) error {
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
	// What was handed over must be waited for: it may become part of the log although the caller has gone.
	_, err = m.append(context.WithoutCancel(ctx), tessera.NewEntry(body))()
	switch {
	case errors.Is(err, tessera.ErrPushback):
		return errs.Wrap(errs.Throttled, err, "the audit log cannot keep up")
	case err != nil:
		f := errs.Wrap(errs.Unavailable, err, "the audit log cannot be written; nothing is served without it")
		m.failed.CompareAndSwap(nil, f)
		return f
	}
	if m.index != nil {
		m.index.wake()
	}
	return nil
}

// Err is the failure after which the log takes nothing more until the process is started anew; nil while it is well.
func (m *Merkle) Err() error {
	if f := m.failed.Load(); f != nil {
		return f
	}
	return nil
}

// encode writes an entry as it is kept, its free texts cut to their bounds.
func encode(e *Entry) ([]byte, error) {
	c := *e
	c.UserAgent = cut(c.UserAgent, 1024)
	if len(c.Parameters) > 0 {
		c.Parameters = make(map[string]string, len(e.Parameters))
		for k, v := range e.Parameters {
			if len(c.Parameters) < 32 {
				c.Parameters[cut(k, 64)] = cut(v, 512)
			}
		}
	}
	if len(c.Resources) > 16 {
		c.Resources = c.Resources[:16]
	}
	body, err := json.Marshal(&c)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "an audit entry cannot be written")
	}
	if len(body) > maxEntry {
		return nil, errs.New(errs.TooLarge, "an audit entry has %d bytes, the most is %d", len(body), maxEntry)
	}
	return body, nil
}

// cut shortens a text to at most n bytes without cutting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Size is how many entries the log has.
func (m *Merkle) Size(ctx context.Context) (uint64, error) { return m.reader.IntegratedSize(ctx) }

// Close publishes a checkpoint over all entries and closes the log. It takes at most a quarter of a minute: what is not published then is
// published at the next start.
func (m *Merkle) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	err := errors.Join(m.shutdown(ctx), m.published(ctx))
	m.stop()
	m.indexer.Wait()
	return err
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
