// Package event carries what happened: events leave through the record store's outbox, in the batch of the change they tell of, so nothing
// is announced that did not happen and nothing that happened goes unannounced.
//
// Delivery is at least once, in order per subscriber, deduplicated by id, and replayable. Details hold ids and states, never clinical
// content. The EventBridge pattern language is in package event/pattern.
package event

import (
	"context"
	"encoding/json"
	"time"
)

// Event has the shape of an EventBridge event. ID, Time, Account and Region are filled when it is emitted.
type Event struct {
	ID         string          `json:"id"`
	Source     string          `json:"source"`      // aws.healthlake
	DetailType string          `json:"detail-type"` // Import Job Completed
	Account    string          `json:"account"`
	Region     string          `json:"region"`
	Time       time.Time       `json:"time"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
	Bus        string          `json:"-"` // event bus name; "" = default
}

// Subscriber handles events inside the process (rule delivery, the linker). It must be idempotent by e.ID: a crash between handling
// and acknowledging delivers again. An error stops its queue at that event, to be retried with growing delay.
type Subscriber func(ctx context.Context, e *Event) error
