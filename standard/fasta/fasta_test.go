package fasta_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/fasta"
	"github.com/galen-health/galen/test/testdata"
)

func index(text string, piece int) ([]fasta.Sequence, error) {
	x := fasta.NewIndexer()
	for len(text) > 0 {
		n := min(piece, len(text))
		if _, err := x.Write([]byte(text[:n])); err != nil {
			break
		}
		text = text[n:]
	}
	return x.Close()
}

func fai(t *testing.T, all []fasta.Sequence) string {
	var b bytes.Buffer
	if err := fasta.WriteIndex(&b, all); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestDigests uses the example of the refget 2.0 specification: ACGT.
func TestDigests(t *testing.T) {
	for piece := 1; piece < 12; piece++ {
		all, err := index(">a description\r\nac\r\nGT\r\n>b\n\n>c\nACGT", piece)
		if err != nil || len(all) != 3 {
			t.Fatalf("%d sequences, error %v", len(all), err)
		}
		for _, i := range []int{0, 2} {
			s := all[i]
			if s.MD5Hex() != "f1f8f4bf413b16ad135722aa4591043e" || s.Refget() != "SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2" ||
				s.Trunc512() != "68a178f7c740c5c240aa67ba41843b119d3bf9f8b0f0ac36" || s.Length != 4 {
				t.Errorf("%+v: %s %s %s", s, s.MD5Hex(), s.Refget(), s.Trunc512())
			}
		}
		if all[1].Length != 0 || all[1].MD5Hex() != "d41d8cd98f00b204e9800998ecf8427e" {
			t.Errorf("the empty sequence is %+v", all[1])
		}
		if got := fai(t, all); !strings.HasPrefix(got, "a\t4\t16\t2\t4\nb\t0\t27\t0\t0\nc\t4\t31\t4\t5\n") {
			t.Errorf("index is %q", got)
		}
		if p := all[0].Place(3); p != 21 {
			t.Errorf("base 3 lies at %d, want 21", p)
		}
	}
}

func TestBrokenFiles(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "no sequence",
		"ACGT\n":               "line 1 has byte 0x41 before the first >name",
		">\nACGT\n":            "line 1 names no sequence",
		">a\nACGT\nAC\nACGT\n": "line 4 follows a shorter line",
		">a\nACGT\n\nACGT\n":   "line 4 follows a shorter line",
		">a\nAC\nACGT\n":       "line 3 is longer",
		">a\nACGT\nACGT\r\n":   "line 3 ends in another way",
		">a\nAC1T\n":           "line 2 has byte 0x31 at column 3",
		">a\nAC GT\n":          "line 2 has byte 0x20 at column 3",
		">a\nA\rCGT\n":         "line 2 has",
		">a\nAC\n>a\nAC\n":     "line 3 repeats the name",
		"@r1\nACGT\n+\nIIII\n": "line 1 has byte 0x40",
		">" + strings.Repeat("x", 5000) + "\nA\n": "longer than 4094",
	} {
		for _, piece := range []int{1, 3, 10_000} {
			if _, err := index(text, piece); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.40q in pieces of %d: error %v, want %q", text, piece, err, want)
			}
		}
	}
}

// refused are files that samtools indexes but that are no references: without names, with names twice, with other than letters.
var refused = map[string]bool{"faidx.fa": true, "filter_casava.fa": true, "interleaved_casava.fa": true, "aa.fa": true, "EDUMMY0002.fa": true, "norm.iupac.fa": true}

// TestCorpus holds our index to samtools faidx.
func TestCorpus(t *testing.T) {
	samtools, err := exec.LookPath("samtools")
	if err != nil {
		t.Skip("samtools is not on this machine (Debian package samtools)")
	}
	dir, n := t.TempDir(), 0
	check := func(name string, body []byte) {
		if !strings.HasSuffix(name, ".fa") && !strings.HasSuffix(name, ".fasta") {
			return
		}
		p := filepath.Join(dir, "x.fa")
		if err := os.WriteFile(p, body, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(p + ".fai")
		if err := exec.Command(samtools, "faidx", p).Run(); err != nil {
			return
		}
		want, err := os.ReadFile(p + ".fai")
		if err != nil {
			t.Fatal(err)
		}
		all, err := index(string(body), 997)
		if refused[filepath.Base(name)] {
			if err == nil {
				t.Errorf("%s is accepted", name)
			}
			return
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		n++
		if got := fai(t, all); got != string(want) {
			t.Errorf("%s: index\n%swant\n%s", name, got, want)
		}
	}
	for _, a := range []string{"htslib-test", "bcftools-test", "hts-specs-test", "rnaseq-reads"} {
		testdata.Tar(t, "omics/"+a+".tar.gz", check)
	}
	if n < 10 {
		t.Errorf("only %d FASTA files were compared", n)
	}
}

func FuzzIndexer(f *testing.F) {
	f.Add(">a d\nACGT\nAC\n>b\nA\n", 3)
	f.Fuzz(func(t *testing.T, text string, piece int) {
		if piece < 1 || piece > 1000 {
			return
		}
		whole, err := index(text, len(text)+1)
		cut, err2 := index(text, piece)
		if (err == nil) != (err2 == nil) || err == nil && fai(t, whole) != fai(t, cut) {
			t.Fatalf("whole: %v %v; in pieces: %v %v", whole, err, cut, err2)
		}
		for _, s := range whole {
			if err == nil && s.Length > 0 && (s.Place(s.Length-1) >= int64(len(text)) || text[s.Place(s.Length-1)] == '\n') {
				t.Fatalf("the last base of %+v lies outside", s)
			}
		}
	})
}
