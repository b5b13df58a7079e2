package kms_test

import (
	"testing"

	api "github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/platform/key"
)

// TestGrantsOfGrants: who may make grants by a grant may pass on what it has and nothing more.
func TestGrantsOfGrants(t *testing.T) {
	w := open(t)
	arn := w.key("")
	subset := &api.GrantConstraints{EncryptionContextSubset: map[string]string{"ward": "icu"}}
	w.must(&api.CreateGrantInput{KeyId: arn, GranteePrincipal: userARN("lead"), Operations: []api.GrantOperation{"Encrypt", "CreateGrant"}, Constraints: subset})
	for name, c := range map[string]struct {
		ops     []api.GrantOperation
		limits  *api.GrantConstraints
		allowed bool
	}{
		"the same":                {[]api.GrantOperation{"Encrypt"}, subset, true},
		"more constrained":        {[]api.GrantOperation{"Encrypt"}, &api.GrantConstraints{EncryptionContextSubset: map[string]string{"ward": "icu", "bed": "4"}}, true},
		"constrained to equal":    {[]api.GrantOperation{"Encrypt"}, &api.GrantConstraints{EncryptionContextEquals: map[string]string{"ward": "icu"}}, true},
		"the right to pass it on": {[]api.GrantOperation{"CreateGrant"}, subset, true},
		"another operation":       {[]api.GrantOperation{"Encrypt", "Decrypt"}, subset, false},
		"not constrained":         {[]api.GrantOperation{"Encrypt"}, nil, false},
		"another context":         {[]api.GrantOperation{"Encrypt"}, &api.GrantConstraints{EncryptionContextSubset: map[string]string{"ward": "lab"}}, false},
	} {
		_, err := w.do(user("lead"), &api.CreateGrantInput{KeyId: arn, GranteePrincipal: userARN("nurse"), Operations: c.ops, Constraints: c.limits})
		if c.allowed && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !c.allowed {
			denied(t, err, name)
		}
	}
	_, err := w.do(user("nurse"), &api.EncryptInput{KeyId: arn, Plaintext: []byte("x"), EncryptionContext: map[string]string{"ward": "icu"}})
	if err != nil {
		t.Errorf("the grant that was passed on: %v", err)
	}
	_, err = w.do(user("nurse"), &api.EncryptInput{KeyId: arn, Plaintext: []byte("x"), EncryptionContext: map[string]string{"ward": "lab"}})
	denied(t, err, "beyond it")
}

// TestGrantsToNobody: a grantee that no policy could name is refused, and the key stays usable.
func TestGrantsToNobody(t *testing.T) {
	w := open(t)
	arn := w.key("")
	for _, who := range []string{"nurse", "*", "arn:aws:iam::000000000000:user/*", "arn:aws:iam::000000000000:group/g", `arn:aws:s3:::b"`} {
		_, err := w.do(root(), &api.CreateGrantInput{KeyId: arn, GranteePrincipal: who, Operations: []api.GrantOperation{"Encrypt"}})
		named(t, err, "InvalidArnException")
		_, err = w.do(root(), &api.CreateGrantInput{KeyId: arn, GranteePrincipal: userARN("u"), RetiringPrincipal: who, Operations: []api.GrantOperation{"Encrypt"}})
		named(t, err, "InvalidArnException")
	}
	_, err := w.do(root(), &api.CreateGrantInput{KeyId: arn, GranteeServicePrincipal: "everybody", Operations: []api.GrantOperation{"Encrypt"}})
	named(t, err, "ValidationException")
	w.must(&api.EncryptInput{KeyId: arn, Plaintext: []byte("x")})
}

// TestGrantsAsPoliciesSeeThem: a key policy can limit which grants are made.
func TestGrantsAsPoliciesSeeThem(t *testing.T) {
	w := open(t)
	arn := w.key(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + userARN("keeper") + `"},"Action":"kms:CreateGrant","Resource":"*","Condition":{"ForAllValues:StringEquals":{"kms:GrantOperations":["Encrypt","DescribeKey"]},"StringEquals":{"kms:GranteePrincipal":"` + userARN("nurse") + `","kms:GrantConstraintType":"EncryptionContextSubset"}}}]}`)
	make := func(who string, c *api.GrantConstraints, ops ...api.GrantOperation) error {
		_, err := w.do(user("keeper"), &api.CreateGrantInput{KeyId: arn, GranteePrincipal: userARN(who), Operations: ops, Constraints: c})
		return err
	}
	subset := &api.GrantConstraints{EncryptionContextSubset: map[string]string{"a": "b"}}
	if err := make("nurse", subset, "Encrypt"); err != nil {
		t.Error(err)
	}
	denied(t, make("nurse", subset, "Encrypt", "Decrypt"), "another operation")
	denied(t, make("eve", subset, "Encrypt"), "another grantee")
	denied(t, make("nurse", nil, "Encrypt"), "no constraint")
}

// TestThroughAService: a policy can tell a call that a service makes for the caller from the caller's own.
func TestThroughAService(t *testing.T) {
	w := open(t)
	arn := w.key(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + userARN("u") + `"},"Action":"kms:*","Resource":"*","Condition":{"Bool":{"aws:ViaAWSService":"true"},"ForAnyValue:StringEquals":{"aws:CalledVia":"s3.amazonaws.com"}}}]}`)
	if _, err := w.MayUse(user("u"), key.Use{Action: "kms:GenerateDataKey", Key: arn, Via: "s3"}); err != nil {
		t.Errorf("through S3: %v", err)
	}
	_, err := w.MayUse(user("u"), key.Use{Action: "kms:GenerateDataKey", Key: arn, Via: "omics"})
	denied(t, err, "through another service")
	_, err = w.do(user("u"), &api.EncryptInput{KeyId: arn, Plaintext: []byte("x")})
	denied(t, err, "directly")
}
