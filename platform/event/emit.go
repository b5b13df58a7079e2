package event

import (
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Topic of the outbox messages that hold events.
const Topic = "event"

// MaxSize bounds an event at rest, as EventBridge does.
const MaxSize = 256 << 10

// message is an event in the outbox.
type message struct {
	Event
	BusName string `json:"bus,omitempty"`
}

// Emit puts an event into the caller's batch: it is delivered if and only if the batch is committed. ID and Time are filled when they are
// zero; Account and Region are the Bus's to fill, so services need not know them. Resources and Detail become [] and {} when absent.
func Emit(tx record.Tx, e Event) error {
	if e.Source == "" || e.DetailType == "" {
		return errs.New(errs.Internal, "an event needs a source and a detail type")
	}
	if e.ID == "" {
		e.ID = NewID()
	}
	if e.Time.IsZero() {
		e.Time = tx.Time()
	}
	if e.Resources == nil {
		e.Resources = []string{}
	}
	if e.Detail == nil {
		e.Detail = json.RawMessage("{}")
	}
	body, err := json.Marshal(message{e, e.Bus})
	if err != nil {
		return errs.Wrap(errs.Internal, err, "an event of %s cannot be written", e.Source)
	}
	if len(body) > MaxSize {
		return errs.New(errs.TooLarge, "an event of %s has %d bytes, the most is %d", e.Source, len(body), MaxSize)
	}
	tx.Emit(Topic, body)
	return nil
}

// Detail is v as an event's detail. v must be a value that JSON can hold: anything else is a defect of the caller.
func Detail(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("event: a detail that JSON cannot hold: " + err.Error())
	}
	return b
}

// NewID returns a random UUID (version 4).
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// JSON is the event as rules and targets see it: the EventBridge envelope.
func (e *Event) JSON() []byte {
	type envelope struct {
		Version string `json:"version"`
		Event
	}
	c := *e
	if c.Resources == nil {
		c.Resources = []string{}
	}
	c.Time = c.Time.UTC().Truncate(1e9) // EventBridge has whole seconds
	b, err := json.Marshal(envelope{"0", c})
	if err != nil {
		panic("event: an event that JSON cannot hold: " + err.Error()) // Detail was checked when it was emitted
	}
	return b
}
