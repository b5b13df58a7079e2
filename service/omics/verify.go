package omics

import (
	"context"
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Verify checks that every file that a record names is there with its size, and that a file of variants has the columns and the rows that its record says; the contents are the
// blob store's to verify. It calls fault for each that is not and returns how many files are named. Files under a key that cannot be used are passed over.
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
			func() error {
				return s.verifyRows(ctx, v, fault)
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

// verifyRows compares the footer of each file of variants that can be read with its record: a file of the same size may still be another one.
func (s *Service) verifyRows(ctx context.Context, v record.View, fault func(error)) error {
	want := parquet.SchemaOf(variantRow{})
	for h, err := range v.Scan(variantFiles.Name, 0) {
		if err != nil {
			return err
		}
		f, err := variantFiles.Decode(h.Body)
		if err != nil || f.File == nil { // told of already
			continue
		}
		if err := s.verifyFooter(ctx, f, want); errs.Is(err, errs.Corrupt) {
			fault(errs.Wrap(errs.Corrupt, err, "a file of %s record %d (blob %s)", variantFiles.Name, h.PID, f.File.Blob))
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) verifyFooter(ctx context.Context, f *variantFile, want *parquet.Schema) (err error) {
	r, err := s.cfg.Blobs.ReaderAt(ctx, f.File.Blob)
	if err != nil { // gone or damaged, which is told of already, or its key is not to be used
		return nil
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	p, err := parquet.OpenFile(r, f.File.Size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	switch {
	case err != nil:
		return errs.Wrap(errs.Corrupt, err, "it is no Parquet file")
	case p.NumRows() != f.Rows:
		return errs.New(errs.Corrupt, "it has %d rows, not the %d that were stored", p.NumRows(), f.Rows)
	case !parquet.EqualNodes(p.Schema(), want):
		return errs.New(errs.Corrupt, "its columns are not those of variants")
	}
	return nil
}
