package omics

import (
	"time"

	"github.com/galen-health/galen/platform/record"
)

// task is what all jobs of this service have in common. Statuses are the contract's words, which all job enums share.
type task struct {
	ID, Store, Role  string
	Status, Message  string
	Created, Updated time.Time
	Ended            *time.Time
}

// Statuses of jobs, and of their items.
const (
	submitted             = "SUBMITTED"
	inProgress            = "IN_PROGRESS"
	cancelled             = "CANCELLED"
	completed             = "COMPLETED"
	completedWithFailures = "COMPLETED_WITH_FAILURES"
	failed                = "FAILED"
	notStarted            = "NOT_STARTED"
	finished              = "FINISHED"
)

func (t *task) over() bool { return t.Ended != nil }

func (t *task) begin(tx record.Tx) { t.Status, t.Created, t.Updated = submitted, tx.Time(), tx.Time() }

// end ends the job as its items ended.
func (t *task) end(tx record.Tx, good, bad int) {
	now := tx.Time()
	t.Updated, t.Ended = now, &now
	switch {
	case bad == 0:
		t.Status = completed
	case good == 0:
		t.Status = failed
	default:
		t.Status = completedWithFailures
	}
}

// fail ends the job as a whole.
func (t *task) fail(tx record.Tx, status, message string) {
	now := tx.Time()
	t.Status, t.Message, t.Updated, t.Ended = status, message, now, &now
}

// taskIndexes are the indexes of every kind of job.
func taskIndexes[T any](of func(*T) *task) record.Indexes[T] {
	return record.Indexes[T]{
		record.ByToken("id", func(v *T) string { return of(v).ID }),
		record.ByToken("store", func(v *T) string { return of(v).Store }),
		record.ByToken("status", func(v *T) string { return of(v).Status }),
		record.ByTime("created", func(v *T) time.Time { return of(v).Created }),
	}
}

// tally counts ended items.
func tally(statuses []string) (good, bad int) {
	for _, s := range statuses {
		switch s {
		case finished, completed:
			good++
		case failed, cancelled:
			bad++
		}
	}
	return good, bad
}
