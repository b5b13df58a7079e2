package kms

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"reflect"
	"slices"
	"sort"
	"time"

	api "github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// grant lets one principal do some operations with one key, beside the key policy. It holds at once, so grant tokens need not be shown.
type grant struct {
	ID              string               `json:"id"` // 64 hexadecimal digits
	Token           string               `json:"token"`
	KeyID           string               `json:"keyId"`
	KeyARN          string               `json:"keyArn"`
	Name            string               `json:"name,omitempty"`
	Grantee         string               `json:"grantee,omitempty"`
	GranteeService  string               `json:"granteeService,omitempty"`
	Retiring        string               `json:"retiring,omitempty"`
	RetiringService string               `json:"retiringService,omitempty"`
	Operations      []api.GrantOperation `json:"operations"`
	Subset          map[string]string    `json:"subset,omitempty"`
	Equals          map[string]string    `json:"equals,omitempty"`
	SourceARN       string               `json:"sourceArn,omitempty"`
	Created         time.Time            `json:"created"`
}

var grants = record.Kind[grant]{Name: "kms.grant", Indexes: record.Indexes[grant]{
	record.ByToken("key", func(g *grant) string { return g.KeyID }),
	record.ByToken("retiring", func(g *grant) string { return g.Retiring }),
	record.ByToken("retiring-service", func(g *grant) string { return g.RetiringService }),
	record.ByToken("token", func(g *grant) string { return g.Token }),
}}

// same reports whether two grants grant the same, whatever their ids.
func (g grant) same(h grant) bool {
	g.ID, g.Token, g.Created = h.ID, h.Token, h.Created
	return reflect.DeepEqual(g, h)
}

// fits reports whether a grant allows an operation with this encryption context. The reference for constraints is AWS's: a subset must be
// part of the request's context, an equals must be all of it; they bind only operations that have an encryption context.
func (g *grant) fits(op api.GrantOperation, ec map[string]string, hasContext bool) bool {
	allowed := false
	for _, o := range g.Operations {
		allowed = allowed || o == op
	}
	if !allowed || !hasContext {
		return allowed
	}
	for k, v := range g.Subset {
		if got, ok := ec[k]; !ok || got != v {
			return false
		}
	}
	return g.Equals == nil || reflect.DeepEqual(g.Equals, nonNil(ec))
}

// covers reports whether who has this grant may make another one of it: of its operations only, and constrained at least as much (KMS developer guide,
// "Granting CreateGrant permission").
func (g *grant) covers(in *api.CreateGrantInput) bool {
	for _, o := range in.Operations {
		if !slices.Contains(g.Operations, o) {
			return false
		}
	}
	c := in.Constraints
	if c == nil {
		c = &api.GrantConstraints{}
	}
	for k, v := range g.Subset {
		subset, a := c.EncryptionContextSubset[k]
		equals, b := c.EncryptionContextEquals[k]
		if !(a && subset == v || b && equals == v) {
			return false
		}
	}
	if g.Equals != nil && !maps.Equal(g.Equals, c.EncryptionContextEquals) {
		return false
	}
	return g.SourceARN == "" || g.SourceARN == c.SourceArn
}

func nonNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// querier is the query of a view or of a batch.
type querier func(record.Query) (*record.Page, error)

func txQuery(tx record.Tx) querier { return tx.Query }

func viewQuery(ctx context.Context, v record.View) querier {
	return func(q record.Query) (*record.Page, error) { return v.Query(ctx, q) }
}

// matching returns all grants that an index names, by id.
func matching(query querier, where record.Expr) ([]grant, error) {
	var out []grant
	q := record.Query{Kind: grants.Name, Where: where, Limit: 1000}
	for {
		p, err := query(q)
		if err != nil {
			return nil, err
		}
		for _, h := range p.Hits {
			g, err := grants.Decode(h.Body)
			if err != nil {
				return nil, err
			}
			out = append(out, *g)
		}
		if p.Next == "" {
			sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
			return out, nil
		}
		q.After = p.Next
	}
}

func grantsOf(query querier, keyID string) ([]grant, error) {
	return matching(query, record.Match{Index: "key", Value: record.Token("", keyID)})
}

func (s *Service) view(ctx context.Context, where record.Expr) ([]grant, error) {
	v, err := s.records.View(ctx, space)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	return matching(viewQuery(ctx, v), where)
}

// forSymmetric are the operations that a grant on a symmetric key can give.
var forSymmetric = map[api.GrantOperation]bool{
	api.GrantOperationDecrypt: true, api.GrantOperationEncrypt: true, api.GrantOperationGenerateDataKey: true,
	api.GrantOperationGenerateDataKeyWithoutPlaintext: true, api.GrantOperationReEncryptFrom: true, api.GrantOperationReEncryptTo: true,
	api.GrantOperationCreateGrant: true, api.GrantOperationRetireGrant: true, api.GrantOperationDescribeKey: true,
	api.GrantOperationGenerateDataKeyPair: true, api.GrantOperationGenerateDataKeyPairWithoutPlaintext: true,
}

// CreateGrant gives a principal operations with a key. The same grant with the same name is made once.
func (s *Service) CreateGrant(ctx context.Context, in *api.CreateGrantInput) (*api.CreateGrantOutput, error) {
	k, err := s.findKey(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	if err := s.ring.Check(ctx, k.ARN); err != nil {
		return nil, err
	}
	invalid := func(format string, args ...any) error {
		return errs.Named(errs.Invalid, "ValidationException", format, args...)
	}
	if (in.GranteePrincipal == "") == (in.GranteeServicePrincipal == "") {
		return nil, invalid("Give either GranteePrincipal or GranteeServicePrincipal.")
	}
	if len(in.Operations) == 0 {
		return nil, invalid("A grant needs operations.")
	}
	for _, who := range []string{in.GranteePrincipal, in.RetiringPrincipal} {
		if who != "" && (who == "*" || !authz.IsPrincipal("AWS", who)) {
			return nil, errs.Named(errs.Invalid, "InvalidArnException", "ARN is not that of an account, user, role or session.")
		}
	}
	for _, who := range []string{in.GranteeServicePrincipal, in.RetiringServicePrincipal} {
		if who != "" && !authz.IsPrincipal("Service", who) {
			return nil, invalid("A service principal is named like healthlake.amazonaws.com.")
		}
	}
	for _, o := range in.Operations {
		if !forSymmetric[o] {
			return nil, invalid("Operation %s does not fit a symmetric key.", o)
		}
	}
	if err := dry(in.DryRun); err != nil {
		return nil, err
	}
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	g := grant{ID: hex.EncodeToString(raw[:]), KeyID: k.ID, KeyARN: k.ARN, Name: in.Name, Grantee: in.GranteePrincipal, GranteeService: in.GranteeServicePrincipal,
		Retiring: in.RetiringPrincipal, RetiringService: in.RetiringServicePrincipal, Operations: in.Operations}
	_, _ = rand.Read(raw[:]) // never fails
	g.Token = base64.RawURLEncoding.EncodeToString(raw[:])
	if c := in.Constraints; c != nil {
		g.Subset, g.Equals, g.SourceARN = c.EncryptionContextSubset, c.EncryptionContextEquals, c.SourceArn
	}
	_, err = s.records.Update(ctx, space, []string{"grants/" + k.ID}, func(tx record.Tx) error {
		if in.Name != "" {
			have, err := grantsOf(txQuery(tx), k.ID)
			if err != nil {
				return err
			}
			for _, h := range have {
				if h.same(g) {
					g = h
					return nil
				}
			}
		}
		g.Created = tx.Time()
		return grants.Create(tx, g.ID, &g)
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateGrantOutput{GrantId: g.ID, GrantToken: g.Token}, nil
}

func entries(list []grant, account string) []api.GrantListEntry {
	out := make([]api.GrantListEntry, 0, len(list))
	for _, g := range list {
		e := api.GrantListEntry{KeyId: g.KeyARN, GrantId: g.ID, Name: g.Name, CreationDate: g.Created, GranteePrincipal: g.Grantee, RetiringPrincipal: g.Retiring,
			GranteeServicePrincipal: g.GranteeService, RetiringServicePrincipal: g.RetiringService, IssuingAccount: "arn:aws:iam::" + account + ":root", Operations: g.Operations}
		if g.Subset != nil || g.Equals != nil || g.SourceARN != "" {
			e.Constraints = &api.GrantConstraints{EncryptionContextSubset: g.Subset, EncryptionContextEquals: g.Equals, SourceArn: g.SourceARN}
		}
		out = append(out, e)
	}
	return out
}

func grantID(g grant) string { return g.ID }

// ListGrants lists a key's grants.
func (s *Service) ListGrants(ctx context.Context, in *api.ListGrantsInput) (*api.ListGrantsOutput, error) {
	k, err := s.findKey(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	all, err := s.view(ctx, record.Match{Index: "key", Value: record.Token("", k.ID)})
	if err != nil {
		return nil, err
	}
	var list []grant
	for _, g := range all {
		if (in.GrantId == "" || g.ID == in.GrantId) && (in.GranteePrincipal == "" || g.Grantee == in.GranteePrincipal) &&
			(in.GranteeServicePrincipal == "" || g.GranteeService == in.GranteeServicePrincipal) {
			list = append(list, g)
		}
	}
	if in.GrantId != "" && len(list) == 0 {
		return nil, errs.Named(errs.NotFound, "NotFoundException", "Grant %s is not found on the key.", in.GrantId)
	}
	list, next, more, err := page(list, grantID, in.Limit, in.Marker, 100)
	if err != nil {
		return nil, err
	}
	return &api.ListGrantsOutput{Grants: entries(list, s.cfg.Account), NextMarker: next, Truncated: more}, nil
}

// ListRetirableGrants lists the grants that a principal may retire.
func (s *Service) ListRetirableGrants(ctx context.Context, in *api.ListRetirableGrantsInput) (*api.ListRetirableGrantsOutput, error) {
	var where record.Expr
	switch {
	case in.RetiringPrincipal != "":
		where = record.Match{Index: "retiring", Value: record.Token("", in.RetiringPrincipal)}
	case in.RetiringServicePrincipal != "":
		where = record.Match{Index: "retiring-service", Value: record.Token("", in.RetiringServicePrincipal)}
	default:
		return nil, errs.Named(errs.Invalid, "ValidationException", "Give RetiringPrincipal or RetiringServicePrincipal.")
	}
	list, err := s.view(ctx, where)
	if err != nil {
		return nil, err
	}
	list, next, more, err := page(list, grantID, in.Limit, in.Marker, 100)
	if err != nil {
		return nil, err
	}
	return &api.ListRetirableGrantsOutput{Grants: entries(list, s.cfg.Account), NextMarker: next, Truncated: more}, nil
}

// tokensOf are the grant tokens that a request shows.
func tokensOf(in any) []string {
	switch in := in.(type) {
	case *api.CreateGrantInput:
		return in.GrantTokens
	case *api.DecryptInput:
		return in.GrantTokens
	case *api.DescribeKeyInput:
		return in.GrantTokens
	case *api.EncryptInput:
		return in.GrantTokens
	case *api.GenerateDataKeyInput:
		return in.GrantTokens
	case *api.GenerateDataKeyWithoutPlaintextInput:
		return in.GrantTokens
	case *api.ReEncryptInput:
		return in.GrantTokens
	}
	return nil
}

// checkTokens refuses tokens that no grant has. A token gives nothing that its grant does not give without it.
func (s *Service) checkTokens(ctx context.Context, tokens []string) error {
	for _, t := range tokens {
		if _, err := s.byToken(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) byToken(ctx context.Context, token string) (*grant, error) {
	list, err := s.view(ctx, record.Match{Index: "token", Value: record.Token("", token)})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errs.Named(errs.Invalid, "InvalidGrantTokenException", "The grant token is not valid.")
	}
	return &list[0], nil
}

// RevokeGrant ends a grant at once.
func (s *Service) RevokeGrant(ctx context.Context, in *api.RevokeGrantInput) (*api.RevokeGrantOutput, error) {
	k, err := s.findKey(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	g, err := s.grant(ctx, k.ID, in.GrantId)
	if err != nil {
		return nil, err
	}
	if err := dry(in.DryRun); err != nil {
		return nil, err
	}
	return &api.RevokeGrantOutput{}, s.end(ctx, g)
}

// RetireGrant ends a grant for those who were given it.
func (s *Service) RetireGrant(ctx context.Context, in *api.RetireGrantInput) (*api.RetireGrantOutput, error) {
	g, err := s.retired(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := dry(in.DryRun); err != nil {
		return nil, err
	}
	return &api.RetireGrantOutput{}, s.end(ctx, g)
}

// retired finds the grant that RetireGrant means: by token, or by key and id.
func (s *Service) retired(ctx context.Context, in *api.RetireGrantInput) (*grant, error) {
	switch {
	case in.GrantToken != "" && in.KeyId == "" && in.GrantId == "":
		return s.byToken(ctx, in.GrantToken)
	case in.GrantToken == "" && in.KeyId != "" && in.GrantId != "":
		k, err := s.findKey(ctx, in.KeyId)
		if err != nil {
			return nil, err
		}
		return s.grant(ctx, k.ID, in.GrantId)
	}
	return nil, errs.Named(errs.Invalid, "ValidationException", "Give either GrantToken, or KeyId and GrantId.")
}

func (s *Service) grant(ctx context.Context, keyID, id string) (*grant, error) {
	v, err := s.records.View(ctx, space)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	g, _, err := grants.Get(v, id)
	if absent(err) || err == nil && g.KeyID != keyID {
		return nil, errs.Named(errs.NotFound, "NotFoundException", "Grant %s is not found on the key.", id)
	}
	return g, err
}

func (s *Service) end(ctx context.Context, g *grant) error {
	_, err := s.records.Update(ctx, space, []string{"grants/" + g.KeyID}, func(tx record.Tx) error { return tx.Purge(grants.Name, g.ID) })
	if absent(err) { // ended meanwhile
		return nil
	}
	return err
}

// constrained tells for each operation whether it carries an encryption context.
var constrained = map[string]bool{"Encrypt": true, "Decrypt": true, "GenerateDataKey": true, "GenerateDataKeyWithoutPlaintext": true, "ReEncryptFrom": true, "ReEncryptTo": true}

// principal is who a grant is for, as in a statement of a policy.
func (g *grant) principal() map[string]string {
	if g.Grantee != "" {
		return map[string]string{"AWS": g.Grantee}
	}
	return map[string]string{"Service": g.GranteeService}
}

func (g *grant) retirer() map[string]string {
	switch {
	case g.Retiring != "":
		return map[string]string{"AWS": g.Retiring}
	case g.RetiringService != "":
		return map[string]string{"Service": g.RetiringService}
	}
	return nil
}
