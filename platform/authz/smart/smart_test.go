package smart_test

import (
	"context"
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/authz/smart"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		list, granted string
		clinical      bool
	}{
		{"system/*.rs", "system/*.rs", true},
		{"system/Observation.read user/Patient.write", "system/Observation.rs user/Patient.cud", true},
		{"system/*.*", "system/*.cruds", true},
		{"openid profile launch fhirUser", "", false},
		{"", "", false},
		{"patient/*.rs", "", true}, // needs a launch context
		{"system/Observation.rs?category=laboratory", "", true}, // cannot be enforced
		{"system/Observation.sr", "", true},                     // out of order
		{"system/Observation.rr", "", true},
		{"system/Observation.", "", true},
		{"system/Nothing.rs system/Patient.r", "system/Patient.r", true},
		{"system/Patient.r system/Patient.r", "system/Patient.r", true},
		{"SYSTEM/Patient.r", "", false},
	} {
		granted, clinical := smart.Parse(c.list)
		if got := smart.Text(granted); got != c.granted || clinical != c.clinical {
			t.Errorf("%q: granted %q, clinical %v; want %q, %v", c.list, got, clinical, c.granted, c.clinical)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, c := range [][3]string{
		{"system/*.rs", "system/*.cruds", "system/*.rs"},
		{"system/Patient.cruds", "system/*.rs", "system/Patient.rs"},
		{"system/*.rs", "system/Patient.rs", ""},
		{"user/Patient.r", "system/Patient.r", ""},
		{"system/Patient.rs", "system/Patient.r system/Patient.s", "system/Patient.rs"},
	} {
		asked, _ := smart.Parse(c[0])
		allowed, _ := smart.Parse(c[1])
		if got := smart.Text(smart.Within(asked, allowed)); got != c[2] {
			t.Errorf("%q within %q = %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

// everything is a directory whose role may do all: what is refused, the scopes refuse.
type everything struct{}

func (everything) Credential(context.Context, string, string) (authz.Credential, error) {
	return authz.Credential{}, errs.New(errs.Unauthenticated, "none")
}

func (everything) Policies(context.Context, call.Principal) ([]authz.Policy, string, error) {
	return []authz.Policy{{Name: "all", Document: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`}}, "", nil
}

func TestWhatScopesAllow(t *testing.T) {
	e := authz.New(everything{}, "000000000000", "us-east-1")
	for _, c := range []struct{ scopes, allowed, refused string }{
		{"system/*.rs", "healthlake:ReadResource Patient,healthlake:SearchWithGet *,healthlake:GetCapabilities,medical-imaging:GetDICOMInstance,medical-imaging:SearchDICOMStudies,healthlake:ProcessBundle,healthlake:StartFHIRExportJobWithGet,healthlake:GetHistoryByResourceId *",
			"healthlake:CreateResource Patient,healthlake:DeleteResource Patient,medical-imaging:StoreDICOM,medical-imaging:DeleteDatastore,s3:GetObject,iam:CreateUser,healthlake:DeleteFHIRDatastore"},
		{"system/Observation.rs", "healthlake:ReadResource Observation,healthlake:SearchWithGet Observation,healthlake:GetCapabilities",
			"healthlake:ReadResource Patient,healthlake:SearchWithGet *,healthlake:SearchEverything *,healthlake:ReadResource,medical-imaging:GetDICOMInstance,healthlake:StartFHIRExportJobWithGet,healthlake:UpdateResource Observation"},
		{"system/ImagingStudy.crs", "medical-imaging:StoreDICOM,medical-imaging:GetDICOMInstanceFrames,medical-imaging:SearchDICOMSeries,healthlake:CreateResource ImagingStudy", "medical-imaging:DeleteImageSet,healthlake:CreateResource Patient"},
		{"system/*.cud", "healthlake:CreateResource Patient,healthlake:UpdateResource Patient,healthlake:DeleteResource Patient,medical-imaging:StoreDICOM", "healthlake:ReadResource Patient,healthlake:SearchWithGet Patient,medical-imaging:GetDICOMInstance"},
		{"patient/*.rs", "healthlake:GetCapabilities", "healthlake:ReadResource Patient,healthlake:ProcessBundle,medical-imaging:GetDICOMInstance"},
	} {
		scopes, _ := smart.Parse(c.scopes)
		who := &call.Call{Principal: call.Principal{Kind: call.AssumedRole, ARN: "arn:aws:sts::000000000000:assumed-role/r/s", ID: "AROA:s", Account: "000000000000", Name: "r", RoleARN: "arn:aws:iam::000000000000:role/r",
			Session: &call.Session{Policies: []string{smart.Policy(scopes)}}}}
		for want, list := range map[bool]string{true: c.allowed, false: c.refused} {
			for _, item := range strings.Split(list, ",") {
				action, typ, typed := strings.Cut(item, " ")
				r := authz.Request{Action: action, Resource: "arn:aws:healthlake:us-east-1:000000000000:datastore/fhir/x"}
				if typed {
					r.Context = map[string]string{"healthlake:ResourceType": typ}
				}
				if d := e.Decide(context.Background(), who, r); d.Allowed != want || d.Explicit {
					t.Errorf("%q: %s = %+v, want allowed %v", c.scopes, item, d, want)
				}
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("system/*.rs patient/Patient.read launch/patient")
	f.Fuzz(func(t *testing.T, list string) {
		granted, clinical := smart.Parse(list)
		if len(granted) > 0 && !clinical || len(granted) > smart.MaxScopes {
			t.Fatalf("granted %d, clinical %v", len(granted), clinical)
		}
		if again, _ := smart.Parse(smart.Text(granted)); smart.Text(again) != smart.Text(granted) {
			t.Fatal("the text of scopes does not read as the same")
		}
		if _, err := authz.ParsePolicy(smart.Policy(granted), authz.IdentityPolicy); err != nil {
			t.Fatal(err)
		}
	})
}
