package route

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/cloudtrail"
	"github.com/galen-health/galen/aws/comprehendmedical"
	"github.com/galen-health/galen/aws/connecthealth"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/sts"
	"github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/aws/transcribestreaming"
	"github.com/galen-health/galen/platform/errs"
)

func table() *Table {
	return New(cloudtrail.Contract, comprehendmedical.Contract, connecthealth.Contract, healthlake.Contract, iam.Contract, kms.Contract, medicalimaging.Contract, omics.Contract, s3.Contract, sts.Contract,
		transcribe.Contract, transcribestreaming.Contract)
}

func request(method, target string, header map[string]string) *http.Request {
	r := httptest.NewRequest(method, "http://any.example"+target, nil)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	return r
}

func TestFind(t *testing.T) {
	tab := table()
	cbor := map[string]string{"Smithy-Protocol": "rpc-v2-cbor"}
	for _, c := range []struct {
		signing, method, target string
		header                  map[string]string
		form                    url.Values
		bucket                  string
		want                    string // package operation protocol, or the error's name
		labels                  map[string]string
	}{
		{signing: "healthlake", method: "POST", target: "/", header: map[string]string{"X-Amz-Target": "HealthLake.CreateFHIRDatastore"}, want: "healthlake CreateFHIRDatastore json1.0"},
		{signing: "kms", method: "POST", target: "/", header: map[string]string{"X-Amz-Target": "TrentService.Encrypt"}, want: "kms Encrypt json1.1"},
		{signing: "transcribe", method: "POST", target: "/", header: map[string]string{"X-Amz-Target": "Transcribe.StartMedicalScribeJob"}, want: "transcribe StartMedicalScribeJob json1.1"},
		{signing: "cloudtrail", method: "POST", target: "/", header: map[string]string{"X-Amz-Target": "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents"}, want: "cloudtrail LookupEvents json1.1"},
		{signing: "cloudtrail", method: "POST", target: "/", header: map[string]string{"X-Amz-Target": "CloudTrail_20131101.LookupEvents"}, want: "cloudtrail LookupEvents json1.1"}, // the SDK for Go
		{signing: "cloudtrail", method: "POST", target: "/", header: map[string]string{"X-Amz-Target": "20131101.LookupEvents"}, want: "UnknownOperationException"},
		{signing: "transcribe", method: "POST", target: "/medical-scribe-stream", want: "transcribestreaming StartMedicalScribeStream rest-json"},
		{signing: "transcribe", method: "GET", target: "/medical-scribe-stream/x", want: "transcribestreaming GetMedicalScribeStream rest-json", labels: map[string]string{"SessionId": "x"}},
		{signing: "health-agent", method: "POST", target: "/medical-scribe-stream/", want: "connecthealth StartMedicalScribeListeningSession rest-json"},
		{signing: "comprehendmedical", method: "POST", target: "/service/ComprehendMedical_20181030/operation/DetectPHI", header: cbor, want: "comprehendmedical DetectPHI smithy-rpc-v2-cbor"},
		{signing: "comprehendmedical", method: "POST", target: "/", header: map[string]string{"X-Amz-Target": "ComprehendMedical_20181030.DetectPHI"}, want: "comprehendmedical DetectPHI json1.1"},
		{signing: "iam", method: "POST", target: "/", form: url.Values{"Action": {"ListUsers"}}, want: "iam ListUsers query"},

		// The same path in three services: the credential scope decides.
		{signing: "omics", method: "GET", target: "/tags/arn%3Aaws%3Aomics%3Ax%3Arun%2F1", want: "omics ListTagsForResource rest-json", labels: map[string]string{"resourceArn": "arn:aws:omics:x:run/1"}},
		{signing: "medical-imaging", method: "GET", target: "/tags/arn%3Aaws%3Ax", want: "medicalimaging ListTagsForResource rest-json", labels: map[string]string{"resourceArn": "arn:aws:x"}},
		{signing: "health-agent", method: "GET", target: "/tags/arn%3Aaws%3Ax", want: "connecthealth ListTagsForResource rest-json", labels: map[string]string{"resourceArn": "arn:aws:x"}},
		{signing: "omics", method: "GET", target: "/tags/a/b", want: "UnknownOperationException"}, // a slash that is not escaped ends the label
		{signing: "omics", method: "GET", target: "/run", want: "omics ListRuns rest-json"},
		{signing: "omics", method: "GET", target: "/run/1/task/2", want: "omics GetRunTask rest-json", labels: map[string]string{"id": "1", "taskId": "2"}},
		{signing: "omics", method: "POST", target: "/run/1", want: "UnknownOperationException"},
		{signing: "omics", method: "GET", target: "/sequencestore/1/readset/2", want: "omics GetReadSet rest-json", labels: map[string]string{"sequenceStoreId": "1", "id": "2"}},
		{signing: "omics", method: "GET", target: "/sequencestore/1/readset/2/metadata", want: "omics GetReadSetMetadata rest-json"},
		{signing: "omics", method: "GET", target: "/run/%2e%2e%2f1", want: "omics GetRun rest-json", labels: map[string]string{"id": "../1"}},
		{signing: "omics", method: "GET", target: "//run", want: "UnknownOperationException"},
		{signing: "medical-imaging", method: "POST", target: "/datastore/d/imageSet/i/updateImageSetMetadata?latestVersion=1", want: "medicalimaging UpdateImageSetMetadata rest-json"},

		{signing: "s3", method: "GET", target: "/", want: "s3 ListBuckets rest-xml"},
		{signing: "s3", method: "GET", target: "/bucket", want: "s3 ListObjects rest-xml"},
		{signing: "s3", method: "GET", target: "/bucket/", want: "s3 ListObjects rest-xml"},
		{signing: "s3", method: "GET", target: "/bucket?list-type=2&prefix=", want: "s3 ListObjectsV2 rest-xml"},
		{signing: "s3", method: "GET", target: "/bucket?location", want: "s3 GetBucketLocation rest-xml"},
		{signing: "s3", method: "GET", target: "/bucket?versions", want: "s3 ListObjectVersions rest-xml"},
		{signing: "s3", method: "GET", target: "/bucket?uploads=", want: "s3 ListMultipartUploads rest-xml"},
		{signing: "s3", method: "GET", target: "/bucket/a/b%20c/d%2Fe", want: "s3 GetObject rest-xml", labels: map[string]string{"Bucket": "bucket", "Key": "a/b c/d/e"}},
		{signing: "s3", method: "GET", target: "/bucket/a//b/../c/", want: "s3 GetObject rest-xml", labels: map[string]string{"Key": "a//b/../c/"}},
		{signing: "s3", method: "GET", target: "/bucket//a", want: "s3 GetObject rest-xml", labels: map[string]string{"Key": "/a"}},
		{signing: "s3", method: "GET", target: "/k/x?x-id=GetObject", bucket: "b", want: "s3 GetObject rest-xml", labels: map[string]string{"Bucket": "b", "Key": "k/x"}},
		{signing: "s3", method: "GET", target: "/", bucket: "b", want: "s3 ListObjects rest-xml", labels: map[string]string{"Bucket": "b"}},
		{signing: "s3", method: "GET", target: "/bucket/k?tagging", want: "s3 GetObjectTagging rest-xml"},
		{signing: "s3", method: "GET", target: "/bucket/k?attributes", want: "s3 GetObjectAttributes rest-xml"},
		{signing: "s3", method: "GET", target: "/bucket/k?uploadId=u", want: "s3 ListParts rest-xml"},
		{signing: "s3", method: "PUT", target: "/bucket/k", want: "s3 PutObject rest-xml"},
		{signing: "s3", method: "PUT", target: "/bucket/k", header: map[string]string{"X-Amz-Copy-Source": "b/k"}, want: "s3 CopyObject rest-xml"},
		{signing: "s3", method: "PUT", target: "/bucket/k?partNumber=1&uploadId=u", want: "s3 UploadPart rest-xml"},
		{signing: "s3", method: "PUT", target: "/bucket/k?partNumber=1&uploadId=u", header: map[string]string{"X-Amz-Copy-Source": "b/k"}, want: "s3 UploadPartCopy rest-xml"},
		{signing: "s3", method: "POST", target: "/bucket/k?uploads", want: "s3 CreateMultipartUpload rest-xml"},
		{signing: "s3", method: "POST", target: "/bucket/k?uploadId=u", want: "s3 CompleteMultipartUpload rest-xml"},
		{signing: "s3", method: "DELETE", target: "/bucket/k?uploadId=u", want: "s3 AbortMultipartUpload rest-xml"},
		{signing: "s3", method: "DELETE", target: "/bucket/k?versionId=v", want: "s3 DeleteObject rest-xml"},
		{signing: "s3", method: "POST", target: "/bucket?delete", want: "s3 DeleteObjects rest-xml"},
		{signing: "s3", method: "DELETE", target: "/bucket", want: "s3 DeleteBucket rest-xml"},
		{signing: "s3", method: "DELETE", target: "/bucket?lifecycle", want: "NotImplemented"}, // and not DeleteBucket
		{signing: "s3", method: "PUT", target: "/bucket/k?acl", want: "NotImplemented"},        // and not PutObject
		{signing: "s3", method: "GET", target: "/bucket?website", want: "NotImplemented"},
		{signing: "s3", method: "GET", target: "/bucket?analytics&id=1", want: "NotImplemented"},

		{signing: "healthlake", method: "POST", target: "/", header: map[string]string{"X-Amz-Target": "HealthLake.Nothing"}, want: "UnknownOperationException"},
		{signing: "healthlake", method: "POST", target: "/", header: map[string]string{"X-Amz-Target": "TrentService.Encrypt"}, want: "UnknownOperationException"}, // signed for another
		{signing: "healthlake", method: "POST", target: "/", want: "UnknownOperationException"},
		{signing: "kms", method: "POST", target: "/service/ComprehendMedical_20181030/operation/DetectPHI", header: cbor, want: "UnknownOperationException"},
		{signing: "sts", method: "POST", target: "/", form: url.Values{"Action": {"ListUsers"}}, want: "InvalidAction"},
		{signing: "nothing", method: "GET", target: "/", want: "UnknownOperationException"},
		{signing: "", method: "GET", target: "/", want: "UnknownOperationException"},
	} {
		what := fmt.Sprintf("%s %s %s %v", c.signing, c.method, c.target, c.header)
		m, _, _, err := tab.Find(request(c.method, c.target, c.header), c.signing, c.form, c.bucket)
		var e *errs.Error
		switch {
		case err != nil:
			if !errors.As(err, &e) || e.Name != c.want {
				t.Errorf("%s: %v, want %s", what, err, c.want)
			}
		case fmt.Sprintf("%s %s %s", m.Op.Service.Package, m.Op.Name, m.Protocol) != c.want:
			t.Errorf("%s: %s %s %s, want %s", what, m.Op.Service.Package, m.Op.Name, m.Protocol, c.want)
		}
		for k, v := range c.labels {
			if m == nil || m.Labels[k] != v {
				t.Errorf("%s: the label %s is not %q in %+v", what, k, v, m)
			}
		}
	}
}

// TestErrorShape: a failure knows whose error shape the caller expects.
func TestErrorShape(t *testing.T) {
	tab := table()
	for signing, want := range map[string]aws.Protocol{"healthlake": aws.JSON10, "kms": aws.JSON11, "omics": aws.RESTJSON, "s3": aws.RESTXML, "iam": aws.Query, "comprehendmedical": aws.JSON11} {
		header := map[string]string{}
		if want == aws.JSON10 || want == aws.JSON11 {
			header["X-Amz-Target"] = "X.Nothing"
		}
		_, s, p, err := tab.Find(request("PATCH", "/nothing/at/all", header), signing, url.Values{}, "")
		if err == nil || s == nil || s.Signing != signing || p != want {
			t.Errorf("%s: %v as %s, %v", signing, s, p, err)
		}
	}
}

func FuzzFind(f *testing.F) {
	tab := table()
	for _, s := range []string{"/", "/tags/arn%3Aaws", "/bucket/k?uploads", "/run/1/task/2", "/datastore/d/imageSet/i/getImageFrame", "/service/a/operation/b", "//%2f/%%"} {
		f.Add("s3", "GET", s, "X.Y")
		f.Add("omics", "POST", s, "")
	}
	f.Fuzz(func(t *testing.T, signing, method, target, header string) {
		r, err := http.NewRequest(method, "http://any.example"+target, nil)
		if err != nil {
			return
		}
		r.Header.Set("X-Amz-Target", header)
		r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		m, _, _, err := tab.Find(r, signing, url.Values{"Action": {header}}, "")
		if (m == nil) == (err == nil) {
			t.Fatalf("%v and %v", m, err)
		}
		if m != nil && m.Op.Service.Signing != signing && signing != "" {
			t.Fatalf("%s was routed to %s", signing, m.Op.Service.Signing)
		}
	})
}
