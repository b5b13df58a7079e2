package omics

import (
	"context"
	"fmt"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Verify checks that every file that a record names is there with its size; the contents are the blob store's to verify. It calls fault for each
// that is not and returns how many files are named. Files under a key that cannot be used are passed over.
func (s *Service) Verify(ctx context.Context, fault func(error)) (named int, err error) {
	err = s.view(ctx, func(v record.View) error {
		for _, check := range []func() error{
			func() error {
				return verifyFiles(ctx, s, v, readSets, &named, fault, func(r *readSet) []*file { return []*file{r.Source1, r.Source2, r.Index} })
			},
			func() error {
				return verifyFiles(ctx, s, v, references, &named, fault, func(r *reference) []*file { return []*file{r.Source, r.Index, r.Sequences} })
			},
			func() error {
				return verifyFiles(ctx, s, v, parts, &named, fault, func(p *part) []*file { return []*file{p.File} })
			},
			func() error {
				return verifyFiles(ctx, s, v, variantFiles, &named, fault, func(f *variantFile) []*file { return []*file{f.File} })
			},
		} {
			if err := check(); err != nil {
				return err
			}
		}
		return nil
	})
	return named, err
}

func verifyFiles[T any](ctx context.Context, s *Service, v record.View, kind record.Kind[T], named *int, fault func(error), files func(*T) []*file) error {
	for h, err := range v.Scan(kind.Name, 0) {
		if err != nil {
			return err
		}
		r, err := kind.Decode(h.Body)
		if err != nil {
			fault(err)
			continue
		}
		for _, f := range files(r) {
			if f == nil {
				continue
			}
			*named++
			what := fmt.Sprintf("a file of %s record %d (blob %s)", kind.Name, h.PID, f.Blob)
			in, err := s.cfg.Blobs.Stat(ctx, f.Blob)
			switch {
			case errs.Is(err, errs.Conflict), err != nil && errs.As(err).Name == "NotFoundException": // the key, not the file
			case errs.Is(err, errs.NotFound), errs.Is(err, errs.Corrupt):
				fault(errs.Wrap(errs.Corrupt, err, "%s is missing or damaged", what))
			case err != nil:
				return err
			case in.Size != f.Size:
				fault(errs.New(errs.Corrupt, "%s is another one", what))
			}
		}
	}
	return nil
}
