package connecthealth_test

import (
	"context"
	"regexp"
	"testing"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/connecthealth"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/service/connecthealth"
)

func open(t *testing.T) *connecthealth.Service {
	t.Helper()
	dir := t.TempDir()
	keys, err := keyring.Open(dir+"/keys", make([]byte, 32), keyring.Config{Account: "000000000000", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	records, err := pebble.Open(dir+"/records", keys, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { records.Close(); keys.Close() })
	s, err := connecthealth.New(context.Background(), connecthealth.Config{Records: records, Guard: guard{}, Account: "000000000000", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// guard is the key policy: it knows one key and forbids another.
type guard struct{}

func (guard) MayUse(_ context.Context, u key.Use) (string, error) {
	if u.Key == "forbidden" {
		return "", errs.New(errs.Denied, "not authorized to perform: %s", u.Action)
	}
	return "arn:aws:kms:us-east-1:000000000000:key/" + u.Key, nil
}

func TestCustomersKeysAndWhatIsNotOffered(t *testing.T) {
	ctx, s := context.Background(), open(t)
	_, err := s.CreateDomain(ctx, &api.CreateDomainInput{Name: "d", KmsKeyArn: "forbidden"})
	code(t, err, errs.Denied, "a key that the caller may not use")
	_, err = s.CreateDomain(ctx, &api.CreateDomainInput{Name: "d", WebAppSetupConfiguration: &api.CreateWebAppConfiguration{}})
	code(t, err, errs.Invalid, "a web application")
	_, err = s.CreateDomain(ctx, &api.CreateDomainInput{Name: "d", Tags: map[string]string{"aws:x": "y"}})
	code(t, err, errs.Invalid, "a reserved tag")
	if p, err := s.ListDomains(ctx, &api.ListDomainsInput{}); err != nil || len(p.Domains) != 0 {
		t.Errorf("refused requests left %d domains, %v", len(p.Domains), err)
	}
	d, err := s.CreateDomain(ctx, &api.CreateDomainInput{Name: "d", KmsKeyArn: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.GetDomain(ctx, &api.GetDomainInput{DomainId: d.DomainId})
	if err != nil || got.EncryptionContext.EncryptionType != api.EncryptionTypeCustomerManagedKey || got.EncryptionContext.KmsKeyArn != "arn:aws:kms:us-east-1:000000000000:key/mine" {
		t.Errorf("encryption %+v, %v", got.EncryptionContext, err)
	}
	if p, err := s.ListDomains(ctx, &api.ListDomainsInput{Status: api.DomainStatusDeleting}); err != nil || len(p.Domains) != 0 {
		t.Errorf("domains being deleted: %+v, %v", p.Domains, err)
	}
	_, err = s.StartPatientInsightsJob(ctx, &api.StartPatientInsightsJobInput{})
	code(t, err, errs.Unsupported, "patient insights")
}

// What a policy may ask about: the resource and the tags of a request.
func TestAuthorize(t *testing.T) {
	ctx, s := context.Background(), open(t)
	for _, c := range []struct {
		op       string
		in       any
		resource string
		tags     int
	}{
		{"CreateDomain", &api.CreateDomainInput{Tags: map[string]string{"a": "b", "c": "d"}}, "*", 2},
		{"GetDomain", &api.GetDomainInput{DomainId: "hai-1"}, "arn:aws:health-agent:us-east-1:000000000000:domain/hai-1", 0},
		{"ActivateSubscription", &api.ActivateSubscriptionInput{DomainId: "hai-1", SubscriptionId: "sub-2"}, "arn:aws:health-agent:us-east-1:000000000000:domain/hai-1/subscription/sub-2", 0},
		{"UntagResource", &api.UntagResourceInput{ResourceArn: "arn:x", TagKeys: []string{"a"}}, "arn:x", 1},
	} {
		got, err := s.Authorize(ctx, c.op, c.in)
		if err != nil || len(got) != 1 || got[0].Action != "health-agent:"+c.op || got[0].Resource != c.resource || len(got[0].Values["aws:TagKeys"]) != c.tags {
			t.Errorf("%s: %+v, %v", c.op, got, err)
		}
	}
}

func code(t *testing.T, err error, want errs.Code, what string) {
	t.Helper()
	if !errs.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func TestDomainsAndSubscriptions(t *testing.T) {
	ctx, s := context.Background(), open(t)
	d, err := s.CreateDomain(ctx, &api.CreateDomainInput{Name: "clinic", Tags: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^hai-[a-z0-9]{16,21}$`).MatchString(d.DomainId) || len(d.DomainId) > 25 || d.EncryptionContext.EncryptionType != api.EncryptionTypeAwsOwnedKey {
		t.Errorf("domain %+v", d)
	}
	sub, err := s.CreateSubscription(ctx, &api.CreateSubscriptionInput{DomainId: d.DomainId})
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^sub-[a-zA-Z0-9]{21}$`).MatchString(sub.SubscriptionId) || sub.Status != api.SubscriptionStatusActive || sub.ActivatedAt.IsZero() {
		t.Errorf("subscription %+v", sub)
	}
	_, err = s.ActivateSubscription(ctx, &api.ActivateSubscriptionInput{DomainId: d.DomainId, SubscriptionId: sub.SubscriptionId})
	code(t, err, errs.Conflict, "activating an active subscription")
	off, err := s.DeactivateSubscription(ctx, &api.DeactivateSubscriptionInput{DomainId: d.DomainId, SubscriptionId: sub.SubscriptionId})
	if err != nil || off.Subscription.Status != api.SubscriptionStatusInactive || off.Subscription.DeactivatedAt.IsZero() {
		t.Errorf("deactivated: %+v, %v", off, err)
	}
	_, err = s.GetSubscription(ctx, &api.GetSubscriptionInput{DomainId: "hai-other000000000000", SubscriptionId: sub.SubscriptionId})
	code(t, err, errs.NotFound, "the subscription in another domain")
	_, err = s.TagResource(ctx, &api.TagResourceInput{ResourceArn: sub.Arn, Tags: map[string]string{"x": "y"}})
	if err != nil {
		t.Error(err)
	}
	tags, err := s.ListTagsForResource(ctx, &api.ListTagsForResourceInput{ResourceArn: sub.Arn})
	if err != nil || tags.Tags["x"] != "y" {
		t.Errorf("tags %+v, %v", tags, err)
	}
	_, err = s.TagResource(ctx, &api.TagResourceInput{ResourceArn: "arn:aws:health-agent:us-east-1:999999999999:domain/" + d.DomainId, Tags: map[string]string{"x": "y"}})
	code(t, err, errs.NotFound, "an ARN of another account")
	if _, err := s.DeleteDomain(ctx, &api.DeleteDomainInput{DomainId: d.DomainId}); err != nil {
		t.Fatal(err)
	}
	_, err = s.GetDomain(ctx, &api.GetDomainInput{DomainId: d.DomainId})
	code(t, err, errs.NotFound, "a deleted domain")
	_, err = s.GetSubscription(ctx, &api.GetSubscriptionInput{DomainId: d.DomainId, SubscriptionId: sub.SubscriptionId})
	code(t, err, errs.NotFound, "a subscription of a deleted domain")
	_, err = s.CreateSubscription(ctx, &api.CreateSubscriptionInput{DomainId: d.DomainId})
	code(t, err, errs.NotFound, "a subscription in a deleted domain")
}

func TestQuotaAndPages(t *testing.T) {
	ctx, s := context.Background(), open(t)
	for range 10 {
		if _, err := s.CreateDomain(ctx, &api.CreateDomainInput{Name: "d"}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.CreateDomain(ctx, &api.CreateDomainInput{Name: "d"})
	code(t, err, errs.Exhausted, "the eleventh domain")
	seen, in := map[string]bool{}, &api.ListDomainsInput{MaxResults: aws.Ptr(int32(3))}
	for {
		p, err := s.ListDomains(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range p.Domains {
			seen[d.DomainId] = true
		}
		if in.NextToken = p.NextToken; in.NextToken == "" {
			break
		}
	}
	if len(seen) != 10 {
		t.Errorf("%d domains listed, want 10", len(seen))
	}
	_, err = s.ListDomains(ctx, &api.ListDomainsInput{NextToken: "nonsense"})
	code(t, err, errs.Invalid, "a foreign token")
}
