package event

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event/pattern"
	"github.com/galen-health/galen/platform/record"
)

// stand is a subscriber's position at rest.
type stand struct {
	After uint64 `json:"after"`
}

var positions = record.Kind[stand]{Name: "event.position", Volatile: true}

// DeadLetter is an event that a subscriber could not handle.
type DeadLetter struct {
	Subscriber string          `json:"subscriber"`
	Seq        uint64          `json:"seq"`
	Event      json.RawMessage `json:"event"` // the envelope
	Error      string          `json:"error"` // code and message of the last attempt
	Attempts   int             `json:"attempts"`
	Time       time.Time       `json:"time"`
}

var deadLetters = record.Kind[DeadLetter]{
	Name: "event.deadletter",
	Indexes: record.Indexes[DeadLetter]{
		record.ByToken("subscriber", func(d *DeadLetter) string { return d.Subscriber }),
	},
}

// saveEvery bounds how many handled events are handled again after a crash.
const saveEvery = 100

type subscription struct {
	holder
	pattern *pattern.Pattern
	fn      Subscriber
	rewind  chan uint64

	mu      sync.Mutex
	at      uint64 // handled up to
	durable uint64 // saved up to
}

func (s *subscription) position() uint64 { s.mu.Lock(); defer s.mu.Unlock(); return s.at }
func (s *subscription) saved() uint64    { s.mu.Lock(); defer s.mu.Unlock(); return min(s.at, s.durable) }

func (s *subscription) advance(seq uint64) { s.mu.Lock(); s.at = seq; s.mu.Unlock() }

func (s *subscription) load(ctx context.Context) error {
	v, err := s.bus.store.View(ctx, Space)
	if err != nil {
		return err
	}
	defer v.Close()
	p, _, err := positions.Get(v, s.name)
	switch {
	case errs.Is(err, errs.NotFound):
		p = &stand{}
	case err != nil:
		return err
	}
	s.mu.Lock()
	s.at, s.durable = p.After, p.After
	s.mu.Unlock()
	return nil
}

func (s *subscription) rewindTo(after uint64) {
	for {
		select {
		case s.rewind <- after:
			return
		case <-s.rewind: // an older wish that was not taken up yet
		}
	}
}

// save makes the position durable.
func (s *subscription) save(ctx context.Context) {
	s.mu.Lock()
	at := s.at
	same := at == s.durable
	s.mu.Unlock()
	if same {
		return
	}
	put := func(tx record.Tx) error { return positions.Put(tx, s.name, &stand{at}) }
	var err error
	if s.bus.cfg.Shared { // a process that lost its lease must not set the position back
		err = s.own(ctx, func(tx record.Tx, _ *lease) error { return put(tx) })
	} else {
		_, err = s.bus.store.Update(ctx, Space, nil, put)
	}
	if err != nil {
		return // handled events are handled again after a restart, as promised
	}
	s.mu.Lock()
	s.durable = at
	s.mu.Unlock()
}

func (s *subscription) run(ctx context.Context) {
	defer s.save(context.WithoutCancel(ctx))
	unsaved := 0
	for ctx.Err() == nil {
		grown := s.bus.growth()
		select {
		case after := <-s.rewind:
			s.advance(after)
		default:
		}
		msgs, err := s.bus.store.Outbox(ctx, s.position(), batch)
		if err != nil {
			sleep(ctx, s.bus.cfg.Backoff(3))
			continue
		}
		for _, m := range msgs {
			if m.Topic == Topic && !s.deliver(ctx, m) {
				break // ctx ended or a replay was asked for
			}
			s.advance(m.Seq)
			if unsaved++; unsaved >= saveEvery {
				s.save(ctx)
				unsaved = 0
			}
		}
		if len(msgs) > 0 {
			continue
		}
		s.save(ctx)
		unsaved = 0
		select {
		case <-ctx.Done():
		case <-grown:
		case after := <-s.rewind:
			s.advance(after)
		}
	}
}

// deliver hands over one event until it is handled or has become a dead letter. It reports whether the queue may go on after it.
func (s *subscription) deliver(ctx context.Context, m record.Message) bool {
	e, err := s.bus.read(m)
	if err != nil {
		return s.bury(ctx, m, m.Body, err, 0)
	}
	if s.pattern != nil {
		ev, err := pattern.Decode(e.JSON())
		if err != nil || !s.pattern.Match(ev) {
			return true
		}
	}
	for n := 1; ; n++ {
		err := s.handle(ctx, e)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if n >= s.bus.cfg.Attempts {
			return s.bury(ctx, m, e.JSON(), err, n)
		}
		select {
		case <-ctx.Done():
			return false
		case after := <-s.rewind:
			s.rewindTo(after)
			return false
		case <-time.After(s.bus.cfg.Backoff(n)):
		}
	}
}

// handle runs the subscriber; its panic is an error like any other, so that one event cannot stop the process again and again.
func (s *subscription) handle(ctx context.Context, e *Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.bus.cfg.Log.Error("an event subscriber panicked", "subscriber", s.name, "event", e.ID, "panic", fmt.Sprintf("%T", p))
			err = errs.New(errs.Internal, "the subscriber met a defect and stopped")
		}
	}()
	c := *e
	return s.fn(ctx, &c)
}

// bury makes a dead letter. Until that is durable the queue does not go on.
func (s *subscription) bury(ctx context.Context, m record.Message, body []byte, cause error, attempts int) bool {
	x := errs.As(cause)
	d := &DeadLetter{Subscriber: s.name, Seq: m.Seq, Event: body, Error: x.Code.String() + ": " + x.Message, Attempts: attempts, Time: m.Time}
	if !json.Valid(body) {
		d.Event = nil
	}
	for n := 1; ; n++ {
		_, err := s.bus.store.Update(ctx, Space, nil, func(tx record.Tx) error {
			return deadLetters.Put(tx, fmt.Sprintf("%s/%020d", s.name, m.Seq), d)
		})
		if err == nil {
			return true
		}
		if sleep(ctx, s.bus.cfg.Backoff(n)); ctx.Err() != nil {
			return false
		}
	}
}

// DeadLetters lists the events that a subscriber could not handle, oldest first.
func (b *Bus) DeadLetters(ctx context.Context, subscriber string, after record.Cursor, limit int) ([]DeadLetter, record.Cursor, error) {
	v, err := b.store.View(ctx, Space)
	if err != nil {
		return nil, "", err
	}
	defer v.Close()
	page, err := v.Query(ctx, record.Query{Kind: deadLetters.Name, After: after, Limit: limit,
		Where: record.Match{Index: "subscriber", Value: record.Token("", subscriber)}})
	if err != nil {
		return nil, "", err
	}
	var out []DeadLetter
	for _, h := range page.Hits {
		d, err := deadLetters.Decode(h.Body)
		if err != nil {
			return nil, "", err
		}
		out = append(out, *d)
	}
	return out, page.Next, nil
}
