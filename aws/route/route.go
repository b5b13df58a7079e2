// Package route finds the service and the operation of a request: by the credential scope of its signature, then X-Amz-Target, then the RPC v2 path, then
// method and path. Host names say nothing: SDKs put prefixes before any host.
package route

import (
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/platform/errs"
)

// Table holds the operations of the services that it was made of.
type Table struct {
	bySigning map[string][]*aws.Service // transcribe signs for two
	rest      map[*aws.Service][]*pattern
}

// pattern is one REST operation's method, path and query.
type pattern struct {
	op       *aws.Operation
	segments []string
	literal  map[string]string // of the query
	needs    []string          // query members that must be there
	headers  []string          // header members that must be there
	weight   int
}

// New makes a table.
func New(services ...*aws.Service) *Table {
	t := &Table{bySigning: map[string][]*aws.Service{}, rest: map[*aws.Service][]*pattern{}}
	for _, s := range services {
		t.bySigning[s.Signing] = append(t.bySigning[s.Signing], s)
		if s.Protocols[0] != aws.RESTJSON && s.Protocols[0] != aws.RESTXML {
			continue
		}
		for _, n := range s.OperationNames() {
			t.rest[s] = append(t.rest[s], newPattern(s.Operations[n]))
		}
		sort.SliceStable(t.rest[s], func(i, j int) bool { return t.rest[s][i].weight > t.rest[s][j].weight })
	}
	return t
}

func newPattern(op *aws.Operation) *pattern {
	path, query, _ := strings.Cut(op.URI, "?")
	p := &pattern{op: op, segments: split(path), literal: map[string]string{}}
	for _, kv := range strings.Split(query, "&") {
		if kv != "" {
			k, v, _ := strings.Cut(kv, "=")
			p.literal[k] = v
			p.weight += 100
		}
	}
	for _, m := range op.Input.Members {
		switch {
		case m.Required && m.Location == "querystring":
			p.needs = append(p.needs, m.Wire())
			p.weight += 10
		case m.Required && m.Location == "header":
			p.headers = append(p.headers, m.Wire())
			p.weight += 10
		}
	}
	for _, s := range p.segments {
		if !strings.HasPrefix(s, "{") {
			p.weight++
		}
	}
	return p
}

func split(path string) []string {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// names reports whether a target's prefix is that of a contract: whole, or its last part, as SDKs made from Smithy models write the shape's name only
// (CloudTrail_20131101 for com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101).
func names(contract, prefix string) bool {
	return prefix != "" && (contract == prefix || strings.HasSuffix(contract, "."+prefix) && !strings.Contains(prefix, "."))
}

// Match is a found operation.
type Match struct {
	Op       *aws.Operation
	Protocol aws.Protocol
	Labels   map[string]string
	pattern  *pattern
}

// Find looks an operation up. signing is the name in the credential scope, form the parsed body of an awsQuery request (nil otherwise), host decides S3's
// virtual-hosted buckets. On failure the service and protocol are those whose error shape the caller expects, as far as that is known.
func (t *Table) Find(r *http.Request, signing string, form url.Values, bucket string) (m *Match, s *aws.Service, p aws.Protocol, err error) {
	candidates := t.bySigning[signing]
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		prefix, name := cutLast(target)
		for _, list := range t.bySigning {
			for _, c := range list {
				if names(c.TargetPrefix, prefix) && (signing == "" || c.Signing == signing) {
					if op := c.Operations[name]; op != nil {
						return &Match{Op: op, Protocol: jsonOf(c)}, c, jsonOf(c), nil
					}
					return nil, c, jsonOf(c), unknown(name)
				}
			}
		}
		if len(candidates) > 0 {
			return nil, candidates[0], jsonOf(candidates[0]), unknown(name)
		}
		return nil, nil, aws.JSON11, unknown(name)
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/service/"); ok && r.Header.Get("Smithy-Protocol") == "rpc-v2-cbor" {
		name, op, _ := strings.Cut(rest, "/operation/")
		for _, list := range t.bySigning {
			for _, c := range list {
				if (c.TargetPrefix == name || c.ID == name) && (signing == "" || c.Signing == signing) {
					if o := c.Operations[op]; o != nil {
						return &Match{Op: o, Protocol: aws.CBOR}, c, aws.CBOR, nil
					}
					return nil, c, aws.CBOR, unknown(op)
				}
			}
		}
		return nil, nil, aws.CBOR, unknown(op)
	}
	if len(candidates) == 0 {
		return nil, nil, aws.RESTJSON, errs.Named(errs.NotFound, "UnknownOperationException", "no service here signs as %.40q", signing)
	}
	s, p = candidates[0], candidates[0].Protocols[0]
	if p == aws.Query {
		name := form.Get("Action")
		if op := s.Operations[name]; op != nil {
			return &Match{Op: op, Protocol: p}, s, p, nil
		}
		return nil, s, p, errs.Named(errs.Invalid, "InvalidAction", "Could not find operation %.80q for version %.20q", name, form.Get("Version"))
	}
	path := r.URL.EscapedPath()
	if bucket != "" {
		path = "/" + url.PathEscape(bucket) + path
	}
	query := r.URL.Query()
	var lacking *Match // an operation whose required query or header members are not there: decoding says which
	for _, c := range candidates {
		for _, pat := range t.rest[c] {
			labels, ok := pat.match(r, path, query)
			if !ok || pat.foreign(query) {
				continue
			}
			m := &Match{Op: pat.op, Protocol: c.Protocols[0], Labels: labels}
			if pat.complete(r, query) {
				return m, c, m.Protocol, nil
			}
			if lacking == nil || len(pat.needs)+len(pat.headers) < len(lacking.pattern.needs)+len(lacking.pattern.headers) {
				lacking, m.pattern = m, pat
			}
		}
	}
	if lacking != nil {
		return lacking, lacking.Op.Service, lacking.Protocol, nil
	}
	if len(t.rest[s]) == 0 {
		return nil, s, jsonOf(s), errs.Named(errs.NotFound, "UnknownOperationException", "the request names no operation: X-Amz-Target is missing")
	}
	if s.Protocols[0] == aws.RESTXML {
		return nil, s, p, errs.Named(errs.Unsupported, "NotImplemented", "A header or query you provided implies functionality that is not implemented: %s", r.Method)
	}
	return nil, s, p, errs.Named(errs.NotFound, "UnknownOperationException", "%s has no operation at this method and path", s.ID)
}

func unknown(name string) error {
	return errs.Named(errs.Invalid, "UnknownOperationException", "the operation %.80q is not part of the contract", name)
}

func cutLast(s string) (string, string) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

// jsonOf is the JSON protocol of a service that also speaks another.
func jsonOf(s *aws.Service) aws.Protocol {
	for _, p := range s.Protocols {
		if p == aws.JSON10 || p == aws.JSON11 {
			return p
		}
	}
	return s.Protocols[0]
}

// match compares method, path and the query's literals, and returns the labels decoded.
func (p *pattern) match(r *http.Request, path string, query url.Values) (map[string]string, bool) {
	if r.Method != p.op.Method {
		return nil, false
	}
	labels := map[string]string{}
	rest := strings.TrimPrefix(path, "/")
	for i, seg := range p.segments {
		name, isLabel := strings.CutPrefix(seg, "{")
		name = strings.TrimSuffix(name, "}")
		greedy := strings.HasSuffix(name, "+")
		name = strings.TrimSuffix(name, "+")
		if isLabel && greedy {
			tail := p.segments[i+1:]
			if len(tail) > 0 {
				suffix := "/" + strings.Join(tail, "/")
				if !strings.HasSuffix(rest, suffix) {
					return nil, false
				}
				rest = strings.TrimSuffix(rest, suffix)
			}
			v, err := url.PathUnescape(rest)
			if err != nil || v == "" {
				return nil, false
			}
			labels[name], rest = v, ""
			break
		}
		head, tail, _ := strings.Cut(rest, "/")
		rest = tail
		if !isLabel {
			if head != seg {
				return nil, false
			}
			continue
		}
		v, err := url.PathUnescape(head)
		if err != nil || v == "" {
			return nil, false
		}
		labels[name] = v
	}
	if rest != "" {
		return nil, false
	}
	for k, v := range p.literal {
		got, ok := query[k]
		if !ok || v != "" && got[0] != v {
			return nil, false
		}
	}
	return labels, true
}

// foreign says whether the query names a sub-resource that is not this operation's: DELETE /bucket?lifecycle must not delete the bucket. S3 names one by a
// parameter without a value.
func (p *pattern) foreign(query url.Values) bool {
	if p.op.Service.Protocols[0] != aws.RESTXML {
		return false
	}
	for k, v := range query {
		if _, own := p.literal[k]; own || v[0] != "" {
			continue
		}
		if !slices.ContainsFunc(p.op.Input.Members, func(m *aws.Member) bool { return m.Location == "querystring" && m.Wire() == k }) {
			return true
		}
	}
	return false
}

// complete says whether the required members of query and headers are there: they tell operations apart that share a path (UploadPart from PutObject, and from
// UploadPartCopy).
func (p *pattern) complete(r *http.Request, query url.Values) bool {
	for _, k := range p.needs {
		if !query.Has(k) {
			return false
		}
	}
	for _, h := range p.headers {
		if r.Header.Get(h) == "" {
			return false
		}
	}
	return true
}
