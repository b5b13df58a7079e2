package s3

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// deletion is what a delete asks for and what became of it.
type deletion struct {
	key, version string
	ifMatch      string
	ifModified   time.Time
	ifSize       *int64

	marker  bool   // a marker was made, or deleted
	deleted string // version id that was made or deleted
}

// check holds a deleter's conditions; they are about the version that is deleted, or the current one.
func (d *deletion) check(o *object) error {
	if d.ifMatch == "" && d.ifModified.IsZero() && d.ifSize == nil {
		return nil
	}
	switch {
	case o == nil || o.Marker:
		return noSuchKey()
	case d.ifMatch != "" && !etagIn(d.ifMatch, o.ETag):
		return preconditionFailed("If-Match")
	case !d.ifModified.IsZero() && !d.ifModified.Truncate(time.Second).Equal(o.Modified):
		return preconditionFailed("x-amz-if-match-last-modified-time")
	case d.ifSize != nil && *d.ifSize != o.Size:
		return preconditionFailed("x-amz-if-match-size")
	}
	return nil
}

// DeleteObject deletes a version, or makes an object invisible: in a bucket with versions by a delete marker. What is not there is deleted already.
func (s *Service) DeleteObject(ctx context.Context, in *api.DeleteObjectInput) (*api.DeleteObjectOutput, error) {
	d := deletion{key: in.Key, version: in.VersionId, ifMatch: in.IfMatch, ifModified: in.IfMatchLastModifiedTime, ifSize: in.IfMatchSize}
	if err := s.delete(ctx, in.Bucket, in.ExpectedBucketOwner, &d); err != nil {
		return nil, err
	}
	out := &api.DeleteObjectOutput{VersionId: d.deleted}
	if d.marker {
		out.DeleteMarker = aws.Ptr(true)
	}
	return out, nil
}

func (s *Service) delete(ctx context.Context, name, owner string, d *deletion) error {
	if err := checkKey(d.key); err != nil {
		return err
	}
	if err := checkVersion(d.version); err != nil {
		return err
	}
	gate := s.gate(name)
	gate.RLock()
	defer gate.RUnlock()
	return s.update(ctx, "object/"+name+"/"+d.key, func(tx record.Tx) error {
		b, err := s.getBucket(tx, name, owner)
		if err != nil {
			return err
		}
		cur, err := current(tx, name, d.key)
		if err != nil {
			return err
		}
		d.marker, d.deleted = false, ""
		if d.version != "" {
			return s.deleteVersion(ctx, tx, b, cur, d)
		}
		if err := d.check(cur); err != nil {
			return err
		}
		if b.Versioning != "" {
			return s.mark(ctx, tx, b, cur, d)
		}
		if cur == nil {
			return nil
		}
		if err := s.discard(tx, cur); err != nil {
			return err
		}
		if err := tx.Purge(objects.Name, cur.name()); err != nil {
			return err
		}
		return s.gone(ctx, tx, b, cur)
	})
}

// mark puts a delete marker in front of the versions of a key.
func (s *Service) mark(ctx context.Context, tx record.Tx, b *bucket, cur *object, d *deletion) error {
	m := &object{Bucket: b.Name, Key: d.key, Marker: true}
	if err := s.succeed(tx, b, cur, m); err != nil {
		return err
	}
	if cur != nil {
		if err := tx.Purge(objects.Name, cur.name()); err != nil {
			return err
		}
	}
	if err := versions.Put(tx, versionRecord(m.Bucket, m.Key, m.Version), m); err != nil {
		return err
	}
	d.marker, d.deleted = true, m.versionID(b)
	return s.gone(ctx, tx, b, m)
}

// deleteVersion deletes one version for ever; when it was the newest, the one before it becomes current.
func (s *Service) deleteVersion(ctx context.Context, tx record.Tx, b *bucket, cur *object, d *deletion) error {
	want := d.version
	if want == "null" {
		want = ""
	}
	o, kind, id := cur, objects.Name, b.Name+"/"+d.key
	if cur == nil || cur.Version != want {
		var err error
		kind, id = versions.Name, versionRecord(b.Name, d.key, want)
		if o, _, err = versions.Get(tx, id); absent(err) {
			o = nil
		} else if err != nil {
			return err
		}
	}
	if err := d.check(o); err != nil {
		return err
	}
	d.deleted = d.version
	if o == nil {
		return nil
	}
	d.marker = o.Marker
	if err := s.discard(tx, o); err != nil {
		return err
	}
	var next *object
	if cur == nil || o == cur {
		var err error
		if next, err = successorOf(tx, b, d.key, o); err != nil {
			return err
		}
	}
	if next != nil { // it becomes current
		if err := tx.Purge(versions.Name, versionRecord(next.Bucket, next.Key, next.Version)); err != nil {
			return err
		}
		if err := objects.Put(tx, next.name(), next); err != nil {
			return err
		}
	}
	if next == nil || kind == versions.Name {
		if err := tx.Purge(kind, id); err != nil {
			return err
		}
	}
	if o.Marker {
		return nil // S3 announces no event for it
	}
	return s.gone(ctx, tx, b, o)
}

// successorOf is the newest version but one, nil when that is a delete marker or there is none: it becomes current.
func successorOf(tx record.Tx, b *bucket, key string, but *object) (*object, error) {
	list, err := older(tx.Query, b.Name, key, 2)
	if err != nil {
		return nil, err
	}
	for _, o := range list {
		if o.Order == but.Order {
			continue
		}
		if o.Marker {
			return nil, nil
		}
		return o, nil
	}
	return nil, nil
}

// DeleteObjects deletes up to 1,000 objects; each is allowed, done and reported for itself.
func (s *Service) DeleteObjects(ctx context.Context, in *api.DeleteObjectsInput) (*api.DeleteObjectsOutput, error) {
	if n := len(in.Delete.Objects); n == 0 || n > 1000 {
		return nil, invalid("MalformedXML", "The request names %d objects; 1 to 1000 are allowed.", n)
	}
	b, err := s.bucket(ctx, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	type outcome struct {
		d   deletion
		err error
	}
	results := make([]outcome, len(in.Delete.Objects))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32) // so that their batches are made durable together
	for i, o := range in.Delete.Objects {
		results[i].d = deletion{key: o.Key, version: o.VersionId, ifMatch: o.ETag, ifModified: o.LastModifiedTime, ifSize: o.Size}
		wg.Add(1)
		slots <- struct{}{}
		go func(r *outcome) {
			defer func() { <-slots; wg.Done() }()
			if r.err = s.mayDelete(ctx, b.Name, r.d.key, r.d.version); r.err == nil {
				r.err = s.delete(ctx, in.Bucket, in.ExpectedBucketOwner, &r.d)
			}
		}(&results[i])
	}
	wg.Wait()
	out := &api.DeleteObjectsOutput{}
	for _, r := range results {
		switch {
		case r.err != nil:
			e := errs.As(r.err)
			code := e.Name
			if code == "" {
				code = map[errs.Code]string{errs.Denied: "AccessDenied", errs.Unavailable: "ServiceUnavailable"}[e.Code]
			}
			if code == "" {
				code = "InternalError"
			}
			out.Errors = append(out.Errors, api.Error{Key: r.d.key, VersionId: r.d.version, Code: code, Message: e.Message})
		case !aws.Val(in.Delete.Quiet):
			e := api.DeletedObject{Key: r.d.key, VersionId: r.d.version}
			if r.d.marker {
				e.DeleteMarker, e.DeleteMarkerVersionId = aws.Ptr(true), r.d.deleted
			}
			out.Deleted = append(out.Deleted, e)
		}
	}
	if len(out.Errors) == len(results) && ctx.Err() != nil {
		return nil, fmt.Errorf("delete objects: %w", ctx.Err())
	}
	return out, nil
}
