package iam_test

import (
	"strings"
	"testing"

	api "github.com/galen-health/galen/aws/iam"
)

// TestSimulationTellsStatements: which statements decided, where they stand, what a request would have to bring, and what the boundary says.
func TestSimulationTellsStatements(t *testing.T) {
	f := open(t)
	policy := "{\n \"Version\": \"2012-10-17\",\n \"Id\": \"x\",\n \"Statement\": [\n  {\"Effect\":\"Allow\",\"Action\":\"s3:Get*\",\"Resource\":\"*\"},\n  {\"Effect\":\"Deny\",\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::secret/*\"},\n  {\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::${aws:PrincipalTag/Ward}/*\",\"Condition\":{\"Bool\":{\"aws:MultiFactorAuthPresent\":\"true\"}}}\n ]\n}"
	for _, c := range []struct {
		resource, boundary string
		entries            []api.ContextEntry
		decision           api.PolicyEvaluationDecisionType
		lines              []int32
		missing            string
		within             bool
	}{
		{"arn:aws:s3:::b/k", "", nil, "allowed", []int32{5}, "aws:multifactorauthpresent aws:principaltag/ward", false},
		{"arn:aws:s3:::secret/k", "", nil, "explicitDeny", []int32{6}, "aws:multifactorauthpresent aws:principaltag/ward", false},
		{"arn:aws:s3:::icu/k", "", []api.ContextEntry{{ContextKeyName: "aws:PrincipalTag/Ward", ContextKeyType: "string", ContextKeyValues: []string{"icu"}}, {ContextKeyName: "aws:MultiFactorAuthPresent", ContextKeyType: "boolean", ContextKeyValues: []string{"true"}}}, "allowed", []int32{5, 7}, "", false},
		{"arn:aws:s3:::b/k", allow("s3:Put*", "*"), nil, "implicitDeny", nil, "aws:multifactorauthpresent aws:principaltag/ward", false},
		{"arn:aws:s3:::secret/k", allow("s3:*", "*"), nil, "explicitDeny", []int32{6}, "aws:multifactorauthpresent aws:principaltag/ward", true},
	} {
		in := &api.SimulateCustomPolicyInput{PolicyInputList: []string{policy}, ActionNames: []string{"s3:GetObject"}, ResourceArns: []string{c.resource}, ContextEntries: c.entries}
		if c.boundary != "" {
			in.PermissionsBoundaryPolicyInputList = []string{c.boundary}
		}
		r := must[*api.SimulateCustomPolicyOutput](t)(f.SimulateCustomPolicy(ctx, in)).EvaluationResults[0]
		if r.EvalDecision != c.decision || strings.Join(r.MissingContextValues, " ") != c.missing || len(r.MatchedStatements) != len(c.lines) {
			t.Errorf("%s: %+v", c.resource, r)
			continue
		}
		for i, s := range r.MatchedStatements {
			if s.SourcePolicyId != "PolicyInputList.1" || s.SourcePolicyType != "none" || *s.StartPosition.Line != c.lines[i] || *s.StartPosition.Column != 3 || *s.EndPosition.Line != c.lines[i] || *s.EndPosition.Column <= 3 {
				t.Errorf("%s: statement %+v %v %v", c.resource, s, *s.StartPosition.Line, *s.StartPosition.Column)
			}
		}
		if d := r.PermissionsBoundaryDecisionDetail; (d != nil) != (c.boundary != "") || d != nil && *d.AllowedByPermissionsBoundary != c.within {
			t.Errorf("%s: boundary %+v", c.resource, d)
		}
	}
	must[*api.CreateUserOutput](t)(f.CreateUser(ctx, &api.CreateUserInput{UserName: "u"}))
	must[*api.CreateGroupOutput](t)(f.CreateGroup(ctx, &api.CreateGroupInput{GroupName: "g"}))
	must[*api.AddUserToGroupOutput](t)(f.AddUserToGroup(ctx, &api.AddUserToGroupInput{UserName: "u", GroupName: "g"}))
	must[*api.PutGroupPolicyOutput](t)(f.PutGroupPolicy(ctx, &api.PutGroupPolicyInput{GroupName: "g", PolicyName: "p", PolicyDocument: allow("s3:Get*", "*")}))
	managed := must[*api.CreatePolicyOutput](t)(f.CreatePolicy(ctx, &api.CreatePolicyInput{PolicyName: "m", PolicyDocument: allow("omics:*", "*")})).Policy.Arn
	must[*api.AttachUserPolicyOutput](t)(f.AttachUserPolicy(ctx, &api.AttachUserPolicyInput{UserName: "u", PolicyArn: managed}))
	must[*api.PutUserPolicyOutput](t)(f.PutUserPolicy(ctx, &api.PutUserPolicyInput{UserName: "u", PolicyName: "own", PolicyDocument: allow("kms:*", "*")}))
	out := must[*api.SimulatePrincipalPolicyOutput](t)(f.SimulatePrincipalPolicy(ctx, &api.SimulatePrincipalPolicyInput{PolicySourceArn: "arn:aws:iam::" + acct + ":user/u", ActionNames: []string{"s3:GetObject", "omics:GetRun", "kms:ListKeys"}}))
	for i, want := range []string{"group g: p group", managed + " user-managed", "own user"} {
		if s := out.EvaluationResults[i].MatchedStatements; len(s) != 1 || s[0].SourcePolicyId+" "+string(s[0].SourcePolicyType) != want {
			t.Errorf("%s: %+v", want, s)
		}
	}
}
