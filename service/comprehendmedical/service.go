package comprehendmedical

import (
	"unicode/utf8"

	api "github.com/galen-health/galen/aws/comprehendmedical"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/clinical/entity"
)

// Service implements the Comprehend Medical API.
type Service struct {
	api.Unimplemented
	codes codes
}

// New returns the service. It loads the engine's model and lists, so that no request waits for them.
func New() *Service {
	entity.Detect("Warm: 1 mg aspirin.")
	return &Service{}
}

// maxText is the contract's bound on a text, in characters.
const maxText = 20000

// check holds a text to the contract; the edge has done so for requests, callers in the process get the same errors.
func check(s string) error {
	switch {
	case s == "":
		return errs.Named(errs.Invalid, "InvalidRequestException", "Text is empty: give 1 to %d characters", maxText)
	case !utf8.ValidString(s):
		return errs.Named(errs.Invalid, "InvalidEncodingException", "Text is not valid UTF-8")
	case utf8.RuneCountInString(s) > maxText:
		return errs.Named(errs.Invalid, "TextSizeLimitExceededException", "Text has more than %d characters", maxText)
	}
	return nil
}
