package pebble

import "github.com/galen-health/galen/platform/errs"

func corrupt(format string, args ...any) error {
	return errs.New(errs.Corrupt, format+"; run galen verify", args...)
}
