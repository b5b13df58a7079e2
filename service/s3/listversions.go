package s3

import (
	"context"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/record"
)

// history walks all versions of a bucket: by key, and within a key newest first. The current version of a key is its newest, unless that is a
// delete marker; then there is none and the marker comes first among the others.
type history struct {
	current, others *names
	a, b            *object // the next of each
}

func newHistory(current, others *names) *history { return &history{current: current, others: others} }

func (h *history) next() (o *object, err error) {
	read := func(n *names, into **object) error {
		if *into != nil {
			return nil
		}
		hit, err := n.next()
		if hit == nil || err != nil {
			return err
		}
		*into, err = objects.Decode(hit.Body)
		return err
	}
	if err := read(h.current, &h.a); err != nil {
		return nil, err
	}
	if err := read(h.others, &h.b); err != nil {
		return nil, err
	}
	if h.b == nil || h.a != nil && h.a.Key <= h.b.Key {
		o, h.a = h.a, nil
	} else {
		o, h.b = h.b, nil
	}
	return o, nil
}

func (h *history) seek(low string, open bool) {
	h.a, h.b = nil, nil
	h.current.seek(low, open)
	h.others.seek(low, open)
}

// ListObjectVersions lists all versions and delete markers of a bucket.
func (s *Service) ListObjectVersions(ctx context.Context, in *api.ListObjectVersionsInput) (*api.ListObjectVersionsOutput, error) {
	if in.VersionIdMarker != "" && in.KeyMarker == "" {
		return nil, invalid("InvalidArgument", "A version-id marker cannot be specified without a key marker.")
	}
	l, err := newListing(in.Bucket, in.ExpectedBucketOwner, in.Prefix, in.Delimiter, in.KeyMarker, in.MaxKeys, in.EncodingType)
	if err != nil {
		return nil, err
	}
	out := &api.ListObjectVersionsOutput{Name: in.Bucket, Prefix: l.text(in.Prefix), Delimiter: l.text(in.Delimiter), KeyMarker: l.text(in.KeyMarker),
		VersionIdMarker: in.VersionIdMarker, MaxKeys: aws.Ptr(int32(l.most)), EncodingType: in.EncodingType, IsTruncated: aws.Ptr(false)}
	err = s.view(ctx, func(v record.View) error {
		b, err := s.getBucket(v, in.Bucket, in.ExpectedBucketOwner)
		if err != nil {
			return err
		}
		return s.versionPage(ctx, v, b, l, in.VersionIdMarker, out)
	})
	return out, err
}

func (s *Service) versionPage(ctx context.Context, v record.View, b *bucket, l listing, versionMarker string, out *api.ListObjectVersionsOutput) error {
	cur, oth := newNames(ctx, v, objects.Name, l.bucket, l.prefix), newNames(ctx, v, versions.Name, l.bucket, l.prefix)
	cur.most = min(batch, l.most+1)
	oth.most = cur.most
	h := newHistory(cur, oth)
	skipping := versionMarker != ""
	switch {
	case skipping: // within the versions of a key
		h.seek(l.after, false)
	case l.after != "" && l.common(l.after) != l.after: // all versions of the key are done: they are named after it with a NUL behind
		cur.seek(l.after, true)
		oth.seek(l.after+"\x01", false)
	default:
		l.start(cur)
		l.start(oth)
	}
	var prefixes []string
	var last *object
	count, lastKey := 0, ""
	for l.most > 0 {
		o, err := h.next()
		if o == nil || err != nil {
			out.CommonPrefixes = l.commonPrefixes(prefixes)
			return err
		}
		isLatest := o.Key != lastKey
		lastKey = o.Key
		if skipping {
			if o.Key != l.after {
				skipping = false
			} else {
				skipping = shown(o) != versionMarker
				continue
			}
		}
		if count == l.most {
			out.IsTruncated, out.CommonPrefixes = aws.Ptr(true), l.commonPrefixes(prefixes)
			if last != nil {
				out.NextKeyMarker, out.NextVersionIdMarker = l.text(last.Key), shown(last)
			} else {
				out.NextKeyMarker = l.text(prefixes[len(prefixes)-1])
			}
			return nil
		}
		count++
		if c := l.common(o.Key); c != "" {
			prefixes, last = append(prefixes, c), nil
			next := successor(c)
			if next == "" {
				break
			}
			h.seek(next, false)
			continue
		}
		last = o
		if o.Marker {
			out.DeleteMarkers = append(out.DeleteMarkers, api.DeleteMarkerEntry{Key: l.text(o.Key), VersionId: shown(o), IsLatest: &isLatest, LastModified: o.Modified, Owner: s.owner()})
			continue
		}
		e := api.ObjectVersion{Key: l.text(o.Key), VersionId: shown(o), IsLatest: &isLatest, LastModified: o.Modified, ETag: quote(o.ETag), Size: aws.Ptr(o.Size),
			StorageClass: api.ObjectVersionStorageClassStandard, Owner: s.owner()}
		if o.Checksum.Algorithm != "" {
			e.ChecksumAlgorithm, e.ChecksumType = []api.ChecksumAlgorithm{api.ChecksumAlgorithm(o.Checksum.Algorithm)}, api.ChecksumType(o.Checksum.Type)
		}
		out.Versions = append(out.Versions, e)
	}
	out.CommonPrefixes = l.commonPrefixes(prefixes)
	return nil
}

// shown is the version id in a list of versions, where also a bucket without versions has "null".
func shown(o *object) string {
	if o.Version == "" {
		return "null"
	}
	return o.Version
}
