package fastq_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/bgzf"
	"github.com/galen-health/galen/standard/fastq"
	"github.com/galen-health/galen/test/testdata"
)

// check writes text in pieces of this size.
func check(text string, piece int) (fastq.Summary, error) {
	var c fastq.Checker
	for len(text) > 0 {
		n := min(piece, len(text))
		if _, err := c.Write([]byte(text[:n])); err != nil {
			break
		}
		text = text[n:]
	}
	return c.Close()
}

func TestWholeReads(t *testing.T) {
	two := "@r1 with comment\nACGTN\n+\nII?>~\n@r2\nacgt\n+r2\n!!!!\n"
	want := fastq.Summary{Reads: 2, Bases: 9, Q30: 4, Longest: 5}
	for _, text := range []string{two, strings.TrimSuffix(two, "\n"), strings.ReplaceAll(two, "\n", "\r\n")} {
		for piece := 1; piece < 20; piece++ {
			if got, err := check(text, piece); err != nil || got != want {
				t.Errorf("in pieces of %d: %+v, error %v, want %+v", piece, got, err, want)
			}
		}
	}
	if got, err := check("", 1); err != nil || got != (fastq.Summary{}) {
		t.Errorf("an empty file: %+v, error %v", got, err)
	}
	if got, err := check("@r\n\n+\n\n", 9); err != nil || got.Reads != 1 {
		t.Errorf("a read without bases: %+v, error %v", got, err)
	}
	long := "@r\n" + strings.Repeat("ACGTACGTA", 1000) + "\n+\n" + strings.Repeat("I5?>@I!~+", 1000) + "\n"
	if got, err := check(long, 4096); err != nil || got.Q30 != 5000 {
		t.Errorf("Q30 of %+v is not 5000, error %v", got, err)
	}
}

func TestBrokenReads(t *testing.T) {
	for text, want := range map[string]string{
		"r1\nACGT\n+\nIIII\n":                            "line 1 begins with 0x72",
		"@r1\nAC GT\n+\nIIIII\n":                         "line 2 has byte 0x20 at column 3",
		"@r1\nACGT\nACGT\n+\nIIIIIIII\n":                 "line 3 begins with 0x41",
		"@r1\nACGT\n+\nIII\n":                            "line 4 has 3 qualities for 4 bases",
		"@r1\nACGT\n+\nIII\x7f\n":                        "line 4 has byte 0x7f at column 4",
		"@r1\nACGT\n+\nII I\n":                           "line 4 has byte 0x20 at column 3",
		"@r1\nACGT\n+\n":                                 "ends after line 3",
		"@r1\nACGT\n+\nIIII\n\n":                         "line 5 begins with nothing",
		"@r1\nACGT\n+\nIIII\n@r2\n":                      "ends after line 5",
		">chr1\nACGT\n":                                  "line 1 begins with 0x3e",
		"@SQ\tSN:c1\tLN:5\n@RG\tID:1\n@PG\tID:2\nx\t0\n": "line 2 has byte 0x40",
	} {
		for _, piece := range []int{1, 3, 1000} {
			if _, err := check(text, piece); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q in pieces of %d: error %v, want %q", text, piece, err, want)
			}
		}
	}
}

// TestCorpus counts the reads of the public FASTQ files against a line count.
func TestCorpus(t *testing.T) {
	n := 0
	testdata.Tar(t, "omics/rnaseq-reads.tar.gz", func(name string, body []byte) {
		if !strings.Contains(name, ".fq") && !strings.Contains(name, ".fastq") {
			return
		}
		r, _, err := bgzf.Open(bytes.NewReader(body), 1)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		n++
		got, err := check(string(text), 60_000)
		if lines := bytes.Count(text, []byte("\n")); err != nil || got.Reads != int64(lines/4) || got.Reads == 0 {
			t.Errorf("%s: %+v of %d lines, error %v", name, got, lines, err)
		}
	})
	if n == 0 {
		t.Error("no FASTQ file in the corpus")
	}
}

func FuzzChecker(f *testing.F) {
	f.Add("@r1\nACGT\n+\nIIII\n", 3)
	f.Add("@r1\r\nACGT\r\n+\r\nIIII", 1)
	f.Fuzz(func(t *testing.T, text string, piece int) {
		if piece < 1 || piece > 1000 {
			return
		}
		whole, err := check(text, len(text)+1)
		cut, err2 := check(text, piece)
		if whole != cut || (err == nil) != (err2 == nil) {
			t.Fatalf("whole: %+v %v; in pieces: %+v %v", whole, err, cut, err2)
		}
	})
}

// TestLinesAreBounded: a line that never ends is refused once it is too long, and at its first byte when that is wrong already.
func TestLinesAreBounded(t *testing.T) {
	chunk := bytes.Repeat([]byte("A"), 1<<20)
	for start, most := range map[string]int{"@": fastq.MaxLine, "@r\n": fastq.MaxLine, "@r\nA\n+": fastq.MaxLine, "": 0, "@r\nA\n": 0} {
		var c fastq.Checker
		_, err := c.Write([]byte(start))
		n := 0
		for ; err == nil && n <= 2*fastq.MaxLine; n += len(chunk) {
			_, err = c.Write(chunk)
		}
		if err == nil || n > most+2*len(chunk) {
			t.Errorf("after %q: %d bytes were taken, %v", start, n, err)
		}
	}
}
