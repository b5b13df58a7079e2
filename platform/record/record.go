// Package record keeps versioned records with typed secondary indexes: the heart that every service stands on.
//
// A service declares its kinds, writes versions in atomic batches and queries with one algebra; it never sees the back end. What the words
// mean is defined by the conformance suite (recordtest), which every back end passes.
//
// Invariants:
//   - Update is atomic and durable when it returns: versions, index entries and outbox messages appear together or not at all.
//   - Versions of a record count 1, 2, 3 …; a deletion is a version too (a tombstone). Old versions stay readable until purged.
//   - Commits have one order; a commit's sequence number and time never go back, whatever the clock does.
//   - A record keeps its PID (a number in commit order of its creation) through all its versions, so pages are stable under writes.
//   - A query sees one consistent snapshot.
//   - What is at rest is encrypted; deleting a space destroys its key.
package record

import (
	"context"
	"iter"
	"time"

	"github.com/galen-health/galen/platform/key"
)

// Space isolates records: one per data store ("healthlake/<id>"), and one per service for its control plane ("omics").
// A batch and a query stay within one space.
type Space string

// KindDef declares a kind of record.
type KindDef struct {
	Name string // "omics.sequencestore", "fhir.Patient"
	// Entries computes the index entries of a body, so that indexes can be verified and rebuilt. It must be a pure function and
	// agree with what Put was given.
	Entries func(id string, body []byte) ([]Entry, error)
	// Volatile kinds keep only their newest version (leases, progress, cursors).
	Volatile bool
	// Single names indexes of which a record has at most one value. A query for a span of such an index in its own ascending order reads no
	// more than its page, however many records match; that is how long lists of names are paged.
	Single []string
}

// Entry is one index entry of a record. The same index may have many entries in one record.
type Entry struct {
	Index string // "name", "birthdate"
	Value Value
}

// Expect is the caller's condition on the version that a write replaces.
type Expect int64

const (
	Any    Expect = -1 // whatever is there
	Absent Expect = 0  // no record, or a deleted one
	// a positive number: exactly this version, not deleted
)

// Put is one write of a batch.
type Put struct {
	Kind, ID string
	Body     []byte
	Entries  []Entry // nil = computed with the kind's Entries
	Expect   Expect
}

// Version is one version of a record.
type Version struct {
	Kind, ID string
	PID      uint64
	Version  int64
	Commit   uint64    // sequence number of the commit
	Time     time.Time // of the commit, UTC, microseconds
	Deleted  bool
	Body     []byte // nil when Deleted; valid only until the iterator or callback moves on, unless the method says otherwise
}

// Commit tells what a batch became.
type Commit struct {
	Seq  uint64
	Time time.Time
}

// Message is an outbox entry.
type Message struct {
	Seq   uint64 // position in the outbox, rising
	Topic string
	Body  []byte
	Time  time.Time
	Space Space // where the batch was made; "" when the back end does not tell
}

// Tx is one batch being made. Reads see the newest committed state under the locks held, and the batch's own writes.
type Tx interface {
	// Time is the commit's time, fixed when Update took its locks; bodies may embed it (FHIR meta.lastUpdated).
	Time() time.Time
	// Get returns the newest version, errs.NotFound when there is none, errs.Gone when it is deleted. The body may be kept.
	Get(kind, id string) (*Version, error)
	// Put adds a write and returns the version number that it will have. A failed condition makes Update return errs.Precondition
	// (Expect > 0) or errs.Conflict (Absent), and nothing is written. Conditions on locked or already read records fail here at once.
	Put(p Put) (version int64, err error)
	// Delete writes a tombstone. Deleting an absent or deleted record is errs.NotFound or errs.Gone.
	Delete(kind, id string, expect Expect) (version int64, err error)
	// Purge removes a record with its whole history.
	Purge(kind, id string) error
	// Query runs over the committed state under the locks (not over the batch's own writes).
	Query(q Query) (*Page, error)
	// Emit puts a message into the outbox in this batch.
	Emit(topic string, body []byte)
}

// View is a consistent state of a space.
type View interface {
	// Get returns the version current in this view; errors as Tx.Get. The body may be kept.
	Get(kind, id string) (*Version, error)
	// GetMany calls fn for each id that exists, in the order of ids; bodies are valid only during fn.
	GetMany(kind string, ids []string, fn func(i int, v *Version) error) error
	// GetVersion returns one version of the history, tombstones included; errs.NotFound.
	GetVersion(kind, id string, version int64) (*Version, error)
	// History yields versions newest first: of one record (id != ""), of a kind, or of the whole space (kind == "").
	// before bounds by commit sequence (0 = newest), since by commit time (zero = all).
	History(kind, id string, before uint64, since time.Time) iter.Seq2[*Version, error]
	// Scan yields every live record of a kind in pid order after the given pid. Works in past views too.
	Scan(kind string, after uint64) iter.Seq2[*Version, error]
	// Query answers with a page; in a past view it is errs.Unsupported (restore the past state into a space to search it).
	Query(ctx context.Context, q Query) (*Page, error)
	// Count counts matches exactly.
	Count(ctx context.Context, kind string, where Expr) (int64, error)
	Close()
}

// Store is a back end.
type Store interface {
	// Declare tells the kinds; before the first use.
	Declare(kinds ...KindDef) error
	// CreateSpace makes a space encrypted under ref (idempotent for the same ref). DropSpace removes all of it and its data key; its
	// name can be made again, empty.
	CreateSpace(ctx context.Context, s Space, ref key.Ref) error
	DropSpace(ctx context.Context, s Space) error
	Spaces(ctx context.Context) ([]Space, error)
	// Update makes one batch. locks are names: two Updates in one space that share a name run one after the other; records that are
	// Put with a condition need no lock. fn may run again when the back end asks for a retry, so it must have no other effects.
	Update(ctx context.Context, s Space, locks []string, fn func(tx Tx) error) (Commit, error)
	// View opens the newest state; ViewAt the state as of a commit time. Close it.
	View(ctx context.Context, s Space) (View, error)
	ViewAt(ctx context.Context, s Space, at time.Time) (View, error)
	// Outbox returns messages after a position, oldest first, of all spaces; Trim forgets those up to one. Changed is signalled
	// (without blocking, coalesced) after commits that emitted.
	Outbox(ctx context.Context, after uint64, limit int) ([]Message, error)
	Trim(ctx context.Context, upTo uint64) error
	Changed() <-chan struct{}
	Close() error
}
