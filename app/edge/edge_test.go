package edge

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/galen-health/galen/aws"
	comprehendapi "github.com/galen-health/galen/aws/comprehendmedical"
	healthlakeapi "github.com/galen-health/galen/aws/healthlake"
	kmsapi "github.com/galen-health/galen/aws/kms"
	omicsapi "github.com/galen-health/galen/aws/omics"
	s3api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/sigv4"
	stsapi "github.com/galen-health/galen/aws/sts"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
)

const (
	json10 = "application/x-amz-json-1.0"
	create = "HealthLake.CreateFHIRDatastore"
)

func target(t string) map[string]string {
	return map[string]string{"X-Amz-Target": t, "Content-Type": json10}
}

// TestEveryProtocol calls one operation of each protocol through the generated client, over the wire, and finds it in the audit log.
func TestEveryProtocol(t *testing.T) {
	h := newHarness(t)
	ctx, inv := context.Background(), h.invoker(root)
	for name, c := range map[string]struct {
		run  func() (string, error)
		want string
	}{
		"CreateFHIRDatastore": {func() (string, error) {
			out, err := healthlakeapi.NewClient(inv).CreateFHIRDatastore(ctx, &healthlakeapi.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlakeapi.FHIRVersionR4, DatastoreName: "näme"})
			if err != nil {
				return "", err
			}
			return out.DatastoreArn + out.DatastoreEndpoint, nil
		}, "arn:aws:iam::000000000000:rootnäme"},
		"GenerateRandom": {func() (string, error) {
			out, err := kmsapi.NewClient(inv).GenerateRandom(ctx, &kmsapi.GenerateRandomInput{NumberOfBytes: aws.Ptr(int32(5))})
			if err != nil {
				return "", err
			}
			return string(out.Plaintext), nil
		}, "\x00\x00\x00\x00\x00"},
		"ListTagsForResource": {func() (string, error) {
			out, err := omicsapi.NewClient(inv).ListTagsForResource(ctx, &omicsapi.ListTagsForResourceInput{ResourceArn: "arn:aws:omics:us-east-1:000000000000:run/1"})
			if err != nil {
				return "", err
			}
			return out.Tags["arn"], nil
		}, "arn:aws:omics:us-east-1:000000000000:run/1"},
		"GetObject": {func() (string, error) {
			out, err := s3api.NewClient(inv).GetObject(ctx, &s3api.GetObjectInput{Bucket: "bucket", Key: "a/../b ü+%25?/c"})
			if err != nil {
				return "", err
			}
			defer out.Body.Close()
			b, err := io.ReadAll(out.Body)
			return string(b), err
		}, "bucket a/../b ü+%25?/c"},
		"GetCallerIdentity": {func() (string, error) {
			out, err := stsapi.NewClient(inv).GetCallerIdentity(ctx, &stsapi.GetCallerIdentityInput{})
			if err != nil {
				return "", err
			}
			return out.Arn, nil
		}, "arn:aws:iam::000000000000:root"},
		"DetectPHI": {func() (string, error) {
			out, err := comprehendapi.NewClient(inv).DetectPHI(ctx, &comprehendapi.DetectPHIInput{Text: "Jane"})
			if err != nil {
				return "", err
			}
			return out.Entities[0].Text, nil
		}, "Jane"},
	} {
		got, err := c.run()
		if err != nil || got != c.want {
			t.Errorf("%s = %q, %v; want %q", name, got, err, c.want)
		}
		if e := h.journal.last(); e.Name != name || e.Error != "" || name != "GetCallerIdentity" && (e.Effect != "Allow" || e.PolicyType != "root") || e.Principal != "arn:aws:iam::000000000000:root" || e.AccessKeyID != root.AccessKeyID || e.SourceIP != "127.0.0.1" || e.Action == "" || e.RequestID == "" {
			t.Errorf("%s left the audit entry %+v", name, e)
		}
	}
	if r := h.send(root, "comprehendmedical", "POST", "/", map[string]string{"X-Amz-Target": "ComprehendMedical_20181030.DetectPHI", "Content-Type": "application/x-amz-json-1.1"}, `{"Text":"Jane"}`); r.status != 200 || !strings.Contains(r.body, `"Text":"Jane"`) || r.header.Get("Content-Type") != "application/x-amz-json-1.1" {
		t.Errorf("the second protocol of one service: %+v", r)
	}
	r := h.send(root, "s3", "HEAD", "/bucket/k", nil, "")
	if r.header.Get("Content-Length") != "12345" || r.header.Get("X-Amz-Meta-A") != "b" || r.body != "" {
		t.Errorf("HEAD answers %+v", r)
	}
}

// TestVirtualHost: a bucket in the host name, with the endpoint's own name configured; other hosts are path style, whatever prefix a client puts before them.
func TestVirtualHost(t *testing.T) {
	h := newHarness(t)
	for host, want := range map[string]string{"bucket.galen.example": "bucket some/key", "a.b.galen.example:8484": "a.b some/key", "galen.example": "some key", "s3.other.example": "some key", "127.0.0.1": "some key"} {
		r, err := http.NewRequest("GET", h.server.URL+"/some/key", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		if err := sigv4.Sign(r, root, "s3", region, time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := h.do(r); got.status != 200 || got.body != want {
			t.Errorf("%s: %d %q, want %q", host, got.status, got.body, want)
		}
	}
	for _, prefix := range []string{"runtime-", "workflows-", "datatransformation."} {
		r, err := http.NewRequest("GET", h.server.URL+"/tags/arn%3Aaws%3Aomics%3Aus-east-1%3A000000000000%3Arun%2F1", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = prefix + "galen.example"
		if err := sigv4.Sign(r, root, "omics", region, time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := h.do(r); got.status != 200 {
			t.Errorf("%s: %+v", prefix, got)
		}
	}
}

// TestFailures holds names, statuses and shapes of errors in each protocol.
func TestFailures(t *testing.T) {
	h := newHarness(t)
	lake := func(name string) raw {
		return h.send(root, "healthlake", "POST", "/", target(create), `{"DatastoreTypeVersion":"R4","DatastoreName":"`+name+`"}`)
	}
	for name, want := range map[string]struct {
		code   string
		status int
	}{"missing": {"ResourceNotFoundException", 404}, "taken": {"ConflictException", 409}, "busy": {"ThrottlingException", 429}, "full": {"ThrottlingException", 429}, "broken": {"InternalServerException", 500}, "bug": {"InternalServerException", 500}, "panic": {"InternalServerException", 500}} {
		r := lake(name)
		if typ, _ := r.json(t)["__type"].(string); r.status != want.status || !strings.HasSuffix(typ, "#"+want.code) || r.header.Get("Content-Type") != json10 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
		if strings.Contains(r.body, "secret") {
			t.Errorf("%s: the answer tells %s", name, r.body)
		}
		if e := h.journal.last(); e.Error != want.code || e.RequestID != r.header.Get("X-Amzn-Requestid") {
			t.Errorf("%s: audited as %q", name, e.Error)
		}
	}
	if l := h.logged.String(); !strings.Contains(l, "secret cause") || !strings.Contains(l, "panic in a handler") || strings.Contains(l, "secret panic") {
		t.Errorf("the log is %s", l)
	}

	r := h.send(root, "omics", "GET", "/tags/arn%3Aaws%3Aomics%3Aus-east-1%3A000000000000%3Arun%2Fmissing", nil, "")
	if r.status != 404 || r.header.Get("X-Amzn-Errortype") != "ResourceNotFoundException" || r.json(t)["message"] != "no such run" {
		t.Errorf("restJson: %+v", r)
	}
	r = h.send(root, "s3", "GET", "/bucket/missing", nil, "")
	var x struct {
		XMLName                 xml.Name `xml:"Error"`
		Code, Message, Resource string
		RequestID               string `xml:"RequestId"`
	}
	if err := xml.Unmarshal([]byte(r.body), &x); err != nil || r.status != 404 || x.Code != "NoSuchKey" || x.Resource != "/bucket/missing" || x.RequestID != r.header.Get("X-Amzn-Requestid") {
		t.Errorf("restXml: %+v %+v", r, x)
	}
	if r = h.send(root, "s3", "HEAD", "/bucket/missing", nil, ""); r.status != 404 || r.body != "" {
		t.Errorf("HEAD: %+v", r)
	}
	r = h.send(root, "sts", "POST", "/", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "Action=AssumeRole&Version=2011-06-15")
	var q struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Error     struct{ Type, Code, Message string }
		RequestID string `xml:"RequestId"`
	}
	if err := xml.Unmarshal([]byte(r.body), &q); err != nil || r.status != 400 || q.Error.Code != "ValidationError" || q.Error.Type != "Sender" || !strings.Contains(q.Error.Message, "2 validation errors") {
		t.Errorf("query: %+v %+v", r, q)
	}
	r = h.send(root, "comprehendmedical", "POST", "/service/ComprehendMedical_20181030/operation/DetectPHI", map[string]string{"Smithy-Protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}, "\xa0")
	var c map[string]any
	if err := cbor.Unmarshal([]byte(r.body), &c); err != nil || r.status != 400 || r.header.Get("Smithy-Protocol") != "rpc-v2-cbor" || !strings.HasSuffix(c["__type"].(string), "Exception") || !strings.Contains(c["Message"].(string), "text") {
		t.Errorf("cbor: %+v %v", r, c)
	}
}

// TestBadRequests: what never reaches a method.
func TestBadRequests(t *testing.T) {
	h := newHarness(t)
	type request struct {
		service, method, target string
		header                  map[string]string
		body                    string
	}
	for what, c := range map[string]struct {
		r      request
		status int
		code   string
	}{
		"unknown target":          {request{"healthlake", "POST", "/", target("HealthLake.Nothing"), "{}"}, 400, "UnknownOperationException"},
		"no target":               {request{"healthlake", "POST", "/", nil, "{}"}, 404, "UnknownOperationException"},
		"another service's":       {request{"kms", "POST", "/", target(create), "{}"}, 400, "UnknownOperationException"},
		"unknown path":            {request{"omics", "GET", "/nothing", nil, ""}, 404, "UnknownOperationException"},
		"wrong method":            {request{"omics", "PATCH", "/run", nil, ""}, 404, "UnknownOperationException"},
		"unknown action":          {request{"sts", "POST", "/", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "Action=Nothing"}, 400, "InvalidAction"},
		"unknown rpc":             {request{"comprehendmedical", "POST", "/service/ComprehendMedical_20181030/operation/Nothing", map[string]string{"Smithy-Protocol": "rpc-v2-cbor"}, ""}, 400, "UnknownOperationException"},
		"unknown service":         {request{"dynamodb", "POST", "/", nil, "{}"}, 404, "UnknownOperationException"},
		"not implemented":         {request{"omics", "GET", "/run", nil, ""}, 501, "UnknownOperationException"},
		"not implemented in s3":   {request{"s3", "GET", "/", nil, ""}, 501, "NotImplemented"},
		"no JSON":                 {request{"healthlake", "POST", "/", target(create), `{"DatastoreTypeVersion":"R4"`}, 400, "SerializationException"},
		"keys twice":              {request{"healthlake", "POST", "/", target(create), `{"DatastoreTypeVersion":"R4","DatastoreTypeVersion":"R4"}`}, 400, "SerializationException"},
		"a broken constraint":     {request{"healthlake", "POST", "/", target(create), `{"DatastoreTypeVersion":"R9"}`}, 400, "ValidationException"},
		"a required query member": {request{"omics", "GET", "/sequencestore/1234567890/readset/1234567890", nil, ""}, 400, "ValidationException"},
		"no gzip":                 {request{"healthlake", "POST", "/", map[string]string{"X-Amz-Target": create, "Content-Encoding": "gzip"}, `{}`}, 400, "SerializationException"},
		"a gzip bomb":             {request{"healthlake", "POST", "/", map[string]string{"X-Amz-Target": create, "Content-Encoding": "gzip"}, zipped(strings.Repeat(" ", 50<<20))}, 413, "ValidationException"},
		"not signed":              {request{"", "POST", "/", target(create), "{}"}, 400, "MissingAuthenticationTokenException"},
		"signature version 2":     {request{"", "GET", "/bucket/k?AWSAccessKeyId=AKIAROOT&Signature=x&Expires=1", nil, ""}, 400, "<Code>InvalidRequest</Code>"},
		"an unsigned payload":     {request{"healthlake", "POST", "/", map[string]string{"X-Amz-Target": create, "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}, `{"DatastoreTypeVersion":"R4"}`}, 400, "InvalidSignatureException"},
		"a form that was changed": {request{"sts", "POST", "/", map[string]string{"Content-Type": "application/x-www-form-urlencoded", "X-Amz-Content-Sha256": strings.Repeat("0", 64)}, "Action=GetCallerIdentity&Version=2011-06-15"}, 400, "XAmzContentSHA256Mismatch"},
		"a changed JSON body":     {request{"healthlake", "POST", "/", map[string]string{"X-Amz-Target": create, "X-Amz-Content-Sha256": strings.Repeat("0", 64)}, `{"DatastoreTypeVersion":"R4"}`}, 400, "XAmzContentSHA256Mismatch"},
		"half a signature":        {request{"", "GET", "/bucket/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAROOT%2F20260115%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Expires=60", nil, ""}, 403, "<Code>AuthorizationHeaderMalformed</Code>"},
		"dots in the path":        {request{"omics", "GET", "/run/../run", nil, ""}, 400, "InvalidRequest"},
	} {
		before := h.lake.called
		r := h.send(root, c.r.service, c.r.method, c.r.target, c.r.header, c.r.body)
		if !strings.Contains(r.body, c.code) || r.status != c.status {
			t.Errorf("%s: %d %s, want %d %s", what, r.status, r.body, c.status, c.code)
		}
		if h.lake.called != before {
			t.Errorf("%s reached the method", what)
		}
		if e := h.journal.last(); e.Error == "" || e.RequestID != r.header.Get("X-Amzn-Requestid") {
			t.Errorf("%s left the audit entry %+v", what, e)
		}
	}
	r := h.send(root, "healthlake", "POST", "/", map[string]string{"X-Amz-Target": create, "Content-Encoding": "gzip"}, zipped(`{"DatastoreTypeVersion":"R4"}`))
	if r.status != 200 {
		t.Errorf("an honest gzip body: %+v", r)
	}
}

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

// TestAuthorisation: alice may describe and nothing else; a denied call changes nothing and is audited with the denial.
func TestAuthorisation(t *testing.T) {
	h := newHarness(t)
	r := h.send(alice, "healthlake", "POST", "/", target(create), `{"DatastoreTypeVersion":"R4"}`)
	if r.status != 403 && r.status != 400 || !strings.Contains(r.body, "AccessDeniedException") || !strings.Contains(r.body, "is not authorized to perform: healthlake:CreateFHIRDatastore") {
		t.Errorf("denied: %+v", r)
	}
	if h.lake.called != 0 {
		t.Error("a denied call reached the method")
	}
	if e := h.journal.last(); e.Error != "AccessDeniedException" || e.Effect != "ImplicitDeny" || e.PolicyType != "identity" || e.Principal != "arn:aws:iam::000000000000:user/alice" || e.Action != "healthlake:CreateFHIRDatastore" {
		t.Errorf("audited as %+v", e)
	}
	if r := h.send(alice, "healthlake", "POST", "/", target("HealthLake.DescribeFHIRDatastore"), `{"DatastoreId":"`+strings.Repeat("a", 32)+`"}`); r.status != 200 || !strings.Contains(r.body, `"CreatedAt":1700000000.500`) {
		t.Errorf("allowed: %+v", r)
	}
	wrong := alice
	wrong.SecretAccessKey += "x"
	if r := h.send(wrong, "healthlake", "POST", "/", target("HealthLake.DescribeFHIRDatastore"), `{}`); !strings.Contains(r.body, "InvalidSignatureException") {
		t.Errorf("wrong secret: %+v", r)
	}
	wrong.AccessKeyID = "AKIANOBODY"
	if r := h.send(wrong, "s3", "GET", "/b/k", nil, ""); r.status != 403 || !strings.Contains(r.body, "InvalidAccessKeyId") {
		t.Errorf("unknown key: %+v", r)
	}
}

// TestNoAnswerWithoutAudit: when the log cannot be written, no success leaves.
func TestNoAnswerWithoutAudit(t *testing.T) {
	h := newHarness(t, testRoute())
	h.journal.fail(true)
	for _, c := range []struct{ service, method, target string }{{"s3", "GET", "/bucket/k"}, {"healthlake", "GET", "/datastore/x/r4/Patient/1"}} {
		if r := h.send(root, c.service, c.method, c.target, nil, ""); r.status != 503 || strings.Contains(r.body, "bucket k") || strings.Contains(r.body, "Patient 1") {
			t.Errorf("%s %s: %+v", c.method, c.target, r)
		}
	}
	local := &Local{}
	local.Join(h.edge)
	var out stsapi.GetCallerIdentityOutput
	if err := local.Invoke(context.Background(), stsapi.Contract.Operations["GetCallerIdentity"], &stsapi.GetCallerIdentityInput{}, &out); !errs.Is(err, errs.Unavailable) {
		t.Errorf("in the process: %v", err)
	}
}

// TestLocal: a call in the process takes the same road for the caller in the context.
func TestLocal(t *testing.T) {
	h := newHarness(t)
	local := &Local{}
	stores := healthlakeapi.NewClient(local)
	ctx := call.With(context.Background(), &call.Call{RequestID: "id-1", Via: "omics.amazonaws.com", Principal: call.Principal{Kind: call.IAMUser, Name: "alice", Account: account, ARN: "arn:aws:iam::" + account + ":user/alice"}})
	if _, err := stores.DescribeFHIRDatastore(ctx, &healthlakeapi.DescribeFHIRDatastoreInput{}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("before the edge stands: %v", err)
	}
	local.Join(h.edge)
	if out, err := stores.DescribeFHIRDatastore(ctx, &healthlakeapi.DescribeFHIRDatastoreInput{DatastoreId: strings.Repeat("b", 32)}); err != nil || out.DatastoreProperties.DatastoreId != strings.Repeat("b", 32) {
		t.Errorf("%+v, %v", out, err)
	}
	if e := h.journal.last(); e.RequestID != "id-1" || e.Via != "omics.amazonaws.com" || e.Name != "DescribeFHIRDatastore" {
		t.Errorf("audited as %+v", e)
	}
	named := func(err error) string {
		var e *errs.Error
		if errors.As(err, &e) {
			return e.Name
		}
		return ""
	}
	if _, err := stores.DescribeFHIRDatastore(ctx, &healthlakeapi.DescribeFHIRDatastoreInput{DatastoreId: "short!"}); named(err) != "ValidationException" {
		t.Errorf("a broken constraint: %v", err)
	}
	if _, err := stores.CreateFHIRDatastore(ctx, &healthlakeapi.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlakeapi.FHIRVersionR4}); named(err) != "AccessDeniedException" || h.lake.called != 0 {
		t.Errorf("denied: %v", err)
	}
	if _, err := stores.DescribeFHIRDatastore(context.Background(), &healthlakeapi.DescribeFHIRDatastoreInput{DatastoreId: strings.Repeat("b", 32)}); !errs.Is(err, errs.Denied) {
		t.Errorf("nobody's call: %v", err)
	}
}

// testRoute is a route of a standard: GET and PUT of a resource.
func testRoute() httproute.Route {
	return httproute.Route{Service: "healthlake", Method: "GET", Pattern: "/datastore/{id}/r4/{type}/{rid}", Name: "ReadResource", Action: "healthlake:ReadResource", ReadOnly: true,
		Resource: func(r *http.Request) string {
			return "arn:aws:healthlake:us-east-1:000000000000:datastore/fhir/" + r.PathValue("id")
		},
		Subject: func(r *http.Request) map[string]string { return map[string]string{"asked": r.PathValue("rid")} },
		Handle: func(w http.ResponseWriter, r *http.Request) error {
			switch r.PathValue("rid") {
			case "missing":
				return errs.New(errs.NotFound, "no such resource")
			case "half":
				_, _ = io.WriteString(w, "half an ans") // the error below is what counts
				return errs.New(errs.Corrupt, "the rest is damaged")
			}
			httproute.Note(r.Context(), "type", r.PathValue("type"))
			_, err := io.WriteString(w, r.PathValue("type")+" "+r.PathValue("rid"))
			return err
		},
		Fail: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.WriteHeader(status[errs.CodeOf(err)])
			_, _ = io.WriteString(w, "OperationOutcome: "+errs.As(err).Message) // nobody is left to tell
		}}
}

func TestRoutes(t *testing.T) {
	put := testRoute()
	put.Method, put.Name, put.Action, put.ReadOnly, put.MaxBody = "PUT", "UpdateResource", "healthlake:UpdateResource", false, 10
	put.Handle = func(w http.ResponseWriter, r *http.Request) error {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	}
	h := newHarness(t, testRoute(), put)
	path := "/datastore/x/r4/Patient/1"
	if r := h.send(alice, "healthlake", "GET", path, nil, ""); r.status != 200 || r.body != "Patient 1" {
		t.Errorf("read: %+v", r)
	}
	if e := h.journal.last(); e.Name != "ReadResource" || e.Action != "healthlake:ReadResource" || !e.ReadOnly || e.Parameters["type"] != "Patient" || len(e.Resources) != 1 || !strings.HasSuffix(e.Resources[0], "/x") {
		t.Errorf("audited as %+v", e)
	}
	h.send(alice, "healthlake", "PUT", path, nil, "{}")
	if e := h.journal.last(); e.Error != "Forbidden" || e.Parameters["asked"] != "1" {
		t.Errorf("refused, it is audited as %+v", e)
	}
	for what, c := range map[string]struct {
		r      raw
		status int
	}{
		"denied":           {h.send(alice, "healthlake", "PUT", path, nil, "{}"), 403},
		"unsigned":         {h.send(alice, "", "GET", path, nil, ""), 403},
		"missing":          {h.send(alice, "healthlake", "GET", "/datastore/x/r4/Patient/missing", nil, ""), 404},
		"too large":        {h.send(root, "healthlake", "PUT", path, nil, strings.Repeat("x", 11)), 413},
		"a gzip too large": {h.send(root, "healthlake", "PUT", path, map[string]string{"Content-Encoding": "gzip", "Content-Type": "application/fhir+json"}, zipped(strings.Repeat("x", 1000))), 413},
	} {
		if c.r.status != c.status || !strings.HasPrefix(c.r.body, "OperationOutcome: ") {
			t.Errorf("%s: %+v, want %d in the standard's shape", what, c.r, c.status)
		}
	}
	if r := h.send(root, "healthlake", "PUT", path, nil, strings.Repeat("x", 10)); r.status != 200 || r.body != "xxxxxxxxxx" {
		t.Errorf("just as large: %+v", r)
	}
	r, err := http.NewRequest("GET", h.server.URL+"/datastore/x/r4/Patient/half", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := h.invoker(root).Do(r, "healthlake")
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("half an answer came as a whole one")
	}
	if _, err := New(Config{Routes: []httproute.Route{{Service: "x", Method: "GET", Pattern: "/x", Name: "X", Handle: put.Handle, Fail: put.Fail}}}); err == nil {
		t.Error("a route without action and resource was taken")
	}
}
