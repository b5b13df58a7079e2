package authz_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
)

// TestHostilePolicies: documents made to be large, deep or costly are refused with a short message, or decided like any other. What would take for ever
// with a matcher that tries all ways ends here because the matcher does not.
func TestHostilePolicies(t *testing.T) {
	many := func(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	any := `{"Effect":"Allow","Action":"*","Resource":"*"}`
	for name, text := range map[string]string{
		"10,000 statements":       doc(many(10_000, any)),
		"1,001 statements":        doc(many(1_001, any)),
		"a million braces":        strings.Repeat(`{"Statement":`, 1_000_000),
		"a million brackets":      strings.Repeat("[", 1_000_000),
		"a string of 10 MB":       doc(`{"Effect":"Allow","Action":"*","Resource":"` + strings.Repeat("*", 10<<20) + `"}`),
		"100,000 actions":         doc(`{"Effect":"Allow","Action":[` + many(100_000, `"s3:*"`) + `],"Resource":"*"}`),
		"nested condition values": doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:username":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + `}}}`),
		"a number of a megabyte":  doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericEquals":{"k:n":` + strings.Repeat("9", 1<<20) + `}}}`),
		"control characters":      doc("{\"Effect\":\"Allow\",\"Action\":\"s3:\x00*\",\"Resource\":\"*\"}"),
		"half a surrogate":        doc(`{"Effect":"Allow","Action":"s3:\ud800","Resource":"*"}`),
		"not UTF-8":               doc("{\"Effect\":\"Allow\",\"Action\":\"s3:\xff\",\"Resource\":\"*\"}"),
		"trailing text":           doc(any) + "{}",
	} {
		for _, use := range []authz.Use{authz.IdentityPolicy, authz.ResourcePolicy, authz.TrustPolicy} {
			_, err := authz.ParsePolicy(text, use)
			if !errs.Is(err, errs.Invalid) || len(err.Error()) > 300 {
				t.Errorf("%s: %.400v", name, err)
			}
		}
		// In force, such a policy denies everything: it is never skipped.
		e := authz.New(directory{identity: []authz.Policy{{Name: "hostile", Document: text}, {Name: "good", Document: doc(any)}}}, acct, "us-east-1")
		if d := e.Decide(context.Background(), &call.Call{Principal: callers[0]}, authz.Request{Action: "s3:GetObject", Resource: "*"}); d.Allowed || !d.Explicit || d.Policy != "hostile" {
			t.Errorf("%s in force: %+v", name, d)
		}
	}
	stars := strings.Repeat("*a", 20_000) + "b"
	long := "arn:aws:s3:::b/" + strings.Repeat("a", 20_000)
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"40,000 stars":            {doc(`{"Effect":"Allow","Action":"*","Resource":"*` + stars + `"}`), false},
		"a star a character":      {doc(`{"Effect":"Allow","Action":"*","Resource":"*` + strings.Repeat("*a", 20_000) + `"}`), true},
		"stars in a condition":    {doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLike":{"k:s":"` + stars + `"}}}`), false},
		"1,000 statements":        {doc(many(999, `{"Effect":"Allow","Action":"omics:*","Resource":"*"}`) + "," + any), true},
		"10,000 resources":        {doc(`{"Effect":"Allow","Action":"*","Resource":[` + many(9_000, `"arn:aws:x"`) + `,"*"]}`), true},
		"contradicts itself":      {doc(any + `,{"Effect":"Deny","Action":"*","Resource":"*"}`), false},
		"contradicts by a detour": {doc(any + `,{"Effect":"Deny","NotAction":"omics:*","NotResource":"arn:aws:omics:*"}`), false},
		"a variable of itself":    {doc(`{"Effect":"Allow","Action":"*","Resource":"${aws:PrincipalTag/x}${aws:PrincipalTag/x}*"}`), false},
	} {
		p := callers[0]
		p.Tags = map[string]string{"x": "${aws:PrincipalTag/x}*"} // what a variable stands for is plain text
		e := authz.New(directory{identity: []authz.Policy{{Name: "p", Document: c.text}}}, acct, "us-east-1")
		r := authz.Request{Action: "s3:GetObject", Resource: long, Context: map[string]string{"k:s": long}}
		if d := e.Decide(context.Background(), &call.Call{Principal: p}, r); d.Allowed != c.want {
			t.Errorf("%s: %+v, want allowed %v", name, d, c.want)
		}
	}
	// Many different documents do not stay in memory.
	e := authz.New(directory{}, acct, "us-east-1")
	padding := strings.Repeat(" ", 10_000)
	for i := range 2_000 {
		e.Decide(context.Background(), &call.Call{Principal: callers[0]}, authz.Request{Action: "s3:GetObject", Resource: "*", ResourcePolicies: []string{doc(fmt.Sprintf(`{"Sid":"s%d","Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`, i)) + padding}})
	}
	if n := e.Kept(); n > 8<<20 || n == 0 {
		t.Errorf("%d bytes of documents are kept", n)
	}
}
