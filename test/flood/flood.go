// Package flood loads a server for measurements by a client that costs next to nothing, so that what is seen is the server.
package flood

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/galen-health/galen/aws/sigv4"
)

// Requests are signed and written out once, then sent again and again over many connections: each must be good for many times.
type Requests struct {
	address string
	written [][]byte
	good    func(status int, h textproto.MIMEHeader) error
}

// Only takes answers with one status.
func Only(status int) func(int, textproto.MIMEHeader) error {
	return func(got int, _ textproto.MIMEHeader) error {
		if got != status {
			return fmt.Errorf("the answer was %d, not %d", got, status)
		}
		return nil
	}
}

// Prepare signs requests for a server at base (http://host:port) that tells the length of each answer. good, which many call at once, takes an answer or ends
// the run.
func Prepare(base, service, region string, c sigv4.Credentials, good func(status int, h textproto.MIMEHeader) error, requests ...*http.Request) (*Requests, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	f := &Requests{address: u.Host, good: good}
	for _, r := range requests {
		if err := sigv4.Sign(r, c, service, region, time.Now()); err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if err := r.Write(&b); err != nil {
			return nil, err
		}
		f.written = append(f.written, b.Bytes())
	}
	return f, nil
}

// Run sends the requests over so many connections until the context ends, and returns how many were answered a second.
func (f *Requests) Run(ctx context.Context, connections int) (rate float64, err error) {
	counts, failed := make([]int, connections), make([]error, connections)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range connections {
		wg.Go(func() { counts[i], failed[i] = f.connection(ctx, i) })
	}
	wg.Wait()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return float64(sum) / time.Since(began).Seconds(), errors.Join(failed...)
}

func (f *Requests) connection(ctx context.Context, first int) (n int, err error) {
	var c net.Conn
	var in *bufio.Reader
	for ctx.Err() == nil {
		if c == nil {
			if c, err = net.Dial("tcp", f.address); err != nil {
				return n, err
			}
			in = bufio.NewReaderSize(c, 256<<10)
		}
		_, unsent := c.Write(f.written[(first+n)%len(f.written)]) // a server may answer before it has read all
		ends, err := f.answer(in)
		if err != nil || ends {
			if err := errors.Join(err, c.Close()); err != nil {
				return n, errors.Join(unsent, err)
			}
			c = nil
		}
		n++
	}
	if c != nil {
		err = c.Close()
	}
	return n, err
}

// answer reads one, and tells whether the connection ends with it.
func (f *Requests) answer(in *bufio.Reader) (ends bool, err error) {
	head := textproto.NewReader(in)
	line, err := head.ReadLine()
	if err != nil {
		return false, err
	}
	h, err := head.ReadMIMEHeader()
	if err != nil {
		return false, err
	}
	_, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil {
		return false, fmt.Errorf("the answer was %s", line)
	}
	if err := f.good(status, h); err != nil {
		return false, err
	}
	length, err := strconv.Atoi(h.Get("Content-Length"))
	if err != nil {
		return false, fmt.Errorf("an answer without a length: %w", err)
	}
	_, err = in.Discard(length)
	return h.Get("Connection") == "close", err
}
