package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/galen-health/galen/app"
	"github.com/galen-health/galen/platform/backup"
)

// progress is a line on a terminal that says how far long work is; elsewhere nothing.
type progress struct {
	what string
	on   bool
	mu   sync.Mutex
	last time.Time
	long int
}

func newProgress(what string) *progress {
	return &progress{what: what, on: term.IsTerminal(int(os.Stderr.Fd()))}
}

func (p *progress) tell(at backup.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.on || at.Done > 0 && time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last = time.Now()
	line := p.what + ": " + at.Doing
	if at.Done > 0 {
		line += fmt.Sprintf(" %d", at.Done)
	}
	if at.Of > 0 {
		line += fmt.Sprintf(" of %d", at.Of)
	}
	fmt.Fprintf(os.Stderr, "\r%-*s", p.long, line)
	p.long = max(p.long, len(line))
}

// clear takes the line away before something else is printed.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.long > 0 {
		fmt.Fprintf(os.Stderr, "\r%s\r", strings.Repeat(" ", p.long))
		p.long = 0
	}
}

// maxLine bounds a line of an answer.
const maxLine = 16 << 20

// follow asks the server for long work and hands on its lines; the error that the last one may hold is follow's.
func (t target) follow(ctx context.Context, path string, q url.Values, fn func(app.Line)) error {
	h, err := httpClient(t.Endpoint, t.Region)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.Base+path+"?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := h.Do(r, "iam")
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode >= 300 {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16)) // what there is of it
		return fmt.Errorf("the server answers %d: %s", resp.StatusCode, strings.TrimSpace(string(b)))
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var l app.Line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("the server's answer cannot be read: %w", err)
		}
		if l.Error != "" {
			return fmt.Errorf("%s", l.Error)
		}
		fn(l)
	}
	return lines.Err()
}
