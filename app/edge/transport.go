package edge

import (
	"bytes"
	"io"
	"net/http"
)

// Transport is an http.RoundTripper that hands requests to the edge in the process. It is for parts of the server that speak an open standard to another
// service (the linker speaks FHIR): they take the same road as everybody else, without a socket.
type Transport struct{ Local *Local }

// RoundTrip implements http.RoundTripper. Answers are held in memory: it is not for bulk data.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:0"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	a := &answer{header: http.Header{}}
	t.Local.edge.ServeHTTP(a, in)
	a.WriteHeader(http.StatusOK)
	return &http.Response{StatusCode: a.status, Status: http.StatusText(a.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)),
		ContentLength: int64(len(a.body)), Request: r}, nil
}
