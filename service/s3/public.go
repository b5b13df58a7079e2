package s3

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
)

// or is what two blocks forbid together: the account's and the bucket's, the stricter of each.
func (p publicBlock) or(q publicBlock) publicBlock {
	return publicBlock{p.PublicACLs || q.PublicACLs, p.IgnorePublicACLs || q.IgnorePublicACLs, p.PublicPolicy || q.PublicPolicy, p.RestrictBuckets || q.RestrictBuckets}
}

// policyOf is what authorisation sees of a bucket's policy. Where public access is restricted, statements that allow everybody allow nobody; what denies
// goes on denying.
func (b *bucket) policyOf(account publicBlock) []string {
	switch {
	case b.Policy == "":
		return nil
	case b.Block.or(account).RestrictBuckets && isPublic(b.Policy):
		if rest := withoutPublic(b.Policy); rest != "" {
			return []string{rest}
		}
		return nil
	}
	return []string{b.Policy}
}

// narrowing are the condition keys with which an allow for everybody is not public, by S3's definition of public. Names of keys have no case.
var narrowing = map[string]bool{
	"aws:principalaccount": true, "aws:principalarn": true, "aws:principalorgid": true, "aws:principalorgpaths": true, "aws:sourceaccount": true,
	"aws:sourcearn": true, "aws:sourceip": true, "aws:sourcevpc": true, "aws:sourcevpce": true, "aws:sourceowner": true, "aws:userid": true, "aws:username": true,
	"s3:x-amz-server-side-encryption-aws-kms-key-id": true, "s3:dataaccesspointaccount": true, "s3:dataaccesspointarn": true,
}

// affirming are the operators that hold only for the values they name: not the negated ones, which hold for all others, nor …IfExists and ForAllValues, which
// hold when the key is absent.
var affirming = map[string]bool{"StringEquals": true, "StringEqualsIgnoreCase": true, "StringLike": true, "ArnEquals": true, "ArnLike": true, "IpAddress": true}

// isPublic reports whether a policy allows everybody anything, without a condition that names callers or places.
func isPublic(policy string) bool {
	var doc struct{ Statement statements }
	if json.Unmarshal([]byte(policy), &doc) != nil {
		return true // what cannot be understood is not trusted
	}
	for _, raw := range doc.Statement {
		if publicStatement(raw) {
			return true
		}
	}
	return false
}

// withoutPublic leaves out the statements that allow everybody; "" when nothing is left.
func withoutPublic(policy string) string {
	var doc struct {
		Version   string
		Statement statements
	}
	if json.Unmarshal([]byte(policy), &doc) != nil {
		return policy // it cannot be read, so it denies
	}
	kept := statements{}
	for _, raw := range doc.Statement {
		if !publicStatement(raw) {
			kept = append(kept, raw)
		}
	}
	if len(kept) == 0 {
		return ""
	}
	doc.Statement = kept
	b, _ := json.Marshal(doc) // it was read a moment ago: it cannot fail
	return string(b)
}

func publicStatement(raw json.RawMessage) bool {
	var st struct {
		Effect       string
		Principal    json.RawMessage
		NotPrincipal json.RawMessage
		Condition    map[string]map[string]json.RawMessage
	}
	if json.Unmarshal(raw, &st) != nil {
		return true
	}
	if st.Effect != "Allow" || !everybody(st.Principal) && st.NotPrincipal == nil {
		return false
	}
	for op, keys := range st.Condition {
		if !affirming[strings.TrimPrefix(op, "ForAnyValue:")] {
			continue
		}
		for k, v := range keys {
			if narrowing[strings.ToLower(k)] && fixed(v) {
				return false
			}
		}
	}
	return true
}

// ofAccount is an ARN that names an account in full, whatever follows.
var ofAccount = regexp.MustCompile(`^arn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:`)

// fixed reports whether every value names something: no variable, no wildcard before the account of an ARN, no range of half the Internet.
func fixed(raw json.RawMessage) bool {
	var many []string
	if json.Unmarshal(raw, &many) != nil {
		var one string
		if json.Unmarshal(raw, &one) != nil {
			return false
		}
		many = []string{one}
	}
	for _, v := range many {
		if p, err := netip.ParsePrefix(v); err == nil {
			if least := map[bool]int{true: 8, false: 32}[p.Addr().Is4()]; p.Bits() < least {
				return false
			}
			continue
		}
		if strings.Contains(v, "${") || strings.ContainsAny(v, "*?") && !ofAccount.MatchString(v) {
			return false
		}
	}
	return len(many) > 0
}

// statements is one statement or many.
type statements []json.RawMessage

func (s *statements) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		*s = statements{append(json.RawMessage(nil), b...)}
		return nil
	}
	return json.Unmarshal(b, (*[]json.RawMessage)(s))
}

func everybody(principal json.RawMessage) bool {
	var one string
	if json.Unmarshal(principal, &one) == nil {
		return one == "*"
	}
	if principal == nil {
		return false
	}
	var kinds map[string]json.RawMessage
	if json.Unmarshal(principal, &kinds) != nil {
		return true
	}
	var many []string
	if json.Unmarshal(kinds["AWS"], &many) != nil {
		if json.Unmarshal(kinds["AWS"], &one) == nil {
			many = append(many, one)
		}
	}
	for _, p := range many {
		if p == "*" {
			return true
		}
	}
	return false
}
