package record

import (
	"context"
	"time"

	"github.com/galen-health/galen/platform/key"
)

// Portable is a back end whose content can be carried to another, whole: every version with its number, PID, commit and time.
//
// What is carried is in the clear between the two; whoever holds it seals it.
type Portable interface {
	Store
	// Export gives one consistent state to w, in this order: Begin; then each space by name, and in it each record by kind name and PID, its versions from the
	// oldest that is kept on; then the messages of the outbox. ring opens the spaces' keys; it may be one that minds no key's state. A space whose key is deleted
	// is given without records.
	Export(ctx context.Context, ring key.Ring, w Exporter) error
	// Import fills an empty store with what Export gave, through next, which ends with io.EOF; a store that has a space is errs.Conflict. Nothing of it can be
	// relied on before it has returned. All kinds of the records must be declared: their index entries are computed again. Within one commit, history lists
	// the versions by PID.
	Import(ctx context.Context, ring key.Ring, next func() (any, error)) error
}

// Exporter takes an export. Slices are valid during the call only.
type Exporter interface {
	Begin(ExportPoint) error
	Space(ExportSpace) error
	Record(ExportRecord) error
	Message(Message) error
}

// ExportPoint is the commit that an export shows, and the counters that must not go back.
type ExportPoint struct {
	Seq    uint64    `json:"seq"`
	Time   time.Time `json:"time"`
	PID    uint64    `json:"pid"`
	Outbox uint64    `json:"outbox"`
}

// ExportSpace is a space; its data key is not carried, the key that it is under is.
type ExportSpace struct {
	Name   Space
	Life   uint32  // tells a space from an earlier one of the same name
	Ref    key.Ref // as the space was asked for
	KeyARN string  // the key itself
	Lost   bool    // its key is deleted
}

// ExportRecord is one record of the space told of last.
type ExportRecord struct {
	Kind, ID string
	PID      uint64
	Versions []ExportVersion // oldest first, at least one
}

// ExportVersion is one version of a record.
type ExportVersion struct {
	Version int64
	Commit  uint64
	Time    time.Time
	Deleted bool
	Body    []byte
}
