// Package ingest_test holds `galen ingest` to its promise on the real binary: a mixed folder goes to its owners, is there through every contract, and
// a second run, or a run after a crash on either side, changes nothing that the first had done.
package ingest_test

import (
	"encoding/json"
	"os/exec"
	"path"
	"strings"
	"testing"

	"github.com/galen-health/galen/app/ingest"
	"github.com/galen-health/galen/standard/sniff"
	"github.com/galen-health/galen/test/galen"
	"github.com/galen-health/galen/test/mixed"
)

// broken are the public DICOM files that cannot be kept, each with what must be said of it.
var broken = map[string]string{
	"ExplVR_LitEndNoMeta.dcm": "TransferSyntaxUID", "ExplVR_BigEndNoMeta.dcm": "TransferSyntaxUID", "OT-PAL-8-face.dcm": "TransferSyntaxUID", "meta_missing_tsyntax.dcm": "TransferSyntaxUID",
	"rtstruct.dcm": "TransferSyntaxUID", "nested_priv_SQ.dcm": "SOPClassUID", "no_meta_group_length.dcm": "SOPClassUID", "priv_SQ.dcm": "SOPClassUID", "empty_charset_LEI.dcm": "SOPClassUID",
	"emri_small_jpeg_2k_lossless_too_short.dcm": "the file ends within", "MR_truncated.dcm": "after the file", "rtplan_truncated.dcm": "after the file",
}

// fate is what must become of a file, and a word of the reason.
func fate(f mixed.File) (state ingest.State, reason string) {
	switch f.Kind {
	case sniff.None:
		return ingest.Nobody, ""
	case sniff.DICOM:
		if why, bad := broken[path.Base(f.Origin)]; bad {
			return ingest.Refused, why
		}
	case sniff.HL7v2, sniff.CCDA, sniff.FHIRXML:
		return ingest.Left, "FHIR JSON"
	case sniff.SAM:
		return ingest.Left, "BAM or CRAM"
	case sniff.GFF:
		return ingest.Left, "does not take"
	case sniff.WDL, sniff.CWL, sniff.Nextflow:
		return ingest.Left, "workflows"
	}
	return ingest.Landed, ""
}

// folder is the mixed folder of these tests.
func folder(t *testing.T) (dir string, byPath map[string]mixed.File) {
	t.Helper()
	var files []mixed.File
	files = append(files, mixed.Records(t, 10)...)
	files = append(files, mixed.Images(t)...)
	files = append(files, mixed.Aligned(t)...)
	files = append(files, mixed.Cohort(t, 2, 2)...)
	files = append(files, mixed.Workflows()...)
	files = append(files, mixed.Nobodys()...)
	return mixed.Write(t, mixed.Strip(files))
}

// take runs galen ingest to its end.
func take(t *testing.T, g *galen.Server, dir string) *ingest.Report {
	t.Helper()
	out, err := g.Exec("ingest", "--json", dir)
	if err != nil {
		t.Fatalf("galen ingest: %v\n%s", err, out)
	}
	r := new(ingest.Report)
	if err := json.Unmarshal([]byte(out), r); err != nil {
		t.Fatalf("galen ingest --json: %v\n%s", err, out)
	}
	return r
}

// begin starts galen ingest and leaves it running.
func begin(t *testing.T, g *galen.Server, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(galen.Binary(t), "ingest", "--json", "--workers", "2", dir)
	cmd.Env = g.Env()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// check holds a report against what must become of each file; landed is the state of what its owner takes.
func check(t *testing.T, r *ingest.Report, byPath map[string]mixed.File, landed ...ingest.State) {
	t.Helper()
	counts, seen := map[ingest.State]int{}, map[string]bool{}
	for _, res := range r.Results {
		f, ok := byPath[res.Path]
		if !ok || seen[res.Path] {
			t.Errorf("%s is reported but is no file, or is reported twice", res.Path)
			continue
		}
		seen[res.Path] = true
		counts[res.State]++
		if res.Kind != f.Kind || res.Service != f.Service {
			t.Errorf("%s (%s) goes to %q as %q, want %q as %q", res.Path, f.Origin, res.Service, res.Kind, f.Service, f.Kind)
		}
		state, reason := fate(f)
		right := res.State == state
		if state == ingest.Landed {
			right = false
			for _, l := range landed {
				right = right || res.State == l
			}
		}
		if !right {
			t.Errorf("%s (%s) is %s (%s), want %s", res.Path, f.Origin, res.State, res.Reason, state)
		}
		switch res.State {
		case ingest.Landed, ingest.Already:
			if res.Where == "" {
				t.Errorf("%s (%s) is %s but nobody knows where", res.Path, f.Origin, res.State)
			}
		default:
			if res.Reason == "" || !strings.Contains(res.Reason, reason) {
				t.Errorf("%s (%s) is %s for the reason %q, want one with %q", res.Path, f.Origin, res.State, res.Reason, reason)
			}
		}
	}
	if len(seen) != len(byPath) {
		t.Errorf("%d of %d files are reported", len(seen), len(byPath))
	}
	for state, n := range r.Counts {
		if n != counts[state] {
			t.Errorf("the report counts %d %s, but lists %d", n, state, counts[state])
		}
	}
	t.Logf("%d files: %v", len(r.Results), r.Counts)
}
