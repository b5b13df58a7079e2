package s3

import (
	"context"
	"io"
	"strings"

	api "github.com/galen-health/galen/aws/s3"

	"github.com/galen-health/galen/platform/blob/sealed"
	"github.com/galen-health/galen/platform/errs"
)

// Objects are named files below a target's prefix, sealed by whoever puts them there.
type Objects struct {
	b      *bucket
	prefix string
}

// OpenObjects opens a target. Its first request tells whether it is one.
func OpenObjects(t Target) *Objects { return &Objects{newBucket(t), t.Prefix} }

func (o *Objects) String() string { return "s3://" + o.b.name + "/" + o.prefix }

// Put writes an object: at once whole, visible and durable.
func (o *Objects) Put(ctx context.Context, name string, r io.Reader) error {
	up := upload{b: o.b, ctx: ctx, key: o.prefix + name}
	_, err := io.Copy(&up, r)
	if err == nil {
		err = up.finish()
	}
	if err != nil {
		up.ctx = context.WithoutCancel(ctx)
		up.abort()
	}
	return err
}

// Settle does nothing: what was put is there to stay.
func (o *Objects) Settle(context.Context) error { return nil }

// Open reads an object; errs.NotFound.
func (o *Objects) Open(ctx context.Context, name string) (sealed.Source, error) {
	if _, err := o.b.do(ctx, "looking at an object", func(ctx context.Context) error {
		_, err := o.b.HeadObject(ctx, &api.HeadObjectInput{Bucket: o.b.name, Key: o.prefix + name})
		return err
	}); err != nil {
		return nil, err
	}
	return o.b.source(ctx, "", o.prefix+name), nil
}

// List calls fn for the objects whose names begin so.
func (o *Objects) List(ctx context.Context, folder string, fn func(name string) error) error {
	for token := ""; ; {
		var page *api.ListObjectsV2Output
		if _, err := o.b.do(ctx, "listing objects", func(ctx context.Context) (err error) {
			page, err = o.b.ListObjectsV2(ctx, &api.ListObjectsV2Input{Bucket: o.b.name, Prefix: o.prefix + folder, ContinuationToken: token})
			return err
		}); err != nil {
			return err
		}
		for i := range page.Contents {
			if err := fn(strings.TrimPrefix(page.Contents[i].Key, o.prefix)); err != nil {
				return err
			}
		}
		if token = page.NextContinuationToken; token == "" || page.IsTruncated == nil || !*page.IsTruncated {
			return nil
		}
	}
}

// Remove deletes an object.
func (o *Objects) Remove(ctx context.Context, name string) error {
	_, err := o.b.do(ctx, "deleting an object", func(ctx context.Context) error {
		_, err := o.b.DeleteObject(ctx, &api.DeleteObjectInput{Bucket: o.b.name, Key: o.prefix + name})
		return err
	})
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

// Close lets the connections go.
func (o *Objects) Close() error {
	o.b.idle()
	return nil
}
