package gosdk

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/go-jose/go-jose/v4"

	"github.com/galen-health/galen/test/galen"
)

// issuer is an OpenID provider outside of Galen: its discovery document, its keys, and its tokens.
type issuer struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	is := &issuer{}
	var err error
	if is.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	is.Server = httptest.NewServer(mux)
	t.Cleanup(is.Close)
	answer := func(path string, doc any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(doc) }) // what is broken the caller sees
	}
	answer("/.well-known/openid-configuration", map[string]string{"issuer": is.URL, "jwks_uri": is.URL + "/keys"})
	answer("/keys", jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &is.key.PublicKey, KeyID: "k1", Use: "sig"}}})
	return is
}

// token says who its bearer is, for whom, until when.
func (is *issuer) token(t *testing.T, audience string, expires time.Time) *string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: is.key, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{"iss": is.URL, "sub": "nurse-7", "aud": audience, "iat": expires.Add(-5 * time.Minute).Unix(), "exp": expires.Unix()})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	out, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return &out
}

// iamProviders is the life of an OpenID provider in IAM.
func iamProviders(t *testing.T, c *iam.Client) {
	ctx := t.Context()
	is := newIssuer(t)
	arn := must(c.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: &is.URL, ClientIDList: []string{"galen"}, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}))(t).OpenIDConnectProviderArn
	must(c.AddClientIDToOpenIDConnectProvider(ctx, &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: aws.String("viewer")}))(t)
	must(c.RemoveClientIDFromOpenIDConnectProvider(ctx, &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: aws.String("galen")}))(t)
	must(c.UpdateOpenIDConnectProviderThumbprint(ctx, &iam.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: arn, ThumbprintList: []string{strings.Repeat("0a", 20)}}))(t)
	got := must(c.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))(t)
	if !slices.Equal(got.ClientIDList, []string{"viewer"}) || len(got.ThumbprintList) != 1 {
		t.Errorf("the provider is %+v", got)
	}
	must(c.TagOpenIDConnectProvider(ctx, &iam.TagOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, Tags: []types.Tag{{Key: aws.String("c"), Value: aws.String("d")}}}))(t)
	must(c.UntagOpenIDConnectProvider(ctx, &iam.UntagOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, TagKeys: []string{"a"}}))(t)
	for pages := iam.NewListOpenIDConnectProviderTagsPaginator(c, &iam.ListOpenIDConnectProviderTagsInput{OpenIDConnectProviderArn: arn}); pages.HasMorePages(); {
		if tags := must(pages.NextPage(ctx))(t).Tags; len(tags) != 1 || *tags[0].Key != "c" {
			t.Errorf("tags are %v", tags)
		}
	}
	listed := false
	for _, p := range must(c.ListOpenIDConnectProviders(ctx, &iam.ListOpenIDConnectProvidersInput{}))(t).OpenIDConnectProviderList {
		listed = listed || *p.Arn == *arn
	}
	if !listed {
		t.Error("the provider is not listed")
	}
	must(c.DeleteOpenIDConnectProvider(ctx, &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))(t)
	_, err := c.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn})
	refused[*types.NoSuchEntityException](t, "a deleted provider", err, 404)
}

// stsWebIdentity opens a session for whom an outside provider vouches.
func stsWebIdentity(t *testing.T, g *galen.Server, users *iam.Client, c *sts.Client) {
	ctx := t.Context()
	is := newIssuer(t)
	provider := must(users.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: &is.URL, ClientIDList: []string{"galen"}}))(t).OpenIDConnectProviderArn
	trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"%s"},"Action":"sts:AssumeRoleWithWebIdentity"}]}`, *provider)
	role := must(users.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("sdk-nurse"), AssumeRolePolicyDocument: &trust}))(t).Role
	assume := func(token *string) (*sts.AssumeRoleWithWebIdentityOutput, error) {
		return c.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{RoleArn: role.Arn, RoleSessionName: aws.String("shift"), WebIdentityToken: token})
	}
	out := must(assume(is.token(t, "galen", time.Now().Add(5*time.Minute))))(t)
	if *out.SubjectFromWebIdentityToken != "nurse-7" || *out.Audience != "galen" || *out.Provider != *provider {
		t.Errorf("the session is %+v", out)
	}
	cfg := config(g, newCalls())
	cfg.Credentials = static(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	if me := must(sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))(t); *me.Arn != "arn:aws:sts::"+galen.Account+":assumed-role/sdk-nurse/shift" {
		t.Errorf("the session is %s", *me.Arn)
	}
	_, err := assume(is.token(t, "galen", time.Now().Add(-time.Hour)))
	refused[*ststypes.ExpiredTokenException](t, "an expired token", err, 400)
	_, err = assume(is.token(t, "another", time.Now().Add(5*time.Minute)))
	refused[*ststypes.InvalidIdentityTokenException](t, "a token for another", err, 400)
}
