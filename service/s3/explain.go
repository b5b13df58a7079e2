package s3

import (
	"context"
	"strings"

	"github.com/galen-health/galen/platform/authz"
)

var _ authz.Guarded = (*Service)(nil)

// Complete implements authz.Guarded: a bucket's policy, and the tags of the object that is there.
func (s *Service) Complete(ctx context.Context, r authz.Request) (authz.Request, bool, error) {
	rest, ok := strings.CutPrefix(r.Resource, "arn:aws:s3:::")
	if !ok {
		return r, false, nil
	}
	bucket, key, _ := strings.Cut(rest, "/")
	full, err := s.question(ctx, strings.TrimPrefix(r.Action, "s3:"), bucket, key, r.Context)
	full.Action, full.Values = r.Action, r.Values
	return full, true, err
}
