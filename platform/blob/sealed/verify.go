package sealed

import (
	"context"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
)

// Verification counts the blobs of a back end while each is read to its end.
type Verification struct {
	Open  func(context.Context, blob.ID) (*Reader, error)
	Fault func(error) // a blob that is not what was written

	Blobs      int
	Unreadable int // under keys that are disabled or deleted: they cannot be checked, which is no fault
}

// Check reads one blob; an error ends the verification.
func (v *Verification) Check(ctx context.Context, id blob.ID) error {
	v.Blobs++
	switch err := v.whole(ctx, id); {
	case errs.Is(err, errs.Corrupt):
		v.Fault(err)
	case errs.Is(err, errs.Conflict), errs.Is(err, errs.NotFound):
		v.Unreadable++
	case err != nil:
		return err
	}
	return nil
}

func (v *Verification) whole(ctx context.Context, id blob.ID) error {
	r, err := v.Open(ctx, id)
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	return r.Check()
}

// Stray is the fault of something that is among the blobs and is none.
func (v *Verification) Stray(name string) error {
	v.Fault(errs.New(errs.Corrupt, "%s is not a blob", name))
	return nil
}
