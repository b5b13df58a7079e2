package badinput

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/test/galen"
	"github.com/galen-health/galen/test/sample"
)

// raw opens a connection and writes the head of a signed request with what of its body the caller wants to send.
func raw(t *testing.T, g *galen.Server, c call, head map[string]string, body []byte) *net.TCPConn {
	t.Helper()
	r := c.request(t, g)
	conn, err := net.DialTimeout("tcp", r.URL.Host, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.URL.RequestURI(), r.URL.Host)
	if head == nil {
		head = map[string]string{"Content-Length": fmt.Sprint(len(c.body))}
	}
	for k, v := range head {
		fmt.Fprintf(&b, "%s: %s\r\n", k, v)
	}
	for k := range r.Header {
		fmt.Fprintf(&b, "%s: %s\r\n", k, r.Header.Get(k))
	}
	b.WriteString("\r\n")
	b.Write(body)
	if _, err := conn.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// cut sends half of a call's body and ends the connection: hard as a crash does, or by a proper end of what is sent.
func cut(t *testing.T, g *galen.Server, c call, hard bool) {
	t.Helper()
	conn := raw(t, g, c, nil, []byte(c.body[:len(c.body)/2]))
	if hard {
		if err := conn.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		return
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return // no answer is an answer to half a request
	}
	b, _ := io.ReadAll(resp.Body) // what there is of it
	if resp.StatusCode < 400 {
		t.Errorf("half of %s %s is answered with %d %.200s", c.method, c.path, resp.StatusCode, b)
	}
}

// TestHalfUploads cuts an upload of each kind in the middle: what was there before stays, nothing of the half is seen, and the whole can be sent afterwards.
func TestHalfUploads(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	s3 := func(method, path, body string) call {
		return call{service: "s3", method: method, path: path, body: body}
	}
	s3("PUT", "/half", "").send(t, g).accepted(t, "a bucket")
	s3("PUT", "/half/there", "before").send(t, g).accepted(t, "an object")
	big := strings.Repeat("0123456789abcdef", 1<<16)
	upload := s3("POST", "/half/parts?uploads=", "").send(t, g).accepted(t, "an upload").body
	_, upload, _ = strings.Cut(upload, "<UploadId>")
	upload, _, _ = strings.Cut(upload, "</UploadId>")
	part := "/half/parts?partNumber=1&uploadId=" + upload

	image := imagingStore(t, g)
	stow := stowCall(t, image, sample.Slice(1, "HALF"), sample.Slice(2, "HALF"))
	seqs := omicsCall("POST", "/sequencestore", `{"name":"half"}`).send(t, g).accepted(t, "a sequence store").field(t, "id")
	reads := omicsCall("POST", "/sequencestore/"+seqs+"/upload", `{"sourceFileType":"FASTQ","subjectId":"s","sampleId":"t","name":"half"}`).send(t, g).accepted(t, "a read set's upload").field(t, "uploadId")
	readPart := omicsCall("PUT", "/sequencestore/"+seqs+"/upload/"+reads+"/part?partNumber=1&partSource=SOURCE1", string(sample.Gzip(sample.FASTQ(20_000))))
	readPart.header = map[string]string{"Content-Type": "application/octet-stream"}
	fhir := fhirStore(t, g)
	patient := call{service: "healthlake", method: "PUT", path: "/datastore/" + fhir + "/r4/Patient/half", header: map[string]string{"Content-Type": "application/fhir+json"}, body: `{"resourceType":"Patient","id":"half","gender":"male"}                                                       `}

	for _, hard := range []bool{false, true} {
		cut(t, g, s3("PUT", "/half/new", big), hard)
		cut(t, g, s3("PUT", "/half/there", big), hard)
		cut(t, g, s3("PUT", part, big), hard)
		cut(t, g, stow, hard)
		cut(t, g, readPart, hard)
		cut(t, g, patient, hard)
		// Chunks with a length and a signature of their own, the last of which never comes.
		chunked := s3("PUT", "/half/chunked", "")
		chunked.before = func(r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
			r.Header.Set("X-Amz-Decoded-Content-Length", "10")
			r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
			r.Header.Set("Content-Encoding", "aws-chunked")
		}
		conn := raw(t, g, chunked, map[string]string{"Content-Length": "100"}, []byte("5\r\nhello\r\n"))
		if hard {
			_ = conn.SetLinger(0) // without it the end is merely softer
		}
		conn.Close()
	}
	// The server may still be busy with the last of them: what must not come has had its time once a later write is answered.
	s3("PUT", "/half/after", "after").send(t, g).accepted(t, "a later object")

	for path, want := range map[string]int{"/half/new": 404, "/half/chunked": 404, "/half/parts": 404, "/half/there": 200} {
		a := s3("GET", path, "").send(t, g)
		if a.status != want || want == 200 && a.body != "before" {
			t.Errorf("%s after half an upload: %d %.100s", path, a.status, a.body)
		}
	}
	if a := s3("GET", "/half/parts?uploadId="+upload, "").send(t, g); a.status != 200 || strings.Contains(a.body, "<Part>") {
		t.Errorf("half a part is listed: %d %s", a.status, a.body)
	}
	if a := (call{service: "medical-imaging", method: "GET", path: "/datastore/" + image + "/studies"}).send(t, g); strings.Contains(a.body, sample.Study) {
		t.Errorf("half a STOW is found: %d %.300s", a.status, a.body)
	}
	if a := omicsCall("POST", "/sequencestore/"+seqs+"/upload/"+reads+"/parts", `{"partSource":"SOURCE1"}`).send(t, g); strings.Contains(a.body, "checksum") {
		t.Errorf("half a part of a read set is listed: %s", a.body)
	}
	if a := (call{service: "healthlake", method: "GET", path: "/datastore/" + fhir + "/r4/Patient/half"}).send(t, g); a.status != 404 {
		t.Errorf("half a resource is there: %d %s", a.status, a.body)
	}

	for _, c := range []call{s3("PUT", "/half/new", big), s3("PUT", part, big), stow, readPart, patient} {
		c.send(t, g).accepted(t, c.method+" "+c.path)
	}
	if a := s3("GET", "/half/new", "").send(t, g); a.body != big {
		t.Errorf("the whole object has %d bytes, want %d", len(a.body), len(big))
	}
	sound(t, g)
}

// TestLengths says one length and sends another.
func TestLengths(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	put := call{service: "s3", method: "PUT", path: "/lengths/k", body: "0123456789"}
	call{service: "s3", method: "PUT", path: "/lengths"}.send(t, g).accepted(t, "a bucket")
	for what, c := range map[string]struct {
		head map[string]string
		body string
		want []int // statuses; 0 = the connection ends without an answer
	}{
		"shorter than said":               {map[string]string{"Content-Length": "20"}, "0123456789", []int{400}},
		"longer than said":                {map[string]string{"Content-Length": "5"}, "0123456789", []int{400}},
		"a negative length":               {map[string]string{"Content-Length": "-1"}, "0123456789", []int{400}},
		"a length beyond 64 bits":         {map[string]string{"Content-Length": "99999999999999999999"}, "0123456789", []int{400}},
		"a length that is none":           {map[string]string{"Content-Length": "ten"}, "0123456789", []int{400}},
		"an unknown transfer encoding":    {map[string]string{"Transfer-Encoding": "gzip"}, "0123456789", []int{501, 400}},
		"chunks that are none":            {map[string]string{"Transfer-Encoding": "chunked"}, "0123456789", []int{400}},
		"a chunk's length beyond 64 bits": {map[string]string{"Transfer-Encoding": "chunked"}, "fffffffffffffffff\r\n0123456789", []int{400}},
		"chunks and no end":               {map[string]string{"Transfer-Encoding": "chunked"}, "a\r\n0123456789\r\n", []int{400}},
	} {
		conn := raw(t, g, put, c.head, []byte(c.body))
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		status := 0
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			status = resp.StatusCode
			resp.Body.Close()
		}
		ok := false
		for _, w := range c.want {
			ok = ok || w == status
		}
		if !ok {
			t.Errorf("%s: %d, want %v", what, status, c.want)
		}
		if a := (call{service: "s3", method: "GET", path: "/lengths/k"}).send(t, g); a.status != 404 {
			t.Fatalf("%s: the object is there: %d %q", what, a.status, a.body)
		}
	}
	for _, said := range []string{"9", "11", "-1", "x", ""} {
		c := call{service: "s3", method: "PUT", path: "/lengths/k", body: "a\r\n0123456789\r\n0\r\nx-amz-checksum-crc32:pqSJIg==\r\n\r\n"}
		c.before = func(r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
			r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
			r.Header.Set("Content-Encoding", "aws-chunked")
			if said != "" {
				r.Header.Set("X-Amz-Decoded-Content-Length", said)
			}
		}
		if a := c.send(t, g); a.status < 400 || a.status > 499 || a.code() == "" {
			t.Errorf("a decoded length of %q: %d %s", said, a.status, a.body)
		}
		if a := (call{service: "s3", method: "GET", path: "/lengths/k"}).send(t, g); a.status != 404 {
			t.Fatalf("a decoded length of %q: the object is there: %d %q", said, a.status, a.body)
		}
	}
	for what, header := range map[string]http.Header{
		"a header of 1 MiB":    {"X-Long": {strings.Repeat("x", 1<<20)}},
		"100,000 headers":      manyHeaders(100_000),
		"a query of 1 MiB":     nil,
		"a header with a CR":   {"X-Cr": {"a\rb"}},
		"a name with a space":  {"X Y": {"a"}},
		"a header with a NUL":  {"X-Nul": {"a\x00b"}},
		"two different hosts":  {"Host": {"other.example"}},
		"an invalid HTTP line": nil,
	} {
		var b bytes.Buffer
		switch what {
		case "a query of 1 MiB":
			fmt.Fprintf(&b, "GET /?x=%s HTTP/1.1\r\nHost: x\r\n", strings.Repeat("x", 1<<20))
		case "an invalid HTTP line":
			fmt.Fprintf(&b, "GET / HTTP/9.9\r\nHost: x\r\n")
		default:
			fmt.Fprintf(&b, "GET / HTTP/1.1\r\nHost: x\r\n")
		}
		for k, v := range header {
			fmt.Fprintf(&b, "%s: %s\r\n", k, v[0])
		}
		b.WriteString("\r\n")
		if status := exchange(t, g, b.Bytes()); status != 0 && (status < 400 || status > 505 || status == 500) {
			t.Errorf("%s: %d", what, status)
		}
	}
	sound(t, g)
}

// exchange writes bytes to the server and returns the status of its answer, 0 when it hangs up without one.
func exchange(t *testing.T, g *galen.Server, b []byte) int {
	t.Helper()
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(g.URL, "http://"), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write(b) // a server that has seen enough hangs up
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func manyHeaders(n int) http.Header {
	h := http.Header{}
	for i := range n {
		h[fmt.Sprint("X-", i)] = []string{"v"}
	}
	return h
}

func omicsCall(method, path, body string) call {
	c := call{service: "omics", method: method, path: path, body: body}
	if body != "" {
		c.header = map[string]string{"Content-Type": "application/json"}
	}
	return c
}

// imagingStore makes a data store and waits until it is active.
func imagingStore(t *testing.T, g *galen.Server) string {
	t.Helper()
	id := call{service: "medical-imaging", path: "/datastore", header: map[string]string{"Content-Type": "application/json"}, body: `{"datastoreName":"bad","clientToken":"t1"}`}.send(t, g).accepted(t, "a data store").field(t, "datastoreId")
	until(t, "the data store is active", func() bool {
		return strings.Contains(call{service: "medical-imaging", method: "GET", path: "/datastore/" + id}.send(t, g).body, `"ACTIVE"`)
	})
	return id
}

// stowCall is a STOW-RS request (PS3.18 §10.5) with these instances.
func stowCall(t *testing.T, store string, instances ...[]byte) call {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, i := range instances {
		p, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/dicom"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return call{service: "medical-imaging", method: "POST", path: "/datastore/" + store + "/studies", header: map[string]string{"Content-Type": `multipart/related; type="application/dicom"; boundary=` + w.Boundary(), "Accept": "application/dicom+json"}, body: b.String()}
}
