package edge

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	stsapi "github.com/galen-health/galen/aws/sts"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
)

// door takes one token, which stands for alice.
type door struct{}

func (door) Bearer(ctx context.Context, token string) (call.Principal, error) {
	httproute.Note(ctx, "webIdentity", "who-it-says")
	switch token {
	case "good":
		c, err := people{}.Credential(ctx, alice.AccessKeyID, "")
		return c.Principal, err
	case "untrusted":
		return call.Principal{}, errs.New(errs.Denied, "the role does not trust the provider")
	}
	return call.Principal{}, errs.Named(errs.Unauthenticated, "InvalidIdentityToken", "the token is not valid")
}

// visitors is a token service with an operation that takes no signature.
type visitors struct{ stsapi.Unimplemented }

func (visitors) Authorize(context.Context, string, any) ([]authz.Request, error) { return nil, nil }

func (visitors) AssumeRoleWithWebIdentity(ctx context.Context, in *stsapi.AssumeRoleWithWebIdentityInput) (*stsapi.AssumeRoleWithWebIdentityOutput, error) {
	if call.From(ctx).Principal.Kind != "" {
		return nil, errs.New(errs.Internal, "somebody calls")
	}
	httproute.Note(ctx, "webIdentity", "sub-1")
	return &stsapi.AssumeRoleWithWebIdentityOutput{SubjectFromWebIdentityToken: in.WebIdentityToken}, nil
}

func (visitors) AssumeRole(context.Context, *stsapi.AssumeRoleInput) (*stsapi.AssumeRoleOutput, error) {
	return &stsapi.AssumeRoleOutput{}, nil
}

func TestBearerAndOpenRoutes(t *testing.T) {
	j := &journal{}
	route := func(pattern, action string, open bool) httproute.Route {
		return httproute.Route{Service: "healthlake", Method: "POST", Pattern: pattern, Name: action, Action: "healthlake:" + action, Open: open, MaxBody: 100, Resource: func(*http.Request) string { return "*" },
			Handle: func(w http.ResponseWriter, r *http.Request) error {
				b, err := io.ReadAll(r.Body)
				if err == nil {
					_, err = io.WriteString(w, call.From(r.Context()).Principal.Name+":"+string(b))
				}
				return err
			},
			Fail: func(w http.ResponseWriter, _ *http.Request, err error) {
				http.Error(w, errs.As(err).Message, map[errs.Code]int{errs.Unauthenticated: 401, errs.Denied: 403, errs.TooLarge: 413}[errs.CodeOf(err)])
			}}
	}
	e, err := New(Config{Registrations: []Registration{{Contract: stsapi.Contract, Service: visitors{}}}, Routes: []httproute.Route{route("/fhir/{id}", "ReadResource", false), route("/fhir/{id}/x", "DeleteResource", false), route("/open", "GetKeys", true)},
		Directory: people{}, Authorizer: authz.New(people{}, account, region), Bearer: door{}, Audit: j, Account: account, Region: region, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(e)
	defer server.Close()
	h := &harness{t: t, server: server}
	for _, c := range []struct {
		name, authorization, path, body string
		status                          int
		answer, principal               string
	}{
		{"a token", "Bearer good", "/fhir/1", "x", 200, "alice:x", "arn:aws:iam::000000000000:user/alice"},
		{"its scheme has no case", "bEARER good", "/fhir/1", "", 200, "alice:", "arn:aws:iam::000000000000:user/alice"},
		{"what it may not", "Bearer good", "/fhir/1/x", "", 403, "not authorized to perform: healthlake:DeleteResource", "arn:aws:iam::000000000000:user/alice"},
		{"a bad token", "Bearer bad", "/fhir/1", "", 401, "not valid", "who-it-says"},
		{"no token after the scheme", "Bearer ", "/fhir/1", "", 401, "", ""},
		{"a token that nothing trusts", "Bearer untrusted", "/fhir/1", "", 403, "does not trust", "who-it-says"},
		{"two schemes", "Basic YTpi", "/fhir/1", "", 401, "", ""},
		{"nothing", "", "/fhir/1", "", 401, "", ""},
		{"a body over the bound", "Bearer good", "/fhir/1", strings.Repeat("x", 101), 413, "", "arn:aws:iam::000000000000:user/alice"},
		{"an open route", "", "/open", "x", 200, ":x", ""},
		{"an open route shown a token", "Bearer bad", "/open", "x", 200, ":x", ""},
		{"an open route, a body over the bound", "", "/open", strings.Repeat("x", 101), 413, "", ""},
	} {
		header := map[string]string{}
		if c.authorization != "" {
			header["Authorization"] = c.authorization
		}
		r := h.send(root, "", "POST", c.path, header, c.body)
		if r.status != c.status || !strings.Contains(r.body, c.answer) {
			t.Errorf("%s: %d %s, want %d %s", c.name, r.status, r.body, c.status, c.answer)
		}
		if c.principal != "" && j.last().Principal != c.principal || j.last().Name == "" {
			t.Errorf("%s: the audit log names %q", c.name, j.last().Principal)
		}
		if challenged := strings.Contains(r.header.Get("WWW-Authenticate"), "invalid_token"); challenged != (c.authorization == "Bearer bad" && c.status == 401) && c.authorization != "Bearer " {
			t.Errorf("%s: challenge %q", c.name, r.header.Get("WWW-Authenticate"))
		}
	}
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	role := "arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2Fr"
	for _, c := range []struct {
		name, method, target, body string
		status                     int
		answer                     string
	}{
		{"a form that nobody signed", "POST", "/", "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=ss&WebIdentityToken=abcd&RoleArn=" + role, 200, "<SubjectFromWebIdentityToken>abcd<"},
		{"the same in the address", "GET", "/?Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=ss&WebIdentityToken=abcd&RoleArn=" + role, "", 200, "<SubjectFromWebIdentityToken>abcd<"},
		{"an input that breaks the contract", "POST", "/", "Action=AssumeRoleWithWebIdentity&Version=2011-06-15", 400, "ValidationError"},
		{"an operation that must be signed", "POST", "/", "Action=AssumeRole&Version=2011-06-15&RoleSessionName=ss&RoleArn=" + role, 403, "Missing"},
		{"another version", "POST", "/", "Action=AssumeRoleWithWebIdentity&Version=2001-01-01", 403, "Missing"},
		{"a form without end", "POST", "/", "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&WebIdentityToken=" + strings.Repeat("a", 80_000), 403, "Missing"},
	} {
		r := h.send(root, "", c.method, c.target, form, c.body)
		if r.status != c.status || !strings.Contains(r.body, c.answer) {
			t.Errorf("%s: %d %.300s, want %d %s", c.name, r.status, r.body, c.status, c.answer)
		}
		if c.status == 200 && (j.last().Principal != "sub-1" || j.last().Kind != "WebIdentityUser" || j.last().Name != "AssumeRoleWithWebIdentity") {
			t.Errorf("%s: the audit log says %+v", c.name, j.last())
		}
	}
}
