package iam

import (
	"context"
	"reflect"
	"strings"

	api "github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/record"
)

// Authorize tells what the caller of an operation must be allowed: the operation's action on the user, group, role or policy that it
// names (Service Authorization Reference, "Actions defined by AWS IAM"). What does not exist is named as it would be at the path /.
func (s *Service) Authorize(ctx context.Context, op string, in any) ([]authz.Request, error) {
	r := authz.Request{Action: "iam:" + op, Resource: "*", Context: map[string]string{}, Values: map[string][]string{}}
	field := func(name string) string {
		f := reflect.ValueOf(in).Elem().FieldByName(name)
		if !f.IsValid() || f.Kind() != reflect.String {
			return ""
		}
		return f.String()
	}
	if f := reflect.ValueOf(in).Elem().FieldByName("Tags"); f.IsValid() {
		if tags, ok := f.Interface().([]api.Tag); ok {
			for _, t := range tags {
				r.Context["aws:RequestTag/"+t.Key] = t.Value
				r.Values["aws:TagKeys"] = append(r.Values["aws:TagKeys"], t.Key)
			}
		}
	}
	if f := reflect.ValueOf(in).Elem().FieldByName("TagKeys"); f.IsValid() {
		if keys, ok := f.Interface().([]string); ok {
			r.Values["aws:TagKeys"] = keys
		}
	}
	if b := field("PermissionsBoundary"); b != "" {
		r.Context["iam:PermissionsBoundary"] = b
	}
	if strings.HasPrefix(op, "Attach") || strings.HasPrefix(op, "Detach") {
		r.Context["iam:PolicyARN"] = field("PolicyArn")
	}
	err := s.view(ctx, func(v record.View) error {
		switch name := field("UserName"); {
		case op == "SimulatePrincipalPolicy":
			r.Resource = field("PolicySourceArn")
		case field("GroupName") != "":
			r.Resource = s.resource(v, groups, field("GroupName"), field("Path"), &r)
		case name != "":
			r.Resource = s.resource(v, users, name, field("Path"), &r)
		case field("RoleName") != "":
			r.Resource = s.resource(v, roles, field("RoleName"), field("Path"), &r)
		case field("OpenIDConnectProviderArn") != "":
			r.Resource = field("OpenIDConnectProviderArn")
		case op == "CreateOpenIDConnectProvider":
			if host, err := issuerHost(field("Url")); err == nil { // the operation refuses what is no issuer
				r.Resource = s.providerARN(host)
			}
		case field("PolicyArn") != "":
			r.Resource = field("PolicyArn")
		case op == "CreatePolicy":
			r.Resource = s.arn("policy", orRoot(field("Path")), field("PolicyName"))
		case op == "GetUser", strings.HasSuffix(op, "AccessKey"), op == "ListAccessKeys": // on oneself
			r.Resource = call.From(ctx).Principal.ARN
		}
		return nil
	})
	return []authz.Request{r}, err
}

// resource is the ARN of an identity; its tags become condition keys.
func (s *Service) resource(v record.View, k kind, name, path string, r *authz.Request) string {
	i, _, err := k.get(v, name)
	if err != nil {
		return s.arn(k.word, orRoot(path), name)
	}
	for _, t := range i.Tags {
		r.Context["aws:ResourceTag/"+t.Key] = t.Value
		r.Context["iam:ResourceTag/"+t.Key] = t.Value
	}
	if _, said := r.Context["iam:PermissionsBoundary"]; !said && i.Boundary != "" {
		r.Context["iam:PermissionsBoundary"] = i.Boundary
	}
	return i.ARN
}
