package medicalimaging

import (
	"errors"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/dicom"
)

// Failure reasons of STOW-RS (PS3.18 table I.2-2, PS3.4 annex GG).
const (
	reasonProcessing    = 0x0110
	reasonNoResources   = 0xA700
	reasonMismatch      = 0xA900
	reasonNotUnderstood = 0xC000
)

// failureReason is the detail of an error that refuses an instance.
type failureReason int

func refuse(reason failureReason, format string, args ...any) error {
	return errs.New(errs.Invalid, format, args...).With(reason)
}

// reasonOf is the failure reason of an error.
func reasonOf(err error) failureReason {
	e := errs.As(err)
	if r, ok := e.Details.(failureReason); ok {
		return r
	}
	switch e.Code {
	case errs.Invalid, errs.TooLarge:
		return reasonNotUnderstood
	case errs.Unavailable, errs.Exhausted:
		return reasonNoResources
	}
	return reasonProcessing
}

// unreadable is the refusal of bytes that are no DICOM file, in HealthImaging's words where it has some.
func unreadable(err error) error {
	var e *dicom.Error
	if errors.As(err, &e) && e.Tag == 0 && e.Offset == 0 {
		return refuse(reasonNotUnderstood, "DICOM attributes does not exist: the file is not DICOM Part 10")
	}
	if errors.As(err, &e) {
		return refuse(reasonNotUnderstood, "the DICOM file is broken at byte %d, element %v: %s", e.Offset, e.Tag, e.Reason)
	}
	return errs.Wrap(errs.Unavailable, err, "the file could not be read")
}

// missing is the refusal of a file without an attribute that must be there, in HealthImaging's words.
func missing(t dicom.Tag) error {
	return refuse(reasonMismatch, "DICOM attribute %s does not exist", dicom.Keyword(t))
}
