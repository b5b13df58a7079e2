package healthlake

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/test/testdata"
)

// TestEverySearchOfUSCoreIsAnswered compiles every search, comparator, chain of alternatives and reverse include that US Core asks servers for.
func TestEverySearchOfUSCoreIsAnswered(t *testing.T) {
	for _, version := range []string{"3.1.1", "6.1.0"} {
		b, err := os.ReadFile(testdata.Dir(t, "fhir/us-core/metadata-"+version+".yml"))
		if err != nil {
			t.Fatal(err)
		}
		var m struct {
			Groups []struct {
				Resource    string   `yaml:":resource"`
				RevIncludes []string `yaml:":revincludes"`
				Includes    []string `yaml:":include_params"`
				Searches    []struct {
					Names []string `yaml:":names"`
				} `yaml:":searches"`
				Definitions map[string]struct {
					Comparators map[string]string `yaml:":comparators"`
				} `yaml:":search_definitions"`
			} `yaml:":groups"`
		}
		if err := yaml.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		searches := 0
		for _, g := range m.Groups {
			for _, s := range g.Searches {
				values := url.Values{}
				for _, name := range s.Names {
					p := fhir.LookupParam(g.Resource, name)
					if p == nil {
						t.Errorf("%s: %s has no parameter %s", version, g.Resource, name)
						continue
					}
					if strings.HasPrefix(name, "_last") || p.Type == fhir.DateParam {
						values.Add(name, "2020-01-01")
						for op := range g.Definitions[":"+name].Comparators {
							values.Add(name, strings.TrimPrefix(op, ":")+"2020-01-01T00:00:00Z")
						}
					} else {
						values.Add(name, "a,b")
					}
				}
				for _, inc := range g.RevIncludes {
					values.Add("_revinclude", inc)
				}
				for _, inc := range g.Includes {
					values.Add("_include", inc)
				}
				q, err := fhir.ParseQuery(g.Resource, values, false)
				if err == nil {
					_, err = compile(q.Clauses)
				}
				if err != nil {
					t.Errorf("%s: %s?%s: %v", version, g.Resource, values.Encode(), err)
				}
				searches++
			}
		}
		if searches < 50 {
			t.Errorf("%s: only %d searches read", version, searches)
		}
		t.Logf("US Core %s: %d searches", version, searches)
	}
}
