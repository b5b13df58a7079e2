package record

import "context"

// Stats are a back end's figures for the operator. Counters count since the process opened the store; a back end leaves at 0 what it does not know.
type Stats struct {
	Commits  uint64 // batches that were committed
	Versions uint64 // record versions in them: over Commits, the mean size of a batch
	Messages uint64 // outbox messages in them
	Retries  uint64 // batches that were made again because of another's change

	Bytes       uint64 // on the disk
	CacheHits   uint64
	CacheMisses uint64
	Compactions uint64
}

// Measured is a store that tells its figures.
type Measured interface {
	Stats(ctx context.Context) (Stats, error)
}
