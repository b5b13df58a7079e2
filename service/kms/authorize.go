package kms

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	api "github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// Authorize tells what the caller of an operation must be allowed: the edge checks every request it returns before the operation runs.
func (s *Service) Authorize(ctx context.Context, op string, in any) ([]authz.Request, error) {
	onKey := func(name string, ec map[string]string) ([]authz.Request, error) {
		k, err := s.find(ctx, name)
		if err != nil {
			return nil, err
		}
		r, err := s.request(ctx, "kms:"+op, k, name, ec)
		return []authz.Request{r}, err
	}
	if err := s.checkTokens(ctx, tokensOf(in)); err != nil {
		return nil, err
	}
	switch in := in.(type) {
	case *api.CreateKeyInput, *api.ListKeysInput, *api.GenerateRandomInput, *api.ListRetirableGrantsInput:
		return []authz.Request{{Action: "kms:" + op, Resource: "*"}}, nil
	case *api.ListAliasesInput:
		if in.KeyId == "" {
			return []authz.Request{{Action: "kms:" + op, Resource: "*"}}, nil
		}
		return onKey(in.KeyId, nil)
	case *api.CreateAliasInput:
		return s.aliasRequests(ctx, op, in.AliasName, in.TargetKeyId)
	case *api.UpdateAliasInput:
		return s.aliasRequests(ctx, op, in.AliasName, in.TargetKeyId, in.AliasName)
	case *api.DeleteAliasInput:
		return s.aliasRequests(ctx, op, in.AliasName, in.AliasName)
	case *api.EncryptInput:
		return onKey(in.KeyId, nonNil(in.EncryptionContext))
	case *api.GenerateDataKeyInput:
		return onKey(in.KeyId, nonNil(in.EncryptionContext))
	case *api.GenerateDataKeyWithoutPlaintextInput:
		return onKey(in.KeyId, nonNil(in.EncryptionContext))
	case *api.DecryptInput:
		r, err := s.sealedRequest(ctx, "kms:Decrypt", in.CiphertextBlob, in.KeyId, in.EncryptionContext)
		return []authz.Request{r}, err
	case *api.ReEncryptInput:
		from, err := s.sealedRequest(ctx, "kms:ReEncryptFrom", in.CiphertextBlob, in.SourceKeyId, in.SourceEncryptionContext)
		if err != nil {
			return nil, err
		}
		k, err := s.find(ctx, in.DestinationKeyId)
		if err != nil {
			return nil, err
		}
		to, err := s.request(ctx, "kms:ReEncryptTo", k, in.DestinationKeyId, nonNil(in.DestinationEncryptionContext))
		return []authz.Request{from, to}, err
	case *api.RetireGrantInput:
		return s.retireRequest(ctx, in)
	case *api.CreateGrantInput:
		return s.grantRequest(ctx, in)
	case *api.EnableKeyRotationInput:
		return withDays(onKey(in.KeyId, nil))("kms:RotationPeriodInDays", in.RotationPeriodInDays)
	case *api.ScheduleKeyDeletionInput:
		return withDays(onKey(in.KeyId, nil))("kms:ScheduleKeyDeletionPendingWindowInDays", in.PendingWindowInDays)
	}
	if name, ok := keyName(in); ok {
		return onKey(name, nil)
	}
	return nil, errs.New(errs.Internal, "kms:%s has no authorization", op)
}

// withDays adds a number of days that the caller gave, as a key of conditions.
func withDays(r []authz.Request, err error) func(key string, days *int32) ([]authz.Request, error) {
	return func(key string, days *int32) ([]authz.Request, error) {
		if err == nil && days != nil {
			r[0].Context[key] = strconv.Itoa(int(*days))
		}
		return r, err
	}
}

// keyName is the KeyId of the operations that act on one key and carry no encryption context.
func keyName(in any) (string, bool) {
	switch in := in.(type) {
	case *api.CancelKeyDeletionInput:
		return in.KeyId, true
	case *api.DescribeKeyInput:
		return in.KeyId, true
	case *api.DisableKeyInput:
		return in.KeyId, true
	case *api.DisableKeyRotationInput:
		return in.KeyId, true
	case *api.EnableKeyInput:
		return in.KeyId, true
	case *api.GetKeyPolicyInput:
		return in.KeyId, true
	case *api.GetKeyRotationStatusInput:
		return in.KeyId, true
	case *api.ListGrantsInput:
		return in.KeyId, true
	case *api.ListKeyPoliciesInput:
		return in.KeyId, true
	case *api.ListKeyRotationsInput:
		return in.KeyId, true
	case *api.ListResourceTagsInput:
		return in.KeyId, true
	case *api.PutKeyPolicyInput:
		return in.KeyId, true
	case *api.RevokeGrantInput:
		return in.KeyId, true
	case *api.RotateKeyOnDemandInput:
		return in.KeyId, true
	case *api.TagResourceInput:
		return in.KeyId, true
	case *api.UntagResourceInput:
		return in.KeyId, true
	case *api.UpdateKeyDescriptionInput:
		return in.KeyId, true
	}
	return "", false
}

// grantRequest: a grant is made by whom the key policy allows, or by whom a grant allows that covers the new one.
func (s *Service) grantRequest(ctx context.Context, in *api.CreateGrantInput) ([]authz.Request, error) {
	k, err := s.find(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	r, err := s.ask(ctx, "kms:CreateGrant", k, in.KeyId, nil, func(g *grant) bool { return g.covers(in) })
	if err != nil {
		return nil, err
	}
	for key, v := range map[string]string{"kms:GranteePrincipal": in.GranteePrincipal, "kms:RetiringPrincipal": in.RetiringPrincipal, "kms:GranteeServicePrincipal": in.GranteeServicePrincipal, "kms:RetiringServicePrincipal": in.RetiringServicePrincipal} {
		if v != "" {
			r.Context[key] = v
		}
	}
	for _, o := range in.Operations {
		r.Values["kms:GrantOperations"] = append(r.Values["kms:GrantOperations"], string(o))
	}
	if c := in.Constraints; c != nil && c.EncryptionContextEquals != nil {
		r.Context["kms:GrantConstraintType"] = "EncryptionContextEquals"
	} else if c != nil && c.EncryptionContextSubset != nil {
		r.Context["kms:GrantConstraintType"] = "EncryptionContextSubset"
	}
	return []authz.Request{r}, nil
}

// request is the question whether the caller may do action with a key. ec is nil for actions without an encryption context.
func (s *Service) request(ctx context.Context, action string, k *described, name string, ec map[string]string) (authz.Request, error) {
	return s.ask(ctx, action, k, name, ec, func(*grant) bool { return true })
}

// ask is request with the grants that counts says yes to.
func (s *Service) ask(ctx context.Context, action string, k *described, name string, ec map[string]string, counts func(*grant) bool) (authz.Request, error) {
	r := authz.Request{Action: action, Resource: k.ARN, ResourcePolicies: []string{k.Policy}, ResourceMustAllow: true, Values: map[string][]string{}, Context: map[string]string{
		"kms:CallerAccount": s.cfg.Account, "kms:KeySpec": "SYMMETRIC_DEFAULT", "kms:KeyUsage": "ENCRYPT_DECRYPT", "kms:KeyOrigin": "AWS_KMS", "kms:MultiRegion": "false",
	}}
	for t, v := range k.Tags {
		r.Context["aws:ResourceTag/"+t] = v
	}
	for c, v := range ec {
		r.Context["kms:EncryptionContext:"+c] = v
	}
	if len(ec) > 0 {
		r.Values["kms:EncryptionContextKeys"] = slices.Sorted(maps.Keys(ec))
	}
	if i := strings.Index(name, "alias/"); i >= 0 {
		r.Context["kms:RequestAlias"] = name[i:]
	}
	v, err := s.records.View(ctx, space)
	if err != nil {
		return r, err
	}
	defer v.Close()
	given, err := grantsOf(viewQuery(ctx, v), k.ID)
	if err != nil {
		return r, err
	}
	op := strings.TrimPrefix(action, "kms:")
	for _, g := range given {
		if g.fits(api.GrantOperation(op), ec, constrained[op]) && counts(&g) {
			r.ResourcePolicies = append(r.ResourcePolicies, statement("Grant"+g.ID[:8], g.principal(), action, k.ARN, g.SourceARN))
		}
	}
	return r, nil
}

// statement says a grant as a resource policy, so that one evaluation decides over policy and grants.
func statement(sid string, principal map[string]string, action, resource, source string) string {
	st := map[string]any{"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource}
	if source != "" {
		st["Condition"] = map[string]any{"ArnLike": map[string]string{"aws:SourceArn": source}}
	}
	b, _ := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{st}}) // strings and maps only: it cannot fail
	return string(b)
}

func (s *Service) sealedRequest(ctx context.Context, action string, ciphertext []byte, name string, ec map[string]string) (authz.Request, error) {
	k, err := s.sealedBy(ctx, ciphertext, name)
	if err != nil {
		return authz.Request{}, err
	}
	return s.request(ctx, action, k, name, nonNil(ec))
}

// aliasRequests: an alias operation needs permission on the alias, by IAM policy, and on each key that it concerns, by key policy.
func (s *Service) aliasRequests(ctx context.Context, op, alias string, keys ...string) ([]authz.Request, error) {
	out := []authz.Request{{Action: "kms:" + op, Resource: "arn:aws:kms:" + s.cfg.Region + ":" + s.cfg.Account + ":" + alias}}
	for _, name := range keys {
		k, err := s.find(ctx, name)
		if err != nil {
			return nil, err
		}
		r, err := s.request(ctx, "kms:"+op, k, "", nil)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// retireRequest: the retiring principal may retire a grant, the grantee when the grant says so, and whom the key policy allows.
func (s *Service) retireRequest(ctx context.Context, in *api.RetireGrantInput) ([]authz.Request, error) {
	g, err := s.retired(ctx, in)
	if err != nil {
		return nil, err
	}
	k, err := s.find(ctx, g.KeyID)
	if err != nil {
		return nil, err
	}
	r := authz.Request{Action: "kms:RetireGrant", Resource: k.ARN, ResourcePolicies: []string{k.Policy}, ResourceMustAllow: true}
	if p := g.retirer(); p != nil {
		r.ResourcePolicies = append(r.ResourcePolicies, statement("Retiring", p, r.Action, k.ARN, ""))
	}
	if g.fits(api.GrantOperationRetireGrant, nil, false) {
		r.ResourcePolicies = append(r.ResourcePolicies, statement("Grantee", g.principal(), r.Action, k.ARN, ""))
	}
	return []authz.Request{r}, nil
}

// MayUse decides for another service whether the caller may use a customer's key through it.
func (s *Service) MayUse(ctx context.Context, u key.Use) (string, error) {
	k, err := s.find(ctx, u.Key)
	if err != nil {
		return "", err
	}
	r, err := s.request(ctx, u.Action, k, u.Key, nonNil(u.Context))
	if err != nil {
		return "", err
	}
	if u.Via != "" {
		r.Context["kms:ViaService"] = u.Via + "." + s.cfg.Region + ".amazonaws.com"
		if u.Action == "kms:CreateGrant" {
			r.Context["kms:GrantIsForAWSResource"] = "true"
		}
		c := *call.From(ctx)
		c.Via = u.Via + ".amazonaws.com" // aws:ViaAWSService, aws:CalledVia
		ctx = call.With(ctx, &c)
	}
	if err := s.authz.Check(ctx, r); err != nil {
		return "", err
	}
	return k.ARN, s.ring.Check(ctx, k.ARN)
}
