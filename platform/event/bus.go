package event

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event/pattern"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// Space holds the subscribers' positions and the dead letters.
const Space record.Space = "event"

// Config of a Bus; Account and Region are needed, the rest has values that work.
type Config struct {
	Account, Region string
	// Keep is how long delivered events stay for replays; 0 = 24 h. Undelivered ones always stay.
	Keep time.Duration
	// Backoff is the pause after the n-th failed delivery of one event; nil = 100 ms doubled each time, at most 1 min.
	Backoff func(n int) time.Duration
	// Attempts is how often one event is tried before it becomes a dead letter and the queue goes on; 0 = 20 (about a quarter of an hour).
	Attempts int
	// Shared says that other processes use the store: each subscriber is delivered to by one process at a time, which holds a lease on it.
	Shared bool
	// Server names this process among those that share the store, over its restarts; of one name there is one process at a time. What an earlier process of this name
	// held is taken at once.
	Server string
	// Lease is how long a process that died keeps a subscriber from the others; 0 = 10 s.
	Lease time.Duration
	Log   *slog.Logger // nil = slog.Default()
}

// Bus delivers what the outbox of one store holds. Make it with New, Subscribe, then Run it in a goroutine.
//
// Each subscriber has its own position: a slow or failing one holds up nobody else. A subscriber that is new to the store starts at the
// oldest event that the outbox still has.
type Bus struct {
	store record.Store
	cfg   Config
	owner string // this process, to the others

	mu      sync.Mutex
	subs    map[string]*subscription
	watches []watch
	changed chan struct{} // closed and replaced when the outbox grew
	started bool
}

type watch struct {
	topic string
	fn    func(record.Message)
}

// Kinds are the kinds of records that are kept here; who moves records asks for them.
func Kinds() []record.KindDef {
	return []record.KindDef{positions.Def(), deadLetters.Def(), leases.Def()}
}

// New returns a bus on store, declares its record kinds and makes its space.
func New(ctx context.Context, store record.Store, cfg Config) (*Bus, error) {
	if cfg.Keep <= 0 {
		cfg.Keep = 24 * time.Hour
	}
	if cfg.Backoff == nil {
		cfg.Backoff = func(n int) time.Duration {
			return time.Duration(min(float64(100*time.Millisecond)*math.Pow(2, float64(n-1)), float64(time.Minute)))
		}
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 20
	}
	if cfg.Lease <= 0 {
		cfg.Lease = 10 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if err := store.Declare(Kinds()...); err != nil {
		return nil, err
	}
	if err := store.CreateSpace(ctx, Space, key.Ref{}); err != nil {
		return nil, err
	}
	return &Bus{store: store, cfg: cfg, owner: cfg.Server + "/" + newOwner(), subs: map[string]*subscription{}, changed: make(chan struct{})}, nil
}

// Subscribe adds a durable subscriber; before Run. The name is its identity over restarts. pattern "" takes every event.
func (b *Bus) Subscribe(name, eventPattern string, fn Subscriber) error {
	var p *pattern.Pattern
	if eventPattern != "" {
		var err error
		if p, err = pattern.Compile([]byte(eventPattern)); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.started {
		return errs.New(errs.Internal, "subscriber %s comes after the bus has started", name)
	}
	if b.subs[name] != nil {
		return errs.New(errs.Internal, "subscriber %s is there twice", name)
	}
	s := &subscription{holder: holder{bus: b, name: name}, pattern: p, fn: fn, rewind: make(chan uint64, 1)}
	s.replay = s.rewindTo
	b.subs[name] = s
	return nil
}

// Watch calls fn for each outbox message of another topic, those still there at the start included, in order, from one goroutine. It is a
// wake-up, not a delivery: no position is kept for it, and fn must not block. Before Run.
func (b *Bus) Watch(topic string, fn func(record.Message)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watches = append(b.watches, watch{topic, fn})
}

// Run delivers until ctx ends and every subscriber has returned and its position is saved.
func (b *Bus) Run(ctx context.Context) error {
	b.mu.Lock()
	b.started = true
	subs, watches := b.subs, b.watches
	b.mu.Unlock()
	for _, s := range subs {
		if err := s.load(ctx); err != nil {
			return err
		}
	}
	var wg sync.WaitGroup
	for _, s := range subs {
		if b.cfg.Shared {
			wg.Go(func() { s.shared(ctx) })
		} else {
			wg.Go(func() { s.run(ctx) })
		}
	}
	wg.Go(func() { b.pump(ctx) })
	if len(watches) > 0 {
		wg.Go(func() { b.watch(ctx, watches) })
	}
	wg.Go(func() { b.trimLoop(ctx) })
	wg.Wait()
	return nil
}

// pump tells everyone that the outbox grew. The ticker covers a back end whose messages come from another process.
func (b *Bus) pump(ctx context.Context) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.store.Changed():
		case <-tick.C:
		}
		b.mu.Lock()
		close(b.changed)
		b.changed = make(chan struct{})
		b.mu.Unlock()
	}
}

func (b *Bus) growth() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

const batch = 256

func (b *Bus) watch(ctx context.Context, watches []watch) {
	after := uint64(0)
	for ctx.Err() == nil {
		grown := b.growth()
		msgs, err := b.store.Outbox(ctx, after, batch)
		if err != nil {
			sleep(ctx, b.cfg.Backoff(3))
			continue
		}
		for _, m := range msgs {
			after = m.Seq
			for _, w := range watches {
				if w.topic == m.Topic {
					w.fn(m)
				}
			}
		}
		if len(msgs) == 0 {
			select {
			case <-ctx.Done():
			case <-grown:
			}
		}
	}
}

// trimLoop forgets messages that every subscriber has had and that are older than Keep.
func (b *Bus) trimLoop(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_ = b.Trim(ctx, time.Now().Add(-b.cfg.Keep)) // the next minute tries again
	}
}

// Trim forgets the events before a time that every subscriber has had, dead letters included.
func (b *Bus) Trim(ctx context.Context, before time.Time) error {
	low, err := b.low(ctx)
	if err != nil {
		return err
	}
	upTo, after := uint64(0), uint64(0)
	for {
		msgs, err := b.store.Outbox(ctx, after, batch)
		if err != nil {
			return err
		}
		for _, m := range msgs {
			if m.Seq > low || !m.Time.Before(before) {
				msgs = nil
				break
			}
			upTo, after = m.Seq, m.Seq
		}
		if len(msgs) == 0 {
			break
		}
	}
	if upTo == 0 {
		return nil
	}
	return b.store.Trim(ctx, upTo)
}

// low is the position that every subscriber has passed durably.
func (b *Bus) low(ctx context.Context) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	low := uint64(math.MaxUint64)
	if !b.cfg.Shared {
		for _, s := range b.subs {
			low = min(low, s.saved())
		}
		return low, nil
	}
	v, err := b.store.View(ctx, Space) // others may have moved them
	if err != nil {
		return 0, err
	}
	defer v.Close()
	for name := range b.subs {
		p, _, err := positions.Get(v, name)
		switch {
		case errs.Is(err, errs.NotFound):
			return 0, nil
		case err != nil:
			return 0, err
		}
		low = min(low, p.After)
	}
	return low, nil
}

// Replay makes a subscriber handle again every event after a position that the outbox still has; 0 = all of them.
func (b *Bus) Replay(name string, after uint64) error {
	b.mu.Lock()
	s := b.subs[name]
	b.mu.Unlock()
	if s == nil {
		return errs.New(errs.NotFound, "there is no subscriber %s", name)
	}
	if b.cfg.Shared {
		return s.ask(context.Background(), after)
	}
	s.replay(after)
	return nil
}

// Position is the last event that a subscriber has had.
func (b *Bus) Position(name string) (uint64, error) {
	b.mu.Lock()
	s := b.subs[name]
	b.mu.Unlock()
	if s == nil {
		return 0, errs.New(errs.NotFound, "there is no subscriber %s", name)
	}
	return s.position(), nil
}

// read decodes an event of the outbox and completes it.
func (b *Bus) read(m record.Message) (*Event, error) {
	var msg message
	if err := json.Unmarshal(m.Body, &msg); err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "event %d of the outbox cannot be read", m.Seq)
	}
	e := msg.Event
	e.Bus = msg.BusName
	if e.Account == "" {
		e.Account = b.cfg.Account
	}
	if e.Region == "" {
		e.Region = b.cfg.Region
	}
	return &e, nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
