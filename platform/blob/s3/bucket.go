package s3

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	api "github.com/galen-health/galen/aws/s3"

	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/platform/errs"
)

// attempts is how often a request is made at most; the pauses between them grow from firstPause to lastPause.
const (
	attempts   = 8
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// bucket makes requests of one bucket.
type bucket struct {
	api.Service
	name     string
	endpoint string
	budget   time.Duration
	idle     func() // closes the connections that nobody uses
}

func newBucket(t Target) *bucket {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: min(10*time.Second, t.Timeout/2)}).DialContext,
		TLSHandshakeTimeout:   min(10*time.Second, t.Timeout/2),
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       60 * time.Second,
		DisableCompression:    true, // what is stored is ciphertext
		ForceAttemptHTTP2:     true,
		ExpectContinueTimeout: time.Second,
	}
	return &bucket{name: t.Bucket, idle: transport.CloseIdleConnections, endpoint: t.Endpoint, budget: t.Timeout, Service: api.NewClient(&client.HTTP{Base: t.Endpoint, Region: t.Region, Credentials: t.Credentials, Attempts: 1,
		// A redirect would be a signature for another host; S3's says that the bucket is in another region.
		Client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}})}
}

// again reports whether the same request may succeed a moment later.
func again(err error) bool {
	var e *errs.Error
	if !errors.As(err, &e) {
		return true // the connection broke
	}
	switch e.Code {
	case errs.Unavailable, errs.Throttled, errs.Timeout, errs.Internal:
		return true
	}
	return e.Name == "RequestTimeout"
}

// do makes a request until it succeeds, cannot succeed, or the budget is spent; fn's context ends with its attempt. tried is how often it was made.
func (b *bucket) do(ctx context.Context, what string, fn func(ctx context.Context) error) (tried int, err error) {
	ends := time.Now().Add(b.budget)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err = b.once(ctx, ends, fn)
		if tried++; err == nil {
			return tried, nil
		}
		if cause := ctx.Err(); cause != nil {
			return tried, cause
		}
		wait := pause/2 + rand.N(pause/2)
		if !again(err) || tried == attempts || time.Now().Add(wait).After(ends) {
			return tried, b.failure(what, tried, err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return tried, ctx.Err()
		}
	}
}

// noS3 is an answer of status 200 that lacks what every S3's has. Without it nothing was stored.
func noS3(missing string) error { return errs.New(errs.Unsupported, "the answer has no %s", missing) }

// once gives an attempt half of the budget, so that one that hangs leaves time for another.
func (b *bucket) once(ctx context.Context, ends time.Time, fn func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, min(b.budget/2, time.Until(ends)))
	defer cancel()
	return fn(ctx)
}

// failure says what the S3 did. It is never about the caller's rights, so nothing but a missing object keeps its code.
func (b *bucket) failure(what string, tried int, err error) error {
	var e *errs.Error
	if errors.Is(err, io.EOF) { // of a connection; to whoever reads a blob it would be the blob's end
		err = errs.New(errs.Unavailable, "%v", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errs.Wrap(errs.Unavailable, err, "%s: the S3 at %s gave no answer within %v", what, b.endpoint, b.budget)
	}
	if !errors.As(err, &e) {
		return errs.Wrap(errs.Unavailable, err, "%s: the connection to the S3 at %s broke %d times", what, b.endpoint, tried)
	}
	switch {
	case e.Name == "NoSuchBucket":
		return errs.Wrap(errs.Unavailable, err, "%s: the S3 at %s has no bucket %q: make it, or correct --blobs", what, b.endpoint, b.name)
	case e.Code == errs.NotFound, e.Code == errs.OutOfRange, e.Code == errs.Precondition:
		return err
	case e.Name == "RequestTimeTooSkewed":
		return errs.Wrap(errs.Unavailable, err, "%s: this machine's clock and the clock of the S3 at %s disagree: set them right", what, b.endpoint)
	case e.Code == errs.Unsupported && e.Name == "":
		return errs.Wrap(errs.Unavailable, err, "%s: the server at %s does not answer as an S3 does", what, b.endpoint)
	case e.Code == errs.Denied, e.Code == errs.Unauthenticated:
		return errs.Wrap(errs.Unavailable, err, "%s: the S3 at %s refuses the credentials of the blob store (%s): check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, the region and the bucket's policy", what, b.endpoint, e.Name)
	case again(err):
		return errs.Wrap(errs.Unavailable, err, "%s: the S3 at %s does not serve; it was asked %d times", what, b.endpoint, tried)
	}
	return errs.Wrap(errs.Unavailable, err, "%s: the S3 at %s refuses the request (%s)", what, b.endpoint, e.Name)
}
