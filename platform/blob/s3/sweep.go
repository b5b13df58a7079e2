package s3

import (
	"context"
	"strings"
	"time"

	api "github.com/galen-health/galen/aws/s3"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/sealed"
	"github.com/galen-health/galen/platform/errs"
)

// each calls fn for every blob's object. Keys that are no blob's go to stray.
func (s *Store) each(ctx context.Context, fn func(id blob.ID, o *api.Object) error, stray func(key string) error) error {
	for token := ""; ; {
		var page *api.ListObjectsV2Output
		if _, err := s.b.do(ctx, "listing the blobs", func(ctx context.Context) (err error) {
			page, err = s.b.ListObjectsV2(ctx, &api.ListObjectsV2Input{Bucket: s.b.name, Prefix: s.prefix, ContinuationToken: token})
			return err
		}); err != nil {
			return err
		}
		for i := range page.Contents {
			o := &page.Contents[i]
			name := strings.TrimPrefix(o.Key, s.prefix)
			id := blob.ID(name[strings.LastIndexByte(name, '/')+1:])
			var err error
			switch {
			case sealed.IsID(id) && s.place(id) == o.Key:
				err = fn(id, o)
			case name != claimKey:
				err = stray(o.Key)
			}
			if err != nil {
				return err
			}
		}
		if token = page.NextContinuationToken; token == "" || page.IsTruncated == nil || !*page.IsTruncated {
			return nil
		}
	}
}

// Sweep deletes old blobs that keep does not name and aborts old uploads.
func (s *Store) Sweep(ctx context.Context, before time.Time, keep func(blob.ID) (bool, error)) (deleted int, err error) {
	err = s.each(ctx, func(id blob.ID, o *api.Object) error {
		if !o.LastModified.Before(before) {
			return nil
		}
		if kept, err := keep(id); err != nil || kept {
			return err
		}
		// An S3 may date an object by the start of its upload, which can be long before the blob was whole: its header knows.
		src := s.b.source(ctx, id, s.place(id))
		made, err := sealed.Made(src)
		_ = src.Close()
		if errs.Is(err, errs.NotFound) || err == nil && !made.Before(before) {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.Delete(ctx, id); err != nil {
			return err
		}
		deleted++
		return nil
	}, func(string) error { return nil })
	if err != nil {
		return deleted, err
	}
	return deleted, s.abortOld(ctx, before)
}

// abortOld aborts the uploads that began before a time: their writers died.
func (s *Store) abortOld(ctx context.Context, before time.Time) error {
	const what = "aborting abandoned uploads"
	for key, id := "", ""; ; {
		var page *api.ListMultipartUploadsOutput
		if _, err := s.b.do(ctx, what, func(ctx context.Context) (err error) {
			page, err = s.b.ListMultipartUploads(ctx, &api.ListMultipartUploadsInput{Bucket: s.b.name, Prefix: s.prefix, KeyMarker: key, UploadIdMarker: id})
			return err
		}); err != nil {
			return err
		}
		for _, u := range page.Uploads {
			if !u.Initiated.Before(before) || !strings.HasPrefix(u.Key, s.prefix) {
				continue
			}
			if _, err := s.b.do(ctx, what, func(ctx context.Context) error {
				_, err := s.b.AbortMultipartUpload(ctx, &api.AbortMultipartUploadInput{Bucket: s.b.name, Key: u.Key, UploadId: u.UploadId})
				return err
			}); err != nil && !errs.Is(err, errs.NotFound) {
				return err
			}
		}
		if key, id = page.NextKeyMarker, page.NextUploadIdMarker; page.IsTruncated == nil || !*page.IsTruncated || key == "" {
			return nil
		}
	}
}

// Verify reads every blob to its end and checks it against its header, as files does.
func (s *Store) Verify(ctx context.Context, fault func(error)) (blobs, unreadable int, err error) {
	v := sealed.Verification{Open: s.open, Fault: fault}
	err = s.each(ctx, func(id blob.ID, _ *api.Object) error { return v.Check(ctx, id) }, v.Stray)
	return v.Blobs, v.Unreadable, err
}
