package events

import (
	"context"
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
	"strings"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/events"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/safedial"
)

// Bounds of targets: EventBridge's own, but for the number of targets, which is its quota of five made wider.
const (
	maxTargets  = 100
	maxAge      = 86400 // seconds
	maxAttempts = 185
)

var (
	fileForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	bucketForm = regexp.MustCompile(`^arn:aws:s3:::([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9!_.*'()/-]{1,512}))?$`)
)

// place is where a target's Arn points to.
type place struct {
	url            string
	bucket, prefix string
	file           string
}

// placeOf reads a target's Arn.
func (s *Service) placeOf(arn string) (place, error) {
	switch {
	case strings.HasPrefix(arn, "https://"), strings.HasPrefix(arn, "http://"):
		u, err := safedial.CheckURL(arn)
		if err != nil {
			return place{}, invalid("%s", errs.As(err).Message)
		}
		return place{url: u.String()}, nil
	case strings.HasPrefix(arn, "arn:aws:s3:"):
		m := bucketForm.FindStringSubmatch(arn)
		if m == nil {
			return place{}, invalid("An S3 target must be arn:aws:s3:::bucket/prefix.")
		}
		if s.cfg.S3 == nil {
			return place{}, errs.New(errs.Unsupported, "S3 targets need the s3 service, which this server does not run")
		}
		return place{bucket: m[1], prefix: strings.Trim(m[2], "/")}, nil
	}
	if name, ok := strings.CutPrefix(arn, "arn:galen:events:"+s.cfg.Region+":"+s.cfg.Account+":file/"); ok {
		if !fileForm.MatchString(name) {
			return place{}, invalid("The name of a file target must be 1 to 64 letters, digits, dots, dashes and underscores.")
		}
		return place{file: name}, nil
	}
	return place{}, errs.New(errs.Unsupported, "targets of this kind are not offered: use a URL, arn:aws:s3:::bucket/prefix, or arn:galen:events:%s:%s:file/NAME", s.cfg.Region, s.cfg.Account)
}

// checkTarget refuses what would not be delivered as said.
func (s *Service) checkTarget(ctx context.Context, t *api.Target) error {
	p, err := s.placeOf(t.Arn)
	if err != nil {
		return err
	}
	if t.KinesisParameters != nil || t.RunCommandParameters != nil || t.EcsParameters != nil || t.BatchParameters != nil || t.SqsParameters != nil ||
		t.RedshiftDataParameters != nil || t.SageMakerPipelineParameters != nil || t.AppSyncParameters != nil {
		return errs.New(errs.Unsupported, "target %s has parameters of a kind of target that is not offered", t.Id)
	}
	if err := checkInput(t); err != nil {
		return err
	}
	if t.HttpParameters != nil {
		if p.url == "" {
			return invalid("HttpParameters are for webhooks only (target %s).", t.Id)
		}
		if len(t.HttpParameters.PathParameterValues) > 0 {
			return errs.New(errs.Unsupported, "PathParameterValues are not offered: write the path into the URL")
		}
		for name, v := range t.HttpParameters.HeaderParameters {
			switch textproto.CanonicalMIMEHeaderKey(name) {
			case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Te", "Trailer", "Upgrade", "Proxy-Authorization", "Keep-Alive":
				return invalid("The header %s cannot be set (target %s).", name, t.Id)
			}
			if strings.ContainsAny(v, "\r\n\x00") || !headerName.MatchString(name) {
				return invalid("A header of target %s is malformed.", t.Id)
			}
		}
	}
	if r := t.RetryPolicy; r != nil {
		if a := aws.Val(r.MaximumRetryAttempts); a < 0 || a > maxAttempts {
			return invalid("MaximumRetryAttempts must be 0 to %d (target %s).", maxAttempts, t.Id)
		}
		if r.MaximumEventAgeInSeconds != nil && (*r.MaximumEventAgeInSeconds < 60 || *r.MaximumEventAgeInSeconds > maxAge) {
			return invalid("MaximumEventAgeInSeconds must be 60 to %d (target %s).", maxAge, t.Id)
		}
	}
	needsRole := p.bucket != ""
	if d := t.DeadLetterConfig; d != nil && d.Arn != "" {
		dead, err := s.placeOf(d.Arn)
		if err != nil {
			return err
		}
		if dead.url != "" {
			return invalid("The dead letters of target %s need a queue or a file.", t.Id)
		}
		needsRole = needsRole || dead.bucket != ""
	}
	switch {
	case needsRole && t.RoleArn == "":
		return invalid("RoleArn is required for the S3 bucket of target %s.", t.Id)
	case t.RoleArn != "":
		return s.cfg.Roles.Pass(ctx, t.RoleArn, principal)
	}
	return nil
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$")

// PutTargets implements the contract. A target that is refused refuses the call: nothing is half put.
func (s *Service) PutTargets(ctx context.Context, in *api.PutTargetsInput) (*api.PutTargetsOutput, error) {
	seen := map[string]bool{}
	for i := range in.Targets {
		t := &in.Targets[i]
		if seen[t.Id] {
			return nil, invalid("Target id %s is there twice.", t.Id)
		}
		seen[t.Id] = true
		if err := s.checkTarget(ctx, t); err != nil {
			return nil, err
		}
	}
	err := s.editRule(ctx, in.EventBusName, in.Rule, func(r *rule) error {
		for _, t := range in.Targets {
			if at := slices.IndexFunc(r.Targets, func(o api.Target) bool { return o.Id == t.Id }); at >= 0 {
				r.Targets[at] = t
			} else {
				r.Targets = append(r.Targets, t)
			}
		}
		if len(r.Targets) > maxTargets {
			return errs.Named(errs.Exhausted, "LimitExceededException", "A rule can have at most %d targets.", maxTargets)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.PutTargetsOutput{FailedEntryCount: aws.Ptr(int32(0)), FailedEntries: []api.PutTargetsResultEntry{}}, nil
}

// RemoveTargets implements the contract.
func (s *Service) RemoveTargets(ctx context.Context, in *api.RemoveTargetsInput) (*api.RemoveTargetsOutput, error) {
	out := &api.RemoveTargetsOutput{FailedEntries: []api.RemoveTargetsResultEntry{}}
	err := s.editRule(ctx, in.EventBusName, in.Rule, func(r *rule) error {
		out.FailedEntries = out.FailedEntries[:0]
		for _, id := range in.Ids {
			at := slices.IndexFunc(r.Targets, func(t api.Target) bool { return t.Id == id })
			if at < 0 {
				out.FailedEntries = append(out.FailedEntries, api.RemoveTargetsResultEntry{TargetId: id, ErrorCode: "ResourceNotFoundException", ErrorMessage: fmt.Sprintf("Rule %s has no target %s.", r.Name, id)})
				continue
			}
			r.Targets = slices.Delete(r.Targets, at, at+1)
		}
		return nil
	})
	out.FailedEntryCount = aws.Ptr(int32(len(out.FailedEntries)))
	return out, err
}

// ListTargetsByRule implements the contract.
func (s *Service) ListTargetsByRule(ctx context.Context, in *api.ListTargetsByRuleInput) (*api.ListTargetsByRuleOutput, error) {
	busName, err := s.busName(in.EventBusName)
	if err != nil {
		return nil, err
	}
	out := &api.ListTargetsByRuleOutput{Targets: []api.Target{}}
	err = s.view(ctx, func(v record.View) error {
		r, _, err := ruleOf(v, busName, in.Rule)
		if err != nil {
			return err
		}
		list := slices.Clone(r.Targets)
		slices.SortFunc(list, func(a, b api.Target) int { return strings.Compare(a.Id, b.Id) })
		for len(list) > 0 && in.NextToken != "" && list[0].Id <= in.NextToken {
			list = list[1:]
		}
		n := maxTargets
		if in.Limit != nil {
			n = int(*in.Limit)
		}
		if len(list) > n {
			list, out.NextToken = list[:n], list[n-1].Id
		}
		out.Targets = append(out.Targets, list...)
		return nil
	})
	return out, err
}
