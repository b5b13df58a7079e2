package connecthealth

import (
	"context"
	"maps"
	"time"

	api "github.com/galen-health/galen/aws/connecthealth"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// maxDomains is the contract's quota for an account and region.
const maxDomains = 10

// domain holds an organisation's subscriptions.
type domain struct {
	ID, Name, Key string
	WebApp        *api.WebAppConfiguration
	Created       time.Time
	Tags          map[string]string
}

var domains = record.Kind[domain]{Name: "connecthealth.domain"}

func (s *Service) encryption(d *domain) *api.EncryptionContext {
	if d.Key == "" {
		return &api.EncryptionContext{EncryptionType: api.EncryptionTypeAwsOwnedKey}
	}
	return &api.EncryptionContext{EncryptionType: api.EncryptionTypeCustomerManagedKey, KmsKeyArn: d.Key}
}

// CreateDomain makes a domain; it is active at once.
func (s *Service) CreateDomain(ctx context.Context, in *api.CreateDomainInput) (*api.CreateDomainOutput, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if in.WebAppSetupConfiguration != nil {
		return nil, errs.New(errs.Invalid, "webAppSetupConfiguration needs AWS IAM Identity Center, which is not part of Galen: leave it out")
	}
	d := &domain{ID: newID("hai-", "abcdefghijklmnopqrstuvwxyz0123456789", 20), Name: in.Name, Tags: in.Tags}
	if in.KmsKeyArn != "" {
		arn, err := s.cfg.Guard.MayUse(ctx, key.Use{Action: "kms:DescribeKey", Key: in.KmsKeyArn})
		if err != nil {
			return nil, err
		}
		d.Key = arn
	}
	_, err := s.records.Update(ctx, space, []string{"domains"}, func(tx record.Tx) error {
		p, err := tx.Query(record.Query{Kind: domains.Name, Limit: maxDomains, IDsOnly: true})
		if err != nil {
			return err
		}
		if len(p.Hits) >= maxDomains {
			return errs.New(errs.Exhausted, "an account has at most %d domains: delete one first", maxDomains)
		}
		d.Created = tx.Time()
		return domains.Create(tx, d.ID, d)
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateDomainOutput{DomainId: d.ID, Arn: s.arn("domain/" + d.ID), Name: d.Name, KmsKeyArn: d.Key, EncryptionContext: s.encryption(d), Status: api.DomainStatusActive, CreatedAt: d.Created}, nil
}

// domain reads a live domain.
func (s *Service) domain(ctx context.Context, id string) (*domain, error) {
	v, err := s.records.View(ctx, space)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	d, _, err := domains.Get(v, id)
	if absent(err) {
		return nil, errs.New(errs.NotFound, "there is no such domain")
	}
	return d, err
}

// GetDomain describes a domain.
func (s *Service) GetDomain(ctx context.Context, in *api.GetDomainInput) (*api.GetDomainOutput, error) {
	d, err := s.domain(ctx, in.DomainId)
	if err != nil {
		return nil, err
	}
	return &api.GetDomainOutput{DomainId: d.ID, Arn: s.arn("domain/" + d.ID), Name: d.Name, KmsKeyArn: d.Key, EncryptionContext: s.encryption(d), Status: api.DomainStatusActive,
		WebAppConfiguration: d.WebApp, CreatedAt: d.Created, Tags: d.Tags}, nil
}

// ListDomains lists domains in the order of their creation. A deleted domain is not listed.
func (s *Service) ListDomains(ctx context.Context, in *api.ListDomainsInput) (*api.ListDomainsOutput, error) {
	out := &api.ListDomainsOutput{Domains: []api.DomainSummary{}}
	if in.Status != "" && in.Status != api.DomainStatusActive {
		return out, nil // deletion is done when it is answered, so no domain is in another state
	}
	p, err := s.page(ctx, domains.Name, nil, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	for _, h := range p.Hits {
		d, err := domains.Decode(h.Body)
		if err != nil {
			return nil, err
		}
		out.Domains = append(out.Domains, api.DomainSummary{DomainId: d.ID, Arn: s.arn("domain/" + d.ID), Name: d.Name, Status: api.DomainStatusActive, CreatedAt: d.Created})
	}
	out.NextToken = string(p.Next)
	return out, nil
}

// DeleteDomain deletes a domain with its subscriptions.
func (s *Service) DeleteDomain(ctx context.Context, in *api.DeleteDomainInput) (*api.DeleteDomainOutput, error) {
	_, err := s.records.Update(ctx, space, []string{"domains", "domain/" + in.DomainId}, func(tx record.Tx) error {
		for after := record.Cursor(""); ; {
			p, err := tx.Query(record.Query{Kind: subscriptions.Name, Where: record.Match{Index: "domain", Value: record.Token("", in.DomainId)}, Limit: 1000, After: after, IDsOnly: true})
			if err != nil {
				return err
			}
			for _, h := range p.Hits {
				if _, err := tx.Delete(subscriptions.Name, h.ID, record.Any); err != nil {
					return err
				}
			}
			if after = p.Next; after == "" {
				break
			}
		}
		_, err := tx.Delete(domains.Name, in.DomainId, record.Any)
		if absent(err) {
			return errs.New(errs.NotFound, "there is no such domain")
		}
		return err
	})
	return &api.DeleteDomainOutput{DomainId: in.DomainId, Arn: s.arn("domain/" + in.DomainId), Status: api.DomainStatusDeleting}, err
}

// TagResource adds tags to a domain, replacing those of the same key.
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	return &api.TagResourceOutput{}, s.retag(ctx, in.ResourceArn, func(tags map[string]string) error {
		maps.Copy(tags, in.Tags)
		return checkTags(tags)
	})
}

// UntagResource removes tags by key.
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	return &api.UntagResourceOutput{}, s.retag(ctx, in.ResourceArn, func(tags map[string]string) error {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
		return nil
	})
}

func (s *Service) retag(ctx context.Context, arn string, fn func(map[string]string) error) error {
	id, sub, err := s.parse(arn)
	if err != nil {
		return err
	}
	edit := func(tags *map[string]string) error {
		if *tags == nil {
			*tags = map[string]string{}
		}
		return fn(*tags)
	}
	if sub != "" {
		_, err = change(ctx, s, subscriptions, id+"/"+sub, "subscription", func(_ record.Tx, v *subscription) error { return edit(&v.Tags) })
		return err
	}
	_, err = change(ctx, s, domains, id, "domain", func(_ record.Tx, v *domain) error { return edit(&v.Tags) })
	return err
}

// ListTagsForResource lists the tags of a domain or subscription.
func (s *Service) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	id, sub, err := s.parse(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	out := &api.ListTagsForResourceOutput{Tags: map[string]string{}}
	if sub != "" {
		v, err := s.subscription(ctx, id, sub)
		if err != nil {
			return nil, err
		}
		maps.Copy(out.Tags, v.Tags)
		return out, nil
	}
	d, err := s.domain(ctx, id)
	if err != nil {
		return nil, err
	}
	maps.Copy(out.Tags, d.Tags)
	return out, nil
}
