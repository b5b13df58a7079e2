// Package route_test holds `galen route` to the portfolio: every kind of file goes to its owner by content alone.
package route_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/sniff"
	"github.com/galen-health/galen/test/galen"
	"github.com/galen-health/galen/test/mixed"
)

type line struct {
	Path, Service, Kind, Reason string
}

func route(t *testing.T, stdin []byte, args ...string) ([]line, error) {
	t.Helper()
	cmd := exec.Command(galen.Binary(t), append([]string{"route", "--json"}, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	var lines []line
	for _, l := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var got line
		dec := json.NewDecoder(strings.NewReader(l))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&got); err != nil {
			t.Fatalf("not one JSON object a line: %v\n%s", err, l)
		}
		lines = append(lines, got)
	}
	return lines, err
}

func TestEveryKindWithoutNames(t *testing.T) {
	var files []mixed.File
	files = append(files, mixed.Records(t, 4)...)
	files = append(files, mixed.Images(t)...)
	files = append(files, mixed.Aligned(t)...)
	files = append(files, mixed.Cohort(t, 1, 1)...)
	files = append(files, mixed.Workflows()...)
	files = append(files, mixed.Nobodys()...)
	files = mixed.StripAll(files)
	dir, byPath := mixed.Write(t, files)
	lines, err := route(t, nil, dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != len(files) {
		t.Errorf("%d lines for %d files", len(lines), len(files))
	}
	seen := map[string]int{}
	for _, l := range lines {
		rel, err := filepath.Rel(dir, l.Path)
		if err != nil {
			t.Fatal(err)
		}
		f := byPath[filepath.ToSlash(rel)]
		seen[l.Kind]++
		if l.Kind != string(f.Kind) || l.Service != f.Service {
			t.Errorf("%s (%.40q…) goes to %q as %q, want %q as %q: %s", l.Path, f.Body[:min(len(f.Body), 40)], l.Service, l.Kind, f.Service, f.Kind, l.Reason)
		}
		if l.Reason == "" {
			t.Errorf("%s: no reason", l.Path)
		}
	}
	for _, k := range []sniff.Kind{sniff.FHIRJSON, sniff.FHIRXML, sniff.FHIRNDJSON, sniff.HL7v2, sniff.CCDA, sniff.DICOM, sniff.FASTQ, sniff.BAM, sniff.CRAM, sniff.VCF, sniff.GFF, sniff.WDL,
		sniff.CWL, sniff.Nextflow, sniff.Transcript} {
		if seen[string(k)] == 0 {
			t.Errorf("no file of kind %s was routed", k)
		}
	}
	t.Logf("%d files of %d kinds: %v", len(lines), len(seen), seen)
}

func TestStandardInput(t *testing.T) {
	lines, err := route(t, []byte(`{"resourceType":"Patient"}`), "-")
	if err != nil || len(lines) != 1 || lines[0].Service != "healthlake" || lines[0].Path != "-" {
		t.Errorf("got %+v, %v", lines, err)
	}
}

// A path that is not there fails the command, and the others are still routed.
func TestMissingPath(t *testing.T) {
	dir, _ := mixed.Write(t, mixed.Workflows())
	lines, err := route(t, nil, filepath.Join(dir, "none"), dir)
	if err == nil {
		t.Error("a path that does not exist did not fail the command")
	}
	if len(lines) != 4 || lines[0].Service != "" || !strings.HasPrefix(lines[0].Reason, "cannot be read") || lines[1].Service != "omics" {
		t.Errorf("got %+v", lines)
	}
}
