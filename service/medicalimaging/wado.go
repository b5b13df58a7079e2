package medicalimaging

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/dicom"
)

// nothingThere is the answer for a study, series or instance that is not in a primary image set.
func nothingThere() error {
	return errs.New(errs.NotFound, "the data store holds nothing at this address")
}

// setOf finds the image set that the address means: the primary one of the series, or the one that the imageSetId parameter names.
func (q *request) setOf(v record.View) (storedSet, error) {
	if id := q.r.URL.Query().Get("imageSetId"); id != "" {
		set, err := usable(v, id, "")
		if err == nil && (set.Study != q.study || set.Series != q.series) {
			err = nothingThere()
		}
		return set, err
	}
	page, err := v.Query(q.r.Context(), record.Query{Kind: imageSets.Name, Limit: 1, Where: record.And{
		record.Match{Index: "series", Value: record.Token("", q.series)}, record.Match{Index: "primary", Value: record.Token("", "true")}}})
	if err != nil {
		return storedSet{}, err
	}
	if len(page.Hits) == 0 {
		return storedSet{}, nothingThere()
	}
	set, err := imageSets.Decode(page.Hits[0].Body)
	if err == nil && set.Study != q.study {
		err = nothingThere()
	}
	return storedSet{set, page.Hits[0].Version}, err
}

// instance finds the one instance that the address names.
func (q *request) instance() (g given, version int64, err error) {
	err = q.view(q.r.Context(), space(q.store.ID), func(v record.View) error {
		set, err := q.setOf(v)
		if err != nil {
			return err
		}
		in, _, err := instances.Get(v, instanceID(set.ID, q.sop))
		if absent(err) || err == nil && in.Gone() {
			return nothingThere()
		}
		g, version = given{in, set.imageSet}, set.version
		return err
	})
	if validUID(q.sop) { // anything else is no identifier, and may be anything
		httproute.Note(q.r.Context(), "sopInstanceUID", q.sop)
	}
	return g, version, err
}

// all finds every instance below the address: of a study, a series, or the one instance. tag changes whenever any of them does.
func (q *request) all() (out []given, tag string, err error) {
	if q.sop != "" {
		g, version, err := q.instance()
		if err != nil {
			return nil, "", err
		}
		return []given{g}, fmt.Sprintf("%s-%d", g.Set, version), nil
	}
	err = q.view(q.r.Context(), space(q.store.ID), func(v record.View) error {
		var sets []storedSet
		if q.series != "" {
			set, err := q.setOf(v)
			if err != nil {
				return err
			}
			sets = append(sets, set)
		} else if sets, err = q.setsOfStudy(v); err != nil {
			return err
		}
		for _, set := range sets {
			tag += fmt.Sprintf("%s-%d.", set.ID, set.version)
			list, err := q.instancesOf(q.r.Context(), v, set)
			if err != nil {
				return err
			}
			sort.SliceStable(list, func(i, j int) bool { return number64(list[i].Number) < number64(list[j].Number) })
			for _, in := range list {
				out = append(out, given{in, set.imageSet})
			}
		}
		return nil
	})
	return out, tag, err
}

func number64(n *int64) int64 {
	if n == nil {
		return 1<<63 - 1
	}
	return *n
}

func (q *request) setsOfStudy(v record.View) ([]storedSet, error) {
	page, err := v.Query(q.r.Context(), record.Query{Kind: imageSets.Name, Limit: 10_000, Order: []record.Order{{Index: "number"}}, Where: record.And{
		record.Match{Index: "study", Value: record.Token("", q.study)}, record.Match{Index: "primary", Value: record.Token("", "true")}}})
	if err != nil {
		return nil, err
	}
	if len(page.Hits) == 0 {
		return nil, nothingThere()
	}
	var out []storedSet
	for i := range page.Hits {
		set, err := imageSets.Decode(page.Hits[i].Body)
		if err != nil {
			return nil, err
		}
		out = append(out, storedSet{set, page.Hits[i].Version})
	}
	return out, nil
}

// fresh answers 304 when the client has this already.
func (q *request) fresh(tag string) bool {
	q.w.Header().Set("ETag", tag)
	for _, t := range strings.Split(q.r.Header.Get("If-None-Match"), ",") {
		if t = strings.TrimSpace(t); t == "*" && tag != "" || strings.TrimPrefix(t, "W/") == strings.TrimPrefix(tag, "W/") && t != "" {
			q.w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	return false
}

// metadata answers all attributes but the pixels (PS3.18 §10.4.1.1.2).
func (q *request) metadata() error {
	if err := q.json(); err != nil {
		return err
	}
	list, tag, err := q.all()
	if err != nil {
		return err
	}
	q.w.Header().Set("Vary", "Accept-Encoding")
	if q.fresh(`W/"` + tag + `"`) {
		return nil
	}
	b := append(make([]byte, 0, 1024+4096*len(list)), '[')
	var shared []member
	var of *imageSet
	for i, g := range list {
		if g.set != of {
			if shared, err = g.set.shared(); err != nil {
				return err
			}
			of = g.set
		}
		own, err := members(g.Attributes)
		if err != nil {
			return err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendMembers(b, q.withAvailable(merge(shared, own), g.instance))
		b = append(b, '}')
	}
	b = append(b, ']')
	return q.compressed(b)
}

// withAvailable adds the transfer syntax in which the frames can be had without decoding, and puts the addresses of long values in.
func (q *request) withAvailable(ms []member, in *instance) []member {
	if in.Pixel != nil {
		ms = set(ms, "00083002", []byte(`{"vr":"UI","Value":["`+in.Stored+`"]}`))
	}
	if in.Bulk == nil {
		return ms
	}
	base := []byte(q.root + "/studies/" + q.study + "/series/" + q.seriesOf(in) + "/instances/" + in.SOP + "/bulkdata/")
	for i := range ms {
		ms[i].JSON = bytes.ReplaceAll(ms[i].JSON, []byte(bulkPlace), base)
	}
	return ms
}

// seriesOf is the series of an instance: of the address, or of what is kept.
func (q *request) seriesOf(in *instance) string {
	if q.series != "" {
		return q.series
	}
	return in.Series
}

// compressed sends DICOM JSON, zipped when the client takes that.
func (q *request) compressed(b []byte) error {
	if len(b) < 1024 || !strings.Contains(q.r.Header.Get("Accept-Encoding"), "gzip") {
		return q.send(http.StatusOK, b)
	}
	var z bytes.Buffer
	w, _ := gzip.NewWriterLevel(&z, gzip.BestSpeed)
	_, _ = w.Write(b) // a buffer takes everything
	_ = w.Close()
	q.w.Header().Set("Content-Encoding", "gzip")
	return q.send(http.StatusOK, z.Bytes())
}

// retrieve answers instances as DICOM files (PS3.18 §10.4.1.1.1).
func (q *request) retrieve() error {
	list, tag, err := q.all()
	if err != nil {
		return err
	}
	want := accepts(q.r)
	if len(want) == 0 {
		want = []accepted{{multipart: true, media: "application/dicom"}}
	}
	for _, a := range want {
		if a.media != "application/dicom" && a.media != "*/*" && a.media != "" {
			continue
		}
		if a.media == "*/*" {
			a.multipart = true
		}
		if !a.multipart && len(list) != 1 {
			continue
		}
		syntaxes := make([]string, len(list))
		ok := true
		for i, g := range list {
			if syntaxes[i], ok = syntaxFor(g.instance, a.syntax); !ok {
				break
			}
		}
		if !ok {
			continue
		}
		if q.fresh(`"` + tag + "-" + a.syntax + `"`) {
			return nil
		}
		if !a.multipart {
			q.w.Header().Set("Content-Type", "application/dicom; transfer-syntax="+syntaxes[0])
			return q.writePart10(q.r.Context(), q.w, list[0], syntaxes[0])
		}
		return q.parts("application/dicom", len(list), func(i int) (string, func(io.Writer) error, error) {
			return "application/dicom; transfer-syntax=" + syntaxes[i], func(w io.Writer) error { return q.writePart10(q.r.Context(), w, list[i], syntaxes[i]) }, nil
		})
	}
	return errs.New(errs.NotAcceptable, "no Accept of the request fits: instances are given as application/dicom, as explicit little endian or as they are stored (transfer-syntax=*)")
}

// parts streams a multipart/related answer.
func (q *request) parts(media string, n int, part func(i int) (contentType string, write func(io.Writer) error, err error)) error {
	mw := multipart.NewWriter(q.w)
	q.w.Header().Set("Content-Type", mime.FormatMediaType("multipart/related", map[string]string{"type": media, "boundary": mw.Boundary()}))
	for i := range n {
		ct, write, err := part(i)
		if err != nil {
			return err
		}
		w, err := mw.CreatePart(textproto.MIMEHeader{"Content-Type": {ct}})
		if err != nil {
			return gone(err)
		}
		if err := write(w); err != nil {
			return err
		}
	}
	return gone(mw.Close())
}

// frameList reads the numbers of an address: from 1, in any order, each once.
func frameList(s string, most int) ([]int, error) {
	var out []int
	seen := map[int]bool{}
	for _, f := range strings.Split(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(f))
		if err != nil || n < 1 || seen[n] {
			return nil, errs.New(errs.Invalid, "frames are numbers from 1, separated by commas, each once")
		}
		if n > most {
			return nil, errs.New(errs.NotFound, "the instance has %d frames, not %d", most, n)
		}
		seen[n] = true
		out = append(out, n-1)
	}
	return out, nil
}

// frames answers frames (PS3.18 §10.4.1.1.6): decoded unless the client asks for what is stored. Never zipped, in ranges when it is one part.
func (q *request) frames() error {
	g, _, err := q.instance()
	if err != nil {
		return err
	}
	if g.Pixel == nil {
		return errs.New(errs.NotFound, "the instance has no frames")
	}
	list, err := frameList(q.r.PathValue("frames"), len(g.Pixel.Frames))
	if err != nil {
		return err
	}
	want := accepts(q.r)
	if len(want) == 0 {
		want = []accepted{{multipart: true, media: "application/octet-stream"}}
	}
	for _, a := range want {
		syntax, ok := frameSyntax(g.instance, a)
		if !ok || !a.multipart && len(list) != 1 {
			continue
		}
		q.w.Header().Set("Vary", "Accept")
		if q.fresh(`"` + g.Pixel.Key + "-" + strings.ReplaceAll(q.r.PathValue("frames"), " ", "") + "-" + syntax + `"`) {
			return nil
		}
		ct := dicom.MediaType(syntax)
		if ct == "" {
			ct = "application/octet-stream"
		}
		full := ct + "; transfer-syntax=" + syntax
		if !a.multipart {
			return q.frame(g, list[0], syntax, full)
		}
		return q.parts(ct, len(list), func(i int) (string, func(io.Writer) error, error) {
			return full, func(w io.Writer) error { return q.writeFrame(w, g, list[i], syntax) }, nil
		})
	}
	return errs.New(errs.NotAcceptable, "no Accept of the request fits: the frames are stored as %s; ask for it, for transfer-syntax=*, or for application/octet-stream", g.Stored)
}

// frameSyntax chooses what to send for one accepted media type. The media type of octets stands for uncompressed pixels, unless a transfer syntax
// is named.
func frameSyntax(in *instance, a accepted) (string, bool) {
	media := dicom.MediaType(in.Stored)
	switch a.media {
	case "application/octet-stream", "*/*", "", "image/*", "video/*":
		return syntaxFor(in, a.syntax)
	case media:
		if a.syntax == "" || a.syntax == "*" || a.syntax == in.Stored {
			return in.Stored, true
		}
	}
	return "", false
}

func (q *request) writeFrame(w io.Writer, g given, i int, syntax string) error {
	if syntax == g.Stored {
		r, _, err := q.openFrame(q.r.Context(), g.instance, i)
		if err != nil {
			return err
		}
		defer r.Close() //nolint:errcheck // only read
		_, err = io.Copy(w, r)
		return err
	}
	b, err := q.nativeFrame(q.r.Context(), g.instance, i)
	if err != nil {
		return err
	}
	return put(w, b.Pixels)
}

// frame answers one frame as a single part, whole or in ranges.
func (q *request) frame(g given, i int, syntax, contentType string) error {
	q.w.Header().Set("Content-Type", contentType)
	if syntax != g.Stored || g.Pixel.Bits {
		b, err := q.nativeFrame(q.r.Context(), g.instance, i)
		if err != nil {
			return err
		}
		http.ServeContent(q.w, q.r, "", time.Time{}, bytes.NewReader(b.Pixels))
		return nil
	}
	return q.serveSpan(g.instance, g.Pixel.Frames[i].span)
}

// serveSpan answers a range of an instance's blob.
func (q *request) serveSpan(in *instance, at span) error {
	if q.r.Header.Get("Range") == "" && q.r.Method == http.MethodGet {
		b, err := q.read(q.r.Context(), in.Blob, at)
		if err != nil {
			return err
		}
		h := q.w.Header()
		h.Set("Content-Length", strconv.Itoa(len(b)))
		h.Set("Accept-Ranges", "bytes")
		return put(q.w, b)
	}
	r, err := q.blobs.ReaderAt(q.r.Context(), in.Blob)
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	http.ServeContent(q.w, q.r, "", time.Time{}, io.NewSectionReader(r, at.Off, at.Len))
	return nil
}

// bulkdata answers a long value that metadata only points to (PS3.18 §10.4.1.1.5).
func (q *request) bulkdata() error {
	g, _, err := q.instance()
	if err != nil {
		return err
	}
	at, ok := g.Bulk[q.r.PathValue("bulk")]
	if !ok {
		return nothingThere()
	}
	q.w.Header().Set("Content-Type", "application/octet-stream")
	if q.fresh(`"` + string(g.Blob) + "-" + q.r.PathValue("bulk") + `"`) {
		return nil
	}
	return q.serveSpan(g.instance, at)
}
