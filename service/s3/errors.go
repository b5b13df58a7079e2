package s3

import "github.com/galen-health/galen/platform/errs"

// The errors of the contract that more than one operation gives. Names and texts are S3's.

func invalid(name, format string, args ...any) error {
	return errs.Named(errs.Invalid, name, format, args...)
}

func noSuchBucket(name string) error {
	return errs.Named(errs.NotFound, "NoSuchBucket", "The specified bucket does not exist: %s", name)
}

func noSuchKey() error {
	return errs.Named(errs.NotFound, "NoSuchKey", "The specified key does not exist.")
}

func noSuchVersion() error {
	return errs.Named(errs.NotFound, "NoSuchVersion", "The specified version does not exist.")
}

func noSuchUpload() error {
	return errs.Named(errs.NotFound, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
}

func preconditionFailed(condition string) error {
	return errs.Named(errs.Precondition, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold: %s", condition)
}

func notImplemented(format string, args ...any) error {
	return errs.Named(errs.Unsupported, "NotImplemented", format, args...)
}

func absent(err error) bool { return errs.Is(err, errs.NotFound) || errs.Is(err, errs.Gone) }

// keyError gives an error about a KMS key the name that S3 gives it.
func keyError(err error) error {
	e := errs.As(err)
	switch {
	case e == nil:
		return nil
	case e.Code == errs.Denied:
		return errs.Named(errs.Denied, "AccessDenied", "%s", e.Message)
	case e.Name == "NotFoundException", e.Name == "DisabledException", e.Name == "KMSInvalidStateException", e.Name == "InvalidArnException":
		return errs.Named(errs.Invalid, "KMS."+e.Name, "%s", e.Message)
	}
	return err
}
