package medicalimaging

import (
	"context"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Verify checks that the body of every instance that an image set refers to, in any version, is there; the contents are the blob store's to verify. It
// calls fault for each that is not and returns how many bodies are named. Data stores under a key that cannot be used are passed over, and those
// being deleted, whose bodies go first.
func (s *Service) Verify(ctx context.Context, fault func(error)) (named int, err error) {
	var stores []string
	if err := s.view(ctx, control, func(v record.View) error {
		for h, err := range v.Scan(datastores.Name, 0) {
			if err != nil {
				return err
			}
			d, err := datastores.Decode(h.Body)
			if err != nil {
				fault(err)
			} else if d.Status == api.DatastoreStatusActive {
				stores = append(stores, d.ID)
			}
		}
		return nil
	}); err != nil {
		return 0, err
	}
	for _, id := range stores {
		err := s.view(ctx, space(id), func(v record.View) error { return s.verifyBodies(ctx, v, id, &named, fault) })
		if err != nil && !errs.Is(err, errs.Conflict) && errs.As(err).Name != "NotFoundException" { // the key
			return named, err
		}
	}
	return named, nil
}

func (s *Service) verifyBodies(ctx context.Context, v record.View, store string, named *int, fault func(error)) error {
	for h, err := range v.Scan(bodies.Name, 0) {
		if err != nil {
			return err
		}
		b, err := bodies.Decode(h.Body)
		if err != nil {
			fault(err)
			continue
		}
		if len(b.Sets) == 0 {
			continue // being deleted
		}
		*named++
		_, err = s.blobs.Stat(ctx, blob.ID(h.ID))
		switch {
		case errs.Is(err, errs.Conflict), err != nil && errs.As(err).Name == "NotFoundException":
		case errs.Is(err, errs.NotFound), errs.Is(err, errs.Corrupt):
			fault(errs.Wrap(errs.Corrupt, err, "the body of an instance in data store %s (blob %s) is missing or damaged", store, h.ID))
		case err != nil:
			return err
		}
	}
	return nil
}
