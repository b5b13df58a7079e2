package events

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	api "github.com/galen-health/galen/aws/events"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/event/pattern"
	"github.com/galen-health/galen/platform/record"
)

// delivery is one event on its way to one target. It exists until it was delivered or given up.
type delivery struct {
	Bus     string          `json:"bus"`
	Rule    string          `json:"rule"`
	Target  string          `json:"target"`
	EventID string          `json:"eventId"`
	Event   json.RawMessage `json:"event"`
	Time    time.Time       `json:"time"` // of the match
	Tries   int             `json:"tries"`
	Due     time.Time       `json:"due"`
}

// deliveryTopic is of the outbox messages that tell that there is something to deliver.
const deliveryTopic = "events.delivery"

// Volatile: how often something was tried before is of no interest.
var deliveries = record.Kind[delivery]{Name: "events.delivery", Volatile: true, Indexes: record.Indexes[delivery]{
	record.ByTime("due", func(d *delivery) time.Time { return d.Due }),
}}

func (d *delivery) id() string {
	return strings.Join([]string{d.EventID, d.Bus, d.Rule, d.Target}, "|")
}

func backoff(n int) time.Duration {
	d := min(float64(time.Second)*math.Pow(2, float64(min(n, 12)-1)), float64(5*time.Minute))
	return time.Duration(d * (0.8 + 0.4*rand.Float64()))
}

// match is the subscriber of the event bus: it turns an event into deliveries, all in one batch. The same event again makes the same records.
func (s *Service) match(ctx context.Context, e *event.Event) error {
	busName := e.Bus
	if busName == "" {
		busName = defaultBus
	}
	envelope := e.JSON()
	ev, err := pattern.Decode(envelope)
	if err != nil {
		return err
	}
	now := s.cfg.Now().UTC()
	var found []*delivery
	err = s.view(ctx, func(v record.View) error {
		q := record.Query{Kind: rules.Name, Where: ofBus(busName), Limit: 1000}
		for {
			page, err := v.Query(ctx, q)
			if err != nil {
				return err
			}
			for _, h := range page.Hits {
				r, err := rules.Decode(h.Body)
				if err != nil {
					return err
				}
				if !r.Enabled || len(r.Targets) == 0 || !s.pattern(r.Pattern).Match(ev) {
					continue
				}
				for i := range r.Targets {
					found = append(found, &delivery{Bus: r.Bus, Rule: r.Name, Target: r.Targets[i].Id, EventID: e.ID, Event: envelope, Time: now, Due: now})
				}
			}
			if page.Next == "" {
				return nil
			}
			q.After = page.Next
		}
	})
	if err != nil || len(found) == 0 {
		return err
	}
	_, err = s.records.Update(ctx, space, nil, func(tx record.Tx) error {
		for _, d := range found {
			if err := deliveries.Put(tx, d.id(), d); err != nil {
				return err
			}
		}
		tx.Emit(deliveryTopic, nil)
		return nil
	})
	return err
}

// never matches nothing: a stored pattern was compiled before, so this stands for a defect.
var never, _ = pattern.Compile([]byte(`{"source":[{"exists":false}]}`))

// pattern compiles a rule's pattern once.
func (s *Service) pattern(text string) *pattern.Pattern {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.compiled[text]; p != nil {
		return p
	}
	p, err := pattern.Compile([]byte(text))
	if err != nil {
		p = never
	}
	if len(s.compiled) > 10_000 {
		clear(s.compiled)
	}
	s.compiled[text] = p
	return p
}

func (s *Service) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// parallel bounds how many targets are served at once, and batch how many deliveries are looked at in one turn.
const (
	parallel = 8
	batch    = 500
)

// Run delivers until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		n, next, err := s.turn(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			s.cfg.Log.Error("events cannot be delivered now", "error", errs.As(err).Message)
			next = time.Second
		case n == batch:
			continue
		}
		t := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-t.C:
		}
		t.Stop()
	}
	return nil
}

// turn delivers what is due: targets side by side, the deliveries of one target one after the other in the order of their matches. It
// returns how many it looked at and when the next one is due.
func (s *Service) turn(ctx context.Context) (n int, next time.Duration, err error) {
	now := s.cfg.Now()
	lanes := map[string][]*delivery{}
	next = 30 * time.Second
	err = s.view(ctx, func(v record.View) error {
		page, err := v.Query(ctx, record.Query{Kind: deliveries.Name, Where: record.Range{Index: "due", High: record.Instant(now)}, Limit: batch})
		if err != nil {
			return err
		}
		n = len(page.Hits)
		for _, h := range page.Hits {
			d, err := deliveries.Decode(h.Body)
			if err != nil {
				return err
			}
			lane := d.Bus + "|" + d.Rule + "|" + d.Target
			lanes[lane] = append(lanes[lane], d)
		}
		first, err := v.Query(ctx, record.Query{Kind: deliveries.Name, Where: record.Range{Index: "due", Low: record.Instant(now), LowOpen: true}, Order: []record.Order{{Index: "due"}}, Limit: 1})
		if err != nil || len(first.Hits) == 0 {
			return err
		}
		d, err := deliveries.Decode(first.Hits[0].Body)
		if err == nil {
			next = max(time.Millisecond, min(next, d.Due.Sub(now)))
		}
		return err
	})
	if err != nil {
		return 0, next, err
	}
	var mu sync.Mutex
	var all []error
	var wg sync.WaitGroup
	places := make(chan struct{}, parallel)
	for _, lane := range lanes {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			for _, d := range lane {
				if ctx.Err() != nil {
					return
				}
				due, err := s.deliver(ctx, d)
				mu.Lock()
				if err != nil {
					all = append(all, err)
				} else if !due.IsZero() {
					next = max(time.Millisecond, min(next, due.Sub(s.cfg.Now())))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return n, next, errors.Join(all...)
}

// permanent marks a failure that trying again cannot mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// deliver tries one delivery and writes down what came of it; due is when to try again. An error is one of the store: nothing was decided.
func (s *Service) deliver(ctx context.Context, d *delivery) (due time.Time, err error) {
	t, err := s.target(ctx, d)
	if err != nil {
		return due, err
	}
	if t == nil { // the rule or target was removed meanwhile
		return due, s.drop(ctx, d)
	}
	failure := s.send(ctx, d, t)
	if failure == nil {
		return due, s.drop(ctx, d)
	}
	if ctx.Err() != nil {
		return due, nil // it is tried again at the next start, without having counted
	}
	d.Tries++
	attempts, age := int32(maxAttempts), int32(maxAge)
	if r := t.RetryPolicy; r != nil {
		if r.MaximumRetryAttempts != nil {
			attempts = *r.MaximumRetryAttempts
		}
		if r.MaximumEventAgeInSeconds != nil {
			age = *r.MaximumEventAgeInSeconds
		}
	}
	now := s.cfg.Now()
	var forGood permanent
	code := "RETRIES_EXHAUSTED"
	if errors.As(failure, &forGood) {
		code = "PERMANENT_FAILURE"
	}
	if code == "PERMANENT_FAILURE" || d.Tries > int(attempts) || now.Sub(d.Time) > time.Duration(age)*time.Second {
		return s.bury(ctx, d, t, code, failure)
	}
	d.Due = now.Add(s.cfg.Backoff(d.Tries)).UTC()
	return d.Due, s.keep(ctx, d)
}

// bury sends what cannot be delivered to the target's dead-letter target. Until that has it, it is tried again.
func (s *Service) bury(ctx context.Context, d *delivery, t *api.Target, code string, failure error) (time.Time, error) {
	if c := t.DeadLetterConfig; c != nil && c.Arn != "" {
		letter := encode(map[string]any{"event": d.Event, "RULE_ARN": s.ruleARN(d.Bus, d.Rule), "TARGET_ARN": t.Arn, "ERROR_CODE": code, "ERROR_MESSAGE": errs.As(failure).Message, "ATTEMPTS": d.Tries})
		if err := s.store(ctx, c.Arn, t.RoleArn, d, letter); err != nil {
			d.Due = s.cfg.Now().Add(s.cfg.Backoff(d.Tries)).UTC()
			return d.Due, s.keep(ctx, d)
		}
	} else {
		s.cfg.Log.Warn("an event could not be delivered and was dropped", "rule", s.ruleARN(d.Bus, d.Rule), "target", d.Target, "event", d.EventID, "tries", d.Tries, "error", errs.As(failure).Message)
	}
	return time.Time{}, s.drop(ctx, d)
}

func (s *Service) drop(ctx context.Context, d *delivery) error {
	_, err := s.records.Update(context.WithoutCancel(ctx), space, nil, func(tx record.Tx) error { return tx.Purge(deliveries.Name, d.id()) })
	return err
}

func (s *Service) keep(ctx context.Context, d *delivery) error {
	_, err := s.records.Update(context.WithoutCancel(ctx), space, nil, func(tx record.Tx) error { return deliveries.Put(tx, d.id(), d) })
	return err
}

// target finds a delivery's target as it is now; nil when there is none any more.
func (s *Service) target(ctx context.Context, d *delivery) (t *api.Target, err error) {
	err = s.view(ctx, func(v record.View) error {
		r, _, err := ruleOf(v, d.Bus, d.Rule)
		if absent(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if at := slices.IndexFunc(r.Targets, func(t api.Target) bool { return t.Id == d.Target }); at >= 0 {
			t = &r.Targets[at]
		}
		return nil
	})
	return t, err
}

// send makes the target's input and hands it over.
func (s *Service) send(ctx context.Context, d *delivery, t *api.Target) error {
	body, isJSON := inputOf(t, d.Event, d.Rule, s.ruleARN(d.Bus, d.Rule), d.Time)
	p, err := s.placeOf(t.Arn)
	if err != nil {
		return permanent{err}
	}
	if p.url != "" {
		return s.post(ctx, p.url, t.HttpParameters, d, body, isJSON)
	}
	if !isJSON {
		body = encode(string(body))
	}
	return s.store(ctx, t.Arn, t.RoleArn, d, body)
}

// store stores a body in a queue or a file.
func (s *Service) store(ctx context.Context, arn, role string, d *delivery, body []byte) error {
	p, err := s.placeOf(arn)
	switch {
	case err != nil:
		return permanent{err}
	case p.bucket != "":
		return s.enqueue(ctx, p, role, d, body)
	case p.file != "":
		return s.appendLine(p.file, body)
	}
	return permanent{errs.New(errs.Unsupported, "the target takes no bodies")}
}
