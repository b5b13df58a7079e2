// Package job runs long work that survives restarts: leased, resumable, cancellable, with progress.
//
// A job is started inside the batch that creates the service's own job record, so there is never one without the other. A worker leases it;
// when the process dies the lease ends and another worker (or the next start) runs it again from its last checkpoint. A Run must therefore be
// idempotent between checkpoints. State visible to users (IN_PROGRESS, COMPLETED …) lives in the service's own record.
package job

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/galen-health/galen/platform/record"
)

// Causes of a cancelled Run context (context.Cause).
var (
	ErrCancelled = errors.New("the job was cancelled")
	ErrStopping  = errors.New("the process is stopping")     // save a checkpoint and return; the job goes on at the next start
	ErrLeaseLost = errors.New("another worker has this job") // return at once and write nothing
)

// Kind is a kind of work that a service registers at start.
type Kind struct {
	Name        string // "healthlake.import"
	Concurrency int    // runs at once in this process; 0 = 1
	// MaxAttempts bounds the crashes and errors in a row without a saved checkpoint before Failed is called; 0 = 5.
	MaxAttempts int
	// Run does the work. A nil error ends the job. Cancelling cancels ctx with ErrCancelled as its cause.
	Run func(ctx context.Context, r Run) error
	// Failed is called once when the attempts are used up or Run returned a permanent error (errs.Invalid, Denied, NotFound,
	// Conflict, Corrupt, Unsupported), so that the service can put its own record into a final state.
	// It is called again when it returns an error or the process dies in it. nil = nothing to do.
	Failed func(ctx context.Context, r Run, err error) error
	// Cancelled is called once a cancelled job has stopped (or before it ever ran), with the same rules as Failed.
	Cancelled func(ctx context.Context, r Run) error
}

// Run is one attempt at a job.
type Run interface {
	ID() string
	Space() record.Space // the space of the batch that started it
	Attempt() int        // from 1, counted anew after a saved checkpoint
	// Args decodes what Start was given.
	Args(into any) error
	// Checkpoint decodes the last saved checkpoint into v and reports whether there is one.
	Checkpoint(v any) (bool, error)
	// Save stores a checkpoint durably.
	Save(ctx context.Context, v any) error
	// Finish ends the job as done inside a batch on Space: final state and the end of the work become durable together, so the effect
	// is exactly once. It fails when the lease was lost; then the batch must fail too. Run returns nil after it.
	Finish(tx record.Tx) error
	// Progress tells how far it is, for people; it is not durable.
	Progress(done, total int64, unit string)
}

// Status is what is known of a job.
type Status struct {
	ID, Kind    string
	State       State
	Attempt     int
	Done, Total int64
	Unit        string
	Started     time.Time
	Checkpoint  json.RawMessage
	LastError   string // for operators: code and message, no content
}

// State of a job.
type State string

const (
	Queued    State = "queued"
	Running   State = "running"
	Done      State = "done"
	Cancelled State = "cancelled"
	Failed    State = "failed"
)
