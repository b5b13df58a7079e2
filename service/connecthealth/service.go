package connecthealth

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"strings"

	api "github.com/galen-health/galen/aws/connecthealth"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// space holds the records of this service.
const space = record.Space("connecthealth")

// Config is what the service stands on.
type Config struct {
	Records         record.Store
	Guard           key.Guard // may the caller use a customer's key
	Account, Region string
}

// Service implements the contract.
type Service struct {
	api.Unimplemented
	cfg     Config
	records record.Store
}

var _ api.Service = (*Service)(nil)

// Kinds are the kinds of records that are kept here; who moves records asks for them.
func Kinds() []record.KindDef {
	return []record.KindDef{domains.Def(), subscriptions.Def()}
}

// New opens the service's space.
func New(ctx context.Context, cfg Config) (*Service, error) {
	if err := cfg.Records.Declare(Kinds()...); err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, records: cfg.Records}, cfg.Records.CreateSpace(ctx, space, key.Ref{Context: map[string]string{"service": "connecthealth"}})
}

// newID makes an id of a prefix and n characters of an alphabet, at random.
func newID(prefix, alphabet string, n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails on supported systems
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return prefix + string(b)
}

func (s *Service) arn(resource string) string {
	return "arn:aws:health-agent:" + s.cfg.Region + ":" + s.cfg.Account + ":" + resource
}

// parse takes the domain, and the subscription if there is one, out of an ARN.
func (s *Service) parse(arn string) (domain, subscription string, err error) {
	rest, ok := strings.CutPrefix(arn, s.arn("domain/"))
	parts := strings.Split(rest, "/")
	switch {
	case ok && len(parts) == 1:
		return parts[0], "", nil
	case ok && len(parts) == 3 && parts[1] == "subscription":
		return parts[0], parts[2], nil
	}
	return "", "", errs.New(errs.NotFound, "there is no such resource in this account and region")
}

// Authorize tells the resources of each operation.
func (s *Service) Authorize(_ context.Context, op string, in any) ([]authz.Request, error) {
	r := authz.Request{Action: "health-agent:" + op, Resource: "*"}
	domain, subscription := "", ""
	switch in := in.(type) {
	case *api.CreateDomainInput:
		tagged(&r, in.Tags)
	case *api.GetDomainInput:
		domain = in.DomainId
	case *api.DeleteDomainInput:
		domain = in.DomainId
	case *api.CreateSubscriptionInput:
		domain = in.DomainId
	case *api.ListSubscriptionsInput:
		domain = in.DomainId
	case *api.GetSubscriptionInput:
		domain, subscription = in.DomainId, in.SubscriptionId
	case *api.ActivateSubscriptionInput:
		domain, subscription = in.DomainId, in.SubscriptionId
	case *api.DeactivateSubscriptionInput:
		domain, subscription = in.DomainId, in.SubscriptionId
	case *api.TagResourceInput:
		r.Resource = in.ResourceArn
		tagged(&r, in.Tags)
	case *api.UntagResourceInput:
		r.Resource = in.ResourceArn
		r.Values = map[string][]string{"aws:TagKeys": in.TagKeys}
	case *api.ListTagsForResourceInput:
		r.Resource = in.ResourceArn
	}
	if domain != "" {
		r.Resource = s.arn("domain/" + domain)
		if subscription != "" {
			r.Resource += "/subscription/" + subscription
		}
	}
	return []authz.Request{r}, nil
}

// tagged adds the condition keys of tags that a request gives.
func tagged(r *authz.Request, tags map[string]string) {
	if len(tags) == 0 {
		return
	}
	r.Context = map[string]string{}
	for k, v := range tags {
		r.Context["aws:RequestTag/"+k] = v
	}
	r.Values = map[string][]string{"aws:TagKeys": slices.Sorted(maps.Keys(tags))}
}

// absent says that a record is not there, or no more.
func absent(err error) bool { return errs.Is(err, errs.NotFound) || errs.Is(err, errs.Gone) }

// page runs a listing query; limit 0 = 100, as the contract's most.
func (s *Service) page(ctx context.Context, kind string, where record.Expr, limit *int32, token string) (*record.Page, error) {
	v, err := s.records.View(ctx, space)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	n := 100
	if limit != nil {
		n = int(*limit)
	}
	p, err := v.Query(ctx, record.Query{Kind: kind, Where: where, Limit: n, After: record.Cursor(token)})
	if errs.Is(err, errs.Invalid) {
		return nil, errs.New(errs.Invalid, "the nextToken is not one of this listing")
	}
	return p, err
}

// change reads a record in a batch, lets fn change it and writes it; an absent one is the contract's error.
func change[T any](ctx context.Context, s *Service, k record.Kind[T], id, what string, fn func(tx record.Tx, v *T) error) (out *T, err error) {
	_, err = s.records.Update(ctx, space, nil, func(tx record.Tx) error {
		out, err = k.Change(tx, id, func(v *T) error { return fn(tx, v) })
		if absent(err) {
			return errs.New(errs.NotFound, "there is no such %s", what)
		}
		return err
	})
	return out, err
}

func checkTags(tags map[string]string) error {
	if len(tags) > 50 {
		return errs.New(errs.Invalid, "a resource has at most 50 tags")
	}
	for k := range tags {
		if k == "" || len(k) > 128 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return errs.New(errs.Invalid, "a tag key has between 1 and 128 characters and does not begin with aws:")
		}
	}
	return nil
}
