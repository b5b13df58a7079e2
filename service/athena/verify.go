package athena

import (
	"context"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Verify checks that the result of every query that has one is there; the contents are the blob store's to verify. It calls fault for each that is not and returns how
// many results are named.
func (s *Service) Verify(ctx context.Context, fault func(error)) (named int, err error) {
	v, err := s.records.View(ctx, control)
	if err != nil {
		return 0, err
	}
	defer v.Close()
	for q, err := range queries.All(record.Ask(ctx, v), record.Query{}) {
		if errs.Is(err, errs.Corrupt) {
			fault(err)
			return named, nil // the record store's verification tells which
		}
		if err != nil {
			return named, err
		}
		if q.Value.Result == "" {
			continue
		}
		named++
		_, err := s.cfg.Blobs.Stat(ctx, q.Value.Result)
		switch {
		case errs.Is(err, errs.Conflict), err != nil && errs.As(err).Name == "NotFoundException": // the key, not the result
		case errs.Is(err, errs.NotFound), errs.Is(err, errs.Corrupt):
			fault(errs.Wrap(errs.Corrupt, err, "the result of query %s (blob %s) is missing or damaged", q.ID, q.Value.Result))
		case err != nil:
			return named, err
		}
	}
	return named, nil
}
