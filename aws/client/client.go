// Package client calls AWS operations, and signed routes of the open standards, over HTTP: what generated clients stand on outside of the server's process.
package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/aws/wire"
	"github.com/galen-health/galen/platform/errs"
)

// HTTP is an aws.Invoker. The zero HTTP client is http.DefaultClient's settings with no time limit: the context bounds a call.
type HTTP struct {
	Base        string // http://127.0.0.1:8484
	Region      string
	Credentials sigv4.Credentials
	Client      *http.Client
	Attempts    int // how often a call is tried at most; 0 = 5
}

var _ aws.Invoker = (*HTTP)(nil)

// attempts is how often a call that was throttled or met a server that is starting is tried, unless HTTP says so.
const attempts = 5

// Invoke implements aws.Invoker. A call is tried again when the server says that it may be (429, 503) and its body can be sent again.
func (h *HTTP) Invoke(ctx context.Context, op *aws.Operation, in, out any) error {
	p, most := op.Service.Protocols[0], h.Attempts
	if most == 0 {
		most = attempts
	}
	// Encoded once: a body in it is read away by the first try, so a second encoding would send what is left of it.
	first, err := wire.EncodeRequest(h.Base, op, p, in)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		r := first.Clone(ctx)
		if first.GetBody != nil {
			if r.Body, err = first.GetBody(); err != nil {
				return err
			}
		}
		resp, err := h.Do(r, op.Service.Signing)
		if err != nil {
			return err
		}
		again := r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
		if n < most && again && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable) {
			resp.Body.Close()
			select {
			case <-time.After(time.Duration(n*n) * 100 * time.Millisecond):
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return wire.DecodeResponse(resp, op, p, out)
	}
}

// Do signs a request for a service and sends it.
func (h *HTTP) Do(r *http.Request, service string) (*http.Response, error) {
	if err := sigv4.Sign(r, h.Credentials, service, h.Region, time.Now()); err != nil {
		return nil, err
	}
	c := h.Client
	if c == nil {
		c = http.DefaultClient
	}
	resp, err := c.Do(r)
	if err != nil {
		if r.Context().Err() != nil {
			return nil, r.Context().Err()
		}
		return nil, errs.Wrap(errs.Unavailable, err, "%s does not answer: is galen serve running there?", h.Base)
	}
	return resp, nil
}

// Send makes a signed request of a standard's route and returns its answer's body, up to max bytes. A status of 400 and more is no error.
func (h *HTTP) Send(ctx context.Context, service, method, path string, header map[string]string, body io.Reader, max int64) (status int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, h.Base+path, body)
	if err != nil {
		return 0, nil, err
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := h.Do(r, service)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, max+1))
	if err == nil && int64(len(answer)) > max {
		err = fmt.Errorf("the answer is over %d bytes", max)
	}
	return resp.StatusCode, answer, err
}
