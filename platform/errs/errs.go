// Package errs is the closed set of errors that Galen's services and engines return.
//
// A Code says what kind of failure it is; Message says for people what is wrong, where, and what to do. A message never holds
// clinical content or a secret. Protocol edges translate a Code once: to an AWS error name and status, a FHIR OperationOutcome,
// a DICOM status, a GA4GH error or a CLI line. An error is returned or logged, never both.
package errs

import (
	"context"
	"errors"
	"fmt"
)

// Code is the kind of a failure. The set is closed: new codes only at the end, and each edge must translate it.
type Code int

// The codes, with the HTTP status that an edge without a more specific rule answers.
const (
	Internal         Code = iota // 500: a defect of ours
	Invalid                      // 400: the caller's input breaks the contract
	NotFound                     // 404: no such thing, or the caller may not know that it exists
	Conflict                     // 409: the thing is in a state that forbids this, or exists already
	Denied                       // 403: policy does not allow this caller this action on this resource
	Unauthenticated              // 401/403: who is calling could not be established
	Exhausted                    // 402/429: a quota of the account or store is used up
	Throttled                    // 429: slow down and try again
	Precondition                 // 412: a condition of the caller (If-Match, expected version) does not hold
	Unsupported                  // 501: the contract's operation or option is not offered here; the message says what to use
	Unavailable                  // 503: an engine cannot serve now; try again
	Corrupt                      // 500: what is stored fails its checks; never served
	TooLarge                     // 413: over a size bound, which the message names
	NotAcceptable                // 406: no representation that the caller accepts
	OutOfRange                   // 416: the byte range or part does not exist
	Gone                         // 410: it existed and was deleted
	Timeout                      // 408/504: a time bound ran out
	UnsupportedMedia             // 415: the body is of a type that this address does not take
)

var names = [...]string{"internal", "invalid", "not found", "conflict", "denied", "unauthenticated", "exhausted", "throttled",
	"precondition failed", "unsupported", "unavailable", "corrupt", "too large", "not acceptable", "out of range", "gone", "timeout", "unsupported media type"}

func (c Code) String() string {
	if c < 0 || int(c) >= len(names) {
		return fmt.Sprintf("code %d", int(c))
	}
	return names[c]
}

// Error is a failure with its code.
type Error struct {
	Code    Code
	Name    string // the contract's own name when the code alone is not enough ("NoSuchBucket"); "" = the edge chooses
	Message string // for people; may be shown to the caller
	Details any    // typed details for an edge that knows them (for example the FHIR expression); may be nil
	Cause   error  // for operators and errors.Is; never shown to the caller
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Code.String() + ": " + e.Message + ": " + e.Cause.Error()
	}
	return e.Code.String() + ": " + e.Message
}

func (e *Error) Unwrap() error { return e.Cause }

// New returns an error of this code. The format may wrap one cause with %w: its text then stays out of the caller's message only
// if it is not formatted into it, so prefer Wrap for causes.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Named is New with the contract's own error name.
func Named(code Code, name, format string, args ...any) *Error {
	return &Error{Code: code, Name: name, Message: fmt.Sprintf(format, args...)}
}

// Wrap is New with a cause that operators see and callers do not.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// With returns a copy with typed details for the edge.
func (e *Error) With(details any) *Error {
	c := *e
	c.Details = details
	return &c
}

// As finds the first Error in err's chain. Context ends become Timeout or Unavailable, anything else unknown is Internal with
// no text of the cause shown.
func As(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: Timeout, Message: "the time limit ran out", Cause: err}
	case errors.Is(err, context.Canceled):
		return &Error{Code: Unavailable, Message: "the request was cancelled", Cause: err}
	default:
		return &Error{Code: Internal, Message: "an internal error occurred", Cause: err}
	}
}

// CodeOf returns the code of err, Internal when it has none.
func CodeOf(err error) Code {
	if e := As(err); e != nil {
		return e.Code
	}
	return Internal
}

// Is reports whether err carries this code.
func Is(err error, code Code) bool { return err != nil && CodeOf(err) == code }
