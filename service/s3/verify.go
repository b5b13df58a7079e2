package s3

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Verify checks that every body that a record names is there and is the one that was stored, by size and MD5; the bodies themselves are the blob
// store's to verify. It calls fault for each that is not and returns how many bodies are named. Bodies under a key that cannot be used are passed over.
func (s *Service) Verify(ctx context.Context, fault func(error)) (named int, err error) {
	check := func(what string, id blob.ID, size int64, etag string) error {
		named++
		in, err := s.blobs.Stat(ctx, id)
		switch {
		case errs.Is(err, errs.Conflict), err != nil && errs.As(err).Name == "NotFoundException": // the key, not the body
		case errs.Is(err, errs.NotFound), errs.Is(err, errs.Corrupt):
			fault(errs.Wrap(errs.Corrupt, err, "the body of %s is missing or damaged", what))
		case err != nil:
			return err
		case in.Size != size || etag != "" && hex.EncodeToString(in.MD5[:]) != etag:
			fault(errs.New(errs.Corrupt, "the body of %s is another one", what))
		}
		return nil
	}
	err = s.view(ctx, func(v record.View) error {
		for _, kind := range []string{objects.Name, versions.Name} {
			for h, err := range v.Scan(kind, 0) {
				if err != nil {
					return err
				}
				o, err := objects.Decode(h.Body)
				if err != nil {
					fault(err)
					continue
				}
				if o.Manifest != "" {
					if _, _, err := manifests.Get(v, o.Manifest); err != nil {
						fault(errs.Wrap(errs.Corrupt, err, "the parts of a version in bucket %s are not known", o.Bucket))
					}
				} else if !o.Marker {
					if err := check(fmt.Sprintf("a version in bucket %s (blob %s)", o.Bucket, o.Blob), o.Blob, o.Size, o.ETag); err != nil {
						return err
					}
				}
			}
		}
		for h, err := range v.Scan(manifests.Name, 0) {
			if err != nil {
				return err
			}
			m, err := manifests.Decode(h.Body)
			if err != nil {
				fault(err)
				continue
			}
			if _, _, err := garbages.Get(v, h.ID); err == nil { // being deleted
				continue
			}
			for _, p := range m.Parts {
				if err := check(fmt.Sprintf("part %d of multipart object %s (blob %s)", p.Number, h.ID, p.Blob), p.Blob, p.Size, ""); err != nil {
					return err
				}
			}
		}
		for h, err := range v.Scan(parts.Name, 0) {
			if err != nil {
				return err
			}
			p, err := parts.Decode(h.Body)
			if err != nil {
				fault(err)
				continue
			}
			if err := check(fmt.Sprintf("part %d of upload %s (blob %s)", p.Number, p.Upload, p.Blob), p.Blob, p.Size, p.ETag); err != nil {
				return err
			}
		}
		return nil
	})
	return named, err
}
