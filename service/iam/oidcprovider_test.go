package iam_test

import (
	"testing"

	api "github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/service/iam"
)

func TestOpenIDConnectProviders(t *testing.T) {
	f := open(t)
	for _, bad := range []string{"http://login.example.org", "https://login.example.org/?a=b", "https://login.example.org/#x", "ftp://login.example.org", "login.example.org", "https://user:pw@login.example.org"} {
		_, err := f.CreateOpenIDConnectProvider(ctx, &api.CreateOpenIDConnectProviderInput{Url: bad})
		wantName(t, err, "InvalidInput")
	}
	issuer := "https://login.example.org:8443/realms/ward"
	arn := must[*api.CreateOpenIDConnectProviderOutput](t)(f.CreateOpenIDConnectProvider(ctx, &api.CreateOpenIDConnectProviderInput{Url: issuer, ClientIDList: []string{"galen"}, ThumbprintList: []string{"a9d53002e97e00e043244f3d170d6f4c414104fd"}, Tags: []api.Tag{{Key: iam.RoleTag, Value: "arn:aws:iam::" + acct + ":role/ward"}}})).OpenIDConnectProviderArn
	if want := "arn:aws:iam::" + acct + ":oidc-provider/login.example.org:8443/realms/ward"; arn != want {
		t.Errorf("ARN %s, want %s", arn, want)
	}
	_, err := f.CreateOpenIDConnectProvider(ctx, &api.CreateOpenIDConnectProviderInput{Url: issuer})
	wantName(t, err, "EntityAlreadyExists")
	must[*api.AddClientIDToOpenIDConnectProviderOutput](t)(f.AddClientIDToOpenIDConnectProvider(ctx, &api.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: "viewer"}))
	must[*api.RemoveClientIDFromOpenIDConnectProviderOutput](t)(f.RemoveClientIDFromOpenIDConnectProvider(ctx, &api.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: "galen"}))
	must[*api.TagOpenIDConnectProviderOutput](t)(f.TagOpenIDConnectProvider(ctx, &api.TagOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, Tags: []api.Tag{{Key: "Unit", Value: "ward"}}}))
	must[*api.UpdateOpenIDConnectProviderThumbprintOutput](t)(f.UpdateOpenIDConnectProviderThumbprint(ctx, &api.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: arn, ThumbprintList: []string{"b"}}))
	got := must[*api.GetOpenIDConnectProviderOutput](t)(f.GetOpenIDConnectProvider(ctx, &api.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))
	if got.Url != "login.example.org:8443/realms/ward" || len(got.ClientIDList) != 1 || got.ClientIDList[0] != "viewer" || got.ThumbprintList[0] != "b" || len(got.Tags) != 2 || got.CreateDate.IsZero() {
		t.Errorf("%+v", got)
	}
	p, err := f.Provider(ctx, issuer)
	if err != nil || p.ARN != arn || p.Audiences[0] != "viewer" || p.Keys == nil {
		t.Fatalf("%+v, %v", p, err)
	}
	if role, err := p.Role(ctx, nil); err != nil || role != "arn:aws:iam::"+acct+":role/ward" {
		t.Errorf("role %s, %v", role, err)
	}
	for _, other := range []string{issuer + "/", "https://login.example.org/realms/ward", "http://login.example.org:8443/realms/ward", "", "x"} {
		if _, err := f.Provider(ctx, other); !errs.Is(err, errs.NotFound) {
			t.Errorf("issuer %q: %v", other, err)
		}
	}
	must[*api.UntagOpenIDConnectProviderOutput](t)(f.UntagOpenIDConnectProvider(ctx, &api.UntagOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, TagKeys: []string{"Unit"}}))
	if tags := must[*api.ListOpenIDConnectProviderTagsOutput](t)(f.ListOpenIDConnectProviderTags(ctx, &api.ListOpenIDConnectProviderTagsInput{OpenIDConnectProviderArn: arn})).Tags; len(tags) != 1 {
		t.Errorf("tags %+v", tags)
	}
	if list := must[*api.ListOpenIDConnectProvidersOutput](t)(f.ListOpenIDConnectProviders(ctx, &api.ListOpenIDConnectProvidersInput{})).OpenIDConnectProviderList; len(list) != 1 || list[0].Arn != arn {
		t.Errorf("%+v", list)
	}
	must[*api.DeleteOpenIDConnectProviderOutput](t)(f.DeleteOpenIDConnectProvider(ctx, &api.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))
	must[*api.DeleteOpenIDConnectProviderOutput](t)(f.DeleteOpenIDConnectProvider(ctx, &api.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))
	if _, err := f.Provider(ctx, issuer); !errs.Is(err, errs.NotFound) {
		t.Errorf("deleted: %v", err)
	}
	_, err = f.GetOpenIDConnectProvider(ctx, &api.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn})
	wantName(t, err, "NoSuchEntity")
}
