package edge

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/limits"
)

// Load bounds what is asked of the server at a time. Zero fields do not bound.
type Load struct {
	Caller   limits.Allowance // of one principal, however many keys and sessions it has
	Requests int64            // in progress, of all callers
	Memory   int64            // bytes of bodies that are held whole, of all requests in progress
	Body     int64            // bytes of one request's body, where the contract allows more
	Strangers
}

// load is what is in use.
type load struct {
	callers          *limits.Callers
	requests, memory *limits.Budget
	body             int64
	strangers        *strangers
}

func newLoad(l Load, now func() time.Time) load {
	return load{callers: limits.NewCallers(l.Caller, now), requests: limits.NewBudget(l.Requests, "requests"), memory: limits.NewBudget(l.Memory, "bytes for bodies"), body: l.Body,
		strangers: newStrangers(l.Strangers, now)}
}

// leave is done when the request has been answered.
func (v *visit) leave(done func()) { v.ends = append(v.ends, done) }

// admit takes a place among the requests in progress, before anything is done for the request. most is how much of its body will be held whole.
func (v *visit) admit(most int64) error {
	n := v.r.ContentLength
	if limit := v.e.load.body; limit > 0 && n > limit {
		return errs.New(errs.TooLarge, "the body is over the %d bytes that this server takes", limit)
	}
	done, err := v.e.load.requests.Take(1)
	if err != nil {
		return err
	}
	v.leave(done)
	if v.in == nil || most <= 0 {
		return nil
	}
	if n < 0 || n > most {
		n = most // and reading ends there
	}
	if done, err = v.e.load.memory.Take(n); err != nil {
		return err
	}
	v.leave(done)
	return nil
}

// held is how much of an operation's body is in memory at once: all of it, but for a payload that streams and whose hash is not to be taken first.
func held(r *http.Request, op *aws.Operation) int64 {
	if op != nil && (op.Streams || streamed(op) && (r.Header.Get("X-Amz-Content-Sha256") != "" || r.URL.Query().Has("X-Amz-Signature"))) {
		return 0
	}
	return sigv4.MaxBuffered
}

func streamed(op *aws.Operation) bool {
	m := op.Input.Member(op.Input.Payload)
	return m != nil && m.Streaming
}

// retryAfter tells a caller that has to wait how long (RFC 9110 §10.2.3).
func retryAfter(h http.Header, e *errs.Error) {
	if wait, ok := e.Details.(time.Duration); ok && e.Code == errs.Throttled {
		h.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))))
	}
}
