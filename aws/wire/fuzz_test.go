package wire

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"testing"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/comprehendmedical"
	"github.com/galen-health/galen/aws/connecthealth"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/sts"
)

// FuzzJSON: what is accepted is JSON, and reads as the same value that the standard library reads.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,2.5e3,null,true,"x\u00e9\ud83d\ude00"]}`, `[1,]`, `{"a":1,"a":2}`, `{"a":1}x`, "\xff", `"\ud800"`, `{"a":{"b":{"c":[[]]}}}`, ` `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parseJSON(b, maxValues)
		if err != nil || len(bytes.TrimSpace(b)) == 0 {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q was accepted", b)
		}
		var want any
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		if err := dec.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(v, want) {
			t.Fatalf("%q was read as %v, want %v", b, v, want)
		}
	})
}

// FuzzDecode gives any bytes to the operations of every protocol: no panic, and what is accepted survives being written and read again.
func FuzzDecode(f *testing.F) {
	operations := []struct {
		op *aws.Operation
		p  aws.Protocol
	}{
		{healthlake.Contract.Operations["CreateFHIRDatastore"], aws.JSON10},
		{healthlake.Contract.Operations["StartFHIRImportJob"], aws.JSON10},
		{omics.Contract.Operations["StartRun"], aws.RESTJSON},
		{connecthealth.Contract.Operations["CreateDomain"], aws.RESTJSON},
		{s3.Contract.Operations["CompleteMultipartUpload"], aws.RESTXML},
		{s3.Contract.Operations["PutBucketTagging"], aws.RESTXML},
		{sts.Contract.Operations["AssumeRole"], aws.Query},
		{iam.Contract.Operations["SimulateCustomPolicy"], aws.Query},
		{comprehendmedical.Contract.Operations["StartEntitiesDetectionV2Job"], aws.CBOR},
	}
	for i, s := range []string{`{"DatastoreTypeVersion":"R4","Tags":[{"Key":"a","Value":"b"}]}`, `{"InputDataConfig":{"S3Uri":"s3://b/k"}}`, `{"parameters":{"a":[1]}}`, `{"name":"x"}`,
		`<CompleteMultipartUpload><Part><ETag>"x"</ETag><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>`, `<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>`,
		`RoleArn=arn:aws:iam::000000000000:role/r&RoleSessionName=s&Tags.member.1.Key=k&Tags.member.1.Value=v`, `PolicyInputList.member.1={}&ContextEntries.member.2.ContextKeyName=x`, "\xa1dNamea1"} {
		f.Add(uint8(i), []byte(s))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		c := operations[int(which)%len(operations)]
		if c.op == nil {
			t.Fatal("an operation is gone from its contract")
		}
		r := &Request{Op: c.op, Protocol: c.p, Header: http.Header{}, Body: bytes.NewReader(body), Labels: map[string]string{"Bucket": "b", "Key": "k"}, Query: url.Values{"uploadId": {"u"}}}
		if c.p == aws.Query {
			var err error
			if r.Form, err = url.ParseQuery(string(body)); err != nil {
				return
			}
		}
		in, err := Decode(r)
		if err != nil {
			return
		}
		req, err := EncodeRequest("http://host.example", c.op, c.p, in)
		if err != nil {
			t.Fatal(err)
		}
		again := &Request{Op: c.op, Protocol: c.p, Header: req.Header, Body: req.Body, Labels: r.Labels, Query: r.Query}
		if c.p == aws.Query {
			q := httptest.NewRequest("POST", "/", req.Body)
			q.Header = req.Header
			if err := q.ParseForm(); err != nil {
				t.Fatal(err)
			}
			again.Form = q.PostForm
		}
		back, err := Decode(again)
		if err != nil {
			t.Fatalf("what was accepted is refused when written again: %v", err)
		}
		if err := same(in, back); err != nil {
			t.Fatal(err)
		}
	})
}
