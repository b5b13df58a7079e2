package job

import (
	"context"
	"maps"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Load is how many jobs of one kind there are.
type Load struct {
	Open    int64 // of the store: waiting and running, in whatever process
	Running int   // in this process
	// Ended counts those that this process brought to an end: done, failed, cancelled.
	Ended map[State]int64
}

// Load counts the jobs of every registered kind, in all spaces.
func (e *Engine) Load(ctx context.Context) (map[string]Load, error) {
	out := map[string]Load{}
	e.mu.Lock()
	for name := range e.kinds {
		out[name] = Load{Running: e.busy[name], Ended: maps.Clone(e.ended[name])}
	}
	e.mu.Unlock()
	spaces, err := e.store.Spaces(ctx)
	if err != nil {
		return nil, err
	}
	for _, space := range spaces {
		if err := e.count(ctx, space, out); err != nil && !errs.Is(err, errs.NotFound) { // the space was dropped meanwhile
			return nil, err
		}
	}
	return out, nil
}

func (e *Engine) count(ctx context.Context, space record.Space, out map[string]Load) error {
	v, err := e.store.View(ctx, space)
	if err != nil {
		return err
	}
	defer v.Close()
	for name, l := range out {
		n, err := v.Count(ctx, jobs.Name, record.Match{Index: "open", Value: record.Token("", name)})
		if err != nil {
			return err
		}
		l.Open += n
		out[name] = l
	}
	return nil
}
