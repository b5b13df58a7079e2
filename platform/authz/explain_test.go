package authz_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
)

func TestExplain(t *testing.T) {
	alice := callers[0]
	dir := directory{identity: []authz.Policy{{Name: "own", Document: doc(`{"Sid":"Runs","Effect":"Allow","Action":"omics:*","Resource":"*"},{"Sid":"Night","Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/Shift":"night"}}},
		{"Sid":"Home","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::home/${aws:PrincipalTag/Ward}/*"},{"Sid":"Team","Effect":"Allow","NotAction":"s3:Put*","Resource":"arn:aws:s3:::b/*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"blue"}}}`)},
		{Name: "read", Document: doc(`{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}`)}}}
	bucket := doc(`{"Sid":"Others","Effect":"Allow","Principal":{"AWS":"` + callers[1].ARN + `"},"Action":"s3:*","Resource":"*"},{"Sid":"NoTLS","Effect":"Deny","Principal":"*","Action":"s3:Put*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`)
	e := authz.New(dir, acct, "us-east-1")
	x := e.Explain(context.Background(), &call.Call{Principal: alice}, authz.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k", ResourcePolicies: []string{bucket}})
	if !x.Decision.Allowed || x.Decision.Policy != "read" {
		t.Errorf("decision %+v", x.Decision)
	}
	want := []string{
		"identity-based policy own, statement Runs (Allow): Action does not name it",
		"identity-based policy own, statement Night (Allow): the condition StringEquals on aws:requesttag/shift does not hold: the request has no such key",
		"identity-based policy own, statement Home (Allow): Resource does not name it",
		"identity-based policy own, statement Team (Allow): the condition StringEquals on aws:principaltag/team does not hold for the request's value",
		"→ identity-based policy read, statement 0 (Allow): decided",
		"resource-based policy resource policy, statement Others (Allow): Principal does not name the caller",
		"resource-based policy resource policy, statement NoTLS (Deny): Action does not name it",
	}
	for i, c := range x.Considered {
		if got := strings.TrimSpace(c.String()); i >= len(want) || got != want[i] {
			t.Errorf("line %d: %s", i, got)
		}
	}
	if len(x.Considered) != len(want) || !slices.Equal(x.Missing, []string{"aws:principaltag/ward", "aws:requesttag/shift"}) {
		t.Errorf("%d lines, missing %v", len(x.Considered), x.Missing)
	}
	x = e.Explain(context.Background(), &call.Call{Principal: alice}, authz.Request{Action: "s3:PutObject", Resource: "arn:aws:s3:::b/k", ResourcePolicies: []string{bucket}})
	if text := x.Text(); !strings.HasPrefix(text, "DENIED, with an explicit deny in a resource-based policy\n  decided by resource policy, statement NoTLS\n") || !strings.Contains(text, "NotAction names the action") {
		t.Error(text)
	}
	x = e.Explain(context.Background(), &call.Call{Principal: alice}, authz.Request{Action: "kms:Decrypt", Resource: "*", ResourcePolicies: []string{"{"}})
	if text := x.Text(); !strings.Contains(text, "cannot be read") || x.Decision.Allowed {
		t.Error(text)
	}
}
