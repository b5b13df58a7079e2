package edge

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// Pace is what a caller must keep up on the wire. Only the time that the server waits for the caller counts, not the time that it takes itself. The zero Pace
// waits for ever.
type Pace struct {
	Grace time.Duration // that a body may take whatever its size, and that each part of an answer may wait to be taken
	Rate  int64         // bytes a second that a body must come at beyond the grace
}

// errTooSlow is what AWS calls a body that does not come.
const errTooSlow = "RequestTimeoutException"

// streamGrace is how long a caller of an event stream may say nothing.
const streamGrace = 5 * time.Minute

// counted is a request's body on its way in: it counts what is read, holds the caller to its pace, and tells a failure as the caller's. A handler's goroutine
// may read after it has answered.
type counted struct {
	io.ReadCloser
	n      atomic.Int64
	pace   Pace
	conn   *http.ResponseController // nil = no deadlines here
	whole  bool                     // a deadline is the connection's (HTTP/1) and not the stream's own
	waited time.Duration
	most   int64 // bytes that may come; 0 = no bound of the server's
	ended  atomic.Bool
}

// newCounted starts the clock: a caller that is answered before its body is read has to send the rest of it all the same, and not at leisure.
func newCounted(w http.ResponseWriter, r *http.Request, pace Pace, most int64) *counted {
	c := &counted{ReadCloser: r.Body, pace: pace, whole: r.ProtoMajor < 2, most: most}
	if pace.Grace > 0 {
		var first time.Time // a stream's deadline would count while the handler does not read yet
		if c.whole {
			first = time.Now().Add(pace.Grace)
		}
		if conn := http.NewResponseController(w); conn.SetReadDeadline(first) == nil {
			c.conn = conn
		}
	}
	return c
}

func (c *counted) Read(p []byte) (int, error) {
	if c.conn == nil {
		n, err := c.ReadCloser.Read(p)
		return c.count(n, err)
	}
	left, began := c.pace.Grace, time.Now()
	if c.pace.Rate > 0 {
		left += time.Duration(float64(c.n.Load())/float64(c.pace.Rate)*float64(time.Second)) - c.waited
	}
	_ = c.conn.SetReadDeadline(began.Add(left)) // it took the first one
	n, err := c.ReadCloser.Read(p)
	c.waited += time.Since(began)
	// What is read next is not the body: the connection is watched for its end while the handler works. A stream's deadline counts while nobody reads, too.
	if errors.Is(err, io.EOF) || !c.whole && err == nil {
		_ = c.conn.SetReadDeadline(time.Time{})
	}
	return c.count(n, err)
}

func (c *counted) count(n int, err error) (int, error) {
	if err != nil {
		c.ended.Store(true)
	}
	if all := c.n.Add(int64(n)); c.most > 0 && all > c.most {
		return 0, errs.New(errs.TooLarge, "the body is over the %d bytes that this server takes", c.most)
	}
	return n, c.said(err)
}

// refusedGrace is how long an answer waits for the rest of a body that nobody will read.
const refusedGrace = time.Second

// refuse shortens the time for the rest of the body. A connection can only be used again once the body is over, so the server takes what comes of it before it
// answers; whoever is still sending then gets the answer and is cut off.
func (c *counted) refuse() {
	if c != nil && c.conn != nil && c.whole && !c.ended.Load() {
		_ = c.conn.SetReadDeadline(time.Now().Add(min(c.pace.Grace, refusedGrace))) // it took the first one
	}
}

// said is what a failure to read means to the caller.
func (c *counted) said(err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errs.Named(errs.Timeout, errTooSlow, "the body comes too slowly: send it within %s, or at %d bytes a second", c.pace.Grace, c.pace.Rate)
	}
	return errs.Wrap(errs.Invalid, err, "the body breaks off")
}

// stream lets the caller of an event stream be silent for longer: speech has pauses.
func (c *counted) stream() {
	if c != nil && c.pace.Grace > 0 {
		c.pace = Pace{Grace: max(c.pace.Grace, streamGrace)}
	}
}

// piece is how much of an answer must be taken within the grace.
const piece = 256 << 10

// pace begins an answer. What the last one on the connection left as its deadline counts no more.
func (w *writer) pace(p Pace) {
	if p.Grace <= 0 {
		return
	}
	if conn := http.NewResponseController(w.ResponseWriter); conn.SetWriteDeadline(time.Time{}) == nil {
		w.grace, w.conn = p.Grace, conn
	}
}

// paced writes in pieces, each of which the caller has to take in time. Between them nothing is waited for, so nothing counts: an answer may be long in the making.
func (w *writer) paced(b []byte) (n int, err error) {
	if w.conn == nil {
		return w.ResponseWriter.Write(b)
	}
	for first := true; first || len(b) > 0; first = false {
		_ = w.conn.SetWriteDeadline(time.Now().Add(w.grace)) // it took the first one
		k, err := w.ResponseWriter.Write(b[:min(len(b), piece)])
		n, b = n+k, b[k:]
		if err != nil {
			return n, err // and the deadline stays: nothing more can be sent
		}
	}
	_ = w.conn.SetWriteDeadline(time.Time{})
	return n, nil
}

// FlushError sends what is buffered; http.ResponseController looks for it.
func (w *writer) FlushError() error {
	conn := http.NewResponseController(w.ResponseWriter)
	if w.conn == nil {
		return conn.Flush()
	}
	_ = w.conn.SetWriteDeadline(time.Now().Add(w.grace)) // it took the first one
	if err := conn.Flush(); err != nil {
		return err
	}
	_ = w.conn.SetWriteDeadline(time.Time{})
	return nil
}

// last bounds what the server sends by itself once the handler has returned: the end of the answer, for which it may wait for the end of the body first.
func (w *writer) last() {
	if w.conn != nil {
		_ = w.conn.SetWriteDeadline(time.Now().Add(2 * w.grace))
	}
}
