package authz_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
)

const acct = "000000000000"

// directory is a Directory for one caller.
type directory struct {
	identity []authz.Policy
	boundary string
	managed  map[string]string
}

func (d directory) Credential(context.Context, string, string) (authz.Credential, error) {
	return authz.Credential{}, errs.New(errs.Unauthenticated, "not needed here")
}
func (d directory) Policies(context.Context, call.Principal) ([]authz.Policy, string, error) {
	return d.identity, d.boundary, nil
}
func (d directory) ManagedPolicy(_ context.Context, arn string) (string, error) {
	if s, ok := d.managed[arn]; ok {
		return s, nil
	}
	return "", errs.New(errs.NotFound, "no policy")
}

var callers = []call.Principal{
	{Kind: call.IAMUser, ARN: "arn:aws:iam::" + acct + ":user/alice", ID: "AIDA0000000000000001", Account: acct, Name: "alice", Tags: map[string]string{"Team": "red"}},
	{Kind: call.IAMUser, ARN: "arn:aws:iam::" + acct + ":user/bob", ID: "AIDA0000000000000002", Account: acct, Name: "bob"},
	{Kind: call.AssumedRole, ARN: "arn:aws:sts::" + acct + ":assumed-role/clinic/s1", ID: "AROA0000000000000003:s1", Account: acct, Name: "clinic", RoleARN: "arn:aws:iam::" + acct + ":role/clinic", Tags: map[string]string{"team": "blue"}},
	{Kind: call.IAMUser, ARN: "arn:aws:iam::111111111111:user/eve", ID: "AIDA0000000000000004", Account: "111111111111", Name: "eve"},
	{Kind: call.Root, ARN: "arn:aws:iam::" + acct + ":root", ID: acct, Account: acct},
	{Kind: call.AWSService, ARN: "omics.amazonaws.com"},
	{Kind: call.WebIdentity, ARN: "arn:aws:iam::" + acct + ":oidc-provider/login.example.org", ID: "login.example.org:sub-1"},
	{Kind: call.AssumedRole, ARN: "arn:aws:sts::111111111111:assumed-role/visitor/s1", ID: "AROA0000000000000005:s1", Account: "111111111111", Name: "visitor", RoleARN: "arn:aws:iam::111111111111:role/visitor"},
	{Kind: call.Root, ARN: "arn:aws:iam::111111111111:root", ID: "111111111111", Account: "111111111111"},
}

type gen struct{ *rand.Rand }

func pick[T any](g gen, list ...T) T { return list[g.IntN(len(list))] }

// some returns one value or an array of a few.
func some(g gen, list ...string) any {
	if g.IntN(2) == 0 {
		return pick(g, list...)
	}
	var out []any
	for range 1 + g.IntN(3) {
		out = append(out, pick(g, list...))
	}
	return out
}

func (g gen) policy(attached bool) map[string]any {
	doc := map[string]any{"Version": pick(g, "2012-10-17", "2012-10-17", "2008-10-17")}
	var list []any
	for range 1 + g.IntN(3) {
		list = append(list, g.statement(attached))
	}
	doc["Statement"] = any(list)
	if len(list) == 1 && g.IntN(2) == 0 {
		doc["Statement"] = list[0]
	}
	return doc
}

// grant is a document as the kms service says a grant.
func (g gen) grant() map[string]any {
	s := map[string]any{"Sid": "Grant0", "Effect": "Allow", "Action": pick(g, "s3:GetObject", "omics:StartRun", "omics:GetRun"), "Resource": "*"}
	s["Principal"] = pick(g, map[string]any{"AWS": pick(g, callers...).ARN}, map[string]any{"Service": "omics.amazonaws.com"})
	if p, ok := s["Principal"].(map[string]any)["AWS"]; ok && !strings.HasPrefix(p.(string), "arn:aws:iam::"+acct+":user/") {
		s["Principal"] = map[string]any{"AWS": callers[2].RoleARN}
	}
	if g.IntN(2) == 0 {
		s["Condition"] = map[string]any{"ArnLike": map[string]any{"k:s": "arn:aws:iam::" + acct + ":user/*"}}
	}
	return map[string]any{"Version": "2012-10-17", "Statement": []any{s}}
}

func (g gen) statement(attached bool) map[string]any {
	s := map[string]any{"Effect": pick(g, "Allow", "Allow", "Allow", "Deny")}
	s[pick(g, "Action", "Action", "Action", "Action", "NotAction")] = some(g, "*", "s3:*", "s3:Get*", "S3:GETOBJECT", "s3:PutObject", "omics:Get???", "omics:*Run*", "omics:GetRun")
	if !attached || g.IntN(3) > 0 {
		s[pick(g, "Resource", "Resource", "Resource", "Resource", "NotResource")] = some(g, "*", "arn:aws:s3:::b/*", "arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::b/${aws:PrincipalTag/TEAM, 'none'}", "arn:aws:s3:::b/${*}",
			"arn:aws:omics:*:*:run/?", "arn:aws:omics:us-east-1:"+acct+":run/1", "arn:aws:s3:::b/alice/x", "arn:aws:s3:::b/${k:m}", "arn:aws:s3:::b/${absent:key}")
	}
	if attached {
		element := pick(g, "Principal", "Principal", "Principal", "Principal", "NotPrincipal")
		if g.IntN(5) == 0 {
			s[element] = "*"
		} else {
			p := map[string]any{}
			if g.IntN(4) > 0 {
				p["AWS"] = some(g, "*", acct, "arn:aws:iam::"+acct+":root", "arn:aws:iam::111111111111:root", callers[0].ARN, callers[2].ARN, callers[2].RoleARN, callers[1].ID, "AROA0000000000000003", callers[7].ARN, callers[7].RoleARN)
			}
			if g.IntN(5) == 0 {
				p["Federated"] = some(g, callers[6].ARN, "arn:aws:iam::"+acct+":oidc-provider/other.example.org")
			}
			if len(p) == 0 || g.IntN(4) == 0 {
				p["Service"] = some(g, "omics.amazonaws.com", "s3.amazonaws.com")
			}
			s[element] = p
		}
	}
	if g.IntN(2) == 0 {
		c := map[string]any{}
		for range 1 + g.IntN(2) {
			op, key, vals := g.condition()
			if keys, ok := c[op].(map[string]any); ok { // one spelling of a key: others are refused
				for k := range keys {
					if strings.EqualFold(k, key) {
						key = k
					}
				}
				keys[key] = vals
			} else {
				c[op] = map[string]any{key: vals}
			}
		}
		s["Condition"] = c
	}
	return s
}

func (g gen) condition() (op, key string, vals any) {
	switch g.IntN(11) {
	case 0, 1, 2:
		op = pick(g, "StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike")
		key, vals = pick(g, "k:s", "K:S", "k:m", "aws:username", "aws:PrincipalTag/team"), some(g, "a", "ab", "A", "a*", "?b", "${k:s}", "${aws:PrincipalTag/team, 'x'}", "${*}", "alice", "red", "a${$}", "*")
	case 3:
		op = "Numeric" + pick(g, "Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
		key, vals = pick(g, "k:n", "k:s"), some(g, "1", "2", "2.0", "-3", "1e1")
	case 4:
		op = "Date" + pick(g, "Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
		key, vals = pick(g, "k:d", "aws:CurrentTime"), some(g, "2026-01-01T00:00:00Z", "2026-06-01T12:00:00+02:00", "2027-01-01T00:00:00Z")
	case 5:
		op, key, vals = pick(g, "IpAddress", "NotIpAddress"), pick(g, "aws:SourceIp", "k:s"), some(g, "10.0.0.0/8", "10.1.2.3", "192.168.0.0/16", "2001:db8::/32")
	case 6:
		op, key, vals = "Bool", pick(g, "aws:SecureTransport", "aws:ViaAWSService", "k:absent"), pick[any](g, "true", "false", true, false)
	case 7:
		op = pick(g, "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike")
		key, vals = pick(g, "aws:PrincipalArn", "k:s"), some(g, "arn:aws:iam::*:user/*", "arn:aws:iam::"+acct+":role/clinic", "arn:aws:iam::"+acct+":*", "arn:*:iam::"+acct+":user/${aws:username}")
	case 8:
		op, key, vals = "BinaryEquals", pick(g, "k:b", "k:s"), some(g, "AQI=", "QQ==", "")
	case 9: // global keys, each with a value that some callers have
		op = pick(g, "StringEquals", "StringNotEquals", "StringLike")
		key, vals = pick(g, "aws:PrincipalAccount", "aws:userid", "aws:PrincipalType", "aws:RequestedRegion", "aws:ResourceAccount", "aws:UserAgent", "aws:CalledVia", "aws:CalledViaFirst", "aws:CalledViaLast", "aws:ResourceTag/Unit",
			"aws:RequestTag/Unit", "aws:PrincipalIsAWSService", "aws:PrincipalServiceName", "aws:MultiFactorAuthPresent", "aws:SourceIdentity", "aws:TokenIssueTime"),
			some(g, acct, "111111111111", "AIDA*", "AROA0000000000000003:s1", "User", "Account", "us-east-1", "aws-cli/*", "kms.amazonaws.com", "ward", "true", "false", "omics.amazonaws.com", "nurse", "2026-06-01T09:00:00Z")
	default:
		return "Null", pick(g, "aws:TokenIssueTime", "aws:CalledVia", "aws:ResourceTag/Unit", "k:s", "k:m", "k:absent", "aws:username"), pick[any](g, "true", "false", true)
	}
	if g.IntN(4) == 0 {
		op += "IfExists"
	}
	if g.IntN(4) == 0 {
		op = pick(g, "ForAllValues:", "ForAnyValue:") + op
	}
	return op, key, vals
}

func text(t testing.TB, doc map[string]any) string {
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAgreesWithNaive(t *testing.T) {
	cases, seed := 10_000, uint64(1)
	if n, err := strconv.Atoi(os.Getenv("GALEN_AUTHZ_CASES")); err == nil {
		cases, seed = n, uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	g := gen{rand.New(rand.NewPCG(seed, 2))}
	outcome := map[string]int{}
	for n := range cases {
		p := pick(g, callers...)
		if p.Kind == call.AssumedRole || g.IntN(5) == 0 && p.Kind == call.IAMUser {
			p.Session = &call.Session{Name: "s1", Created: time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC), Identity: pick(g, "", "nurse")}
		}
		r := naiveRequest{
			action:   pick(g, "s3:GetObject", "s3:PutObject", "omics:GetRun", "omics:StartRun"),
			resource: pick(g, "arn:aws:s3:::b/alice/x", "arn:aws:s3:::b/red", "arn:aws:s3:::b/none", "arn:aws:s3:::b/*", "arn:aws:omics:us-east-1:"+acct+":run/1", "arn:aws:omics:us-east-1:222222222222:run/1", "*"),
		}
		dir := directory{managed: map[string]string{}}
		req := authz.Request{Action: r.action, Resource: r.resource, Context: map[string]string{}, Values: map[string][]string{}}
		person := p.Kind == call.IAMUser || p.Kind == call.AssumedRole
		if person {
			for range g.IntN(3) {
				doc := g.policy(false)
				r.identity = append(r.identity, doc)
				dir.identity = append(dir.identity, authz.Policy{Name: "p", Document: text(t, doc)})
			}
			if g.IntN(4) == 0 {
				doc := g.policy(false)
				r.hasBoundary, r.boundary, dir.boundary = true, []map[string]any{doc}, text(t, doc)
			}
		}
		if p.Session != nil {
			for range g.IntN(3) {
				doc := g.policy(false)
				r.hasSession = true
				if g.IntN(3) == 0 {
					arn := "arn:aws:iam::" + acct + ":policy/" + string(rune('a'+len(r.session)))
					dir.managed[arn] = text(t, doc)
					p.Session.PolicyARNs = append(p.Session.PolicyARNs, arn)
				} else {
					p.Session.Policies = append(p.Session.Policies, text(t, doc))
				}
				r.session = append(r.session, doc)
			}
		}
		for range g.IntN(3) {
			doc := g.policy(true)
			r.attached = append(r.attached, doc)
			req.ResourcePolicies = append(req.ResourcePolicies, text(t, doc))
		}
		if g.IntN(4) == 0 { // a key's grant: one principal, a few actions, for one source
			doc := g.grant()
			r.attached = append(r.attached, doc)
			req.ResourcePolicies = append(req.ResourcePolicies, text(t, doc))
		}
		req.ResourceMustAllow = g.IntN(6) == 0
		r.mustAllow = req.ResourceMustAllow

		now := time.Date(2026, 6, 1, 10, 0, 0, 0, time.UTC)
		c := &call.Call{Principal: p, Time: now, Secure: g.IntN(2) == 0}
		keys := map[string][]string{"aws:currenttime": {now.Format(time.RFC3339)}, "aws:securetransport": {map[bool]string{true: "true", false: "false"}[c.Secure]}, "aws:viaawsservice": {"false"}}
		if g.IntN(3) > 0 {
			ip := pick(g, "10.1.2.3", "192.168.7.7", "2001:db8::9")
			c.Source = netip.MustParseAddr(ip)
			keys["aws:sourceip"] = []string{ip}
		}
		have := func(key string, v ...string) {
			if len(v) > 0 && v[0] != "" {
				keys[key] = v
			}
		}
		have("aws:epochtime", strconv.FormatInt(now.Unix(), 10))
		have("aws:requestedregion", "us-east-1")
		have("aws:principalaccount", p.Account)
		have("aws:userid", p.ID)
		have("aws:principaltype", map[call.Kind]string{call.Root: "Account", call.IAMUser: "User", call.AssumedRole: "AssumedRole", call.AWSService: "Service", call.WebIdentity: "WebIdentityUser"}[p.Kind])
		have("aws:principalisawsservice", strconv.FormatBool(p.Kind == call.AWSService))
		have("aws:resourceaccount", acct)
		if parts := strings.Split(r.resource, ":"); len(parts) > 4 {
			have("aws:resourceaccount", parts[4])
		}
		if p.Kind == call.AWSService {
			have("aws:principalservicename", p.ARN)
			have("aws:principalservicenameslist", p.ARN)
		}
		if p.Kind == call.IAMUser {
			have("aws:username", p.Name)
		}
		if p.Session != nil {
			have("aws:tokenissuetime", "2026-06-01T09:00:00Z")
			have("aws:multifactorauthpresent", "false")
			have("aws:sourceidentity", p.Session.Identity)
		}
		if c.Via = pick(g, "", "", "kms.amazonaws.com"); c.Via != "" {
			have("aws:viaawsservice", "true")
			have("aws:calledvia", c.Via)
			have("aws:calledviafirst", c.Via)
			have("aws:calledvialast", c.Via)
		}
		if c.UserAgent = pick(g, "", "aws-cli/2.0"); c.UserAgent != "" {
			have("aws:useragent", c.UserAgent)
		}
		for _, k := range []string{"aws:ResourceTag/Unit", "aws:RequestTag/unit"} {
			if g.IntN(2) == 0 {
				req.Context[k] = pick(g, "ward", "lab")
				have(strings.ToLower(k), req.Context[k])
			}
		}
		keys["aws:principalarn"] = []string{p.ARN}
		if p.RoleARN != "" {
			keys["aws:principalarn"] = []string{p.RoleARN}
		}
		for k, v := range p.Tags {
			keys["aws:principaltag/"+strings.ToLower(k)] = []string{v}
		}
		for k, vals := range map[string][]string{"k:s": {"a", "ab", "A", "b", "arn:aws:iam::" + acct + ":user/alice", "10.0.0.1", "2"}, "k:n": {"1", "2", "10", "x"}, "k:b": {"AQI=", "QQ==", "not base64"}, "k:d": {"2026-01-01T00:00:00Z", "2026-06-01T10:00:00Z", "never"}} {
			if g.IntN(3) > 0 {
				v := pick(g, vals...)
				req.Context[k], keys[k] = v, []string{v}
			}
		}
		if g.IntN(2) == 0 {
			for range g.IntN(3) {
				keys["k:m"] = append(keys["k:m"], pick(g, "a", "ab", "c"))
			}
			req.Values["k:m"] = keys["k:m"]
		}
		want, wantExplicit := naiveDecide(naiveCaller{string(p.Kind), p.ARN, p.ID, p.Account, p.RoleARN, keys}, r)
		got := authz.New(dir, acct, "us-east-1").Decide(context.Background(), c, req)
		if got.Allowed != want || got.Explicit != wantExplicit {
			t.Fatalf("case %d: got %+v, naive says allowed %v, explicit %v\ncaller %+v\nrequest %+v\nkeys %v\nidentity %v\nboundary %v\nsession %v %v", n, got, want, wantExplicit, p, req, keys, dir.identity, dir.boundary, p.Session, r.session)
		}
		switch {
		case want:
			outcome["allowed"]++
		case wantExplicit:
			outcome["explicit deny"]++
		default:
			outcome["implicit deny"]++
		}
	}
	t.Logf("%d cases: %v", cases, outcome)
	for _, k := range []string{"allowed", "explicit deny", "implicit deny"} {
		if outcome[k] < cases/20 {
			t.Errorf("only %d of %d cases are %s: the generator tests too little", outcome[k], cases, k)
		}
	}
}
