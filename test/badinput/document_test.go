package badinput

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/galen-health/galen/test/galen"
)

// zeros is a gzip stream of n zero bytes: a thousandth of their size.
func zeros(n int) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	chunk := make([]byte, 1<<20)
	for ; n > 0; n -= len(chunk) {
		if _, err := w.Write(chunk[:min(n, len(chunk))]); err != nil {
			panic(err) // memory does not fail
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

// TestDocuments sends documents whose shape is the attack: depth, numbers, names, sizes, encodings.
func TestDocuments(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	store := fhirStore(t, g)
	deep := func(open, end string, n int) string { return strings.Repeat(open, n) + strings.Repeat(end, n) }
	lake := func(body string) call {
		return call{service: "healthlake", header: target("HealthLake.CreateFHIRDatastore", "1.0"), body: body}
	}
	packed := func(body string) call {
		c := lake(body)
		c.header["Content-Encoding"] = "gzip"
		return c
	}
	fhir := func(method, path, body string) call {
		return call{service: "healthlake", method: method, path: "/datastore/" + store + "/r4/" + path, header: map[string]string{"Content-Type": "application/fhir+json"}, body: body}
	}
	tags := func(body string) call {
		return call{service: "s3", method: "PUT", path: "/documents?tagging", body: body}
	}
	call{service: "s3", method: "PUT", path: "/documents"}.send(t, g).accepted(t, "a bucket")
	for _, c := range []struct {
		what   string
		call   call
		status int
		codes  []string
	}{
		{"JSON 100,000 deep", lake(`{"x":` + deep("[", "]", 100_000) + `}`), 400, []string{"SerializationException"}},
		{"JSON 100,000 deep and cut", lake(`{"x":` + strings.Repeat(`{"a":`, 100_000)), 400, []string{"SerializationException"}},
		{"a number of 100,000 digits", call{service: "healthlake", header: target("HealthLake.ListFHIRDatastores", "1.0"), body: `{"MaxResults":` + strings.Repeat("9", 100_000) + `}`}, 400, []string{"SerializationException"}},
		{"a number with an exponent beyond all", call{service: "healthlake", header: target("HealthLake.ListFHIRDatastores", "1.0"), body: `{"MaxResults":1e999999999}`}, 400, []string{"SerializationException"}},
		{"a list's end beyond 64 bits", call{service: "healthlake", header: target("HealthLake.ListFHIRDatastores", "1.0"), body: `{"MaxResults":184467440737095516160}`}, 400, []string{"SerializationException"}},
		{"keys that differ in case", lake(`{"DatastoreTypeVersion":"R4","datastoretypeversion":"R4"}`), 400, []string{"SerializationException"}},
		{"only a key in another case", lake(`{"datastoretypeversion":"R4"}`), 400, []string{"SerializationException"}},
		{"a key that is escaped to be the same", lake(`{"DatastoreTypeVersion":"R4","Datastore\u0054ypeVersion":"R4"}`), 400, []string{"SerializationException"}},
		{"a NUL in a name", lake(`{"DatastoreTypeVersion":"R4","DatastoreName":"a\u0000b"}`), 400, []string{"ValidationException"}},
		{"a UTF-16 document", lake("\xff\xfe{\x00}\x00"), 400, []string{"SerializationException"}},
		{"nothing after gzip", packed(""), 400, []string{"SerializationException"}},
		{"half a gzip", packed(zeros(1000)[:12]), 400, []string{"SerializationException", "ValidationException"}},
		{"a gzip bomb of 200 MB", packed(zeros(200 << 20)), 413, []string{"ValidationException"}},
		{"brotli, which nobody offers", func() call { c := lake("\x8b\x00\x80{}\x03"); c.header["Content-Encoding"] = "br"; return c }(), 400, []string{"SerializationException"}},
		{"gzip in gzip", func() call { c := lake("{}"); c.header["Content-Encoding"] = "gzip, gzip"; return c }(), 400, []string{"SerializationException", "ValidationException"}},

		{"a form of a million members", call{service: "iam", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, body: "Action=ListUsers&Version=2010-05-08" + strings.Repeat("&a=1", 1_000_000)}, 400, []string{"ValidationError", "MalformedQueryString", "MalformedInput"}},
		{"a list with an index beyond all", call{service: "iam", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, body: "Action=TagUser&Version=2010-05-08&UserName=x&Tags.member.2147483647.Key=a&Tags.member.2147483647.Value=b"}, 400, []string{"ValidationError", "MalformedInput"}},
		{"a form over its bound", call{service: "iam", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, body: "Action=ListUsers&Version=2010-05-08&x=" + strings.Repeat("y", 5<<20)}, 413, []string{"ValidationError"}},

		{"XML entities", tags(`<!DOCTYPE a [<!ENTITY x "lol"><!ENTITY y "&x;&x;&x;&x;">]><Tagging><TagSet><Tag><Key>&y;</Key><Value>v</Value></Tag></TagSet></Tagging>`), 400, []string{"MalformedXML"}},
		{"an external XML entity", tags(`<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Tagging><TagSet><Tag><Key>&x;</Key><Value>v</Value></Tag></TagSet></Tagging>`), 400, []string{"MalformedXML"}},
		{"XML 100,000 deep", tags(deep("<a>", "</a>", 100_000)), 400, []string{"MalformedXML"}},
		{"half an XML", tags("<Tagging><TagSet><Tag>"), 400, []string{"MalformedXML"}},
		{"XML that is JSON", tags(`{"TagSet":[]}`), 400, []string{"MalformedXML"}},
		{"a million parts", call{service: "s3", method: "POST", path: "/documents/k?uploadId=none", body: "<CompleteMultipartUpload>" + strings.Repeat("<Part/>", 1_000_000) + "</CompleteMultipartUpload>"}, 400, []string{"MalformedXML"}},

		{"CBOR 100,000 deep", cborCall("\xa1dText" + strings.Repeat("\x81", 100_000) + "\x00"), 400, []string{"SerializationException"}},
		{"CBOR that claims 4 GiB", cborCall("\xa1dText\x7a\xff\xff\xff\xffx"), 400, []string{"SerializationException"}},
		{"CBOR that claims a list of 2^60", cborCall("\xa1dText\x9b\x10\x00\x00\x00\x00\x00\x00\x00"), 400, []string{"SerializationException"}},
		{"a CBOR key twice", cborCall("\xa2dTextaxdTextay"), 400, []string{"SerializationException"}},

		{"a FHIR resource 100,000 deep", fhir("POST", "Patient", `{"resourceType":"Patient","extension":`+deep(`[{"extension":`, `}]`, 100_000)+`}`), 413, []string{"too-costly"}},
		{"half a FHIR resource", fhir("POST", "Patient", `{"resourceType":"Patient","name":[{"family":"`+marked), 400, []string{"structure", "invalid"}},
		{"a FHIR key twice", fhir("POST", "Patient", `{"resourceType":"Patient","id":"a","id":"b"}`), 400, []string{"structure", "invalid"}},
		{"a FHIR element of the wrong type", fhir("POST", "Patient", `{"resourceType":"Patient","birthDate":{"x":"`+marked+`"}}`), 400, []string{"structure", "value", "invalid"}},
		{"an unknown FHIR element", fhir("POST", "Patient", `{"resourceType":"Patient","brithDate":"2000-01-01"}`), 400, []string{"structure", "invalid"}},
		{"a FHIR body of another type", fhir("POST", "Patient", `{"resourceType":"Observation","status":"final","code":{}}`), 400, []string{"structure", "invalid", "value"}},
		{"FHIR that is no UTF-8", fhir("POST", "Patient", "{\"resourceType\":\"Patient\",\"name\":[{\"family\":\"\xff\xfe\"}]}"), 400, []string{"structure", "invalid", "value"}},
		{"a FHIR resource over its bound", fhir("POST", "Binary", `{"resourceType":"Binary","contentType":"a/b","data":"`+strings.Repeat("QUJD", 2<<20)+`"}`), 413, []string{"too-long", "too-costly", "invalid"}},
		{"a FHIR search of 10,000 parameters", fhir("GET", "Patient?"+strings.Repeat("name=a&", 2_000)+"name=b", ""), 400, []string{"too-costly", "invalid", "value", "not-supported"}},
		{"a FHIR id with a path", fhir("PUT", "Patient/..%2f..%2fetc", `{"resourceType":"Patient","id":"../../etc"}`), 404, []string{"not-found"}},
		{"a transaction that is one entry wrong", fhir("POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient","id":"half"},"request":{"method":"PUT","url":"Patient/half"}},{"resource":{"resourceType":"Patient","nothing":1},"request":{"method":"POST","url":"Patient"}}]}`), 400, []string{"structure", "invalid", "value"}},
	} {
		c.call.send(t, g).refused(t, c.what, c.status, c.codes...)
	}
	if a := fhir("GET", "Patient/half", "").send(t, g); a.status != 404 {
		t.Errorf("half a transaction is visible: %d %s", a.status, a.body)
	}
	if a := fhir("GET", "Patient?_summary=count", "").send(t, g); !strings.Contains(a.body, `"total":0`) {
		t.Errorf("refused resources are counted: %s", a.body)
	}
	if a := (call{service: "healthlake", header: target("HealthLake.ListFHIRDatastores", "1.0"), body: "{}"}).send(t, g); strings.Count(a.body, "DatastoreArn") != 1 {
		t.Errorf("refused data stores are listed: %s", a.body)
	}
	// A decimal may have any precision and size, and is kept as it was written.
	for _, n := range []string{"1e999999999", "-0.00", strings.Repeat("9", 100_000), "0." + strings.Repeat("0", 100_000) + "1"} {
		id := fhir("POST", "Observation", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":`+n+`,"code":"mg"}}`).send(t, g).accepted(t, "a decimal").field(t, "id")
		if a := fhir("GET", "Observation/"+id, "").send(t, g); !strings.Contains(a.body, `"value":`+n+`,`) {
			t.Errorf("%.20s… reads as %.200s", n, a.body)
		}
	}
	for _, q := range []string{"gt1", "lt1e999999999", "1e-999999999", "eq" + strings.Repeat("9", 1000)} {
		if a := fhir("GET", "Observation?value-quantity="+q, "").send(t, g); a.status != 200 && a.code() == "" {
			t.Errorf("a search for %.20s: %d %.200s", q, a.status, a.body)
		}
	}
	sound(t, g)
}

func cborCall(body string) call {
	return call{service: "comprehendmedical", path: "/service/ComprehendMedical_20181030/operation/DetectPHI", header: map[string]string{"Smithy-Protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}, body: body}
}

// fhirStore makes a data store and waits until it is active.
func fhirStore(t *testing.T, g *galen.Server) string {
	t.Helper()
	lake := func(op, body string) answer {
		return call{service: "healthlake", header: target("HealthLake."+op, "1.0"), body: body}.send(t, g).accepted(t, op)
	}
	id := lake("CreateFHIRDatastore", `{"DatastoreTypeVersion":"R4"}`).field(t, "DatastoreId")
	until(t, "the data store is active", func() bool {
		return strings.Contains(lake("DescribeFHIRDatastore", fmt.Sprintf(`{"DatastoreId":%q}`, id)).body, `"ACTIVE"`)
	})
	return id
}

// maxMemory is what the server may have held at most after any of these tests: a bomb that goes off takes more.
const maxMemory = 512 << 20

// sound stops the server and holds that its data folder is whole, and that it kept to its memory.
func sound(t *testing.T, g *galen.Server) {
	t.Helper()
	resp, err := http.Get(g.URL + "/readyz")
	if err != nil {
		t.Fatalf("the server does not answer after all this: %v", err)
	}
	resp.Body.Close()
	peak := g.PeakMemory()
	t.Logf("the server held at most %d MiB", peak>>20)
	if peak > maxMemory {
		t.Errorf("the server held %d MiB, the bound is %d", peak>>20, maxMemory>>20)
	}
	g.Stop()
	if out, err := g.Exec("verify", "--data-dir", g.Dir); err != nil {
		t.Errorf("galen verify: %v\n%s", err, out)
	}
}
