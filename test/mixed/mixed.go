// Package mixed makes a folder of every kind of health data as hospitals hand it over: public samples and the synthetic cohort's files side by side,
// half of them without names, and between them junk and files that only look like health data.
package mixed

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/galen-health/galen/app/cohort"
	"github.com/galen-health/galen/standard/sniff"
	"github.com/galen-health/galen/test/testdata"
)

// File is one file and who must get it.
type File struct {
	Name    string // where it lies in the folder
	Origin  string // as its owner called it, with its folder
	Body    []byte
	Kind    sniff.Kind
	Service string // SDK service id, "" when nobody owns it
}

// owner says who owns each kind: written down here a second time on purpose, from the design and not from the catalogue.
var owner = map[sniff.Kind]string{
	sniff.FHIRJSON: "healthlake", sniff.FHIRXML: "healthlake", sniff.FHIRNDJSON: "healthlake", sniff.HL7v2: "healthlake", sniff.CCDA: "healthlake",
	sniff.DICOM: "medical-imaging",
	sniff.FASTQ: "omics", sniff.FASTA: "omics", sniff.SAM: "omics", sniff.BAM: "omics", sniff.CRAM: "omics", sniff.VCF: "omics", sniff.GFF: "omics",
	sniff.WDL: "omics", sniff.CWL: "omics", sniff.Nextflow: "omics",
	sniff.Audio: "transcribe", sniff.Transcript: "transcribe",
}

type pile []File

func (p *pile) add(name string, kind sniff.Kind, body []byte) {
	*p = append(*p, File{Name: name, Origin: name, Body: body, Kind: kind, Service: owner[kind]})
}

// Records are n Synthea histories, HL7 v2 messages and C-CDA documents, FHIR as XML and as lines.
func Records(t testing.TB, n int) []File {
	var p pile
	testdata.Tar(t, "fhir/synthea-r4-patients.tar.gz", func(name string, b []byte) {
		if len(p) < n && strings.HasSuffix(name, ".json") {
			p.add("records/"+path.Base(name), sniff.FHIRJSON, b)
		}
	})
	if len(p) != n {
		t.Fatalf("the archive has %d histories, want %d", len(p), n)
	}
	p.add("ward/patient.xml", sniff.FHIRXML, []byte(`<?xml version="1.0" encoding="UTF-8"?><Patient xmlns="http://hl7.org/fhir"><id value="xml-1"/><gender value="female"/></Patient>`))
	p.add("ward/lines.ndjson", sniff.FHIRNDJSON, []byte("{\"resourceType\":\"Organization\",\"id\":\"mixed-org\",\"name\":\"Ward\"}\n{\"resourceType\":\"Location\",\"id\":\"mixed-loc\",\"name\":\"Room 1\"}\n"))
	for pattern, kind := range map[string]sniff.Kind{"Hl7v2/ADT-A0[1-4]-0?.hl7": sniff.HL7v2, "Ccda/C*.ccda": sniff.CCDA} {
		for _, f := range glob(t, "ingress/converter-samples/SampleData", pattern) {
			p.add("ward/"+filepath.Base(f), kind, read(t, f))
		}
	}
	return p
}

// Images are NEMA's WG04 set in small modalities and pydicom's files: every transfer syntax, and broken ones.
func Images(t testing.TB) []File {
	var p pile
	for _, f := range glob(t, "imaging/dicom-test-files/data", "WG04/*/[CM][TR][134]_*") {
		b := read(t, f)
		if strings.HasSuffix(f, ".zst") {
			d, err := zstd.NewReader(nil)
			if err != nil {
				t.Fatal(err)
			}
			if b, err = d.DecodeAll(b, nil); err != nil {
				t.Fatal(err)
			}
			d.Close()
		}
		p.add("imaging/wg04/"+strings.TrimSuffix(filepath.Base(f), ".zst"), sniff.DICOM, b)
	}
	for _, f := range glob(t, "imaging/dicom-test-files/data", "pydicom/*.dcm") {
		kind := sniff.DICOM
		if filepath.Base(f) == "no_meta.dcm" { // begins with a stray space: nothing in it parses
			kind = sniff.None
		}
		if b := read(t, f); len(b) < 600<<10 {
			p.add("imaging/pydicom/"+filepath.Base(f), kind, b)
		}
	}
	return p
}

// Aligned are a BAM, CRAMs and the FASTA they stand on, of htslib's tests.
func Aligned(t testing.TB) []File {
	var p pile
	testdata.Tar(t, "omics/htslib-test.tar.gz", func(name string, b []byte) {
		kind, ok := map[string]sniff.Kind{"test/range.bam": sniff.BAM, "test/range.cram": sniff.CRAM, "test/ce#5b_java.cram": sniff.CRAM, "test/ce.fa": sniff.FASTA,
			"test/ce#1.sam": sniff.SAM, "test/tabix/gff_file.gff": sniff.GFF}[strings.TrimPrefix(name, "./")]
		if ok {
			p.add("worm/"+path.Base(name), kind, b)
		}
	})
	if len(p) != 6 {
		t.Fatalf("the archive has %d of the 6 files", len(p))
	}
	return p
}

// Cohort are the synthetic patients' files: histories, phantoms, reads, variants, visits written and, with flite, spoken.
func Cohort(t testing.TB, patients, slices int) []File {
	var p pile
	dir := t.TempDir()
	c := cohort.Default
	c.Patients, c.Slices = patients, slices
	if _, err := c.Write(dir, nil); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]sniff.Kind{".json": sniff.FHIRJSON, ".dcm": sniff.DICOM, ".fa": sniff.FASTA, ".txt": sniff.Transcript, ".wav": sniff.Audio}
	err := filepath.Walk(dir, func(f string, st os.FileInfo, err error) error {
		if err != nil || st.IsDir() {
			return err
		}
		kind := kinds[filepath.Ext(f)]
		switch {
		case strings.HasSuffix(f, ".fastq.gz"):
			kind = sniff.FASTQ
		case strings.HasSuffix(f, ".vcf.gz"):
			kind = sniff.VCF
		}
		rel, err := filepath.Rel(dir, f)
		p.add("cohort/"+filepath.ToSlash(rel), kind, read(t, f))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Workflows are a workflow definition in each language.
func Workflows() []File {
	var p pile
	p.add("flows/a.wdl", sniff.WDL, []byte("version 1.1\n\ntask hello {\n  input { String who }\n  command <<<\n    echo hello ~{who}\n  >>>\n  output { String said = read_string(stdout()) }\n}\n"))
	p.add("flows/a.cwl", sniff.CWL, []byte("cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: echo\ninputs: []\noutputs: []\n"))
	p.add("flows/a.nf", sniff.Nextflow, []byte("process HELLO {\n  output:\n  stdout\n  script:\n  \"\"\"\n  echo hello\n  \"\"\"\n}\nworkflow { HELLO() }\n"))
	return p
}

// Nobodys are files that no service owns: junk, nothing at all, and what only looks like health data.
func Nobodys() []File {
	var p pile
	junk := make([]byte, 4096)
	for i := range junk {
		junk[i] = byte(i*i>>3 ^ i*131)
	}
	var twice bytes.Buffer
	z := gzip.NewWriter(&twice)
	fmt.Fprint(z, "just some text\n") // a bytes.Buffer takes every write
	z.Close()
	for name, b := range map[string][]byte{
		"empty.dcm": {}, "junk.bam": junk, "notes.hl7": []byte("MSH is the first segment of a message.\n"), "banana.json": []byte(`{"resourceType":"Banana","id":"1"}`),
		"cut.json": []byte(`{"resourceType":"Patient","name":[{"family":"A`), "image.dcm": append(make([]byte, 128), "DICM but no elements follow"...),
		"reads.fastq": []byte("@everyone lunch is ready\nsee you there\n+ 1\nok\n"), "calls.vcf": []byte("##fileformat=VCFv4.2\n1\t5\t.\tA\tC\n"), "doc.ccda": []byte(`<html><body>ClinicalDocument</body></html>`),
		"film.wav": []byte("RIFF\x24\x00\x00\x00AVI LIST"), "archive.zip": append([]byte("PK\x03\x04"), junk[:64]...), "text.vcf.gz": twice.Bytes(), "mail.fa": []byte("> hello there, you wrote:\n> 12345\n"),
		"entity.ccda": []byte(`<!DOCTYPE x [<!ENTITY a "b">]><ClinicalDocument xmlns="urn:hl7-org:v3">&a;</ClinicalDocument>`),
	} {
		p.add("odd/"+name, sniff.None, b)
	}
	return p
}

// Strip takes names and endings away from every second file, in path order, where the name carries no meaning (a pair of reads is known by its names).
func Strip(files []File) []File {
	out := append([]File(nil), files...)
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	n := 0
	for i, f := range out {
		if f.Kind == sniff.FASTQ {
			continue
		}
		if n++; n%2 == 0 {
			out[i].Name = fmt.Sprintf("unnamed/f%04d", n)
		}
	}
	return out
}

// StripAll takes every name away.
func StripAll(files []File) []File {
	out := append([]File(nil), files...)
	for i := range out {
		out[i].Name = fmt.Sprintf("f%04d", i)
	}
	return out
}

// Write puts the files below a fresh folder and returns it with what each path is.
func Write(t testing.TB, files []File) (dir string, byPath map[string]File) {
	t.Helper()
	dir, byPath = t.TempDir(), map[string]File{}
	at := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC) // times tell nothing either
	for _, f := range files {
		full := filepath.Join(dir, filepath.FromSlash(f.Name))
		if _, twice := byPath[f.Name]; twice {
			t.Fatalf("two files are called %s", f.Name)
		}
		byPath[f.Name] = f
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, f.Body, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(full, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return dir, byPath
}

func glob(t testing.TB, dir, pattern string) []string {
	t.Helper()
	out, err := filepath.Glob(filepath.Join(testdata.Dir(t, dir), filepath.FromSlash(pattern)))
	if err != nil || len(out) == 0 {
		t.Fatalf("no file matches %s/%s: %v", dir, pattern, err)
	}
	return out
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
