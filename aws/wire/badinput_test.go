package wire

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/cloudtrail"
	"github.com/galen-health/galen/aws/comprehendmedical"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
)

// refusal decodes and returns the name and message of the refusal, "" when it is accepted.
func refusal(r *Request) (name, message string) {
	_, err := Decode(r)
	var e *errs.Error
	if errors.As(err, &e) {
		return e.Name, e.Message
	}
	if err != nil {
		return "?", err.Error()
	}
	return "", ""
}

func TestBadInput(t *testing.T) {
	op := func(s *aws.Service, name string) *aws.Operation { return s.Operations[name] }
	create := op(healthlake.Contract, "CreateFHIRDatastore")
	store := op(omics.Contract, "CreateSequenceStore")
	copySet := op(medicalimaging.Contract, "SearchImageSets")
	const serial, invalid = "SerializationException", ErrInvalidInput
	for _, c := range []struct {
		what string
		r    *Request
		name string
		says string
	}{
		{"accepted", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R4"}`)}, "", ""},
		{"an unknown member is passed over", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R4","NewerThanThis":{"a":[1]}}`)}, "", ""},
		{"null is absent", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R4","DatastoreName":null}`)}, "", ""},
		{"truncated", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R4`)}, serial, ""},
		{"trailing", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R4"}{}`)}, serial, "after its JSON value"},
		{"duplicate key", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R4","DatastoreTypeVersion":"R4"}`)}, serial, "twice"},
		{"a key twice but for its case", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R4","datastoretypeversion":"R4"}`)}, serial, "case only"},
		{"a setting in another case", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R4","sseConfiguration":{}}`)}, serial, "case only"},
		{"keys of a map are the caller's", &Request{Op: op(medicalimaging.Contract, "TagResource"), Protocol: aws.RESTJSON, Labels: map[string]string{"resourceArn": "arn:aws:medical-imaging:us-east-1:000000000000:datastore/" + strings.Repeat("a", 32)}, Body: strings.NewReader(`{"tags":{"a":"1","A":"2"}}`)}, "", ""},
		{"too many values", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R4","x":[0` + strings.Repeat(",0", maxValues) + `]}`)}, serial, "too many values"},
		{"duplicate key below an unknown member", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R4","X":{"a":1,"a":2}}`)}, serial, "twice"},
		{"deep", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"X":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`)}, serial, "deeper"},
		{"not an object", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`[]`)}, serial, "an object"},
		{"invalid UTF-8", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader("{\"DatastoreTypeVersion\":\"R4\",\"DatastoreName\":\"a\xff\"}")}, serial, ""},
		{"a lone surrogate", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R4","DatastoreName":"a\ud800"}`)}, serial, ""},
		{"a number for a string", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":4}`)}, serial, "datastoreTypeVersion must be a string"},
		{"a string for a structure", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R4","SseConfiguration":"x"}`)}, serial, "sseConfiguration must be an object"},
		{"a map for a list", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R4","Tags":{}}`)}, serial, "tags must be a list"},
		{"an enum", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R5"}`)}, invalid, "1 validation error detected: Value at 'datastoreTypeVersion' failed to satisfy constraint: Member must satisfy enum value set: [R4]"},
		{"too long", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R4","DatastoreName":"` + strings.Repeat("é", 257) + `"}`)}, invalid, "length less than or equal to 256"},
		{"just as long", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"DatastoreTypeVersion":"R4","DatastoreName":"` + strings.Repeat("é", 256) + `"}`)}, "", ""},
		{"required and one more", &Request{Op: create, Protocol: aws.JSON10, Body: strings.NewReader(`{"Tags":[{"Key":"k"}]}`)}, invalid, "2 validation errors detected"},
		{"two members of a union", &Request{Op: op(healthlake.Contract, "StartFHIRExportJob"), Protocol: aws.JSON10, Body: strings.NewReader(`{"OutputDataConfig":{},"DatastoreId":"0123456789abcdef0123456789abcdef","DataAccessRoleArn":"arn:aws:iam::000000000000:role/r"}`)}, invalid, "exactly one"},
		{"an integer with a fraction", &Request{Op: op(healthlake.Contract, "ListFHIRDatastores"), Protocol: aws.JSON10, Body: strings.NewReader(`{"MaxResults":1.5}`)}, serial, "maxResults"},
		{"an integer beyond 32 bits", &Request{Op: op(healthlake.Contract, "ListFHIRDatastores"), Protocol: aws.JSON10, Body: strings.NewReader(`{"MaxResults":4294967296}`)}, serial, "maxResults"},
		{"an integer out of range", &Request{Op: op(healthlake.Contract, "ListFHIRDatastores"), Protocol: aws.JSON10, Body: strings.NewReader(`{"MaxResults":501}`)}, invalid, "less than or equal to 500"},
		{"an integer that its contract has a name for", &Request{Op: op(cloudtrail.Contract, "LookupEvents"), Protocol: aws.JSON11, Body: strings.NewReader(`{"MaxResults":51}`)}, "InvalidMaxResultsException", "less than or equal to 50"},
		{"a number that is none", &Request{Op: op(healthlake.Contract, "ListFHIRDatastores"), Protocol: aws.JSON10, Body: strings.NewReader(`{"MaxResults":1e999}`)}, serial, ""},
		{"not base64", &Request{Op: op(kms.Contract, "Decrypt"), Protocol: aws.JSON11, Body: strings.NewReader(`{"CiphertextBlob":"%%%"}`)}, serial, "not base64"},
		{"a boolean as text", &Request{Op: op(kms.Contract, "CreateKey"), Protocol: aws.JSON11, Body: strings.NewReader(`{"MultiRegion":"true"}`)}, serial, "must be a boolean"},
		{"a time that is none", &Request{Op: op(healthlake.Contract, "ListFHIRDatastores"), Protocol: aws.JSON10, Body: strings.NewReader(`{"Filter":{"CreatedBefore":"yesterday"}}`)}, serial, "timestamp"},
		{"an infinite time", &Request{Op: op(healthlake.Contract, "ListFHIRDatastores"), Protocol: aws.JSON10, Body: strings.NewReader(`{"Filter":{"CreatedBefore":"NaN"}}`)}, serial, "timestamp"},

		{"rest: a label that breaks its pattern", &Request{Op: op(omics.Contract, "GetSequenceStore"), Protocol: aws.RESTJSON, Labels: map[string]string{"id": "../x"}}, invalid, "Value at 'id'"},
		{"rest: a query member that is no number", &Request{Op: op(omics.Contract, "ListSequenceStores"), Protocol: aws.RESTJSON, Query: url.Values{"maxResults": {"ten"}}}, serial, "maxResults"},
		{"rest: a query member out of range", &Request{Op: op(omics.Contract, "ListSequenceStores"), Protocol: aws.RESTJSON, Query: url.Values{"maxResults": {"1000"}}}, invalid, "maxResults"},
		{"rest: required in the body", &Request{Op: store, Protocol: aws.RESTJSON}, invalid, "Value at 'name' failed to satisfy constraint: Member must not be null"},
		{"rest: required in the query", &Request{Op: op(omics.Contract, "GetReadSet"), Protocol: aws.RESTJSON, Labels: map[string]string{"id": "1234567890", "sequenceStoreId": "1234567890"}}, invalid, "partNumber"},
		{"rest: deep in a list", &Request{Op: copySet, Protocol: aws.RESTJSON, Labels: map[string]string{"datastoreId": strings.Repeat("a", 32)}, Body: strings.NewReader(`{"filters":[{"operator":"EQUAL","values":[{"DICOMPatientId":5}]}]}`)}, serial, "filters.1.member.values.1.member.dICOMPatientId"},

		{"xml: truncated", &Request{Op: op(s3.Contract, "PutObjectTagging"), Protocol: aws.RESTXML, Labels: map[string]string{"Bucket": "b", "Key": "k"}, Body: strings.NewReader(`<Tagging><TagSet>`)}, serial, ""},
		{"xml: a document type", &Request{Op: op(s3.Contract, "PutObjectTagging"), Protocol: aws.RESTXML, Labels: map[string]string{"Bucket": "b", "Key": "k"}, Body: strings.NewReader(`<!DOCTYPE a [<!ENTITY x "y">]><Tagging><TagSet/></Tagging>`)}, serial, "document type"},
		{"xml: deep", &Request{Op: op(s3.Contract, "PutObjectTagging"), Protocol: aws.RESTXML, Labels: map[string]string{"Bucket": "b", "Key": "k"}, Body: strings.NewReader(strings.Repeat("<a>", 200) + strings.Repeat("</a>", 200))}, serial, "deeper"},
		{"xml: too many elements", &Request{Op: op(s3.Contract, "PutObjectTagging"), Protocol: aws.RESTXML, Labels: map[string]string{"Bucket": "b", "Key": "k"}, Body: strings.NewReader("<a>" + strings.Repeat("<b/>", maxValues) + "</a>")}, serial, "too many elements"},
		{"xml: too many attributes", &Request{Op: op(s3.Contract, "PutObjectTagging"), Protocol: aws.RESTXML, Labels: map[string]string{"Bucket": "b", "Key": "k"}, Body: strings.NewReader("<a " + strings.Repeat(`b="" `, maxValues) + "/>")}, serial, "too many elements"},
		{"xml: a text in a million pieces", &Request{Op: op(s3.Contract, "PutObjectTagging"), Protocol: aws.RESTXML, Labels: map[string]string{"Bucket": "b", "Key": "k"}, Body: strings.NewReader("<Tagging><TagSet><Tag><Key>" + strings.Repeat("x<!---->", 900_000) + "</Key><Value>v</Value></Tag></TagSet></Tagging>")}, "", ""},
		{"xml: a body over its bound", &Request{Op: op(s3.Contract, "PutObjectTagging"), Protocol: aws.RESTXML, Labels: map[string]string{"Bucket": "b", "Key": "k"}, Body: strings.NewReader(strings.Repeat(" ", maxXML+1))}, "", "over 8388608 bytes"},
		{"xml: required", &Request{Op: op(s3.Contract, "PutObjectTagging"), Protocol: aws.RESTXML, Labels: map[string]string{"Bucket": "b", "Key": "k"}, Body: strings.NewReader(`<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>`)}, serial, "value"},
		{"xml: a value out of its set", &Request{Op: op(s3.Contract, "PutBucketVersioning"), Protocol: aws.RESTXML, Labels: map[string]string{"Bucket": "b"}, Body: strings.NewReader(`<VersioningConfiguration><Status>Sometimes</Status></VersioningConfiguration>`)}, serial, "enum value set"},
		{"xml: a header out of its set", &Request{Op: op(s3.Contract, "PutObject"), Protocol: aws.RESTXML, Labels: map[string]string{"Bucket": "b", "Key": "k"}, Header: http.Header{"X-Amz-Storage-Class": {"CUPBOARD"}}}, invalid, "enum value set"},

		{"query: required", &Request{Op: op(iam.Contract, "CreateUser"), Protocol: aws.Query, Form: url.Values{"Action": {"CreateUser"}}}, invalid, "userName"},
		{"query: a pattern", &Request{Op: op(iam.Contract, "CreateUser"), Protocol: aws.Query, Form: url.Values{"UserName": {"a b"}}}, invalid, "regular expression pattern"},
		{"query: no number", &Request{Op: op(iam.Contract, "ListUsers"), Protocol: aws.Query, Form: url.Values{"MaxItems": {"x"}}}, serial, "maxItems"},

		{"cbor: truncated", &Request{Op: op(comprehendmedical.Contract, "DetectPHI"), Protocol: aws.CBOR, Body: strings.NewReader("\xa1dText")}, serial, ""},
		{"cbor: trailing", &Request{Op: op(comprehendmedical.Contract, "DetectPHI"), Protocol: aws.CBOR, Body: strings.NewReader("\xa1dTextax\x00")}, serial, ""},
		{"cbor: twice", &Request{Op: op(comprehendmedical.Contract, "DetectPHI"), Protocol: aws.CBOR, Body: strings.NewReader("\xa2dTextaxdTextay")}, serial, ""},
		{"cbor: a number for text", &Request{Op: op(comprehendmedical.Contract, "DetectPHI"), Protocol: aws.CBOR, Body: strings.NewReader("\xa1dText\x05")}, serial, "text must be a string"},
		{"cbor: a key that is a number", &Request{Op: op(comprehendmedical.Contract, "DetectPHI"), Protocol: aws.CBOR, Body: strings.NewReader("\xa1\x05\x05")}, serial, ""},
		{"cbor: indefinite lengths", &Request{Op: op(comprehendmedical.Contract, "DetectPHI"), Protocol: aws.CBOR, Body: strings.NewReader("\xbfdText\x7faxay\xff\xff")}, "", ""},
		{"cbor: deep", &Request{Op: op(comprehendmedical.Contract, "DetectPHI"), Protocol: aws.CBOR, Body: strings.NewReader("\xa1dText" + strings.Repeat("\x81", 200) + "\x00")}, serial, ""},
	} {
		if c.r.Header == nil {
			c.r.Header = http.Header{}
		}
		name, message := refusal(c.r)
		if name != c.name || !strings.Contains(message, c.says) {
			t.Errorf("%s: %s %q, want %s %q", c.what, name, message, c.name, c.says)
		}
	}
}

// TestMessageHoldsNoValue: what a caller sends may be clinical; a refusal names the member and the rule only.
func TestMessageHoldsNoValue(t *testing.T) {
	const secret = "Mr Doe has measles"
	_, message := refusal(&Request{Op: omics.Contract.Operations["CreateSequenceStore"], Protocol: aws.RESTJSON, Header: http.Header{},
		Body: strings.NewReader(`{"name":"` + strings.Repeat(secret, 20) + `","eTagAlgorithmFamily":"` + secret + `","clientToken":"` + secret + `\n"}`)})
	if message == "" || strings.Contains(message, secret) {
		t.Errorf("the refusal is %q", message)
	}
}
