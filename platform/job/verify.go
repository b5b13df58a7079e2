package job

import (
	"context"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Verify checks every job: it is the one that its record's id names, its state is one that there is and fits its times, and when it is not at its end, somebody runs its kind. It
// calls fault for each that is not so and returns how many jobs there are. Those under a key that cannot be used are passed over.
func (e *Engine) Verify(ctx context.Context, fault func(error)) (n int, err error) {
	spaces, err := e.store.Spaces(ctx)
	if err != nil {
		return 0, err
	}
	for _, space := range spaces {
		v, err := e.store.View(ctx, space)
		if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Conflict) || errs.Is(err, errs.Corrupt) || errs.Is(err, errs.Invalid) { // the key, or damage that the records' verification tells of
			continue
		}
		if err != nil {
			return n, err
		}
		err = e.verifyIn(v, space, &n, fault)
		v.Close()
		if err != nil && !errs.Is(err, errs.Corrupt) {
			return n, err
		}
	}
	return n, nil
}

func (e *Engine) verifyIn(v record.View, space record.Space, n *int, fault func(error)) error {
	for h, err := range v.Scan(jobs.Name, 0) {
		if err != nil {
			return err
		}
		s, err := jobs.Decode(h.Body)
		if err != nil {
			fault(err)
			continue
		}
		*n++
		if what := e.wrong(h.ID, s); what != "" {
			fault(errs.New(errs.Corrupt, "job record %d in space %s: %s", h.PID, space, what))
		}
	}
	return nil
}

// wrong says what of a job is not as it can be; "" = nothing.
func (e *Engine) wrong(id string, s *stored) string {
	e.mu.Lock()
	_, runs := e.kinds[s.Kind]
	e.mu.Unlock()
	switch {
	case id != recordID(s.Kind, s.ID):
		return "it is another job than its id names"
	case s.State != Queued && s.State != Running && s.State != Done && s.State != Cancelled && s.State != Failed:
		return "its state is none"
	case s.open() != s.Ended.IsZero():
		return "its state and its end do not agree"
	case s.State == Running && s.Started.IsZero():
		return "it runs and was never started"
	case s.open() && !runs:
		return "it is not at its end and nobody runs jobs of its kind"
	}
	return ""
}
