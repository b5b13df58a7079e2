package connecthealth

import (
	"context"
	"time"

	api "github.com/galen-health/galen/aws/connecthealth"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// subscription is a clinician's right to listening sessions in a domain. It is created active.
type subscription struct {
	ID, Domain                               string
	Active                                   bool
	Created, Updated, Activated, Deactivated time.Time
	Tags                                     map[string]string
}

var subscriptions = record.Kind[subscription]{
	Name:    "connecthealth.subscription",
	Indexes: record.Indexes[subscription]{record.ByToken("domain", func(s *subscription) string { return s.Domain })},
}

func (s *Service) describe(v *subscription) *api.SubscriptionDescription {
	status := api.SubscriptionStatusInactive
	if v.Active {
		status = api.SubscriptionStatusActive
	}
	return &api.SubscriptionDescription{DomainId: v.Domain, SubscriptionId: v.ID, Arn: s.arn("domain/" + v.Domain + "/subscription/" + v.ID), Status: status,
		CreatedAt: v.Created, LastUpdatedAt: v.Updated, ActivatedAt: v.Activated, DeactivatedAt: v.Deactivated}
}

// CreateSubscription makes an active subscription in a domain.
func (s *Service) CreateSubscription(ctx context.Context, in *api.CreateSubscriptionInput) (*api.CreateSubscriptionOutput, error) {
	v := &subscription{ID: newID("sub-", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 21), Domain: in.DomainId, Active: true}
	_, err := s.records.Update(ctx, space, []string{"domain/" + in.DomainId}, func(tx record.Tx) error {
		if _, _, err := domains.Get(tx, in.DomainId); absent(err) {
			return errs.New(errs.NotFound, "there is no such domain")
		} else if err != nil {
			return err
		}
		v.Created, v.Updated, v.Activated = tx.Time(), tx.Time(), tx.Time()
		return subscriptions.Create(tx, v.Domain+"/"+v.ID, v)
	})
	if err != nil {
		return nil, err
	}
	d := s.describe(v)
	return &api.CreateSubscriptionOutput{DomainId: d.DomainId, SubscriptionId: d.SubscriptionId, Arn: d.Arn, Status: d.Status, CreatedAt: d.CreatedAt, LastUpdatedAt: d.LastUpdatedAt, ActivatedAt: d.ActivatedAt}, nil
}

func (s *Service) subscription(ctx context.Context, domain, id string) (*subscription, error) {
	v, err := s.records.View(ctx, space)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	sub, _, err := subscriptions.Get(v, domain+"/"+id)
	if absent(err) {
		return nil, errs.New(errs.NotFound, "there is no such subscription in the domain")
	}
	return sub, err
}

// GetSubscription describes a subscription.
func (s *Service) GetSubscription(ctx context.Context, in *api.GetSubscriptionInput) (*api.GetSubscriptionOutput, error) {
	v, err := s.subscription(ctx, in.DomainId, in.SubscriptionId)
	if err != nil {
		return nil, err
	}
	return &api.GetSubscriptionOutput{Subscription: s.describe(v)}, nil
}

// ListSubscriptions lists a domain's subscriptions in the order of their creation.
func (s *Service) ListSubscriptions(ctx context.Context, in *api.ListSubscriptionsInput) (*api.ListSubscriptionsOutput, error) {
	if _, err := s.domain(ctx, in.DomainId); err != nil {
		return nil, err
	}
	p, err := s.page(ctx, subscriptions.Name, record.Match{Index: "domain", Value: record.Token("", in.DomainId)}, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListSubscriptionsOutput{Subscriptions: []api.SubscriptionDescription{}, NextToken: string(p.Next)}
	for _, h := range p.Hits {
		v, err := subscriptions.Decode(h.Body)
		if err != nil {
			return nil, err
		}
		out.Subscriptions = append(out.Subscriptions, *s.describe(v))
	}
	return out, nil
}

// ActivateSubscription makes a subscription active; an active one is a conflict.
func (s *Service) ActivateSubscription(ctx context.Context, in *api.ActivateSubscriptionInput) (*api.ActivateSubscriptionOutput, error) {
	v, err := s.turn(ctx, in.DomainId, in.SubscriptionId, true)
	if err != nil {
		return nil, err
	}
	return &api.ActivateSubscriptionOutput{Subscription: s.describe(v)}, nil
}

// DeactivateSubscription makes a subscription inactive; an inactive one is a conflict.
func (s *Service) DeactivateSubscription(ctx context.Context, in *api.DeactivateSubscriptionInput) (*api.DeactivateSubscriptionOutput, error) {
	v, err := s.turn(ctx, in.DomainId, in.SubscriptionId, false)
	if err != nil {
		return nil, err
	}
	return &api.DeactivateSubscriptionOutput{Subscription: s.describe(v)}, nil
}

func (s *Service) turn(ctx context.Context, domain, id string, on bool) (*subscription, error) {
	return change(ctx, s, subscriptions, domain+"/"+id, "subscription in the domain", func(tx record.Tx, v *subscription) error {
		if v.Active == on {
			return errs.New(errs.Conflict, "the subscription is %s already", map[bool]string{true: "active", false: "inactive"}[on])
		}
		v.Active, v.Updated = on, tx.Time()
		if on {
			v.Activated = tx.Time()
		} else {
			v.Deactivated = tx.Time()
		}
		return nil
	})
}
