package s3

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
)

// Headers are the details of an error that has headers of its own: a delete marker's, or a 304's.
type Headers = http.Header

// deleted adds to an error that the version is a delete marker.
func deleted(version string, err error) error {
	return errs.As(err).With(Headers{"X-Amz-Delete-Marker": {"true"}, "X-Amz-Version-Id": {version}})
}

// preconditions are a reader's conditions (RFC 9110 §13.2.2).
type preconditions struct {
	ifMatch, ifNoneMatch string
	modified, unmodified time.Time
}

func (p preconditions) check(o *object) error {
	switch {
	case p.ifMatch != "" && !etagIn(p.ifMatch, o.ETag):
		return preconditionFailed("If-Match")
	case p.ifMatch == "" && !p.unmodified.IsZero() && o.Modified.After(p.unmodified):
		return preconditionFailed("If-Unmodified-Since")
	case p.ifNoneMatch != "" && etagIn(p.ifNoneMatch, o.ETag), p.ifNoneMatch == "" && !p.modified.IsZero() && !o.Modified.After(p.modified):
		return errs.Named(errs.Precondition, "NotModified", "Not Modified").With(Headers{"Etag": {quote(o.ETag)}, "Last-Modified": {o.Modified.UTC().Format(http.TimeFormat)}})
	}
	return nil
}

// section is the part of a body that a request is about.
type section struct {
	from, to int64 // [from, to)
	partial  bool
}

// byteRange reads a Range header (RFC 9110 §14.2). What is not one range of bytes is ignored, as S3 does.
func byteRange(header string, size int64) (section, error) {
	all := section{0, size, false}
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok || strings.Contains(spec, ",") {
		return all, nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok {
		return all, nil
	}
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	switch {
	case first == "" && err2 == nil && to >= 0: // the last bytes
		if to == 0 || size == 0 {
			return all, outOfRange(size)
		}
		return section{max(0, size-to), size, true}, nil
	case err1 != nil || from < 0 || last != "" && (err2 != nil || to < from):
		return all, nil
	case from >= size:
		return all, outOfRange(size)
	case last == "" || to >= size:
		return section{from, size, true}, nil
	}
	return section{from, to + 1, true}, nil
}

func outOfRange(size int64) error {
	return errs.Named(errs.OutOfRange, "InvalidRange", "The requested range is not satisfiable").With(Headers{"Content-Range": {fmt.Sprintf("bytes */%d", size)}})
}

// GetObject reads an object or a range of it.
func (s *Service) GetObject(ctx context.Context, in *api.GetObjectInput) (*api.GetObjectOutput, error) {
	return s.get(ctx, in, true)
}

// HeadObject is GetObject without the body.
func (s *Service) HeadObject(ctx context.Context, in *api.HeadObjectInput) (*api.HeadObjectOutput, error) {
	get := &api.GetObjectInput{}
	copyFields(get, in)
	o, err := s.get(ctx, get, false)
	if err != nil {
		return nil, err
	}
	out := &api.HeadObjectOutput{}
	copyFields(out, o)
	return out, nil
}

// copyFields copies the fields that two structures of the contract have alike.
func copyFields(to, from any) {
	t, f := reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem()
	for i := range t.NumField() {
		if g := f.FieldByName(t.Type().Field(i).Name); g.IsValid() && g.Type() == t.Field(i).Type() {
			t.Field(i).Set(g)
		}
	}
}

func (s *Service) get(ctx context.Context, in *api.GetObjectInput, body bool) (*api.GetObjectOutput, error) {
	if anyGrant(in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5) {
		return nil, invalid("InvalidRequest", "The encryption parameters are not applicable to this object.")
	}
	f, err := s.find(ctx, in.Bucket, in.Key, in.VersionId, in.ExpectedBucketOwner)
	if err != nil {
		return nil, s.hide(ctx, in.Bucket, err)
	}
	if f.Marker {
		return nil, deleted(f.versionID(f.bucket), errs.Named(errs.Unsupported, "MethodNotAllowed", "The specified method is not allowed against this resource."))
	}
	if err := (preconditions{in.IfMatch, in.IfNoneMatch, in.IfModifiedSince, in.IfUnmodifiedSince}).check(f.object); err != nil {
		return nil, err
	}
	if err := s.mayRead(ctx, f); err != nil {
		return nil, err
	}
	sec, err := byteRange(in.Range, f.Size)
	if err != nil {
		return nil, err
	}
	out := &api.GetObjectOutput{AcceptRanges: "bytes", LastModified: f.Modified, ETag: quote(f.ETag), VersionId: f.versionID(f.bucket),
		StorageClass: api.StorageClass(f.Storage), Metadata: f.Meta}
	if in.PartNumber != nil {
		if sec, err = s.partSection(ctx, f, *in.PartNumber, in.Range); err != nil {
			return nil, err
		}
		out.PartsCount = aws.Ptr(int32(max(f.Parts, 1)))
		if f.Parts == 0 {
			out.PartsCount, sec.partial = nil, false
		}
	}
	out.ContentLength = aws.Ptr(sec.to - sec.from)
	if sec.partial {
		out.ContentRange = fmt.Sprintf("bytes %d-%d/%d", sec.from, sec.to-1, f.Size)
	}
	f.describe(out, in)
	if in.ChecksumMode == api.ChecksumModeEnabled && !sec.partial {
		f.Checksum.say(out)
	}
	if !body {
		return out, nil
	}
	if out.Body, err = s.read(ctx, f.object, sec.from, sec.to-sec.from); err != nil {
		return nil, keyError(err)
	}
	return out, nil
}

// hide keeps from callers who may not list a bucket whether a key exists.
func (s *Service) hide(ctx context.Context, bucket string, err error) error {
	if e := errs.As(err); e.Name != "NoSuchKey" && e.Name != "NoSuchVersion" {
		return err
	}
	if s.mayList(ctx, bucket) {
		return err
	}
	return errs.Named(errs.Denied, "AccessDenied", "Access Denied")
}

// describe writes what the object's writer said of it, as far as the reader does not say otherwise.
func (f found) describe(out *api.GetObjectOutput, in *api.GetObjectInput) {
	or := func(a, b string) string {
		if a != "" {
			return a
		}
		return b
	}
	out.ContentType = or(in.ResponseContentType, f.ContentType)
	out.CacheControl = or(in.ResponseCacheControl, f.CacheControl)
	out.ContentDisposition = or(in.ResponseContentDisposition, f.Disposition)
	out.ContentEncoding = or(in.ResponseContentEncoding, f.Encoding)
	out.ContentLanguage = or(in.ResponseContentLanguage, f.Language)
	out.Expires = f.Expires
	if !in.ResponseExpires.IsZero() {
		out.Expires = in.ResponseExpires.UTC().Format(http.TimeFormat)
	}
	out.WebsiteRedirectLocation = f.Redirect
	if len(f.Tags) > 0 {
		out.TagCount = aws.Ptr(int32(len(f.Tags)))
	}
	f.Encryption.say(out)
}

// say writes into an answer how an object is encrypted.
func (e encryption) say(out any) {
	v := reflect.ValueOf(out).Elem()
	v.FieldByName("ServerSideEncryption").SetString(e.Algorithm)
	if e.Algorithm == sseKMS {
		v.FieldByName("SSEKMSKeyId").SetString(e.Key)
		if e.BucketKey {
			v.FieldByName("BucketKeyEnabled").Set(reflect.ValueOf(aws.Ptr(true)))
		}
	}
}

// partSection is where a part lies.
func (s *Service) partSection(ctx context.Context, f found, number int32, rangeHeader string) (section, error) {
	bad := errs.Named(errs.OutOfRange, "InvalidPartNumber", "The requested partnumber is not satisfiable")
	if rangeHeader != "" {
		return section{}, invalid("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
	}
	if f.Manifest == "" {
		if number != 1 {
			return section{}, bad
		}
		return section{0, f.Size, false}, nil
	}
	m, err := s.manifest(ctx, f.Manifest)
	if err != nil {
		return section{}, err
	}
	at := int64(0)
	for i, p := range m.Parts {
		if i+1 == int(number) {
			return section{at, at + p.Size, true}, nil
		}
		at += p.Size
	}
	return section{}, bad
}

// read opens n bytes of a body.
func (s *Service) read(ctx context.Context, o *object, from, n int64) (io.ReadCloser, error) {
	if o.Manifest == "" {
		return s.blobs.Open(ctx, o.Blob, blob.Range{Offset: from, Length: n})
	}
	m, err := s.manifest(ctx, o.Manifest)
	if err != nil {
		return nil, err
	}
	r := &joined{ctx: ctx, blobs: s.blobs, left: n}
	for _, p := range m.Parts {
		if len(r.parts) == 0 && from >= p.Size {
			from -= p.Size
			continue
		}
		r.parts = append(r.parts, p)
	}
	r.from = from
	return r, r.open() // the first part at once: its errors are the request's
}

// joined reads the parts of a multipart object one after the other.
type joined struct {
	ctx   context.Context
	blobs blob.Store
	parts []manifestPart
	from  int64 // in the first of parts
	left  int64
	cur   io.ReadCloser
}

// open opens the first of parts.
func (j *joined) open() (err error) {
	if len(j.parts) == 0 || j.left == 0 {
		j.cur = http.NoBody
		return nil
	}
	p := j.parts[0]
	n := min(j.left, p.Size-j.from)
	j.cur, err = j.blobs.Open(j.ctx, p.Blob, blob.Range{Offset: j.from, Length: n})
	j.parts, j.from, j.left = j.parts[1:], 0, j.left-n
	return err
}

func (j *joined) Read(p []byte) (int, error) {
	for {
		n, err := j.cur.Read(p)
		if n > 0 || err != io.EOF || j.left == 0 { //nolint:errorlint // readers return EOF itself
			return n, err
		}
		if err := j.cur.Close(); err != nil {
			return 0, err
		}
		if err := j.open(); err != nil {
			j.cur = http.NoBody
			return 0, err
		}
	}
}

func (j *joined) Close() error { return j.cur.Close() }
