package sniff_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/sniff"
	"github.com/galen-health/galen/test/testdata"
)

func wave(rate uint32) string {
	var b bytes.Buffer
	b.WriteString("RIFF\x2c\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00")
	binary.Write(&b, binary.LittleEndian, []uint32{rate, rate * 2})
	b.WriteString("\x02\x00\x10\x00data\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	return b.String()
}

func gz(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

func dicomFile(after string) string { return strings.Repeat("\x00", 128) + "DICM" + after }

const (
	fastqRecords = "@r1 1:N:0\nACGTN\n+\nIIIII\n@r2\nAC\n+r2\n@@\n"
	vcfFile      = "##fileformat=VCFv4.2\n##contig=<ID=1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t5\t.\tA\tC\t.\t.\t.\n"
	cda          = `<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><realmCode code="US"/><typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/></ClinicalDocument>`
	adt          = "MSH|^~\\&|A|B|C|D|20240101||ADT^A01|1|P|2.5\rPID|1\r"
)

func TestKinds(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    sniff.Kind
	}{
		"fhir resource":                {`{"resourceType":"Patient","id":"a"}`, sniff.FHIRJSON},
		"fhir, type last, BOM":         {"\xef\xbb\xbf\n" + `{"id":"a","contained":[{"resourceType":"X"}],"resourceType":"Patient"}`, sniff.FHIRJSON},
		"fhir lines":                   {"{\"resourceType\":\"Patient\"}\n{\"resourceType\":\"Observation\"}\n", sniff.FHIRNDJSON},
		"fhir xml":                     {`<Patient xmlns="http://hl7.org/fhir"><id value="a"/></Patient>`, sniff.FHIRXML},
		"hl7":                          {adt, sniff.HL7v2},
		"hl7 in mllp":                  {"\x0b" + adt + "\x1c\r", sniff.HL7v2},
		"hl7 batch":                    {"FHS|^~\\&|A\rBHS|^~\\&|A\r" + adt, sniff.HL7v2},
		"hl7 in latin-1":               {strings.Replace(adt, "PID|1", "PID|1||||M\xfcller", 1), sniff.HL7v2},
		"ccda":                         {cda, sniff.CCDA},
		"dicom":                        {dicomFile("\x02\x00\x00\x00UL\x04\x00\x04\x00\x00\x00"), sniff.DICOM},
		"dicom bare":                   {"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100\x08\x00\x12\x00DA\x08\x0020040119\x08\x00\x16\x00UI\x02\x001\x00\x08\x00\x18\x00UI\x02\x001\x00", sniff.DICOM},
		"dicom json":                   {`[{"00080005":{"vr":"CS","Value":["ISO_IR 192"]}}]`, sniff.DICOMJSON},
		"fastq":                        {fastqRecords, sniff.FASTQ},
		"fastq gz":                     {gz(fastqRecords), sniff.FASTQ},
		"fasta":                        {">chr1\nACGTNNacgt\nAC\n", sniff.FASTA},
		"sam":                          {"@HD\tVN:1.6\n@SQ\tSN:1\tLN:9\n", sniff.SAM},
		"vcf":                          {vcfFile, sniff.VCF},
		"vcf gz":                       {gz(vcfFile), sniff.VCF},
		"cram":                         {"CRAM\x03\x00" + strings.Repeat("x", 20), sniff.CRAM},
		"gff3":                         {"##gff-version 3\nchr1\thavana\tgene\t1\t9\t.\t+\t.\tID=g\n", sniff.GFF},
		"gtf":                          {"1\tensembl\texon\t1\t9\t.\t-\t.\tgene_id \"g\";\n", sniff.GFF},
		"wdl":                          {"# comment\nversion 1.1\n\nworkflow w {\n}\n", sniff.WDL},
		"wdl draft-2":                  {"task t {\n  String s\n  command {\n    echo ${s}\n  }\n}\n", sniff.WDL},
		"cwl yaml":                     {"#!/usr/bin/env cwl-runner\ncwlVersion: v1.2\nclass: Workflow\n", sniff.CWL},
		"cwl json":                     {`{"cwlVersion":"v1.0","$graph":[]}`, sniff.CWL},
		"nextflow":                     {"process A {\n  input:\n  path x\n  script:\n  \"\"\"\n  echo\n  \"\"\"\n}\nworkflow { A(channel.of(1)) }\n", sniff.Nextflow},
		"wav":                          {wave(16000), sniff.Audio},
		"flac":                         {"fLaC\x00\x00\x00\x22" + strings.Repeat("\x00", 40), sniff.Audio},
		"transcript":                   {`{"Conversation":{"ConversationId":"x","TranscriptSegments":[]}}`, sniff.Transcript},
		"transcribe":                   {`{"jobName":"x","results":{"transcripts":[],"items":[]}}`, sniff.Transcript},
		"dialogue":                     {"Doctor: hello\nPatient: hi\nDoctor: any pain?\n", sniff.Transcript},
		"dialogue in brackets":         {"[doctor] hi there\n[patient] hello\n", sniff.Transcript},
		"webvtt":                       {"WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n", sniff.Transcript},
		"note":                         {`{"ClinicalDocumentation":{"Sections":[]}}`, sniff.Note},
		"empty":                        {"", sniff.None},
		"white space":                  {" \n\t", sniff.None},
		"junk":                         {"\x01\x02\x03\x00\xff\xfe", sniff.None},
		"prose":                        {"The patient was seen today.\n", sniff.None},
		"fhir look-alike":              {`{"resourceType":"Banana"}`, sniff.None},
		"fhir type inside":             {`{"entry":{"resourceType":"Patient"}}`, sniff.None},
		"fhir type not text":           {`{"resourceType":5}`, sniff.None},
		"fhir cut off":                 {`{"resourceType":"Patient","name":[{"family":"A`, sniff.None},
		"fhir array":                   {`[{"resourceType":"Patient"}]`, sniff.None},
		"lines, second broken":         {"{\"resourceType\":\"Patient\"}\n{\"resourceType\":", sniff.None},
		"html":                         {"<html><body>ClinicalDocument</body></html>", sniff.None},
		"doctype":                      {"<!DOCTYPE x [<!ENTITY a 'b'>]>" + cda[21:], sniff.None},
		"v3 message":                   {`<PRPA_IN201301UV02 xmlns="urn:hl7-org:v3"/>`, sniff.None},
		"cda without header":           {`<ClinicalDocument xmlns="urn:hl7-org:v3"><a/></ClinicalDocument>`, sniff.None},
		"msh in prose":                 {"MSH is a segment", sniff.None},
		"msh without type":             {"MSH|^~\\&|A|B\r", sniff.None},
		"dicm only":                    {dicomFile("hello world, this is no DICOM"), sniff.None},
		"avi":                          {"RIFF\x00\x00\x00\x00AVI LIST", sniff.None},
		"wave without format":          {"RIFF\x04\x00\x00\x00WAVEdata\x00\x00\x00\x00", sniff.None},
		"cram of version 9":            {"CRAM\x09\x00" + strings.Repeat("x", 20), sniff.None},
		"fastq, short qualities":       {"@r1\nACGT\n+\nII\n@r2\nAC\n+\nII\n", sniff.None},
		"at sign":                      {"@everyone lunch is ready\nsee you\n", sniff.None},
		"mail quote":                   {"> hello there, you wrote:\n> 12345\n", sniff.None},
		"vcf without header":           {"##fileformat=VCFv4.2\n1\t5\t.\tA\tC\n", sniff.None},
		"gff words":                    {"##gff-version 3\nthis is not a feature\n", sniff.None},
		"version only":                 {"version 1.0\nnothing else\n", sniff.None},
		"cwl of version 7":             {"cwlVersion: v7\nclass: Workflow\n", sniff.None},
		"zip":                          {"PK\x03\x04" + strings.Repeat("x", 40), sniff.None},
		"gzip of gzip":                 {gz(gz(vcfFile)), sniff.None},
		"gzip cut":                     {gz(vcfFile)[:12], sniff.None},
		"BAM not compressed":           {"BAM\x01\x00\x00\x00\x00", sniff.None},
		"BAM in plain gzip":            {gz("BAM\x01\x00\x00\x00\x00\x00\x00\x00\x00"), sniff.None},
		"table quoting a conversation": {"id,dialogue,note\n1,\"Doctor: hi\nPatient: hello\nDoctor: pain?\nPatient: no\",x\n", sniff.None},
		"utf-16":                       {"\xff\xfe{\x00\"\x00r\x00", sniff.None},
	} {
		got := sniff.Bytes([]byte(c.content))
		if got.Kind != c.want {
			t.Errorf("%s: kind = %q (%s), want %q", name, got.Kind, got.Reason, c.want)
		}
		if got.Reason == "" {
			t.Errorf("%s: no reason given", name)
		}
	}
}

// Every public sample is recognised by its content, whatever it is called.
func TestPublicSamples(t *testing.T) {
	for _, c := range []struct {
		archive, suffix string
		want            sniff.Kind
		atLeast         int
		except          []string // names that say themselves that they are broken, or that hold nothing
	}{
		{"fhir/synthea-r4-patients.tar.gz", ".json", sniff.FHIRJSON, 49, nil},
		{"omics/hts-specs-test.tar.gz", ".cram", sniff.CRAM, 70, nil},
		{"omics/htslib-test.tar.gz", ".bam", sniff.BAM, 7, nil},
		{"omics/rnaseq-reads.tar.gz", ".fq", sniff.FASTQ, 2, nil},
		{"omics/cwl-v1.2-conformance.tar.gz", ".cwl", sniff.CWL, 300, nil},
	} {
		n := 0
		for name, body := range testdata.Files(t, c.archive) {
			if len(body) == 0 || path.Ext(name) != c.suffix {
				continue
			}
			v, err := sniff.Reader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			n++
			if v.Kind != c.want {
				t.Errorf("%s: %s: kind = %q (%s), want %q", c.archive, path.Base(name), v.Kind, v.Reason, c.want)
			}
		}
		if n < c.atLeast {
			t.Errorf("%s: only %d files of %s were seen, want %d", c.archive, n, c.suffix, c.atLeast)
		}
	}
}

func TestPublicFolders(t *testing.T) {
	for dir, want := range map[string]sniff.Kind{
		"ingress/converter-samples/SampleData/Hl7v2": sniff.HL7v2,
		"ingress/converter-samples/SampleData/Ccda":  sniff.CCDA,
		"imaging/dicom-test-files/data/WG04":         sniff.DICOM,
	} {
		n := 0
		err := filepath.WalkDir(testdata.Dir(t, dir), func(p string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(p, ".zst") || strings.HasSuffix(p, ".txt") {
				return err
			}
			v, err := sniff.File(p)
			if v.Kind != want {
				t.Errorf("%s: kind = %q (%s), want %q", filepath.Base(p), v.Kind, v.Reason, want)
			}
			n++
			return err
		})
		if err != nil || n < 20 {
			t.Errorf("%s: %d files, %v", dir, n, err)
		}
	}
}

// A bomb costs no more than the limit.
func TestExpansionIsBounded(t *testing.T) {
	bomb := gz(strings.Repeat(" ", 64<<20))
	if v := sniff.Bytes([]byte(bomb)); v.Kind != sniff.None {
		t.Errorf("kind = %q", v.Kind)
	}
	deep := strings.Repeat("[", 1<<20)
	if v := sniff.Bytes([]byte(`{"resourceType":"Patient","x":` + deep)); v.Kind != sniff.None {
		t.Errorf("kind = %q", v.Kind)
	}
}

func FuzzBytes(f *testing.F) {
	for _, s := range []string{fastqRecords, vcfFile, cda, adt, wave(8000), gz(vcfFile), dicomFile("\x02\x00"), `{"resourceType":"Patient"}`, "ID3\x00\x00\x00\x00\x00\x00\x00\xff\xfb\x90\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if v := sniff.Bytes(b); v.Reason == "" {
			t.Errorf("no reason for %q", v.Kind)
		}
		if _, err := sniff.Reader(bytes.NewReader(b)); err != nil {
			t.Errorf("from a stream: %v", err)
		}
	})
}
