package s3

import (
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/authz"
)

func allowing(principal, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + principal + `,"Action":"s3:GetObject","Resource":"*"` + condition + `}]}`
}

// TestIsPublic holds the definition of "public" of S3's user guide ("Blocking public access to your Amazon S3 storage").
func TestIsPublic(t *testing.T) {
	all := `"Principal":"*"`
	for _, c := range []struct {
		policy string
		want   bool
	}{
		{allowing(all, ""), true},
		{`{"Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:GetObject","Resource":"*"}}`, true},
		{allowing(`"Principal":{"AWS":["arn:aws:iam::111111111111:root","*"]}`, ""), true},
		{strings.Replace(allowing(all, ""), "Allow", "Deny", 1), false},
		{allowing(`"Principal":{"AWS":"arn:aws:iam::111111111111:root"}`, ""), false},
		{allowing(`"NotPrincipal":{"AWS":"arn:aws:iam::111111111111:root"}`, ""), true},
		{allowing(`"Principal":{"Service":"healthlake.amazonaws.com"}`, ""), false},
		{allowing(all, `{"StringEquals":{"aws:PrincipalAccount":"111111111111"}}`), false},
		{allowing(all, `{"StringEquals":{"AWS:principalaccount":["111111111111","222222222222"]}}`), false},
		{allowing(all, `{"ForAnyValue:StringEquals":{"aws:PrincipalOrgPaths":"o-1/r-1/"}}`), false},
		{allowing(all, `{"StringNotEquals":{"aws:PrincipalAccount":"111111111111"}}`), true},
		{allowing(all, `{"StringEqualsIfExists":{"aws:PrincipalAccount":"111111111111"}}`), true},
		{allowing(all, `{"ForAllValues:StringEquals":{"aws:PrincipalAccount":"111111111111"}}`), true},
		{allowing(all, `{"Null":{"aws:PrincipalAccount":"false"}}`), true},
		{allowing(all, `{"StringLike":{"aws:PrincipalAccount":"*"}}`), true},
		{allowing(all, `{"StringEquals":{"aws:PrincipalAccount":"${aws:ResourceAccount}"}}`), true},
		{allowing(all, `{"StringEquals":{"s3:prefix":"x"}}`), true},
		{allowing(all, `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/*"}}`), false},
		{allowing(all, `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/admin"}}`), true},
		{allowing(all, `{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`), false},
		{allowing(all, `{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","0.0.0.0/1"]}}`), true},
		{allowing(all, `{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`), true},
		{allowing(all, `{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}`), false},
		{allowing(all, `{"IpAddress":{"aws:SourceIp":"2001::/16"}}`), true},
		{allowing(all, `{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`), true},
		{`nonsense`, true},
	} {
		if got := isPublic(c.policy); got != c.want {
			t.Errorf("%s: public %v", c.policy, got)
		}
	}
}

func TestWithoutPublic(t *testing.T) {
	mixed := `{"Version":"2012-10-17","Statement":[{"Sid":"All","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"},{"Sid":"No","Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"*"},{"Sid":"One","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"s3:*","Resource":"*"}]}`
	rest := withoutPublic(mixed)
	if strings.Contains(rest, `"All"`) || !strings.Contains(rest, `"No"`) || !strings.Contains(rest, `"One"`) || isPublic(rest) {
		t.Error(rest)
	}
	if _, err := authz.ParsePolicy(rest, authz.ResourcePolicy); err != nil {
		t.Error(err)
	}
	if rest := withoutPublic(allowing(`"Principal":"*"`, "")); rest != "" {
		t.Error(rest)
	}
	for _, account := range []publicBlock{{}, {RestrictBuckets: true}} {
		b := bucket{Policy: mixed}
		if got := b.policyOf(account); len(got) != 1 || strings.Contains(got[0], `"All"`) == account.RestrictBuckets || !strings.Contains(got[0], `"No"`) {
			t.Errorf("account %+v: %v", account, got)
		}
	}
}

func FuzzPublic(f *testing.F) {
	f.Add(allowing(`"Principal":"*"`, `{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`))
	f.Add(`{"Statement":{"Effect":"Allow","Principal":{"AWS":["*"]}}}`)
	f.Fuzz(func(t *testing.T, policy string) {
		if _, err := authz.ParsePolicy(policy, authz.ResourcePolicy); err != nil {
			isPublic(policy)
			return
		}
		if rest := withoutPublic(policy); rest != "" {
			if isPublic(rest) {
				t.Fatal("what is left is public")
			}
			if _, err := authz.ParsePolicy(rest, authz.ResourcePolicy); err != nil {
				t.Fatal(err)
			}
		}
	})
}
