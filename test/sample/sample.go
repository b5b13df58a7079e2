// Package sample makes small whole documents of each standard in memory, the same bytes each time: what a test stores and then compares.
package sample

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/galen-health/galen/standard/dicom"
)

// Study and Series are the UIDs of the series that Slice belongs to.
const (
	Study  = "2.25.424242"
	Series = Study + ".1"
	Side   = 64 // rows and columns of a slice
	ctSOP  = "1.2.840.10008.5.1.4.1.1.2"
)

// Pixels are the values of the n-th slice, row by row.
func Pixels(n int) []int16 {
	px := make([]int16, Side*Side)
	for i := range px {
		px[i] = int16((i%Side*37+i/Side*91+n*1000)%4000 - 1000)
	}
	return px
}

// Slice is the n-th CT image of the series, a DICOM Part 10 file in Explicit VR Little Endian. change may alter the data set before it is written.
func Slice(n int, patient string, change ...func(*dicom.Dataset)) []byte {
	uid := fmt.Sprintf("%s.%d", Series, n)
	d := &dicom.Dataset{}
	for t, v := range map[dicom.Tag]string{
		dicom.TagSOPClassUID: ctSOP, dicom.TagSOPInstanceUID: uid, dicom.TagStudyInstanceUID: Study, dicom.TagSeriesInstanceUID: Series, dicom.TagModality: "CT", dicom.TagPatientID: patient,
		dicom.TagPatientName: "Sample^" + patient, dicom.TagStudyDate: "20240102", dicom.TagStudyTime: "101112", dicom.TagAccessionNumber: "A1", dicom.TagStudyID: "S1", dicom.TagSeriesNumber: "1",
		dicom.TagInstanceNumber: fmt.Sprint(n), dicom.TagPhotometricInterpretation: "MONOCHROME2",
	} {
		d.SetStrings(t, v)
	}
	for t, v := range map[dicom.Tag]int64{dicom.TagRows: Side, dicom.TagColumns: Side, dicom.TagSamplesPerPixel: 1, dicom.TagBitsAllocated: 16, dicom.TagBitsStored: 16, dicom.TagHighBit: 15, dicom.TagPixelRepresentation: 1} {
		d.SetInts(t, dicom.US, v)
	}
	for _, c := range change {
		c(d)
	}
	if v := d.String(dicom.TagSOPInstanceUID); v != "" {
		uid = v
	}
	out, err := dicom.AppendDataset(dicom.AppendMeta(nil, ctSOP, uid, dicom.ExplicitVRLittleEndian), d, dicom.ExplicitVRLittleEndian, nil)
	if err != nil {
		panic(err) // the data set is made here
	}
	out = dicom.AppendPixelHeader(out, dicom.TagPixelData, dicom.OW, 2*Side*Side, dicom.ExplicitVRLittleEndian)
	for _, v := range Pixels(n) {
		out = binary.LittleEndian.AppendUint16(out, uint16(v))
	}
	return out
}

// Sequence is a made chromosome of n bases, n a multiple of 60.
func Sequence(n int) string {
	b := make([]byte, n)
	x := uint32(5)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = "ACGT"[x>>30]
	}
	return string(b)
}

// FASTA is Sequence(3000) under the name sample1.
func FASTA() []byte {
	var b strings.Builder
	b.WriteString(">sample1\n")
	for s := Sequence(3000); s != ""; s = s[60:] {
		b.WriteString(s[:60] + "\n")
	}
	return []byte(b.String())
}

// FASTQ is n reads of 50 bases from the sequence.
func FASTQ(n int) []byte {
	var b strings.Builder
	s := Sequence(3000)
	for i := range n {
		fmt.Fprintf(&b, "@r%d\n%s\n+\n%s\n", i, s[i*7%2900:][:50], strings.Repeat("I", 50))
	}
	return []byte(b.String())
}

// VCF is n single-base variants of one sample on the sequence, n at most 290.
func VCF(n int) []byte {
	var b strings.Builder
	b.WriteString("##fileformat=VCFv4.2\n##contig=<ID=sample1,length=3000>\n##INFO=<ID=DP,Number=1,Type=Integer,Description=\"depth\">\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"genotype\">\n" +
		"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\n")
	s := Sequence(3000)
	for i := range n {
		pos := 100 + 10*i
		ref, alt := s[pos-1:pos], "A"
		if ref == alt {
			alt = "C"
		}
		fmt.Fprintf(&b, "sample1\t%d\trs%d\t%s\t%s\t50\tPASS\tDP=%d\tGT\t0/1\n", pos, pos, ref, alt, pos%40)
	}
	return []byte(b.String())
}

// Gzip compresses b.
func Gzip(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		panic(err) // memory does not fail
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}
