package leak

import (
	"context"
	"io"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/galen-health/galen/app"
	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/platform/httproute"
	"github.com/galen-health/galen/test/galen"
)

// offer is what this build implements.
func (s *site) offer() ([]*aws.Operation, []httproute.Route) {
	s.t.Helper()
	a, err := app.New(context.Background(), app.Config{DataDir: s.t.TempDir(), Addr: "127.0.0.1:0", Account: galen.Account, Region: galen.Region, RootAccessKeyID: galen.AccessKeyID, RootSecretAccessKey: galen.SecretAccessKey}, "test", slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		s.t.Fatal(err)
	}
	defer a.Close() //nolint:errcheck // nothing was stored in it
	return a.Operations(), a.Routes()
}

// names are members that a contract makes part of an ARN or of an event, or that name a caller: they are what the audit log is to say.
var names = map[string]bool{}

func init() {
	for _, n := range strings.Fields(`Bucket Key CopySource Prefix Delimiter StartAfter Marker KeyMarker VersionIdMarker UploadIdMarker UploadId VersionId UserName NewUserName GroupName NewGroupName RoleName PolicyName PolicyArn RoleArn
		RoleSessionName SourceIdentity InstanceProfileName SerialNumber AccessKeyId Path PathPrefix NewPath EventBusName Rule RuleName ReplayName ArchiveName WorkGroup MedicalScribeJobName OutputBucketName DestinationName VersionName
		AliasName TargetKeyId KeyId SourceKeyId DestinationKeyId GrantId ResourceArn ResourceARN ResourceArns Arn arn TargetArn EventSourceArn OpenIDConnectProviderArn PolicySourceArn CallerArn ActionNames storeName
		DatastoreName datastoreName JobName jobName`) {
		names[n] = true
	}
}

// arnName says that a member names a resource in its service's ARNs.
func arnName(op *aws.Operation, m *aws.Member) bool {
	if names[m.Name] || strings.HasSuffix(m.Name, "Arn") || strings.HasSuffix(m.Name, "ARN") || strings.HasSuffix(m.Name, "Id") && m.Location == "uri" || m.Location == "uri" {
		return true
	}
	switch op.Service.Signing {
	case "events", "athena", "transcribe":
		return m.Name == "Name" || m.Name == "NamePrefix"
	case "omics":
		return strings.EqualFold(m.Name, "name") && (strings.Contains(op.Name, "Variant") || strings.Contains(op.Name, "Annotation") || strings.Contains(op.Name, "Configuration"))
	}
	return false
}

// fill gives every string of an input a marked value: one that the contract allows when fit is true, else one that it does not.
func (s *site) fill(op *aws.Operation, sh *aws.Shape, v reflect.Value, fit bool, depth int) {
	for i, m := range sh.Members {
		f := v.FieldByName(m.Field)
		if sh.Union && i > 0 || depth > 6 || m.Shape.EventStream || !f.IsValid() {
			continue
		}
		s.value(op, m, f, fit, depth)
	}
}

func (s *site) value(op *aws.Operation, m *aws.Member, v reflect.Value, fit bool, depth int) {
	if given, ok := s.known(op, m); ok && v.Kind() == reflect.String {
		v.SetString(given)
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if v.Kind() == reflect.Interface { // a streaming body
		if body := reflect.ValueOf(io.NopCloser(strings.NewReader(mark("body")))); body.Type().AssignableTo(v.Type()) {
			v.Set(body)
		}
		return
	}
	sh := m.Shape
	switch sh.Kind {
	case aws.Structure:
		if !sh.Document {
			s.fill(op, sh, v, fit, depth+1)
		}
	case aws.List:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		elem := *sh.Elem
		elem.Name, elem.Location = m.Name, "" // a list of names holds names
		s.value(op, &elem, v.Index(0), fit, depth+1)
	case aws.Map:
		v.Set(reflect.MakeMap(v.Type()))
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		k.SetString("key")
		s.value(op, sh.Value, e, fit, depth+1)
		v.SetMapIndex(k, e)
	case aws.String:
		v.SetString(s.marked(m, fit))
	case aws.Integer, aws.Long:
		if sh.Min != nil {
			v.SetInt(int64(*sh.Min))
		} else {
			v.SetInt(1)
		}
	case aws.Timestamp:
		v.Set(reflect.ValueOf(time.Unix(1_700_000_000, 0).UTC()))
	case aws.Blob:
		v.SetBytes([]byte(mark("blob")))
	}
}

// marked is a value with the mark in it that the shape takes, if there is one.
func (s *site) marked(m *aws.Member, fit bool) string {
	sh := m.Shape
	plain := mark(m.Name)
	if uri := strings.ToLower(m.Name); strings.Contains(uri, "s3uri") || uri == "outputlocation" || uri == "fallbacklocation" { // an object's key is a name
		return "s3://" + bucket + "/plain/"
	}
	if !fit {
		return plain + " \u00e9<>&\"'%"
	}
	if len(sh.Enum) > 0 {
		return sh.Enum[0]
	}
	if sh.Max != nil && len(plain) > int(*sh.Max) {
		plain = plain[:int(*sh.Max)]
	}
	if sh.Pattern == "" {
		return plain
	}
	re, err := regexp.Compile("^(?:" + sh.Pattern + ")$")
	if err != nil {
		return plain
	}
	for _, v := range []string{plain, strings.ToLower(plain), "s3://" + bucket + "/plain/", "https://" + strings.ToLower(plain) + ".example/x", strings.Repeat(strings.ToLower(stem), 4)} {
		if re.MatchString(v) {
			return v
		}
	}
	return plain
}

// known are the values of members that must be right for a call to get anywhere, and of those that are names.
func (s *site) known(op *aws.Operation, m *aws.Member) (string, bool) {
	switch m.Name {
	case "datastoreId", "DatastoreId":
		if op.Service.Signing == "medical-imaging" {
			return s.images, true
		}
		return s.fhir, true
	case "imageSetId", "ImageSetId", "sourceImageSetId":
		return s.setID, true
	case "Bucket", "OutputBucketName":
		return bucket, true
	case "RoleArn", "roleArn", "dataAccessRoleArn", "DataAccessRoleArn":
		return s.role, true
	case "KeyId":
		return "alias/aws/s3", true
	}
	if !arnName(op, m) {
		return "", false
	}
	if strings.HasPrefix(m.Shape.Pattern, "[0-9]") || strings.Contains(m.Shape.Pattern, `\d`) {
		return "1234567890", true
	}
	return "plain", true
}

// call sends one operation; what comes back is the caller's own.
func (s *site) call(h *client.HTTP, op *aws.Operation, fit bool) {
	in, out := reflect.New(op.In), reflect.New(op.Out)
	s.fill(op, op.Input, in.Elem(), fit, 0)
	ctx, cancel := context.WithTimeout(s.ctx, 20*time.Second)
	defer cancel()
	_ = h.Invoke(ctx, op, in.Interface(), out.Interface()) // most are refused, which is half of the point
}

// never are operations that would take the site down under the others.
var never = map[string]bool{"DeleteFHIRDatastore": true, "DeleteDatastore": true, "DeleteUser": true, "DeleteAccessKey": true, "UpdateAccessKey": true, "DeleteBucket": true, "DeleteRole": true, "DeleteRolePolicy": true, "DeleteUserPolicy": true, "PutBucketPolicy": true, "ScheduleKeyDeletion": true, "DisableKey": true}

// operations sends every operation what it takes and what it does not.
func (s *site) operations(ops []*aws.Operation) (n int) {
	for _, op := range ops {
		if never[op.Name] || op.Streams {
			continue
		}
		s.call(s.nurse, op, true)
		s.call(s.nurse, op, false)
		n++
	}
	return n
}

var placeholder = regexp.MustCompile(`\{([A-Za-z]+)(\.\.\.)?\}|\{\$\}`)

// routes sends every route of the open standards marked paths, queries and bodies, signed and not.
func (s *site) routes(routes []httproute.Route) (n int) {
	for _, rt := range routes {
		store := s.fhir
		if rt.Service == "medical-imaging" {
			store = s.images
		}
		for _, one := range []string{mark("path") + "~", "Patient", "1"} {
			if rt.Service == "iam" {
				one = "name" // of what an ARN names
			}
			path := placeholder.ReplaceAllStringFunc(rt.Pattern, func(p string) string {
				switch p {
				case "{$}":
					return ""
				case "{datastoreId}":
					return store
				}
				return one
			})
			for _, contentType := range []string{"application/fhir+json", "application/dicom+json", "application/x-www-form-urlencoded", mark("type")} {
				body := ""
				if rt.MaxBody > 0 {
					body = patient("route", nil)
				} else if contentType != mark("type") {
					continue
				}
				s.send(s.nurse, rt.Service, rt.Method, path+"?"+mark("parameter")+"="+mark("query"), contentType, body)
			}
		}
		n++
	}
	return n
}
