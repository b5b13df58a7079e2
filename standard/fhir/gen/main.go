// Command gen writes the R4 tables of package fhir from HL7's published definitions.
//
// Input is a directory or a .tar.gz with the StructureDefinition, ValueSet, CodeSystem and SearchParameter JSON files of FHIR 4.0.1
// (HL7, CC0). Output are two text files that are committed and embedded: structure.txt (every type and element) and search.txt (every
// search parameter, its FHIRPath expression compiled to plain element paths). Their line formats are described in table.go of package fhir.
//
//	go run ./gen -definitions hl7.fhir.r4-4.0.1.tar.gz -out tables
package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	log.SetFlags(0)
	in := flag.String("definitions", "", "folder or .tar.gz of FHIR R4 definitions")
	out := flag.String("out", "tables", "folder to write to")
	flag.Parse()
	d, err := load(*in)
	if err != nil {
		log.Fatal(err)
	}
	m, err := d.structure()
	if err != nil {
		log.Fatal(err)
	}
	s, err := d.search(m)
	if err != nil {
		log.Fatal(err)
	}
	for name, text := range map[string]string{"structure.txt": m.text(), "search.txt": s} {
		if err := os.WriteFile(filepath.Join(*out, name), []byte(text), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// definitions are the parts of the published files that the tables need.
type definitions struct {
	structures   map[string]*structureDefinition // by type name, base definitions only
	valueSets    map[string]*valueSet            // by url
	systems      map[string]*codeSystem          // by url
	params       []*searchParameter
	compartments []*compartment
}

type compartment struct {
	URL, Code string
	Resource  []struct {
		Code  string
		Param []string
	}
}

type structureDefinition struct {
	Name, Kind, Derivation, Type, BaseDefinition string
	Abstract                                     bool
	Snapshot                                     struct{ Element []element }
}

type element struct {
	Path             string
	Min              int
	Max              string
	ContentReference string
	IsSummary        bool
	Base             struct{ Path string }
	Type             []elementType
	Binding          *struct{ Strength, ValueSet string }
}

type elementType struct {
	Code          string
	TargetProfile []string
	Extension     []struct{ URL, ValueURL string }
}

type valueSet struct {
	URL     string
	Compose struct {
		Include []include
		Exclude []include
	}
}

type include struct {
	System   string
	Concept  []struct{ Code string }
	Filter   []json.RawMessage
	ValueSet []string
}

type codeSystem struct {
	URL, Content string
	Concept      []concept
}

type concept struct {
	Code    string
	Concept []concept
}

type searchParameter struct {
	URL, Code, Type, Expression string
	Base, Target                []string
	Component                   []struct{ Definition, Expression string }
}

func load(path string) (*definitions, error) {
	d := &definitions{structures: map[string]*structureDefinition{}, valueSets: map[string]*valueSet{}, systems: map[string]*codeSystem{}}
	if !strings.HasSuffix(path, ".tar.gz") {
		files, err := filepath.Glob(filepath.Join(path, "*.json"))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return nil, err
			}
			if err := d.add(filepath.Base(f), b); err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if err == io.EOF {
			return d, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		b, err := io.ReadAll(t)
		if err != nil {
			return nil, err
		}
		if err := d.add(filepath.Base(h.Name), b); err != nil {
			return nil, err
		}
	}
}

func (d *definitions) add(name string, b []byte) error {
	kind, _, _ := strings.Cut(name, "-")
	var err error
	switch kind {
	case "StructureDefinition":
		var s structureDefinition
		if err = json.Unmarshal(b, &s); err == nil && s.Derivation != "constraint" && s.Kind != "logical" && s.Snapshot.Element != nil {
			d.structures[s.Type] = &s
		}
	case "ValueSet":
		var v valueSet
		if err = json.Unmarshal(b, &v); err == nil && v.URL != "" {
			d.valueSets[v.URL] = &v
		}
	case "CodeSystem":
		var c codeSystem
		if err = json.Unmarshal(b, &c); err == nil && c.URL != "" {
			d.systems[c.URL] = &c
		}
	case "CompartmentDefinition":
		var c compartment
		if err = json.Unmarshal(b, &c); err == nil && strings.HasPrefix(c.URL, "http://hl7.org/fhir/CompartmentDefinition/") && last(c.URL) != "example" {
			d.compartments = append(d.compartments, &c)
		}
	case "SearchParameter":
		var p searchParameter
		if err = json.Unmarshal(b, &p); err == nil && len(p.Base) > 0 && p.Expression != "" {
			d.params = append(d.params, &p)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
