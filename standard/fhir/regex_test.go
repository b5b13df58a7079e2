package fhir

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/fhir/tape"
	"github.com/galen-health/galen/test/testdata"
)

// TestPrimitivesFollowThePublishedExpressions holds the hand-written checks to the regular expressions of HL7's definitions, over texts
// that lie on both sides of them. Where we are stricter on purpose, the reason stands here.
func TestPrimitivesFollowThePublishedExpressions(t *testing.T) {
	published := publishedExpressions(t)
	stricter := map[string]map[string]string{
		"date":        {"2019-02-29": "no such day", "2020-04-31": "no such day"},
		"dateTime":    {"2019-02-29": "no such day", "2020-04-31": "no such day", "2020-01-01T24:00:00Z": "midnight is 00:00 of the next day"},
		"instant":     {"2020-01-01T24:00:00Z": "midnight is 00:00 of the next day"},
		"integer":     {"2147483648": "over 32 bits", "-2147483649": "over 32 bits", "-0": "0 has no sign"},
		"unsignedInt": {"2147483648": "over 32 bits"},
		"positiveInt": {"2147483648": "over 32 bits"},
		"uri":         {"": "an element must not be empty"},
		"url":         {"": "an element must not be empty"},
		"canonical":   {"": "an element must not be empty"},
		"markdown":    {"": "an element must not be empty"},
	}
	samples := strings.Split("|a|A1-b.c|a b|a  b| a|a |a\tb|x_y|"+strings.Repeat("a", 64)+"|"+strings.Repeat("a", 65)+"|0|-0|1|01|-1|+1|+5|007|1.5|1e3|2147483647|2147483648|-2147483648|-2147483649|"+
		"2020|202|20200|0000|2020-1|2020-01|2020-13|2020-00|2020-01-01|2020-01-32|2020-02-29|2019-02-29|2020-04-31|2020-01-01T10:00:00Z|2020-01-01T10:00:00|2020-01-01T10:00Z|"+
		"2020-01-01T10:00:60Z|2020-01-01T24:00:00Z|2020-01-01T10:00:00.123+14:00|2020-01-01T10:00:00+14:30|2020-01-01T10:00:00-05:30|2020-01-01T10:00:00.Z|2020-01-01T10:00:00z|"+
		"10:00:00|10:00|24:00:00|23:59:60|10:00:00.5|10:00:61|urn:oid:1.2.3|urn:oid:3.1|urn:oid:1|urn:oid:1.02|urn:oid:2.16.840.1|1.2.3|"+
		"urn:uuid:c757873d-ec9a-4326-a141-556f43239520|urn:uuid:C757873D-EC9A-4326-A141-556F43239520|c757873d-ec9a-4326-a141-556f43239520|"+
		"http://a/b|http://a b|YWJj|YWJ|YW Jj|YWJjZA==| YWJj |true", "|")
	for name, re := range published {
		p, ok := primitives[name]
		if !ok || p.kind == tape.True || name == "xhtml" || name == "decimal" {
			continue
		}
		for _, s := range samples {
			if p.kind == tape.Number && !json.Valid([]byte(s)) {
				continue // it never gets as far
			}
			want := re.MatchString(s)
			if _, why := stricter[name][s]; why {
				want = false
			}
			if got := p.ok(s); got != want {
				t.Errorf("%s %q: %v, the published expression says %v", name, s, got, want)
			}
		}
	}
	if len(published) < 18 {
		t.Errorf("only %d published expressions were found", len(published))
	}
}

func publishedExpressions(t *testing.T) map[string]*regexp.Regexp {
	out := map[string]*regexp.Regexp{}
	testdata.Tar(t, "fhir/hl7.fhir.r4-4.0.1.tar.gz", func(path string, body []byte) {
		if !strings.HasPrefix(filepath.Base(path), "StructureDefinition-") {
			return
		}
		var d struct {
			Kind, Type string
			Snapshot   struct {
				Element []struct {
					Path string
					Type []struct {
						Extension []struct{ URL, ValueString string }
					}
				}
			}
		}
		if json.Unmarshal(body, &d) != nil || d.Kind != "primitive-type" {
			return
		}
		for _, e := range d.Snapshot.Element {
			if e.Path == d.Type+".value" && len(e.Type) > 0 {
				for _, x := range e.Type[0].Extension {
					if strings.HasSuffix(x.URL, "/regex") {
						out[d.Type] = regexp.MustCompile(`\A(?:` + x.ValueString + `)\z`)
					}
				}
			}
		}
	})
	return out
}
