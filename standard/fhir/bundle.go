package fhir

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/galen-health/galen/standard/fhir/tape"
)

// Bundle is a parsed request Bundle.
type Bundle struct {
	Type    string // "transaction", "batch", …
	Entries []BundleEntry
}

// BundleEntry is one request of a Bundle.
type BundleEntry struct {
	FullURL string
	Node    int // the resource in the document; -1 = none

	Method, URL, IfMatch, IfNoneMatch, IfNoneExist string
}

// ParseBundle reads the envelope of the Bundle that is the document d. Check (with Shallow set) comes first and says that it is well-formed.
func ParseBundle(d *tape.Doc) *Bundle {
	b := &Bundle{Type: d.StrAt(0, "type")}
	l := d.Get(0, "entry")
	if l < 0 {
		return b
	}
	for x := d.First(l); x >= 0; x = d.After(l, x) {
		e := BundleEntry{FullURL: d.StrAt(x, "fullUrl"), Node: d.Get(x, "resource")}
		if r := d.Get(x, "request"); r >= 0 {
			e.Method, e.URL = d.StrAt(r, "method"), d.StrAt(r, "url")
			e.IfMatch, e.IfNoneMatch, e.IfNoneExist = d.StrAt(r, "ifMatch"), d.StrAt(r, "ifNoneMatch"), d.StrAt(r, "ifNoneExist")
		}
		b.Entries = append(b.Entries, e)
	}
	return b
}

// NewID makes a random resource id: a version 4 UUID.
func NewID() string {
	var u [16]byte
	if _, err := rand.Read(u[:]); err != nil {
		panic(err) // crypto/rand never fails on a supported system
	}
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Link is a link of a Bundle.
type Link struct{ Relation, URL string }

// BundleWriter writes a Bundle entry by entry; resources go in as bytes. Errors of the writer below are kept and returned by Close.
type BundleWriter struct {
	w       io.Writer
	buf     []byte
	entries int
	err     error
}

// NewBundleWriter begins a Bundle of a type ("searchset", "history", "transaction-response", "batch-response") with a total, -1 for none.
func NewBundleWriter(w io.Writer, typ string, total int64, at time.Time, links ...Link) *BundleWriter {
	b := &BundleWriter{w: w}
	b.text(`{"resourceType":"Bundle","id":"` + NewID() + `","meta":{"lastUpdated":"` + FormatInstant(at) + `"},"type":"` + typ + `"`)
	if total >= 0 {
		b.text(`,"total":` + strconv.FormatInt(total, 10))
	}
	for k, l := range links {
		b.text(map[bool]string{true: `,"link":[`, false: `,`}[k == 0])
		b.text(`{"relation":"` + l.Relation + `","url":`)
		b.buf = appendQuoted(b.buf, l.URL)
		b.text(`}`)
	}
	if len(links) > 0 {
		b.text(`]`)
	}
	return b
}

func (b *BundleWriter) text(s string) { b.buf = append(b.buf, s...) }

// flushAt is how much is gathered before it is written on.
const flushAt = 64 << 10

func (b *BundleWriter) flush(force bool) {
	if b.err == nil && (force || len(b.buf) >= flushAt) {
		_, b.err = b.w.Write(b.buf)
		b.buf = b.buf[:0]
	}
}

// Entry adds an entry. resource appends the resource's bytes to what it is given; nil = no resource. mode is the search mode ("match",
// "include", "outcome"), or "". Fields of r that are set make entry.request and entry.response.
func (b *BundleWriter) Entry(fullURL string, resource func([]byte) []byte, mode string, r Response) {
	b.text(map[bool]string{true: `,"entry":[{`, false: `,{`}[b.entries == 0])
	b.entries++
	sep := ""
	part := func(s string) {
		b.text(sep + s)
		sep = ","
	}
	if fullURL != "" {
		part(`"fullUrl":`)
		b.buf = appendQuoted(b.buf, fullURL)
	}
	if resource != nil {
		part(`"resource":`)
		b.buf = resource(b.buf)
	}
	if mode != "" {
		part(`"search":{"mode":"` + mode + `"}`)
	}
	if r.Method != "" {
		part(`"request":{"method":"` + r.Method + `","url":`)
		b.buf = appendQuoted(b.buf, r.URL)
		b.text(`}`)
	}
	if r.Status != "" {
		part(`"response":{"status":`)
		b.buf = appendQuoted(b.buf, r.Status)
		for _, f := range [...][2]string{{"location", r.Location}, {"etag", r.ETag}} {
			if f[1] != "" {
				b.text(`,"` + f[0] + `":`)
				b.buf = appendQuoted(b.buf, f[1])
			}
		}
		if !r.LastModified.IsZero() {
			b.text(`,"lastModified":"` + FormatInstant(r.LastModified) + `"`)
		}
		if r.Outcome != nil {
			b.text(`,"outcome":`)
			b.buf = append(b.buf, r.Outcome...)
		}
		b.text(`}`)
	}
	b.text(`}`)
	b.flush(false)
}

// Response is the request and response part of a history or response entry.
type Response struct {
	Method, URL            string
	Status, Location, ETag string
	LastModified           time.Time
	Outcome                []byte
}

// Close ends the Bundle.
func (b *BundleWriter) Close() error {
	if b.entries > 0 {
		b.text(`]`)
	}
	b.text(`}`)
	b.flush(true)
	return b.err
}

// ETag is the weak entity tag of a version.
func ETag(version int64) string { return `W/"` + strconv.FormatInt(version, 10) + `"` }

// ParseETag reads W/"3", "3" or 3; ok is false when it is none of them.
func ParseETag(s string) (version int64, ok bool) {
	s = strings.Trim(strings.TrimPrefix(strings.TrimSpace(s), "W/"), `"`)
	v, err := strconv.ParseInt(s, 10, 64)
	return v, err == nil && v > 0
}
