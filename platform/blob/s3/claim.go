package s3

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"

	api "github.com/galen-health/galen/aws/s3"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// The object KEY of a prefix holds a data key that only the key ring opens that its blobs are under: two installations whose sweeps would delete each
// other's blobs cannot share a prefix by mistake.
const (
	claimKey    = "KEY"
	claimMagic  = "GALENBLS"
	claimFormat = 1
	claimLimit  = 64 << 10
)

func claimContext() map[string]string { return map[string]string{"galen:purpose": "blobs"} }

// claim makes sure that the prefix is ours, or makes it ours.
func (s *Store) claim(ctx context.Context) error {
	const what = "opening the blob store"
	marker, err := s.readClaim(ctx, what)
	if errs.Is(err, errs.NotFound) {
		if marker, err = s.newClaim(); err != nil {
			return err
		}
		if _, err = s.b.do(ctx, what, func(ctx context.Context) error {
			_, err := s.b.PutObject(ctx, &api.PutObjectInput{Bucket: s.b.name, Key: s.prefix + claimKey, ContentType: objectType, IfNoneMatch: "*", Body: bytes.NewReader(marker)})
			return err
		}); err != nil && !errs.Is(err, errs.Precondition) {
			return err
		}
		marker, err = s.readClaim(ctx, what) // another may have been first
	}
	if err != nil {
		return err
	}
	return s.checkClaim(ctx, marker)
}

func (s *Store) readClaim(ctx context.Context, what string) (marker []byte, err error) {
	_, err = s.b.do(ctx, what, func(ctx context.Context) error {
		out, err := s.b.GetObject(ctx, &api.GetObjectInput{Bucket: s.b.name, Key: s.prefix + claimKey})
		if err != nil {
			return err
		}
		defer out.Body.Close() //nolint:errcheck // only read
		marker, err = io.ReadAll(io.LimitReader(out.Body, claimLimit))
		return err
	})
	return marker, err
}

func (s *Store) newClaim() ([]byte, error) {
	dk, err := s.keys.DataKey(context.Background(), key.Ref{Context: claimContext()})
	if err != nil {
		return nil, err
	}
	clear(dk.Plain)
	return append(binary.BigEndian.AppendUint16([]byte(claimMagic), claimFormat), dk.Wrapped...), nil
}

func (s *Store) checkClaim(ctx context.Context, marker []byte) error {
	where := "s3://" + s.b.name + "/" + s.prefix
	if len(marker) < len(claimMagic)+2 || string(marker[:len(claimMagic)]) != claimMagic {
		return errs.New(errs.Corrupt, "the object KEY in %s is not Galen's: choose another prefix, or restore the object", where)
	}
	if f := binary.BigEndian.Uint16(marker[len(claimMagic):]); f != claimFormat {
		return errs.New(errs.Unsupported, "the blobs in %s have format %d, this version of Galen reads %d: use the version that wrote them", where, f, claimFormat)
	}
	dk, err := s.keys.Open(ctx, marker[len(claimMagic)+2:], claimContext())
	if err != nil {
		return errs.Wrap(errs.Conflict, err, "the blobs in %s belong to another key ring: each installation needs a prefix of its own", where)
	}
	clear(dk.Plain)
	return nil
}
