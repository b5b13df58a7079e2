package s3_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
)

func TestBuckets(t *testing.T) {
	w := open(t)
	for _, n := range []string{"bbb", "aaa", "abc"} {
		w.bucket(n)
	}
	_, err := w.CreateBucket(root(), &api.CreateBucketInput{Bucket: "aaa"})
	named(t, err, "BucketAlreadyOwnedByYou")
	_, err = w.CreateBucket(root(), &api.CreateBucketInput{Bucket: "eee", CreateBucketConfiguration: &api.CreateBucketConfiguration{LocationConstraint: "eu-west-1"}})
	named(t, err, "IllegalLocationConstraintException")
	_, err = w.CreateBucket(root(), &api.CreateBucketInput{Bucket: "eee", ACL: "public-read"})
	named(t, err, "AccessControlListNotSupported")
	names := func(in api.ListBucketsInput) (out []string) {
		for {
			l, err := w.ListBuckets(root(), &in)
			ok(t, err)
			for _, b := range l.Buckets {
				out = append(out, b.Name)
			}
			if in.ContinuationToken = l.ContinuationToken; in.ContinuationToken == "" {
				return out
			}
		}
	}
	if got := strings.Join(names(api.ListBucketsInput{}), " "); got != "aaa abc bbb" {
		t.Errorf("buckets = %s", got)
	}
	if got := strings.Join(names(api.ListBucketsInput{MaxBuckets: aws.Ptr(int32(1)), Prefix: "a"}), " "); got != "aaa abc" {
		t.Errorf("buckets with a = %s", got)
	}
	w.put("aaa", "k", "x")
	_, err = w.DeleteBucket(root(), &api.DeleteBucketInput{Bucket: "aaa"})
	named(t, err, "BucketNotEmpty")
	_, err = w.DeleteBucket(root(), &api.DeleteBucketInput{Bucket: "abc"})
	ok(t, err)
	_, err = w.HeadBucket(root(), &api.HeadBucketInput{Bucket: "abc"})
	named(t, err, "NoSuchBucket")
	w.bucket("abc") // the name is free again
	h, err := w.HeadBucket(root(), &api.HeadBucketInput{Bucket: "abc"})
	if err != nil || h.BucketRegion != "us-east-1" {
		t.Errorf("head = %+v, %v", h, err)
	}
}

func TestBucketConfiguration(t *testing.T) {
	w := open(t)
	b := w.bucket("config")
	_, err := w.GetBucketPolicy(root(), &api.GetBucketPolicyInput{Bucket: b})
	named(t, err, "NoSuchBucketPolicy")
	_, err = w.GetBucketTagging(root(), &api.GetBucketTaggingInput{Bucket: b})
	named(t, err, "NoSuchTagSet")
	e, err := w.GetBucketEncryption(root(), &api.GetBucketEncryptionInput{Bucket: b})
	ok(t, err)
	if d := e.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault; d.SSEAlgorithm != "AES256" {
		t.Errorf("encryption = %+v", d)
	}
	v, err := w.GetBucketVersioning(root(), &api.GetBucketVersioningInput{Bucket: b})
	if err != nil || v.Status != "" {
		t.Errorf("versioning = %+v, %v", v, err)
	}
	public := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::config/*"}]}`
	put := func(p string) error {
		_, err := w.PutBucketPolicy(root(), &api.PutBucketPolicyInput{Bucket: b, Policy: p})
		return err
	}
	named(t, put(public), "AccessDenied")
	named(t, put("{"), "MalformedPolicy")
	named(t, put(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`), "MalformedPolicy")
	named(t, put(strings.Repeat(" ", 21<<10)), "PolicyTooLarge")
	_, err = w.PutPublicAccessBlock(root(), &api.PutPublicAccessBlockInput{Bucket: b, PublicAccessBlockConfiguration: &api.PublicAccessBlockConfiguration{RestrictPublicBuckets: aws.Ptr(true)}})
	ok(t, err)
	ok(t, put(public))
	st, err := w.GetBucketPolicyStatus(root(), &api.GetBucketPolicyStatusInput{Bucket: b})
	if err != nil || !*st.PolicyStatus.IsPublic {
		t.Errorf("status = %+v, %v", st, err)
	}
	in := &api.GetObjectInput{Bucket: b, Key: "k"}
	check := func(want bool) {
		t.Helper()
		needs, err := w.Authorize(as(call.IAMUser, "u"), "GetObject", in)
		ok(t, err)
		if got := authz.New(w.users, account, "us-east-1").Decide(as(call.IAMUser, "u"), call.From(as(call.IAMUser, "u")), needs[0]).Allowed; got != want {
			t.Errorf("allowed = %v, want %v", got, want)
		}
	}
	check(false) // a public policy of a restricted bucket counts for nothing
	_, err = w.PutPublicAccessBlock(root(), &api.PutPublicAccessBlockInput{Bucket: b, PublicAccessBlockConfiguration: &api.PublicAccessBlockConfiguration{}})
	ok(t, err)
	check(true)
	_, err = w.DeleteBucketPolicy(root(), &api.DeleteBucketPolicyInput{Bucket: b})
	ok(t, err)
	check(false)
	_, err = w.PutBucketNotificationConfiguration(root(), &api.PutBucketNotificationConfigurationInput{Bucket: b, NotificationConfiguration: &api.NotificationConfiguration{
		QueueConfigurations: []api.QueueConfiguration{{QueueArn: "arn:aws:sqs:us-east-1:000000000000:q"}}}})
	named(t, err, "InvalidArgument")
	_, err = w.PutBucketEncryption(root(), &api.PutBucketEncryptionInput{Bucket: b, ServerSideEncryptionConfiguration: &api.ServerSideEncryptionConfiguration{
		Rules: []api.ServerSideEncryptionRule{{ApplyServerSideEncryptionByDefault: &api.ServerSideEncryptionByDefault{SSEAlgorithm: "aws:kms:dsse"}}}}})
	named(t, err, "NotImplemented")
}

func TestEvents(t *testing.T) {
	w := open(t)
	b := w.bucket("events")
	w.put(b, "silent", "x")
	_, err := w.PutBucketNotificationConfiguration(root(), &api.PutBucketNotificationConfigurationInput{Bucket: b, NotificationConfiguration: &api.NotificationConfiguration{EventBridgeConfiguration: &api.EventBridgeConfiguration{}}})
	ok(t, err)
	etag := w.put(b, "k", "xyz").ETag
	_, err = w.CopyObject(root(), &api.CopyObjectInput{Bucket: b, Key: "copy", CopySource: b + "/k"})
	ok(t, err)
	upload(t, w, b, "m", 10)
	_, err = w.DeleteObject(root(), &api.DeleteObjectInput{Bucket: b, Key: "k"})
	ok(t, err)
	_, err = w.PutObject(root(), &api.PutObjectInput{Bucket: b, Key: "copy", IfNoneMatch: "*"}) // fails: no event
	named(t, err, "PreconditionFailed")
	msgs, err := w.records.Outbox(t.Context(), 0, 100)
	ok(t, err)
	var got []string
	for i, m := range msgs {
		var e struct {
			Source     string
			DetailType string `json:"detail-type"`
			Resources  []string
			Detail     struct {
				Bucket struct{ Name string }
				Object struct {
					Key, ETag, Sequencer string
					Size                 int64
				}
				Reason, Requester string
				DeletionType      string `json:"deletion-type"`
			}
		}
		ok(t, json.Unmarshal(m.Body, &e))
		got = append(got, strings.TrimSpace(e.DetailType+" "+e.Detail.Object.Key+" "+e.Detail.Reason+" "+e.Detail.DeletionType))
		if e.Source != "aws.s3" || e.Detail.Bucket.Name != b || e.Detail.Requester != account || e.Detail.Object.Sequencer == "" || e.Resources[0] != "arn:aws:s3:::events" {
			t.Errorf("event = %s", m.Body)
		}
		if i == 0 && (`"`+e.Detail.Object.ETag+`"` != etag || e.Detail.Object.Size != 3) {
			t.Errorf("event = %s", m.Body)
		}
	}
	want := "Object Created k PutObject|Object Created copy CopyObject|Object Created m CompleteMultipartUpload|Object Deleted k DeleteObject Permanently Deleted"
	if strings.Join(got, "|") != want {
		t.Errorf("events = %v", got)
	}
}

// Every operation of the contract is offered and has an authorisation; nobody is allowed anything.
func TestEveryOperationIsAuthorised(t *testing.T) {
	w := open(t)
	b := w.bucket("authorised")
	contract := reflect.TypeFor[api.Service]()
	eval := authz.New(w.users, account, "us-east-1")
	nobody := as(call.IAMUser, "nobody")
	for i := range contract.NumMethod() {
		m := contract.Method(i)
		in := reflect.New(m.Type.In(1).Elem())
		for field, v := range map[string]string{"Bucket": b, "Key": "k", "CopySource": b + "/k", "UploadId": "u"} {
			if f := in.Elem().FieldByName(field); f.IsValid() {
				f.SetString(v)
			}
		}
		needs, err := w.Authorize(root(), m.Name, in.Interface())
		if err != nil || (len(needs) == 0) != (m.Name == "DeleteObjects") {
			t.Errorf("%s: %v, %v", m.Name, needs, err)
		}
		for _, n := range needs {
			if !strings.HasPrefix(n.Action, "s3:") || n.Resource != "*" && !strings.HasPrefix(n.Resource, "arn:aws:s3:::"+b) {
				t.Errorf("%s asks %+v", m.Name, n)
			}
			if err := eval.Check(nobody, n); !errs.Is(err, errs.Denied) {
				t.Errorf("%s by nobody: %v", m.Name, err)
			}
		}
		for f := range in.Elem().NumField() { // what the model requires, so that the method runs at all
			if p := in.Elem().Field(f); p.Kind() == reflect.Pointer && p.Type().Elem().Kind() == reflect.Struct {
				p.Set(reflect.New(p.Type().Elem()))
			}
		}
		out := reflect.ValueOf(w.Service).MethodByName(m.Name).Call([]reflect.Value{reflect.ValueOf(root()), in})
		if err, _ := out[1].Interface().(error); err != nil && errs.As(err).Code == errs.Unsupported && errs.As(err).Name == "" {
			t.Errorf("%s: %v", m.Name, err)
		}
		if m.Name == "DeleteBucket" {
			w.bucket(b)
		}
	}
}

func TestConditionKeys(t *testing.T) {
	w := open(t)
	b := w.bucket("keys")
	_, err := w.PutObject(root(), &api.PutObjectInput{Bucket: b, Key: "k", Tagging: "class=secret"})
	ok(t, err)
	asks := func(op string, in any) map[string]string {
		needs, err := w.Authorize(root(), op, in)
		ok(t, err)
		return needs[len(needs)-1].Context
	}
	if c := asks("GetObject", &api.GetObjectInput{Bucket: b, Key: "k"}); c["s3:ExistingObjectTag/class"] != "secret" {
		t.Errorf("get: %v", c)
	}
	c := asks("ListObjectsV2", &api.ListObjectsV2Input{Bucket: b, Prefix: "home/", MaxKeys: aws.Ptr(int32(7))})
	if c["s3:prefix"] != "home/" || c["s3:max-keys"] != "7" {
		t.Errorf("list: %v", c)
	}
	if _, there := asks("ListObjectsV2", &api.ListObjectsV2Input{Bucket: b})["s3:prefix"]; !there {
		t.Error("a list without a prefix must show the empty prefix to conditions")
	}
	c = asks("PutObject", &api.PutObjectInput{Bucket: b, Key: "x", ServerSideEncryption: "aws:kms", SSEKMSKeyId: "id", Tagging: "a=b"})
	if c["s3:x-amz-server-side-encryption"] != "aws:kms" || c["s3:x-amz-server-side-encryption-aws-kms-key-id"] != "id" || c["s3:RequestObjectTag/a"] != "b" {
		t.Errorf("put: %v", c)
	}
}

// Verify finds bodies that are gone or changed places.
func TestVerify(t *testing.T) {
	w := open(t)
	b := w.bucket("verify")
	w.put(b, "a", "aaa")
	w.put(b, "b", "bbb")
	upload(t, w, b, "m", 5<<20, 10)
	faults := 0
	verify := func() (int, error) { faults = 0; return w.Verify(t.Context(), func(error) { faults++ }) }
	if n, err := verify(); n != 4 || faults != 0 || err != nil {
		t.Errorf("%d bodies, %d faults, %v", n, faults, err)
	}
	var all []blob.ID
	_, err := w.blobs.Sweep(t.Context(), farFuture, func(id blob.ID) (bool, error) { all = append(all, id); return true, nil })
	ok(t, err)
	for i, id := range all {
		ok(t, w.blobs.Delete(t.Context(), id))
		if n, err := verify(); n != 4 || faults != i+1 || err != nil {
			t.Errorf("%d bodies, %d faults, want %d, %v", n, faults, i+1, err)
		}
	}
}
