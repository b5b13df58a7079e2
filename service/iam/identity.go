package iam

import (
	"slices"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/record"
)

// identity is what users, groups and roles have in common, and the little that each has of its own.
type identity struct {
	Name     string            `json:"name"`
	Path     string            `json:"path"`
	ID       string            `json:"id"`
	ARN      string            `json:"arn"`
	Created  time.Time         `json:"created"`
	Inline   map[string]string `json:"inline,omitempty"`   // name → document
	Attached []string          `json:"attached,omitempty"` // ARNs of managed policies
	Boundary string            `json:"boundary,omitempty"` // ARN; users and roles
	Tags     []api.Tag         `json:"tags,omitempty"`     // users and roles
	Groups   []string          `json:"groups,omitempty"`   // of a user: record ids
	Trust    string            `json:"trust,omitempty"`    // of a role
	About    string            `json:"about,omitempty"`    // of a role: its description
	Longest  int32             `json:"longest,omitempty"`  // of a role: seconds that a session may last
}

// kind is a kind of identity: its records and its words.
type kind struct {
	record.Kind[identity]
	word   string // in ARNs and messages
	prefix string // of ids
	inline int    // bytes of inline policies together, without white space
}

func kindOf(word, prefix string, inline int) kind {
	return kind{record.Kind[identity]{Name: "iam." + word, Indexes: record.Indexes[identity]{
		record.ByString("name", func(i *identity) string { return strings.ToLower(i.Name) }),
		record.ByString("path", func(i *identity) string { return i.Path }),
		record.ByToken("boundary", func(i *identity) string { return i.Boundary }),
		{Name: "attached", Values: func(i *identity) []record.Value { return tokens(i.Attached) }},
		{Name: "group", Values: func(i *identity) []record.Value { return tokens(i.Groups) }},
	}}, word, prefix, inline}
}

func tokens(list []string) (out []record.Value) {
	for _, s := range list {
		out = append(out, record.Token("", s))
	}
	return out
}

// The quotas of inline policies are IAM's own.
var (
	users  = kindOf("user", "AIDA", 2048)
	groups = kindOf("group", "AGPA", 5120)
	roles  = kindOf("role", "AROA", 10240)
)

func recordID(name string) string { return strings.ToLower(name) }

// get finds an identity by its exact name.
func (k kind) get(g record.Getter, name string) (*identity, int64, error) {
	i, version, err := k.Get(g, recordID(name))
	if absent(err) || err == nil && i.Name != name {
		return nil, 0, noSuch(k.word, name)
	}
	return i, version, err
}

// edit changes an identity in place.
func (k kind) edit(tx record.Tx, name string, fn func(*identity) error) error {
	i, version, err := k.get(tx, name)
	if err != nil {
		return err
	}
	if err := fn(i); err != nil {
		return err
	}
	return k.Replace(tx, recordID(i.Name), i, version)
}

// add creates an identity.
func (k kind) add(tx record.Tx, i *identity) error {
	if _, _, err := k.Get(tx, recordID(i.Name)); err == nil {
		return exists(strings.ToUpper(k.word[:1])+k.word[1:], i.Name)
	} else if !absent(err) {
		return err
	}
	if i.Boundary != "" {
		if _, _, err := policyOf(tx, i.Boundary); err != nil {
			return err
		}
	}
	return k.Create(tx, recordID(i.Name), i)
}

// putInline writes an inline policy.
func (i *identity) putInline(k kind, name, document string) error {
	if err := checkPolicy(document, authz.IdentityPolicy, k.inline); err != nil {
		return err
	}
	if i.Inline == nil {
		i.Inline = map[string]string{}
	}
	i.Inline[name] = document
	total := 0
	for _, d := range i.Inline {
		total += policySize(d)
	}
	if total > k.inline {
		return limit("Maximum policy size of %d bytes exceeded for %s %s", k.inline, k.word, i.Name)
	}
	return nil
}

func (i *identity) inline(name string) (string, error) {
	d, ok := i.Inline[name]
	if !ok {
		return "", noSuch("policy", name)
	}
	return d, nil
}

func (i *identity) dropInline(name string) error {
	if _, err := i.inline(name); err != nil {
		return err
	}
	delete(i.Inline, name)
	return nil
}

// maxAttached is the quota of managed policies that one identity may have.
const maxAttached = 10

func (i *identity) attach(tx record.Tx, arn string) error {
	if _, _, err := policyOf(tx, arn); err != nil {
		return err
	}
	if slices.Contains(i.Attached, arn) {
		return nil
	}
	if len(i.Attached) >= maxAttached {
		return limit("Cannot exceed quota for PoliciesPerIdentity: %d", maxAttached)
	}
	i.Attached = append(i.Attached, arn)
	slices.Sort(i.Attached)
	return nil
}

func (i *identity) detach(arn string) error {
	at := slices.Index(i.Attached, arn)
	if at < 0 {
		return noSuchPolicy(arn)
	}
	i.Attached = slices.Delete(i.Attached, at, at+1)
	return nil
}

// inUse tells what keeps an identity from being deleted.
func (i *identity) inUse() error {
	switch {
	case len(i.Attached) > 0:
		return deleteConflict("must detach all policies first.")
	case len(i.Inline) > 0:
		return deleteConflict("must delete policies first.")
	case len(i.Groups) > 0:
		return deleteConflict("must remove users from group first.")
	}
	return nil
}

func (i *identity) boundary() *api.AttachedPermissionsBoundary {
	if i.Boundary == "" {
		return nil
	}
	return &api.AttachedPermissionsBoundary{PermissionsBoundaryArn: i.Boundary, PermissionsBoundaryType: api.PermissionsBoundaryAttachmentTypePermissionsBoundaryPolicy}
}

// maxTags is the quota of tags.
const maxTags = 50

func mergeTags(have, add []api.Tag) ([]api.Tag, error) {
	out := slices.Clone(have)
	for n, t := range add {
		for _, u := range add[:n] {
			if strings.EqualFold(t.Key, u.Key) {
				return nil, errInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
			}
		}
		if at := slices.IndexFunc(out, func(o api.Tag) bool { return strings.EqualFold(o.Key, t.Key) }); at >= 0 {
			out[at] = t
		} else {
			out = append(out, t)
		}
	}
	if len(out) > maxTags {
		return nil, limit("Cannot exceed quota for TagsPerResource: %d", maxTags)
	}
	slices.SortFunc(out, func(a, b api.Tag) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

func dropTags(have []api.Tag, keys []string) []api.Tag {
	return slices.DeleteFunc(slices.Clone(have), func(t api.Tag) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return strings.EqualFold(k, t.Key) })
	})
}

// inlineNames is a page of the names of inline policies.
func (i *identity) inlineNames(marker string, max *int32) ([]string, *bool, string) {
	names := make([]string, 0, len(i.Inline))
	for n := range i.Inline {
		names = append(names, n)
	}
	slices.Sort(names)
	return cut(names, func(s string) string { return s }, marker, max)
}

// attachedPolicies is a page of the managed policies below a path.
func (i *identity) attachedPolicies(prefix, marker string, max *int32) ([]api.AttachedPolicy, *bool, string) {
	var out []api.AttachedPolicy
	for _, arn := range i.Attached {
		_, rest, _ := strings.Cut(arn, ":policy")
		at := strings.LastIndexByte(rest, '/')
		if strings.HasPrefix(rest[:at+1], orRoot(prefix)) {
			out = append(out, api.AttachedPolicy{PolicyArn: arn, PolicyName: rest[at+1:]})
		}
	}
	return cut(out, func(p api.AttachedPolicy) string { return p.PolicyArn }, marker, max)
}

func (i *identity) tags(marker string, max *int32) ([]api.Tag, *bool, string) {
	page, more, next := cut(i.Tags, func(t api.Tag) string { return t.Key }, marker, max)
	if page == nil {
		page = []api.Tag{}
	}
	return page, more, next
}

func (i *identity) tagMap() map[string]string {
	m := make(map[string]string, len(i.Tags))
	for _, t := range i.Tags {
		m[t.Key] = t.Value
	}
	return m
}

func (i *identity) user() *api.User {
	return &api.User{Path: i.Path, UserName: i.Name, UserId: i.ID, Arn: i.ARN, CreateDate: i.Created, PermissionsBoundary: i.boundary(), Tags: i.Tags}
}

func (i *identity) group() *api.Group {
	return &api.Group{Path: i.Path, GroupName: i.Name, GroupId: i.ID, Arn: i.ARN, CreateDate: i.Created}
}

func (i *identity) role() *api.Role {
	return &api.Role{Path: i.Path, RoleName: i.Name, RoleId: i.ID, Arn: i.ARN, CreateDate: i.Created, AssumeRolePolicyDocument: encoded(i.Trust), Description: i.About,
		MaxSessionDuration: aws.Ptr(i.Longest), PermissionsBoundary: i.boundary(), Tags: i.Tags}
}
