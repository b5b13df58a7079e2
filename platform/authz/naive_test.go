package authz_test

import (
	"encoding/base64"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A second evaluator, written from the documentation's sentences on plain decoded JSON, without the first one's structures: globs are regular
// expressions, every set is materialised, nothing is compiled or shared. It knows only well-formed policies.

type naiveCaller struct {
	kind, arn, id, account, roleARN string
	keys                            map[string][]string // all condition keys, lower-case names
}

type naiveRequest struct {
	action, resource                      string
	identity, boundary, session, attached []map[string]any
	hasBoundary, hasSession, mustAllow    bool
}

func naiveDecide(c naiveCaller, r naiveRequest) (allowed, explicit bool) {
	var everything []map[string]any
	for _, group := range [][]map[string]any{r.identity, r.boundary, r.session, r.attached} {
		everything = append(everything, group...)
	}
	for _, doc := range everything {
		for _, s := range naiveStatements(doc) {
			if s["Effect"] == "Deny" && naiveApplies(c, r, s, doc) != "" {
				return false, true
			}
		}
	}
	found := map[string]bool{}
	for _, doc := range r.attached {
		for _, s := range naiveStatements(doc) {
			if s["Effect"] == "Allow" {
				found[naiveApplies(c, r, s, doc)] = true
			}
		}
	}
	allows := func(group []map[string]any) bool {
		for _, doc := range group {
			for _, s := range naiveStatements(doc) {
				if s["Effect"] == "Allow" && naiveApplies(c, r, s, doc) != "" {
					return true
				}
			}
		}
		return false
	}
	byResource := found["self"] || found["role"] || found["account"]
	if r.mustAllow && !byResource {
		return false, false
	}
	owner := acct
	if parts := strings.Split(r.resource, ":"); len(parts) > 5 && len(parts[4]) == 12 {
		owner = parts[4]
	}
	foreign := c.account != "" && c.account != owner
	if found["self"] && !foreign {
		return true, false
	}
	byIdentity := c.kind == "Root" || allows(r.identity)
	switch {
	case foreign:
		if !byIdentity || !byResource {
			return false, false
		}
	case !found["role"] && !byIdentity:
		return false, false
	}
	if r.hasBoundary && !allows(r.boundary) {
		return false, false
	}
	if r.hasSession && !allows(r.session) {
		return false, false
	}
	return true, false
}

func naiveStatements(doc map[string]any) (out []map[string]any) {
	if one, ok := doc["Statement"].(map[string]any); ok {
		return []map[string]any{one}
	}
	for _, s := range doc["Statement"].([]any) {
		out = append(out, s.(map[string]any))
	}
	return out
}

func naiveList(v any) (out []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case bool:
		return []string{strconv.FormatBool(v)}
	case float64:
		return []string{strconv.FormatFloat(v, 'g', -1, 64)}
	case []any:
		for _, x := range v {
			out = append(out, naiveList(x)...)
		}
	}
	return out
}

// naiveApplies returns "" or how the statement names the caller: "self", "role", "account".
func naiveApplies(c naiveCaller, r naiveRequest, s, doc map[string]any) string {
	vars := doc["Version"] == "2012-10-17"
	who := "self"
	if p, ok := s["Principal"]; ok {
		who = naiveWho(c, p, s["Effect"].(string))
	} else if p, ok := s["NotPrincipal"]; ok {
		who = naiveBut(c, p, s["Effect"].(string))
	}
	if who == "" {
		return ""
	}
	hit := func(patterns any, value string, fold, vars bool) bool {
		for _, p := range naiveList(patterns) {
			if fold {
				p, value = strings.ToLower(p), strings.ToLower(value)
			}
			if naiveLike(p, value, c.keys, vars, true) {
				return true
			}
		}
		return false
	}
	if a, ok := s["Action"]; ok && !hit(a, r.action, true, false) {
		return ""
	}
	if a, ok := s["NotAction"]; ok && hit(a, r.action, true, false) {
		return ""
	}
	if a, ok := s["Resource"]; ok && !hit(a, r.resource, false, vars) {
		return ""
	}
	if a, ok := s["NotResource"]; ok && hit(a, r.resource, false, vars) {
		return ""
	}
	if conds, ok := s["Condition"].(map[string]any); ok {
		for op, keys := range conds {
			for key, vals := range keys.(map[string]any) {
				if !naiveCondition(op, c.keys[strings.ToLower(key)], naiveList(vals), c.keys, vars) {
					return ""
				}
			}
		}
	}
	return who
}

// naiveNames are the names of a caller, the account's first, the closest last.
func naiveNames(c naiveCaller) [][]string {
	account := []string{"AWS " + c.account, "AWS arn:aws:iam::" + c.account + ":root"}
	switch c.kind {
	case "AWSService":
		return [][]string{{"Service " + c.arn}}
	case "WebIdentityUser":
		return [][]string{{"Federated " + c.arn}}
	case "Root":
		return [][]string{account}
	case "AssumedRole":
		return [][]string{account, {"AWS " + c.roleARN, "AWS " + strings.Split(c.id, ":")[0]}, {"AWS " + c.arn, "AWS " + c.id}}
	}
	return [][]string{account, {"AWS " + c.arn, "AWS " + c.id}}
}

// naiveEntries flattens a Principal element: "AWS 000000000000", "*".
func naiveEntries(p any) (out []string) {
	if p == "*" {
		return []string{"*"}
	}
	for kind, v := range p.(map[string]any) {
		for _, name := range naiveList(v) {
			out = append(out, kind+" "+name)
		}
	}
	return out
}

// naiveWho: Principal. In an Allow, "*" leaves out token holders, and {"AWS": "*"} services.
func naiveWho(c naiveCaller, p any, effect string) string {
	best := ""
	entries := naiveEntries(p)
	names := naiveNames(c)
	if slices.Contains(entries, "*") && (effect == "Deny" || c.kind != "WebIdentityUser") {
		best = "role"
	}
	if slices.Contains(entries, "AWS *") && (effect == "Deny" || c.kind != "WebIdentityUser" && c.kind != "AWSService") {
		best = "role"
	}
	for _, e := range entries {
		switch {
		case slices.Contains(names[len(names)-1], e):
			return "self"
		case len(names) == 3 && slices.Contains(names[1], e):
			best = "role"
		case len(names) > 1 && slices.Contains(names[0], e) && best == "":
			best = "account"
		}
	}
	return best
}

// naiveBut: NotPrincipal. An Allow leaves out whom any of its entries name, a Deny only who is named at each level.
func naiveBut(c naiveCaller, p any, effect string) string {
	entries := naiveEntries(p)
	named := 0
	names := naiveNames(c)
	for _, level := range names {
		if slices.ContainsFunc(entries, func(e string) bool { return e == "*" || e == "AWS *" || slices.Contains(level, e) }) {
			named++
		}
	}
	if effect == "Allow" && named > 0 || effect == "Deny" && named == len(names) {
		return ""
	}
	return "role"
}

var naiveVar = regexp.MustCompile(`\$\{([^}]*)\}`)

// naiveLike turns a policy text into a regular expression.
func naiveLike(p, value string, keys map[string][]string, vars, wild bool) bool {
	var re strings.Builder
	ok := true
	text := func(s string) {
		for _, r := range s {
			switch {
			case r == '*' && wild:
				re.WriteString(`(?s:.*)`)
			case r == '?' && wild:
				re.WriteString(`(?s:.)`)
			default:
				re.WriteString(regexp.QuoteMeta(string(r)))
			}
		}
	}
	if !vars {
		text(p)
	} else {
		last := 0
		for _, m := range naiveVar.FindAllStringSubmatchIndex(p, -1) {
			text(p[last:m[0]])
			last = m[1]
			name := p[m[2]:m[3]]
			if name == "*" || name == "?" || name == "$" {
				re.WriteString(regexp.QuoteMeta(name))
				continue
			}
			key, def, hasDef := strings.Cut(name, ",")
			vals := keys[strings.ToLower(strings.TrimSpace(key))]
			switch {
			case len(vals) == 1:
				re.WriteString(regexp.QuoteMeta(vals[0]))
			case len(vals) == 0 && hasDef:
				re.WriteString(regexp.QuoteMeta(strings.Trim(strings.TrimSpace(def), "'")))
			default:
				ok = false
			}
		}
		text(p[last:])
	}
	return ok && regexp.MustCompile(`^(?:`+re.String()+`)$`).MatchString(value)
}

func naiveCondition(op string, have, want []string, keys map[string][]string, vars bool) bool {
	if op == "Null" {
		return (len(have) == 0) == (want[0] == "true")
	}
	set := ""
	for _, s := range []string{"ForAllValues:", "ForAnyValue:"} {
		if strings.HasPrefix(op, s) {
			set, op = s, op[len(s):]
		}
	}
	ifExists := strings.HasSuffix(op, "IfExists")
	op = strings.TrimSuffix(op, "IfExists")
	negative := strings.Contains(op, "Not")
	if len(have) == 0 {
		return ifExists || set == "ForAllValues:" || (set == "" && negative)
	}
	matching := 0 // how many of the request's values are among the policy's
	for _, h := range have {
		if slices.ContainsFunc(want, func(w string) bool { return naiveEqual(strings.Replace(op, "Not", "", 1), h, w, keys, vars) }) {
			matching++
		}
	}
	if negative {
		matching = len(have) - matching
	}
	switch {
	case set == "ForAllValues:", set == "" && negative:
		return matching == len(have)
	}
	return matching > 0
}

func naiveEqual(op, have, want string, keys map[string][]string, vars bool) bool {
	switch op {
	case "StringEquals":
		return naiveLike(want, have, keys, vars, false)
	case "StringEqualsIgnoreCase":
		return naiveFold(want, have, keys, vars)
	case "StringLike":
		return naiveLike(want, have, keys, vars, true)
	case "ArnEquals", "ArnLike":
		w, h := strings.SplitN(want, ":", 6), strings.SplitN(have, ":", 6)
		if len(h) != 6 {
			return false
		}
		for i := range w {
			if !naiveLike(w[i], h[i], keys, vars, true) {
				return false
			}
		}
		return true
	case "Bool":
		return have == want
	case "BinaryEquals":
		h, err := base64.StdEncoding.DecodeString(have)
		w, _ := base64.StdEncoding.DecodeString(want)
		return err == nil && string(h) == string(w)
	case "IpAddress":
		if !strings.Contains(want, "/") {
			return net.ParseIP(want).Equal(net.ParseIP(have))
		}
		_, n, err := net.ParseCIDR(want)
		return err == nil && n.Contains(net.ParseIP(have))
	}
	a, b := 0.0, 0.0
	if rest, ok := strings.CutPrefix(op, "Date"); ok {
		op = rest
		ta, err := time.Parse(time.RFC3339, have)
		if err != nil {
			return false
		}
		tb, _ := time.Parse(time.RFC3339, want)
		a, b = float64(ta.Unix()), float64(tb.Unix())
	} else {
		op = strings.TrimPrefix(op, "Numeric")
		var err error
		if a, err = strconv.ParseFloat(have, 64); err != nil {
			return false
		}
		b, _ = strconv.ParseFloat(want, 64)
	}
	return map[string]bool{"Equals": a == b, "LessThan": a < b, "LessThanEquals": a <= b, "GreaterThan": a > b, "GreaterThanEquals": a >= b}[op]
}

func naiveFold(want, have string, keys map[string][]string, vars bool) bool {
	lower := map[string][]string{}
	for k, v := range keys {
		for _, x := range v {
			lower[k] = append(lower[k], strings.ToLower(x))
		}
	}
	return naiveLike(strings.ToLower(want), strings.ToLower(have), lower, vars, false)
}
