package s3

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/record"
)

// listing is what a list asks for.
type listing struct {
	bucket, owner     string
	prefix, delimiter string
	after             string // a key, or a common prefix that ends in the delimiter
	most              int
	url               bool // keys are to be percent-encoded
}

func newListing(bucket, owner, prefix, delimiter, after string, most *int32, encoding api.EncodingType) (listing, error) {
	l := listing{bucket, owner, prefix, delimiter, after, 1000, encoding == api.EncodingTypeUrl}
	if most != nil {
		if *most < 0 {
			return l, invalid("InvalidArgument", "Argument maxKeys must be an integer between 0 and 2147483647")
		}
		l.most = min(int(*most), 1000)
	}
	if len(prefix) > 1024 || len(delimiter) > 1024 || len(after) > 1024 {
		return l, invalid("InvalidArgument", "Prefix, delimiter and marker have at most 1024 bytes.")
	}
	return l, nil
}

// text encodes a key for an answer when the caller asked for it.
func (l *listing) text(s string) string {
	if !l.url {
		return s
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~/*", c) >= 0 {
			b.WriteByte(c)
		} else {
			const digits = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}

// common is the common prefix that a key rolls up into, "" when it stands for itself.
func (l *listing) common(key string) string {
	if l.delimiter == "" || len(key) < len(l.prefix) {
		return ""
	}
	i := strings.Index(key[len(l.prefix):], l.delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(l.prefix)+i+len(l.delimiter)]
}

// start is where the names begin: after the key, or after all keys of the common prefix, that the page before ended with.
func (l *listing) start(n *names) {
	switch {
	case l.after == "":
	case strings.HasPrefix(l.after, l.prefix) && l.common(l.after) == l.after:
		if next := successor(l.after); next != "" {
			n.seek(next, false)
		} else {
			n.done = true
		}
	default:
		n.seek(l.after, true)
	}
}

// page is one page of a list: objects and common prefixes in one order.
type page struct {
	objects  []*object
	prefixes []string
	last     string // the last key or common prefix
	more     bool
}

func (s *Service) page(ctx context.Context, l listing) (p page, err error) {
	err = s.view(ctx, func(v record.View) error {
		if _, err := s.getBucket(v, l.bucket, l.owner); err != nil {
			return err
		}
		n := newNames(ctx, v, objects.Name, l.bucket, l.prefix)
		n.most = min(batch, l.most+1)
		l.start(n)
		if l.delimiter == "" { // no common prefixes: nothing to seek past
			n.limit = batch
		}
		for l.most > 0 {
			h, err := n.next()
			if h == nil || err != nil {
				return err
			}
			o, err := objects.Decode(h.Body)
			if err != nil {
				return err
			}
			if len(p.objects)+len(p.prefixes) == l.most {
				p.more = true
				return nil
			}
			c := l.common(o.Key)
			if c == "" {
				p.objects, p.last = append(p.objects, o), o.Key
				continue
			}
			p.prefixes, p.last = append(p.prefixes, c), c
			next := successor(c)
			if next == "" {
				return nil
			}
			n.seek(next, false)
		}
		return nil
	})
	return p, err
}

func (s *Service) contents(l *listing, p *page, owner bool) []api.Object {
	var out []api.Object
	for _, o := range p.objects {
		e := api.Object{Key: l.text(o.Key), LastModified: o.Modified, ETag: quote(o.ETag), Size: aws.Ptr(o.Size), StorageClass: api.ObjectStorageClassStandard}
		if o.Storage != "" {
			e.StorageClass = api.ObjectStorageClass(o.Storage)
		}
		if o.Checksum.Algorithm != "" {
			e.ChecksumAlgorithm, e.ChecksumType = []api.ChecksumAlgorithm{api.ChecksumAlgorithm(o.Checksum.Algorithm)}, api.ChecksumType(o.Checksum.Type)
		}
		if owner {
			e.Owner = s.owner()
		}
		out = append(out, e)
	}
	return out
}

func (l *listing) commonPrefixes(list []string) []api.CommonPrefix {
	var out []api.CommonPrefix
	for _, c := range list {
		out = append(out, api.CommonPrefix{Prefix: l.text(c)})
	}
	return out
}

// ListObjects lists a bucket by key, the old way.
func (s *Service) ListObjects(ctx context.Context, in *api.ListObjectsInput) (*api.ListObjectsOutput, error) {
	l, err := newListing(in.Bucket, in.ExpectedBucketOwner, in.Prefix, in.Delimiter, in.Marker, in.MaxKeys, in.EncodingType)
	if err != nil {
		return nil, err
	}
	p, err := s.page(ctx, l)
	if err != nil {
		return nil, err
	}
	out := &api.ListObjectsOutput{Name: in.Bucket, Prefix: l.text(in.Prefix), Delimiter: l.text(in.Delimiter), Marker: l.text(in.Marker), MaxKeys: aws.Ptr(int32(l.most)),
		EncodingType: in.EncodingType, IsTruncated: &p.more, Contents: s.contents(&l, &p, true), CommonPrefixes: l.commonPrefixes(p.prefixes)}
	if p.more && in.Delimiter != "" {
		out.NextMarker = l.text(p.last)
	}
	return out, nil
}

// ListObjectsV2 lists a bucket by key.
func (s *Service) ListObjectsV2(ctx context.Context, in *api.ListObjectsV2Input) (*api.ListObjectsV2Output, error) {
	after := in.StartAfter
	if in.ContinuationToken != "" {
		b, err := base64.URLEncoding.DecodeString(in.ContinuationToken)
		if err != nil {
			return nil, invalid("InvalidArgument", "The continuation token provided is incorrect")
		}
		after = string(b)
	}
	l, err := newListing(in.Bucket, in.ExpectedBucketOwner, in.Prefix, in.Delimiter, after, in.MaxKeys, in.EncodingType)
	if err != nil {
		return nil, err
	}
	p, err := s.page(ctx, l)
	if err != nil {
		return nil, err
	}
	out := &api.ListObjectsV2Output{Name: in.Bucket, Prefix: l.text(in.Prefix), Delimiter: l.text(in.Delimiter), StartAfter: l.text(in.StartAfter), MaxKeys: aws.Ptr(int32(l.most)),
		EncodingType: in.EncodingType, IsTruncated: &p.more, Contents: s.contents(&l, &p, aws.Val(in.FetchOwner)), CommonPrefixes: l.commonPrefixes(p.prefixes),
		KeyCount: aws.Ptr(int32(len(p.objects) + len(p.prefixes))), ContinuationToken: in.ContinuationToken}
	if p.more {
		out.NextContinuationToken = base64.URLEncoding.EncodeToString([]byte(p.last))
	}
	return out, nil
}
