package badinput

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/test/galen"
)

var root = sigv4.Credentials{AccessKeyID: galen.AccessKeyID, SecretAccessKey: galen.SecretAccessKey}

// call is a request before it is signed and sent; what is broken about it is done by before and after.
type call struct {
	service, method, path string
	header                map[string]string
	body                  string
	before, after         func(*http.Request) // the signature
	when                  time.Time
	credentials           *sigv4.Credentials
	unsigned              bool
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (c call) request(t testing.TB, g *galen.Server) *http.Request {
	t.Helper()
	if c.method == "" {
		c.method = http.MethodPost
	}
	if c.path == "" {
		c.path = "/"
	}
	r, err := http.NewRequestWithContext(t.Context(), c.method, g.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range c.header {
		r.Header.Set(k, v)
	}
	if c.before != nil {
		c.before(r)
	}
	if !c.unsigned {
		who, when := root, time.Now()
		if c.credentials != nil {
			who = *c.credentials
		}
		if !c.when.IsZero() {
			when = c.when
		}
		if err := sigv4.Sign(r, who, c.service, galen.Region, when); err != nil {
			t.Fatal(err)
		}
	}
	if c.after != nil {
		c.after(r)
	}
	return r
}

func (c call) send(t testing.TB, g *galen.Server) answer {
	t.Helper()
	resp, err := http.DefaultClient.Do(c.request(t, g))
	if err != nil {
		t.Errorf("%s %s: %v", c.service, c.path, err)
		return answer{}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s %s: the answer breaks off: %v", c.service, c.path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// code reads the error's name out of an answer as a client of the protocol does, "" when the answer has not that protocol's shape.
func (a answer) code() string {
	contentType, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	switch {
	case a.header.Get("X-Amzn-Errortype") != "":
		return a.header.Get("X-Amzn-Errortype")
	case a.header.Get("Smithy-Protocol") == "rpc-v2-cbor":
		var m struct {
			Type string `cbor:"__type"`
		}
		if cbor.Unmarshal([]byte(a.body), &m) != nil {
			return ""
		}
		return m.Type[strings.LastIndexByte(m.Type, '#')+1:]
	case strings.HasPrefix(contentType, "application/x-amz-json"):
		var m struct {
			Type string `json:"__type"`
		}
		if json.Unmarshal([]byte(a.body), &m) != nil {
			return ""
		}
		return m.Type[strings.LastIndexByte(m.Type, '#')+1:]
	case contentType == "application/xml" || contentType == "text/xml":
		var m struct {
			Code  string
			Error struct{ Code string }
		}
		if xml.Unmarshal([]byte(a.body), &m) != nil {
			return ""
		}
		return m.Code + m.Error.Code
	case contentType == "application/fhir+json":
		var m struct {
			ResourceType string
			Issue        []struct{ Severity, Code, Diagnostics string }
		}
		if json.Unmarshal([]byte(a.body), &m) != nil || m.ResourceType != "OperationOutcome" || len(m.Issue) == 0 || m.Issue[0].Severity != "error" {
			return ""
		}
		return m.Issue[0].Code
	}
	return ""
}

// refused holds an answer to be an error of one of the names with the status, with a request id and without what the caller sent.
func (a answer) refused(t *testing.T, what string, status int, codes ...string) {
	t.Helper()
	ok := false
	for _, c := range codes {
		ok = ok || a.code() == c
	}
	switch {
	case a.status != status || !ok:
		t.Errorf("%s: %d %s %.300s, want %d %v", what, a.status, a.code(), a.body, status, codes)
	case a.header.Get("X-Amzn-Requestid") == "":
		t.Errorf("%s: no request id", what)
	case strings.Contains(a.body, marked):
		t.Errorf("%s: the answer repeats what was sent: %.300s", what, a.body)
	}
}

// marked is content that no answer to a bad request may repeat.
const marked = "Zyxwvut Pseudonymous"

// accepted holds an answer to be a success.
func (a answer) accepted(t *testing.T, what string) answer {
	t.Helper()
	if a.status < 200 || a.status > 299 {
		t.Fatalf("%s: %d %.300s", what, a.status, a.body)
	}
	return a
}

// field reads one member of a JSON answer.
func (a answer) field(t *testing.T, name string) string {
	t.Helper()
	var m map[string]any
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.UseNumber() // there are numbers that no float holds
	if err := dec.Decode(&m); err != nil {
		t.Fatalf("%v in %.300s", err, a.body)
	}
	s, _ := m[name].(string)
	return s
}

// until waits for something that becomes true a moment later.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 600 {
		if ok() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("after half a minute it is not so: %s", what)
}

func (c call) with(header, value string) call {
	h := map[string]string{header: value}
	for k, v := range c.header {
		h[k] = v
	}
	c.header = h
	return c
}
