package sniff

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"unicode/utf8"
)

// Kind names what a file holds.
type Kind string

// The kinds, in the order of the services that own them.
const (
	None Kind = "" // not health data that Galen knows

	FHIRJSON   Kind = "fhir-json"
	FHIRXML    Kind = "fhir-xml"
	FHIRNDJSON Kind = "fhir-ndjson"
	HL7v2      Kind = "hl7v2"
	CCDA       Kind = "ccda"

	DICOM     Kind = "dicom"
	DICOMJSON Kind = "dicom-json"

	FASTQ    Kind = "fastq"
	FASTA    Kind = "fasta"
	SAM      Kind = "sam"
	BAM      Kind = "bam"
	CRAM     Kind = "cram"
	VCF      Kind = "vcf"
	BCF      Kind = "bcf"
	GFF      Kind = "gff"
	WDL      Kind = "wdl"
	CWL      Kind = "cwl"
	Nextflow Kind = "nextflow"

	Audio      Kind = "audio"
	Transcript Kind = "transcript"
	Note       Kind = "clinical-note"
)

// Verdict is what was found and why.
type Verdict struct {
	Kind   Kind
	Detail string // what within the kind: a FHIR resource type, "gzip", "WAV 16 kHz"; may be ""
	Reason string // one sentence for people, without content of the file
	Gzip   bool   // the content is inside gzip or BGZF
}

// Limit is how much of a file, or of what a compressed file expands to, is looked at.
const Limit = 8 << 20

// head is how much is enough for everything but JSON documents.
const head = 256 << 10

func none(format string, args ...any) Verdict {
	return Verdict{Reason: fmt.Sprintf(format, args...)}
}

// File opens and judges a regular file.
func File(path string) (Verdict, error) {
	f, err := os.Open(path)
	if err != nil {
		return Verdict{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Verdict{}, err
	}
	if !st.Mode().IsRegular() {
		return none("not a regular file"), nil
	}
	return Reader(f)
}

// Reader judges what r yields. Only an error of r is an error.
func Reader(r io.Reader) (Verdict, error) {
	data, err := io.ReadAll(io.LimitReader(r, Limit+1))
	if err != nil {
		return Verdict{}, err
	}
	return Bytes(data), nil
}

// Bytes judges the beginning of a file: the whole of it, or its first Limit+1 bytes.
func Bytes(data []byte) Verdict {
	whole := len(data) <= Limit
	if !whole {
		data = data[:Limit]
	}
	if len(data) == 0 {
		return none("the file is empty")
	}
	if v, ok := binary(data, whole); ok {
		return v
	}
	if data[0] == 0x1f && len(data) > 2 && data[1] == 0x8b {
		return compressed(data)
	}
	return text(data, whole)
}

// compressed looks inside gzip (BGZF is gzip). One level only: nested archives are nobody's health data.
func compressed(data []byte) Verdict {
	zr, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return none("begins like gzip, but its header is damaged")
	}
	inner, err := io.ReadAll(io.LimitReader(zr, Limit+1))
	if len(inner) == 0 {
		if err != nil {
			return none("begins like gzip, but nothing can be decompressed")
		}
		return none("an empty gzip file")
	}
	if inner[0] == 0x1f && len(inner) > 1 && inner[1] == 0x8b {
		return none("gzip inside gzip")
	}
	if err == nil && len(inner) <= Limit && zr.Name != "" && bytes.HasPrefix(inner, []byte("PK\x03\x04")) {
		return none("a zip archive inside gzip")
	}
	v := Bytes(inner)
	v.Gzip = true
	if v.Kind == None {
		v.Reason = "gzip; inside: " + v.Reason
	} else if v.Kind == Audio || v.Kind == DICOM {
		return none("%s inside gzip: no service takes it compressed, decompress it first", v.Kind)
	}
	return v
}

// text judges everything that is not recognised by binary structure.
func text(data []byte, whole bool) Verdict {
	b := bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	trimmed := bytes.TrimLeft(b, " \t\r\n")
	if len(trimmed) == 0 {
		return none("only white space")
	}
	// HL7 v2 may be in any 8-bit character set and inside MLLP framing, so it comes before the check for text.
	if v, ok := hl7(trimmed); ok {
		return v
	}
	sample := b[:min(len(b), head)]
	if i := bytes.IndexByte(sample, 0); i >= 0 {
		return none("binary data of no known kind")
	}
	if !validText(sample, len(sample) == len(b)) {
		return none("neither text in UTF-8 nor a known binary format")
	}
	if line, rest, ok := bytes.Cut(trimmed, []byte("\n")); ok && bytes.HasPrefix(line, []byte("#!")) {
		if rest = bytes.TrimLeft(rest, " \t\r\n"); len(rest) > 0 && rest[0] == '{' {
			trimmed = rest // an executable CWL document in JSON
		}
	}
	if v, ok := dialogue(trimmed[:min(len(trimmed), head)]); ok { // its turns may begin with a bracket, as JSON does
		return v
	}
	switch trimmed[0] {
	case '{', '[':
		return jsonDocument(trimmed, whole)
	case '<':
		return xmlDocument(trimmed)
	}
	for _, try := range []func([]byte) (Verdict, bool){vcf, gff, sam, fastq, fasta, cwlYAML, wdl, nextflow} {
		if v, ok := try(sample); ok {
			return v
		}
	}
	return none("text of no known kind")
}

// validText accepts UTF-8 (a rune cut at the end of a sample is no fault) without control characters other than white space.
func validText(b []byte, complete bool) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return !complete && len(b) < utf8.UTFMax && !utf8.FullRune(b)
		}
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' && r != '\f' {
			return false
		}
		b = b[n:]
	}
	return true
}

// lines yields up to n lines of b without their ends; the last line of a sample that was cut may be partial.
func lines(b []byte, n int) []string {
	var out []string
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(make([]byte, 0, 64<<10), head+1)
	for len(out) < n && sc.Scan() {
		out = append(out, sc.Text())
	}
	return out
}
