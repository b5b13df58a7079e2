package sigv4

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// The example of AWS's documentation ("Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks", and its variant with a
// trailer): 66560 bytes of the letter a, in chunks of 64 KiB, 1 KiB and 0.
type docKeys struct{}

func (docKeys) Secret(context.Context, string, string) (string, any, error) {
	return "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "doc", nil
}

var docTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

func docRequest(trailer bool) (*http.Request, []byte) {
	signed, seed, payload := "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
		"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", streamingSigned
	signatures := []string{"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648", "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"}
	if trailer {
		signed, seed, payload = "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
			"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e", streamingSignedTrailer
		signatures = []string{"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2", "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7", "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"}
	}
	var b bytes.Buffer
	for i, n := range []int{65536, 1024, 0} {
		fmt.Fprintf(&b, "%x;chunk-signature=%s\r\n%s", n, signatures[i], strings.Repeat("a", n))
		if n > 0 || !trailer {
			b.WriteString("\r\n")
		}
	}
	if trailer {
		b.WriteString("x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n")
	}
	r := httptest.NewRequest("PUT", "/examplebucket/chunkObject.txt", bytes.NewReader(b.Bytes()))
	r.Host = "s3.amazonaws.com"
	for k, v := range map[string]string{headerDate: "20130524T000000Z", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY", headerContentSHA256: payload, "Content-Encoding": "aws-chunked", headerDecodedLength: "66560",
		"Authorization": algorithm + " Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=" + signed + ", Signature=" + seed} {
		r.Header.Set(k, v)
	}
	if trailer {
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32c")
	} else {
		r.Header.Set("Content-Length", "66824")
	}
	return r, b.Bytes()
}

func TestDocumentedChunks(t *testing.T) {
	for _, trailer := range []bool{false, true} {
		read := func(body []byte) (int, error) {
			r, _ := docRequest(trailer)
			r.Body = io.NopCloser(bytes.NewReader(body))
			s, err := Verify(r, docTime, docKeys{})
			if err != nil {
				return 0, err
			}
			b, err := io.ReadAll(s.Body)
			return len(b), err
		}
		_, body := docRequest(trailer)
		if n, err := read(body); err != nil || n != 66560 {
			t.Errorf("trailer %v: %d bytes, %v", trailer, n, err)
			continue
		}
		for at := 0; at < len(body); at += 1 + len(body)/97 { // a bit anywhere
			bad := bytes.Clone(body)
			bad[at] ^= 1
			if _, err := read(bad); err == nil {
				t.Errorf("trailer %v: byte %d (%q) may be changed", trailer, at, body[at])
			}
			if _, err := read(body[:at]); err == nil {
				t.Errorf("trailer %v: the body may end at %d", trailer, at)
			}
		}
		for what, bad := range map[string][]byte{
			"a chunk twice":      append(bytes.Clone(body[:bytes.Index(body, []byte("400;"))]), body...),
			"a chunk left out":   body[bytes.Index(body, []byte("400;")):],
			"no trailer at all":  body[:bytes.LastIndex(body, []byte("0;chunk"))+86],
			"more after the end": append(bytes.Clone(body), "x-amz-checksum-crc32c:AAAAAA==\r\n"...),
		} {
			if _, err := read(bad); err == nil && (trailer || !strings.Contains(what, "trailer") && !strings.Contains(what, "after")) {
				t.Errorf("trailer %v: %s passed", trailer, what)
			}
		}
	}
}

// chunkedBody writes an unsigned aws-chunked body.
func chunkedBody(size int, payload, trailers string) string {
	var b strings.Builder
	for len(payload) > 0 {
		n := min(size, len(payload))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, payload[:n])
		payload = payload[n:]
	}
	return b.String() + "0\r\n" + trailers + "\r\n"
}

func TestUnsignedChunks(t *testing.T) {
	payload := strings.Repeat("0123456789abcdef", 40<<10) // 640 KiB: a chunk may be larger than any buffer
	for _, name := range []string{"crc32", "crc32c", "crc64nvme", "sha1", "sha256", "sha512", "md5"} {
		trailer := "x-amz-checksum-" + name
		sum := checksum(trailer)
		sum.Write([]byte(payload))
		h := base64.StdEncoding.EncodeToString(sum.Sum(nil))
		for _, size := range []int{1 << 10, 64 << 10, len(payload)} {
			body := chunkedBody(size, payload, trailer+":"+h+"\r\n")
			read := func(body string, n int64) ([]byte, error) {
				return io.ReadAll(newChunkReader(io.NopCloser(strings.NewReader(body)), false, []string{trailer}, n, nil, "", "", ""))
			}
			if got, err := read(body, int64(len(payload))); err != nil || string(got) != payload {
				t.Fatalf("%s in chunks of %d: %d bytes, %v", name, size, len(got), err)
			}
			for what, c := range map[string]struct {
				body string
				n    int64
			}{
				"another byte":      {strings.Replace(body, "abcdef", "abcdeX", 1), int64(len(payload))},
				"another checksum":  {body[:len(body)-8] + "A" + body[len(body)-7:], int64(len(payload))},
				"no checksum":       {chunkedBody(size, payload, ""), int64(len(payload))},
				"a shorter promise": {body, int64(len(payload)) - 1},
				"a longer promise":  {body, int64(len(payload)) + 1},
				"a cut":             {body[:len(body)/2], int64(len(payload))},
				"a negative size":   {"-1\r\n" + body, int64(len(payload))},
				"no size":           {"\r\n" + body, int64(len(payload))},
				"a huge size":       {"ffffffffffffffff\r\n", int64(len(payload))},
				"a huge line":       {strings.Repeat("0", 1<<20), int64(len(payload))},
				"many trailers":     {chunkedBody(size, payload, manyTrailers()+trailer+":"+h+"\r\n"), int64(len(payload))},
			} {
				if _, err := read(c.body, c.n); err == nil {
					t.Errorf("%s in chunks of %d: %s passed", name, size, what)
				} else if e := new(errs.Error); !errors.As(err, &e) {
					t.Errorf("%s: %v is not a refusal", what, err)
				}
			}
		}
	}
	if _, err := io.ReadAll(newChunkReader(io.NopCloser(strings.NewReader(chunkedBody(8, "x", "x-amz-checksum-xxhash64:AA==\r\n"))), false, []string{"x-amz-checksum-xxhash64"}, 1, nil, "", "", "")); err == nil {
		t.Error("a checksum that nobody checks passed")
	}
}

func manyTrailers() string {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "x-%d:y\r\n", i)
	}
	return b.String()
}

// TestChecksums holds the checksums to their published check values for "123456789".
func TestChecksums(t *testing.T) {
	for trailer, want := range map[string]string{"x-amz-checksum-crc32": "cbf43926", "x-amz-checksum-crc32c": "e3069283", "x-amz-checksum-crc64nvme": "ae8b14860a799888",
		"x-amz-checksum-sha1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441"} {
		h := checksum(trailer)
		h.Write([]byte("123456789"))
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("%s of 123456789 = %s, want %s", trailer, got, want)
		}
	}
}

// TestHashedBody: who reads exactly the length that was sent is told of a wrong body at its last byte.
func TestHashedBody(t *testing.T) {
	sum, err := hex.DecodeString(hexSHA256([]byte("hello")))
	if err != nil {
		t.Fatal(err)
	}
	for body, ok := range map[string]bool{"hello": true, "hellO": false} {
		r := newHashReader(io.NopCloser(strings.NewReader(body)), sum, 5)
		b := make([]byte, 5)
		if _, err := io.ReadFull(r, b); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func FuzzChunks(f *testing.F) {
	f.Add([]byte(chunkedBody(3, "hello", "x-amz-checksum-crc32:NhCmhg==\r\n")), int64(5), false)
	_, doc := docRequest(true)
	f.Add(doc, int64(66560), true)
	f.Fuzz(func(t *testing.T, body []byte, n int64, signed bool) {
		if n < 0 {
			return
		}
		c := newChunkReader(io.NopCloser(bytes.NewReader(body)), signed, []string{"x-amz-checksum-crc32"}, n, []byte("key"), "scope", "date", "seed")
		got, err := io.ReadAll(c)
		if err != nil {
			return
		}
		if signed {
			t.Fatal("a body without a signature was accepted")
		}
		sum := checksum("x-amz-checksum-crc32")
		sum.Write(got)
		if int64(len(got)) != n || c.Trailer["x-amz-checksum-crc32"] != base64.StdEncoding.EncodeToString(sum.Sum(nil)) {
			t.Fatalf("%d bytes of %d were accepted with the checksum %q", len(got), n, c.Trailer["x-amz-checksum-crc32"])
		}
	})
}

func FuzzVerify(f *testing.F) {
	for _, c := range records(f) {
		f.Add(c.Method, c.URL, c.Headers["Authorization"], c.Headers["X-Amz-Date"])
	}
	f.Fuzz(func(t *testing.T, method, target, authorization, date string) {
		r, err := http.NewRequest(method, target, nil)
		if err != nil {
			return
		}
		r.Body, r.Host = http.NoBody, r.URL.Host
		r.Header.Set("Authorization", authorization)
		r.Header.Set(headerDate, date)
		Scope(r)
		// No secret is known that made a signature over random bytes, so nothing may pass.
		if _, err := Verify(r, testNow, wrongKeys{}); err == nil {
			t.Fatal("a request passed whose secret nobody has")
		}
	})
}

type wrongKeys struct{}

func (wrongKeys) Secret(context.Context, string, string) (string, any, error) {
	return "a secret that signed nothing here", nil, nil
}
