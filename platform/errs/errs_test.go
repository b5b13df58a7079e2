package errs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/errs"
)

func TestCodeSurvivesWrapping(t *testing.T) {
	err := fmt.Errorf("open store: %w", errs.New(errs.NotFound, "data store %s does not exist", "ab"))
	if !errs.Is(err, errs.NotFound) {
		t.Fatalf("code = %v, want not found", errs.CodeOf(err))
	}
	if got := errs.As(err).Message; got != "data store ab does not exist" {
		t.Errorf("message = %q", got)
	}
}

func TestUnknownErrorsShowNothing(t *testing.T) {
	e := errs.As(errors.New("pq: password of galen is hunter2"))
	if e.Code != errs.Internal || strings.Contains(e.Message, "hunter2") {
		t.Errorf("got %v %q: an unknown cause must become a silent internal error", e.Code, e.Message)
	}
	if errs.As(nil) != nil || errs.Is(nil, errs.Internal) {
		t.Error("nil is not an error")
	}
}

func TestContextEnds(t *testing.T) {
	for err, want := range map[error]errs.Code{context.DeadlineExceeded: errs.Timeout, context.Canceled: errs.Unavailable} {
		if got := errs.CodeOf(fmt.Errorf("read: %w", err)); got != want {
			t.Errorf("%v: code = %v, want %v", err, got, want)
		}
	}
}

func TestEveryCodeHasAName(t *testing.T) {
	for c := errs.Internal; c <= errs.UnsupportedMedia; c++ {
		if strings.HasPrefix(c.String(), "code ") {
			t.Errorf("code %d has no name", int(c))
		}
	}
	if got := errs.Code(99).String(); got != "code 99" {
		t.Errorf("unknown code = %q", got)
	}
}
