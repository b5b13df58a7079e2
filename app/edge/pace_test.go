package edge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/sigv4"
)

// slowly sends a signed request's head to a served edge, and its body a byte at a time until the server has had enough or all is sent. It returns the answer's
// status and body, 0 when the server hung up without one.
func slowly(t *testing.T, base string, c sigv4.Credentials, service string, header map[string]string, body string, pause time.Duration) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, base+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	if err := sigv4.Sign(r, c, service, region, time.Now()); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", r.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.URL.Host, len(body))
	for k := range r.Header {
		fmt.Fprintf(conn, "%s: %s\r\n", k, r.Header.Get(k))
	}
	fmt.Fprint(conn, "\r\n")
	go func() {
		for i := range len(body) {
			if _, err := conn.Write([]byte{body[i]}); err != nil {
				return // the server has hung up
			}
			time.Sleep(pause)
		}
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, ""
	}
	b, _ := io.ReadAll(resp.Body) // what there is of it
	return resp.StatusCode, string(b)
}

// TestSlowBody: a caller that sends a byte now and then is answered and cut off; one that keeps the pace is served, however small its steps.
func TestSlowBody(t *testing.T) {
	h := newHarness(t)
	h.edge.cfg.Pace = Pace{Grace: 300 * time.Millisecond, Rate: 1000}
	server := httptest.NewServer(h.edge)
	defer server.Close()
	body := `{"DatastoreTypeVersion":"R4"` + strings.Repeat(" ", 500) + `}`
	for what, c := range map[string]struct {
		who     sigv4.Credentials
		service string
		header  map[string]string
		body    string
		pause   time.Duration
		status  int
		says    string
	}{
		"a form, too slow":                      {root, "sts", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "Action=GetCallerIdentity&Version=2011-06-15&x=" + strings.Repeat("y", 500), 20 * time.Millisecond, 408, "<Code>RequestTimeout</Code>"},
		"too slow":                              {root, "healthlake", target(create), body, 20 * time.Millisecond, 408, "RequestTimeoutException"},
		"too slow, with a hash":                 {root, "healthlake", map[string]string{"X-Amz-Target": create, "X-Amz-Content-Sha256": strings.Repeat("0", 64)}, body, 20 * time.Millisecond, 408, "too slowly"},
		"answered before the body, which rests": {sigv4.Credentials{AccessKeyID: "AKIANOBODY", SecretAccessKey: "x"}, "healthlake", target(create), body, time.Minute, 400, "UnrecognizedClient"},
	} {
		if status, answer := slowly(t, server.URL, c.who, c.service, c.header, c.body, c.pause); status != c.status || !strings.Contains(answer, c.says) {
			t.Errorf("%s: %d %s, want %d %s", what, status, answer, c.status, c.says)
		}
	}
	// Longer than the grace, and within what so many bytes may take.
	h.edge.cfg.Pace = Pace{Grace: 300 * time.Millisecond, Rate: 10}
	if status, answer := slowly(t, server.URL, root, "healthlake", target(create), body, time.Millisecond); status != 200 {
		t.Errorf("at its pace: %d %s", status, answer)
	}
}

// TestSlowTaker: a caller that takes nothing is cut off; one that takes slowly gets a large answer that is written at once whole, and a connection can be used
// again after it rested for longer than the grace.
func TestSlowTaker(t *testing.T) {
	h := newHarness(t)
	h.edge.cfg.Pace = Pace{Grace: time.Second}
	large := []byte(strings.Repeat("x", 64<<20))
	grace := 200 * time.Millisecond
	written := make(chan error, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out := &writer{ResponseWriter: w}
		out.pace(Pace{Grace: grace})
		defer out.last()
		_, err := out.Write(large)
		written <- err
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-written; err == nil {
		t.Error("an answer of 64 MiB was taken by a caller that takes nothing")
	}
	grace = 2 * time.Second
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for buf := make([]byte, 1<<20); ; {
		k, err := io.ReadFull(resp.Body, buf)
		if n += k; err != nil {
			break
		}
		time.Sleep(40 * time.Millisecond) // in all more than the grace
	}
	if err := <-written; err != nil || n != len(large) {
		t.Errorf("a slow caller got %d bytes of %d: %v", n, len(large), err)
	}
	for range 2 {
		if r := h.send(root, "s3", "GET", "/bucket/k", nil, ""); r.status != 200 {
			t.Errorf("a connection that rested: %d %s", r.status, r.body)
		}
		time.Sleep(2200 * time.Millisecond) // past the deadline that the answer left
	}
}
