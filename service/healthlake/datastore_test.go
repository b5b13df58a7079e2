package healthlake

import (
	"reflect"
	"testing"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/platform/errs"
)

func TestADataStoreLivesAndDies(t *testing.T) {
	l := newLab(t)
	id := l.create()
	d, err := l.s.DescribeFHIRDatastore(l.Ctx, &api.DescribeFHIRDatastoreInput{DatastoreId: id})
	if err != nil {
		t.Fatal(err)
	}
	p := d.DatastoreProperties
	if p.DatastoreName != "ward 7" || p.DatastoreArn != "arn:aws:healthlake:us-east-1:000000000000:datastore/fhir/"+id || p.DatastoreEndpoint != "http://galen.test/datastore/"+id+"/r4/" ||
		p.SseConfiguration.KmsEncryptionConfig.CmkType != api.CmkTypeAwsOwnedKmsKey || p.CreatedAt.IsZero() || len(id) != 32 {
		t.Errorf("properties = %+v", p)
	}
	if u, err := l.s.UpdateFHIRDatastore(l.Ctx, &api.UpdateFHIRDatastoreInput{DatastoreId: id, DatastoreName: "ward 8"}); err != nil || u.DatastoreProperties.DatastoreName != "ward 8" {
		t.Errorf("renamed: %+v, %v", u, err)
	}
	l.want(201, "POST", "/Patient", peter)
	out, err := l.s.DeleteFHIRDatastore(l.Ctx, &api.DeleteFHIRDatastoreInput{DatastoreId: id})
	if err != nil || out.DatastoreStatus != api.DatastoreStatusDeleting {
		t.Fatalf("%+v, %v", out, err)
	}
	l.Await("the store is deleted", func() bool { return l.status(id) == api.DatastoreStatusDeleted })
	l.want(404, "GET", "/Patient", "")
	spaces, err := l.Records.Spaces(l.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range spaces {
		if s == space(id) {
			t.Error("the deleted store's space is still there")
		}
	}
	if _, err := l.s.DeleteFHIRDatastore(l.Ctx, &api.DeleteFHIRDatastoreInput{DatastoreId: id}); !errs.Is(err, errs.Conflict) {
		t.Errorf("deleting twice: %v", err)
	}
	if _, err := l.s.DescribeFHIRDatastore(l.Ctx, &api.DescribeFHIRDatastoreInput{DatastoreId: "none"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("describing none: %v", err)
	}
	if got, want := l.EventTypes(), []string{"Data Store Creating", "Data Store Active", "Data Store Deleting", "Data Store Deleted"}; !reflect.DeepEqual(got, want) {
		t.Errorf("events = %v, want %v", got, want)
	}
}

func TestCreateRefusesWhatItWouldNotDo(t *testing.T) {
	l := newLab(t)
	for name, in := range map[string]api.CreateFHIRDatastoreInput{
		"preload":          {PreloadDataConfig: &api.PreloadDataConfig{PreloadDataType: api.PreloadDataTypeSynthea}},
		"smart":            {IdentityProviderConfiguration: &api.IdentityProviderConfiguration{AuthorizationStrategy: api.AuthorizationStrategySmartOnFhir}},
		"analytics":        {AnalyticsConfiguration: &api.AnalyticsConfiguration{Status: api.AnalyticsStatusEnabled}},
		"nlp":              {NlpConfiguration: &api.NlpConfiguration{Status: api.NlpStatusEnabled}},
		"profiles":         {ProfileConfiguration: &api.ProfileConfiguration{DefaultProfiles: []string{"x"}}},
		"backup":           {BackupConfiguration: &api.BackupConfiguration{Status: api.BackupStatusEnabled}},
		"key without id":   {SseConfiguration: &api.SseConfiguration{KmsEncryptionConfig: &api.KmsEncryptionConfig{CmkType: api.CmkTypeCustomerManagedKmsKey}}},
		"id without key":   {SseConfiguration: &api.SseConfiguration{KmsEncryptionConfig: &api.KmsEncryptionConfig{CmkType: api.CmkTypeAwsOwnedKmsKey, KmsKeyId: "x"}}},
		"tag key twice":    {Tags: []api.Tag{{Key: "a"}, {Key: "a"}}},
		"reserved tag key": {Tags: []api.Tag{{Key: "aws:a"}}},
	} {
		in.DatastoreTypeVersion = api.FHIRVersionR4
		if _, err := l.s.CreateFHIRDatastore(l.Ctx, &in); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v, want a validation error", name, err)
		}
	}
	forbidden := &api.CreateFHIRDatastoreInput{SseConfiguration: &api.SseConfiguration{KmsEncryptionConfig: &api.KmsEncryptionConfig{CmkType: api.CmkTypeCustomerManagedKmsKey, KmsKeyId: "forbidden"}}}
	if _, err := l.s.CreateFHIRDatastore(l.Ctx, forbidden); !errs.Is(err, errs.Denied) {
		t.Errorf("a key that the caller may not use: %v", err)
	}
	if list, err := l.s.ListFHIRDatastores(l.Ctx, &api.ListFHIRDatastoresInput{}); err != nil || len(list.DatastorePropertiesList) != 0 {
		t.Errorf("%+v, %v: want nothing made", list, err)
	}
}

func TestClientTokensAndLists(t *testing.T) {
	l := newLab(t)
	create := func(name, token string) (string, error) {
		out, err := l.s.CreateFHIRDatastore(l.Ctx, &api.CreateFHIRDatastoreInput{DatastoreTypeVersion: api.FHIRVersionR4, DatastoreName: name, ClientToken: token})
		if err != nil {
			return "", err
		}
		return out.DatastoreId, nil
	}
	a, err := create("a", "t1")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := create("a", "t1"); err != nil || again != a {
		t.Errorf("the same token gives %s, %v; want %s", again, err, a)
	}
	if _, err := create("b", "t1"); !errs.Is(err, errs.Conflict) {
		t.Errorf("the token of another request: %v", err)
	}
	want := []string{a}
	for _, n := range []string{"b", "c", "d", "e"} {
		id, err := create(n, "")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, id)
	}
	var got []string
	in := &api.ListFHIRDatastoresInput{MaxResults: aws.Ptr(int32(2))}
	for {
		out, err := l.s.ListFHIRDatastores(l.Ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range out.DatastorePropertiesList {
			got = append(got, p.DatastoreId)
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			break
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	first, err := l.s.ListFHIRDatastores(l.Ctx, &api.ListFHIRDatastoresInput{MaxResults: aws.Ptr(int32(2))})
	if err != nil {
		t.Fatal(err)
	}
	other := &api.ListFHIRDatastoresInput{NextToken: first.NextToken, Filter: &api.DatastoreFilter{DatastoreName: "a"}}
	if _, err := l.s.ListFHIRDatastores(l.Ctx, other); !errs.Is(err, errs.Invalid) {
		t.Errorf("a token of another filter: %v", err)
	}
	byName, err := l.s.ListFHIRDatastores(l.Ctx, &api.ListFHIRDatastoresInput{Filter: &api.DatastoreFilter{DatastoreName: "c"}})
	if err != nil || len(byName.DatastorePropertiesList) != 1 || byName.DatastorePropertiesList[0].DatastoreId != want[2] {
		t.Errorf("by name: %+v, %v", byName, err)
	}
	third := byName.DatastorePropertiesList[0].CreatedAt
	for name, c := range map[string]struct {
		f    api.DatastoreFilter
		want int
	}{"before": {api.DatastoreFilter{CreatedBefore: third}, 2}, "after": {api.DatastoreFilter{CreatedAfter: third}, 2}, "status": {api.DatastoreFilter{DatastoreStatus: api.DatastoreStatusDeleted}, 0}} {
		out, err := l.s.ListFHIRDatastores(l.Ctx, &api.ListFHIRDatastoresInput{Filter: &c.f})
		if err != nil || len(out.DatastorePropertiesList) != c.want {
			t.Errorf("%s: %d stores, %v; want %d", name, len(out.DatastorePropertiesList), err, c.want)
		}
	}
}

func TestTags(t *testing.T) {
	l := newLab(t)
	arn := l.s.arn(l.create())
	steps := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := l.s.TagResource(l.Ctx, &api.TagResourceInput{ResourceARN: arn, Tags: []api.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}})
	steps(err)
	_, err = l.s.TagResource(l.Ctx, &api.TagResourceInput{ResourceARN: arn, Tags: []api.Tag{{Key: "a", Value: "3"}}})
	steps(err)
	_, err = l.s.UntagResource(l.Ctx, &api.UntagResourceInput{ResourceARN: arn, TagKeys: []string{"b", "none"}})
	steps(err)
	out, err := l.s.ListTagsForResource(l.Ctx, &api.ListTagsForResourceInput{ResourceARN: arn})
	if err != nil || !reflect.DeepEqual(out.Tags, []api.Tag{{Key: "a", Value: "3"}}) {
		t.Errorf("tags = %+v, %v", out, err)
	}
	if _, err := l.s.ListTagsForResource(l.Ctx, &api.ListTagsForResourceInput{ResourceARN: l.s.arn("0123456789abcdef0123456789abcdef")}); !errs.Is(err, errs.NotFound) {
		t.Errorf("tags of no store: %v", err)
	}
}

// TestACustomersKeyRulesTheStore: what is under a customer's key can be read only while the key is enabled.
func TestACustomersKeyRulesTheStore(t *testing.T) {
	l := newLab(t)
	k, err := l.Keys.Create()
	if err != nil {
		t.Fatal(err)
	}
	out, err := l.s.CreateFHIRDatastore(l.Ctx, &api.CreateFHIRDatastoreInput{DatastoreTypeVersion: api.FHIRVersionR4,
		SseConfiguration: &api.SseConfiguration{KmsEncryptionConfig: &api.KmsEncryptionConfig{CmkType: api.CmkTypeCustomerManagedKmsKey, KmsKeyId: k.ARN}}})
	if err != nil {
		t.Fatal(err)
	}
	l.store = out.DatastoreId
	l.Await("the store is active", func() bool { return l.status(l.store) == api.DatastoreStatusActive })
	l.want(201, "PUT", "/Patient/a", `{"resourceType":"Patient","id":"a"}`)
	if err := l.Keys.SetEnabled(k.ID, false); err != nil {
		t.Fatal(err)
	}
	if a := l.do("GET", "/Patient/a", ""); a.status < 400 || a.issue(t) == "" {
		t.Errorf("with its key disabled the store answers %d %s", a.status, a.body)
	}
	if a := l.do("PUT", "/Patient/b", `{"resourceType":"Patient","id":"b"}`); a.status < 400 {
		t.Errorf("with its key disabled the store takes writes: %d", a.status)
	}
	if err := l.Keys.SetEnabled(k.ID, true); err != nil {
		t.Fatal(err)
	}
	l.want(200, "GET", "/Patient/a", "")
	d, err := l.s.DescribeFHIRDatastore(l.Ctx, &api.DescribeFHIRDatastoreInput{DatastoreId: l.store})
	if err != nil || d.DatastoreProperties.SseConfiguration.KmsEncryptionConfig.KmsKeyId != k.ARN {
		t.Errorf("%+v, %v", d, err)
	}
}
