package fhir_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/tape"
)

// wrong are files of HL7's own package that break R4, each with the reason.
var wrong = map[string]string{
	"Questionnaire-qs1.json":           "items without linkId",
	"ig-r4.json":                       "no name, no status",
	"ImplementationGuide-fhir.json":    "no name, no status",
	"Observation-clinical-gender.json": "performer refers to an Encounter",
	"MedicationRequest-medrx0301.json": "dispenseRequest.performer refers to a Practitioner",
	"DeviceUseStatement-example.json":  "reasonReference refers to a Procedure",
	"DeviceMetric-example.json":        "parent refers to a DeviceDefinition",
	"SearchParameter-questionnaireresponse-extensions-QuestionnaireResponse-item-subject.json": "an id of 65 characters",
	"SearchParameter-valueset-extensions-ValueSet-workflow.json":                               "no base",
	"SearchParameter-valueset-extensions-ValueSet-keyword.json":                                "no base",
	"SearchParameter-valueset-extensions-ValueSet-end.json":                                    "no base",
	"SearchParameter-valueset-extensions-ValueSet-effective.json":                              "no base",
	"SearchParameter-valueset-extensions-ValueSet-author.json":                                 "no base",
	"SearchParameter-codesystem-extensions-CodeSystem-workflow.json":                           "no base",
	"SearchParameter-codesystem-extensions-CodeSystem-keyword.json":                            "no base",
	"SearchParameter-codesystem-extensions-CodeSystem-end.json":                                "no base",
	"SearchParameter-codesystem-extensions-CodeSystem-effective.json":                          "no base",
	"SearchParameter-codesystem-extensions-CodeSystem-author.json":                             "no base",
}

func TestPublishedExamplesPass(t *testing.T) {
	var d tape.Doc
	c := fhir.Checker{Extract: true}
	n, entries := 0, 0
	corpus(t, r4Examples, func(file string, body []byte) {
		n++
		if err := d.Parse(body, tape.Limits{}); err != nil {
			t.Errorf("%s: %v", file, err)
			return
		}
		r, issues := c.Check(&d, 0, "")
		entries += len(r.Entries)
		if why := wrong[file]; why != "" {
			if len(issues) == 0 {
				t.Errorf("%s passed, but it is wrong: %s", file, why)
			}
			return
		}
		for _, i := range issues {
			t.Errorf("%s: %s: %s", file, i.Expression, i.Diagnostics)
		}
	})
	t.Logf("%d resources, %d index entries", n, entries)
}

func TestSyntheaPasses(t *testing.T) {
	var d tape.Doc
	var c fhir.Checker
	corpus(t, synthea, func(file string, body []byte) {
		if err := d.Parse(body, tape.Limits{}); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		_, issues := c.Check(&d, 0, "Bundle")
		for _, i := range issues {
			t.Errorf("%s: %s: %s", file, i.Expression, i.Diagnostics)
		}
	})
}

// TestPlantedFaultsAreFound breaks published examples in ways that are faults wherever they are made.
func TestPlantedFaultsAreFound(t *testing.T) {
	var d, m tape.Doc
	c := fhir.Checker{Limits: fhir.Limits{Issues: 1}}
	files, planted := 0, 0
	rng := rand.New(rand.NewPCG(4, 1))
	corpus(t, r4Examples, func(file string, body []byte) {
		if files++; files%5 != 0 || len(body) > 60_000 || wrong[file] != "" {
			return
		}
		if err := d.Parse(body, tape.Limits{}); err != nil {
			t.Fatal(err)
		}
		for range 12 {
			i := rng.IntN(len(d.Nodes))
			n := d.Nodes[i]
			var bad []byte
			fault := ""
			with := func(from, to uint32, text string) []byte {
				return slices.Concat(body[:from], []byte(text), body[to:])
			}
			switch k := rng.IntN(6); {
			case k == 0 && n.Kind == tape.Object:
				fault, bad = "an unknown element", with(n.Start+1, n.Start+1, `"zzUnknown":1,`)
			case k == 1 && i > 0:
				fault, bad = "an empty array", with(n.Start, n.End, "[]")
			case k == 2 && n.Kind == tape.String:
				fault, bad = "a number for a string", with(n.Start, n.End, "17")
			case k == 2 && (n.Kind == tape.Number || n.Kind == tape.True || n.Kind == tape.False):
				fault, bad = "a string for a number or boolean", with(n.Start, n.End, `"x"`)
			case k == 3 && n.KeyEnd > 0 && body[n.KeyStart] != '_':
				fault, bad = "a name in the wrong case", with(n.KeyStart, n.KeyStart+1, strings.ToUpper(string(body[n.KeyStart])))
			case k == 4 && n.KeyEnd > 0:
				fault, bad = "a name twice", with(n.KeyStart-1, n.KeyStart-1, `"`+d.Key(i)+`":`+string(d.Raw(i))+",")
			case k == 5 && i > 0:
				fault, bad = "an empty object", with(n.Start, n.End, "{}")
			default:
				continue
			}
			planted++
			if m.Parse(bad, tape.Limits{}) != nil {
				continue
			}
			if _, issues := c.Check(&m, 0, ""); len(issues) == 0 {
				t.Errorf("%s: %s at byte %d was not found", file, fault, n.Start)
			}
		}
	})
	t.Logf("%d faults planted", planted)
}

func TestIssuesNameTheElement(t *testing.T) {
	for _, c := range []struct{ in, expr, code string }{
		{`{"resourceType":"Patient","name":[{"given":["a",7]}]}`, "Patient.name[0].given[1]", "structure"},
		{`{"resourceType":"Patient","birthDate":"2020-02-30"}`, "Patient.birthDate", "value"},
		{`{"resourceType":"Patient","gender":"man"}`, "Patient.gender", "code-invalid"},
		{`{"resourceType":"Patient","birthdate":"2020"}`, "Patient.birthDate", "structure"},
		{`{"resourceType":"Patient","active":"true"}`, "Patient.active", "structure"},
		{`{"resourceType":"Patient","name":{"family":"x"}}`, "Patient.name", "structure"},
		{`{"resourceType":"Patient","birthDate":["2020"]}`, "Patient.birthDate", "structure"},
		{`{"resourceType":"Patient","birthDate":null}`, "Patient.birthDate", "structure"},
		{`{"resourceType":"Patient","name":[{"given":[null]}]}`, "Patient.name[0].given[0]", "structure"},
		{`{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2020"}`, "Patient.deceased", "structure"},
		{`{"resourceType":"Patient","deceasedDateTime":"20"}`, "Patient.deceased.ofType(dateTime)", "value"},
		{`{"resourceType":"Patient","id":"a b"}`, "Patient.id", "value"},
		{`{"resourceType":"Patient","multipleBirthInteger":2147483648}`, "Patient.multipleBirth.ofType(integer)", "value"},
		{`{"resourceType":"Patient","managingOrganization":{"reference":"Patient/1"}}`, "Patient.managingOrganization.reference", "invalid"},
		{`{"resourceType":"Patient","text":{"status":"generated","div":"<div><script>1</script></div>"}}`, "Patient.text.div", "value"},
		{`{"resourceType":"Patient","contained":[{"resourceType":"Observation","code":{"text":"x"}}]}`, "Patient.contained[0].status", "required"},
		{`{"resourceType":"Observation","status":"final"}`, "Observation.code", "required"},
		{`{"resourceType":"Patient","link":[{"type":"seealso"}]}`, "Patient.link[0].other", "required"},
		{`{"resourceType":"patient"}`, "", "not-supported"},
		{`{"id":"1"}`, "", "required"},
		{`[]`, "", "structure"},
	} {
		var d tape.Doc
		if err := d.Parse([]byte(c.in), tape.Limits{}); err != nil {
			t.Fatal(err)
		}
		var ch fhir.Checker
		_, issues := ch.Check(&d, 0, "")
		if len(issues) != 1 || issues[0].Expression != c.expr || issues[0].Code != c.code {
			t.Errorf("%s: issues %+v, want one %s at %q", c.in, issues, c.code, c.expr)
		}
	}
}

func TestPrimitiveHalvesPair(t *testing.T) {
	for in, ok := range map[string]bool{
		`{"resourceType":"Patient","name":[{"given":["a",null],"_given":[null,{"id":"x"}]}]}`:                                  true,
		`{"resourceType":"Patient","_birthDate":{"extension":[{"url":"http://x","valueString":"unknown"}]}}`:                   true,
		`{"resourceType":"Patient","name":[{"given":["a",null],"_given":[null,null]}]}`:                                        false,
		`{"resourceType":"Observation","_status":{"extension":[{"url":"http://x","valueCode":"masked"}]},"code":{"text":"x"}}`: true,
		`{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueString":"a","_valueString":{"id":"1"}}`:      true,
		`{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueString":"a","_valueDateTime":{"id":"1"}}`:    false,
	} {
		var d tape.Doc
		if err := d.Parse([]byte(in), tape.Limits{}); err != nil {
			t.Fatal(err)
		}
		var ch fhir.Checker
		if _, issues := ch.Check(&d, 0, ""); (len(issues) == 0) != ok {
			t.Errorf("%s: issues %v, want ok = %v", in, issues, ok)
		}
	}
}

// BenchmarkCheckAndExtract takes Synthea's resources one by one, compacted as they are stored.
func BenchmarkCheckAndExtract(b *testing.B) {
	var resources [][]byte
	size := 0
	corpus(b, synthea, func(_ string, body []byte) {
		var bundle struct {
			Entry []struct{ Resource json.RawMessage }
		}
		if err := json.Unmarshal(body, &bundle); err != nil {
			b.Fatal(err)
		}
		for _, e := range bundle.Entry {
			var c bytes.Buffer
			if err := json.Compact(&c, e.Resource); err != nil {
				b.Fatal(err)
			}
			resources = append(resources, c.Bytes())
			size += c.Len()
		}
	})
	var d tape.Doc
	c := fhir.Checker{Extract: true}
	entries := 0
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		if err := d.Parse(resources[n%len(resources)], tape.Limits{}); err != nil {
			b.Fatal(err)
		}
		r, _ := c.Check(&d, 0, "")
		entries += len(r.Entries)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "resources/s")
	b.ReportMetric(float64(entries)/float64(b.N), "entries/resource")
	b.ReportMetric(float64(size)/float64(len(resources)), "bytes/resource")
}
