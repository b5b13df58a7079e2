package job

import (
	"encoding/json"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// stored is a job at rest, in the space of the batch that started it. Its record id is recordID(kind, id).
type stored struct {
	Kind       string          `json:"kind"`
	ID         string          `json:"id"`
	State      State           `json:"state"`
	Args       json.RawMessage `json:"args"`
	Checkpoint json.RawMessage `json:"checkpoint,omitempty"`
	Attempt    int             `json:"attempt"`             // attempts begun since the last checkpoint
	Lease      int64           `json:"lease"`               // counts claims: the fencing token of the worker that has it
	Owner      string          `json:"owner,omitempty"`     // process that has it, "" = none
	Until      time.Time       `json:"until,omitzero"`      // end of the lease
	NotBefore  time.Time       `json:"notBefore,omitzero"`  // end of the back-off
	Cancel     bool            `json:"cancel,omitempty"`    // asked for
	Failure    *failure        `json:"failure,omitempty"`   // final, but Failed has not yet succeeded
	LastError  string          `json:"lastError,omitempty"` // of the newest failed attempt
	Created    time.Time       `json:"created"`
	Started    time.Time       `json:"started,omitzero"`
	Ended      time.Time       `json:"ended,omitzero"`
}

// failure is an error that survives a restart on its way to Failed.
type failure struct {
	Code    errs.Code `json:"code"`
	Name    string    `json:"name,omitempty"`
	Message string    `json:"message"`
}

func (f *failure) err() error { return errs.Named(f.Code, f.Name, "%s", f.Message) }

func (s *stored) open() bool { return s.State == Queued || s.State == Running }

// release gives the lease back.
func (s *stored) release(state State) { s.State, s.Owner, s.Until = state, "", time.Time{} }

func (s *stored) end(state State, now time.Time) {
	s.release(state)
	s.NotBefore, s.Ended, s.Failure = time.Time{}, now, nil
}

// Volatile: a job's old versions mean nothing, and leases are renewed often.
var jobs = record.Kind[stored]{
	Name:     "job",
	Volatile: true,
	Indexes: record.Indexes[stored]{
		record.ByToken("open", func(s *stored) string {
			if s.open() {
				return s.Kind
			}
			return ""
		}),
		record.ByToken("cancelling", func(s *stored) string {
			if s.open() && s.Cancel {
				return s.Kind
			}
			return ""
		}),
		record.ByTime("ended", func(s *stored) time.Time { return s.Ended }),
	},
}

func recordID(kind, id string) string { return kind + "/" + id }
