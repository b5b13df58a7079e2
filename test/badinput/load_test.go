package badinput

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/test/galen"
)

// TestSlowCallers holds that callers who send and take as slowly as they can are cut off, and that meanwhile everybody else is served.
func TestSlowCallers(t *testing.T) {
	t.Parallel()
	g := galen.Start(t, "--body-grace", "1s", "--body-rate", "1000")
	s3 := func(method, path, body string) call {
		return call{service: "s3", method: method, path: path, body: body}
	}
	s3("PUT", "/slow", "").send(t, g).accepted(t, "a bucket")
	big := strings.Repeat("0123456789abcdef", 2<<20)
	s3("PUT", "/slow/big", big).send(t, g).accepted(t, "a large object")

	head, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer head.Close()
	fmt.Fprint(head, "GET / HTTP/1.1\r\nHost: x\r\n") // and its header never ends
	var slow sync.WaitGroup
	for n := range 50 {
		c := s3("PUT", fmt.Sprint("/slow/", n), strings.Repeat("x", 10_000))
		conn := raw(t, g, c, nil, nil)
		slow.Go(func() { drip(t, conn, c.body) })
	}
	lazy := raw(t, g, s3("GET", "/slow/big", ""), nil, nil) // and reads nothing for a while
	for range 50 {
		s3("GET", "/slow/big", "").with("Range", "bytes=0-9").send(t, g).accepted(t, "an honest caller beside fifty slow ones")
	}
	slow.Wait()
	if a := s3("GET", "/slow?list-type=2", "").send(t, g); strings.Count(a.body, "<Key>") != 1 {
		t.Errorf("slow uploads are listed: %s", a.body)
	}
	time.Sleep(3 * time.Second)
	resp, err := http.ReadResponse(bufio.NewReader(lazy), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("a caller that took nothing for three seconds got all %d bytes", n)
	}
	if err := head.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(head); err != nil || strings.Contains(string(b), " 200 ") {
		t.Errorf("a header without end is still waited for: %v %q", err, b)
	}
	sound(t, g)
}

// drip sends a byte every 50 ms until the server has had enough, and holds that it says so.
func drip(t *testing.T, conn net.Conn, body string) {
	defer conn.Close()
	go func() {
		for i := range len(body) {
			if _, err := conn.Write([]byte{body[i]}); err != nil {
				return // as it should
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return // it hung up without a word, which is an answer
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusRequestTimeout && resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(b), "RequestTimeout") {
		t.Errorf("a caller that drips: %d %s", resp.StatusCode, b)
	}
}

// TestBounds holds a server with low bounds to them, and that what it refuses can be sent again.
func TestBounds(t *testing.T) {
	t.Parallel()
	g := galen.Start(t, "--caller-concurrent", "4", "--max-body", "1048576")
	list := call{service: "healthlake", header: target("HealthLake.ListFHIRDatastores", "1.0"), body: "{}"}
	big := call{service: "kms", header: target("TrentService.Encrypt", "1.1"), body: strings.Repeat(" ", 1<<20+1)}
	if a := big.send(t, g); a.status != 400 && a.status != 413 || !strings.Contains(a.body, "1048576 bytes") {
		t.Errorf("a body over --max-body: %d %s", a.status, a.body)
	}
	// Twelve uploads that rest in the middle: four have a place, eight are told to slow down.
	c := call{service: "s3", method: "PUT", path: "/held/k", body: "0123456789"}
	call{service: "s3", method: "PUT", path: "/held"}.send(t, g).accepted(t, "a bucket")
	var held []net.Conn
	statuses := make(chan int, 12)
	for range 12 {
		conn := raw(t, g, c, nil, []byte("01234"))
		held = append(held, conn)
		go func() {
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				statuses <- 0
				return
			}
			resp.Body.Close()
			statuses <- resp.StatusCode
		}()
	}
	for range 8 {
		if status := <-statuses; status != http.StatusServiceUnavailable {
			t.Errorf("one upload too many: %d", status)
		}
	}
	a := list.send(t, g)
	a.refused(t, "one more request in progress", 429, "ThrottlingException")
	if a.header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After in %v", a.header)
	}
	for _, h := range held {
		_, _ = h.Write([]byte("56789")) // eight of them have been answered
	}
	for range 4 {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("an upload that had a place: %d", status)
		}
	}
	until(t, "there is room again", func() bool { return list.send(t, g).status == 200 })
	if a := (call{service: "s3", method: "GET", path: "/held/k"}).send(t, g); a.body != "0123456789" {
		t.Errorf("what the four sent is %d %q", a.status, a.body)
	}
}

// TestRate: the SDK's way with "slow down" gets a client through a low rate.
func TestRate(t *testing.T) {
	t.Parallel()
	g := galen.Start(t, "--caller-rate", "20", "--caller-burst", "5")
	list := call{service: "s3", method: "GET", path: "/"}
	refused := 0
	for range 15 {
		switch a := list.send(t, g); {
		case a.status == 200:
		default:
			a.refused(t, "too fast", 503, "SlowDown")
			refused++
			time.Sleep(50 * time.Millisecond)
		}
	}
	if refused == 0 {
		t.Error("fifteen requests at once went through a burst of five")
	}
}

// TestHeaders: more header than the server takes is refused over HTTP/1.1 and HTTP/2, in one field or in many, before anybody is asked who they are; what is below the
// bound is read, and the others are served on.
func TestHeaders(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	for _, h2 := range []bool{false, true} {
		tr := &http.Transport{Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP1(!h2)
		tr.Protocols.SetUnencryptedHTTP2(h2)
		for what, c := range map[string]struct {
			fields, size int
			refused      bool
		}{"a large header": {1, 40 << 10, false}, "one field too large": {1, 100 << 10, true}, "many fields": {2000, 100, true}, "a field of a megabyte": {1, 1 << 20, true}} {
			r, err := http.NewRequest(http.MethodGet, g.URL+"/livez", nil)
			if err != nil {
				t.Fatal(err)
			}
			for n := range c.fields {
				r.Header.Set(fmt.Sprint("X-Filler-", n), strings.Repeat("f", c.size))
			}
			resp, err := tr.RoundTrip(r)
			if err != nil {
				if !c.refused { // HTTP/2 ends the stream, HTTP/1.1 may hang up while it is still being written to
					t.Errorf("HTTP/2 %v: %s: %v", h2, what, err)
				}
				continue
			}
			resp.Body.Close()
			if want := map[bool]int{true: http.StatusRequestHeaderFieldsTooLarge, false: http.StatusOK}[c.refused]; resp.StatusCode != want {
				t.Errorf("HTTP/2 %v: %s: %d, want %d", h2, what, resp.StatusCode, want)
			}
		}
		tr.CloseIdleConnections()
	}
	sound(t, g)
}
