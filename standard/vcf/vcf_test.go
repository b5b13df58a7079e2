package vcf_test

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/bgzf"
	"github.com/galen-health/galen/standard/vcf"
	"github.com/galen-health/galen/test/testdata"
)

func read(file []byte) (*vcf.Header, []string, error) {
	text, _, err := bgzf.Open(bytes.NewReader(file), 1)
	if err != nil {
		return nil, nil, err
	}
	defer text.Close()
	r, err := vcf.NewReader(text)
	if err != nil {
		return nil, nil, err
	}
	var out []string
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return r.Header, out, nil
		}
		if err != nil {
			return r.Header, out, err
		}
		out = append(out, describe(rec))
	}
}

// describe is a record as `bcftools query` writes it with the format of query.
func describe(r *vcf.Record) string {
	alts := make([]string, 0, 2)
	for _, a := range r.Alts {
		alts = append(alts, string(a))
	}
	if len(alts) == 0 {
		alts = []string{"."}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\t%d\t%s\t%s\t%s\t%s", r.Chrom, r.Pos, r.IDs, r.Ref, strings.Join(alts, ","), strings.ReplaceAll(string(r.Filters), ",", ";"))
	for c := range r.Calls() {
		gt := string(c.GT)
		if gt == "" {
			gt = "."
		}
		b.WriteString("\t" + c.Sample + "=" + gt)
	}
	return b.String()
}

// minRefused is how many of the invalid files are refused.
const minRefused = 190

func TestSpecificationCorpus(t *testing.T) {
	passed, refused, failed := 0, 0, 0
	testdata.Tar(t, "omics/hts-specs-test.tar.gz", func(name string, body []byte) {
		if !strings.Contains(name, "/vcf/4.") || !strings.HasSuffix(name, ".vcf") {
			return
		}
		_, _, err := read(body)
		switch path.Base(path.Dir(name)) {
		case "passed":
			passed++
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case "failed":
			failed++
			if err != nil {
				refused++
			}
		}
	})
	t.Logf("%d valid files pass; %d of %d invalid files are refused", passed, refused, failed)
	// The others break conventions that this reader lets pass: types and numbers of reserved keys, prefixes of symbolic alleles, order of
	// attributes, order and repetition of records, URLs.
	if passed < 70 || refused < minRefused {
		t.Errorf("%d valid files pass and %d invalid ones are refused, want 70 and %d", passed, refused, minRefused)
	}
}

// TestAgainstBcftools compares every VCF file of bcftools' own tests that both read.
func TestAgainstBcftools(t *testing.T) {
	bcftools, err := exec.LookPath("bcftools")
	if err != nil {
		t.Skip("bcftools is not on this machine (Debian package bcftools)")
	}
	n, refused := 0, 0
	check := func(name string, body []byte) {
		if !strings.HasSuffix(name, ".vcf") && !strings.HasSuffix(name, ".vcf.gz") {
			return
		}
		cmd := exec.Command(bcftools, "query", "-f", "%CHROM\t%POS\t%ID\t%REF\t%ALT\t%FILTER[\t%SAMPLE=%GT]\n", "-")
		cmd.Stdin = bytes.NewReader(body)
		want, err := cmd.Output()
		if err != nil || len(want) == 0 {
			return
		}
		if strings.Contains(name, "vcf44") {
			return // Debian's bcftools does not know 4.4
		}
		h, got, err := read(body)
		if err != nil {
			refused++
			t.Logf("refused %s: %v", name, err)
			return
		}
		if len(h.Format) == 0 || h.Format["GT"].ID == "" {
			return // bcftools cannot print GT
		}
		n++
		if text := strings.Join(got, "\n") + "\n"; text != string(want) {
			a, b := strings.Split(text, "\n"), strings.Split(string(want), "\n")
			for i := range min(len(a), len(b)) {
				if a[i] != b[i] {
					t.Errorf("%s: record %d\n got %s\nwant %s", name, i, a[i], b[i])
					break
				}
			}
		}
	}
	testdata.Tar(t, "omics/bcftools-test.tar.gz", check)
	testdata.Tar(t, "omics/htslib-test.tar.gz", check)
	t.Logf("%d files compared, %d refused", n, refused)
	if n < 150 {
		t.Errorf("only %d files were compared", n)
	}
}

const head = "##fileformat=VCFv4.3\n##contig=<ID=1,length=1000>\n##INFO=<ID=DP,Number=1,Type=Integer,Description=\"Depth, \\\"raw\\\"\">\n" +
	"##INFO=<ID=DB,Number=0,Type=Flag,Description=\"\">\n##FORMAT=<ID=AD,Number=R,Type=Integer,Description=\"x\">\n##FILTER=<ID=q10,Description=\"low\">\n"

const columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts1\ts2\n"

func TestValues(t *testing.T) {
	r, err := vcf.NewReader(strings.NewReader(head + columns + "1\t10\trs1;rs2\tAC\tA,<DEL>\t12.5\tq10;s50\tDP=7;DB;END=20;X=a,b\tGT:AD:PL\t0|2:3,4,5:.\t./1\n"))
	if err != nil {
		t.Fatal(err)
	}
	h := r.Header
	if h.Version != "VCFv4.3" || len(h.Samples) != 2 || h.Info["DP"].Description != `Depth, "raw"` || h.Info["DP"].Count != 1 || h.Format["AD"].Count != -1 ||
		h.Filters["q10"] != "low" || h.Contigs[0] != (vcf.Contig{ID: "1", Length: 1000}) || h.Text != head+columns {
		t.Errorf("header %+v", h)
	}
	rec, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if string(rec.Chrom) != "1" || rec.Pos != 10 || rec.End() != 20 || rec.Qual != 12.5 || len(rec.Alts) != 2 || string(rec.IDs) != "rs1;rs2" {
		t.Errorf("record %+v", rec)
	}
	var info, calls []string
	for k, v := range rec.InfoFields() {
		info = append(info, string(k)+"="+string(v))
	}
	for c := range rec.Calls() {
		alleles, phased := c.Alleles(nil)
		s := fmt.Sprint(c.Sample, alleles, phased)
		for k, v := range c.Values() {
			n, ok := vcf.Ints(nil, v)
			s += fmt.Sprint(" ", string(k), n, ok)
		}
		calls = append(calls, s)
	}
	if got := strings.Join(info, " "); got != "DP=7 DB= END=20 X=a,b" {
		t.Errorf("INFO %s", got)
	}
	if got := strings.Join(calls, "; "); got != "s1[0 2] true GT[] false AD[3 4 5] true PL[] false; s2[-1 1] false GT[] false" {
		t.Errorf("calls %s", got)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after the last record: %v", err)
	}
}

func TestBrokenFiles(t *testing.T) {
	line := func(s string) string { return head + columns + strings.ReplaceAll(s, " ", "\t") + "\n" }
	for text, want := range map[string]string{
		"":                       "line 1: the file ends before the #CHROM line",
		"##fileformat=VCFv3.3\n": "line 1: a VCF file begins with",
		"#CHROM\n":               "line 1: a VCF file begins with",
		head:                     "the file ends before the #CHROM line",
		head + "1\t2\n":          "line 7: neither a ## line nor",
		head + "##INFO=<ID=A\n":  "line 7: ##INFO: the line does not end with >",
		head + "##INFO=<ID=A,Number=1,Type=Int>\n":                    "line 7: ##INFO has a Type",
		head + "##INFO=<ID=A,Number=q,Type=Integer>\n":                "line 7: ##INFO has a Number",
		head + "##INFO=<ID=A,ID=B,Number=1,Type=Integer>\n":           "line 7: ##INFO: ID is given twice",
		head + "##FORMAT=<ID=A,Number=0,Type=Flag>\n":                 "line 7: ##FORMAT cannot be a Flag",
		head + "##INFO=<ID=A,Number=1,Type=String,Description=\"x>\n": "has no closing quotation mark",
		head + "##contig=<ID=a<b>\n":                                  "line 7: ##contig has an ID",
		head + "##contig=<ID=a,length=x>\n":                           "line 7: ##contig has a length",
		head + "##FILTER=q10\n":                                       "line 7: ##FILTER is ##FILTER=<ID=",
		head + "##novalue\n":                                          "line 7: a ## line is ##key=value",
		head + strings.ReplaceAll(columns, "REF", "Ref"):              "column 4 of the #CHROM line must be REF",
		head + strings.ReplaceAll(columns, "s2", "s1"):                "a sample has no name or the name of another",
		line("1 10 . A C . PASS"):                                     "line 8: has fewer than 8 columns",
		line("1 10 . A C . PASS ."):                                   "line 8: has fewer columns",
		line("1 10 . A C . PASS . GT 0/0"):                            "line 8: has fewer columns",
		line("1 10 . A C . PASS . GT 0/0 0/0 0/0"):                    "line 8: has more columns",
		line("1 10  A C . PASS . GT 0/0 0/0"):                         "line 8: has an empty column",
		line("<1 10 . A C . PASS . GT 0/0 0/0"):                       "line 8, CHROM: is no contig name",
		line("1 -1 . A C . PASS . GT 0/0 0/0"):                        "line 8, POS: is no number",
		line("1 9999999999 . A C . PASS . GT 0/0 0/0"):                "line 8, POS: is no number",
		line("1 10 ; A C . PASS . GT 0/0 0/0"):                        "line 8, ID: has an empty name",
		line("1 10 . X C . PASS . GT 0/0 0/0"):                        "line 8, REF: has a byte",
		line("1 10 . A C,,T . PASS . GT 0/0 0/0"):                     "line 8, ALT: has an empty allele",
		line("1 10 . A <DEL . PASS . GT 0/0 0/0"):                     "line 8, ALT: has a symbolic allele",
		line("1 10 . A [1:5[ . PASS . GT 0/0 0/0"):                    "line 8, ALT: has a breakend",
		line("1 10 . A A[1:x[ . PASS . GT 0/0 0/0"):                   "line 8, ALT: has a breakend",
		line("1 10 . A C x PASS . GT 0/0 0/0"):                        "line 8, QUAL: is no number",
		line("1 10 . A C 0x1p4 PASS . GT 0/0 0/0"):                    "line 8, QUAL: is no number",
		line("1 10 . A C . 0 . GT 0/0 0/0"):                           "line 8, FILTER: has the reserved name",
		line("1 10 . A C . a;;b . GT 0/0 0/0"):                        "line 8, FILTER: has an empty name",
		line("1 10 . A C . PASS DP=x GT 0/0 0/0"):                     "line 8, INFO: DP has a value that is no Integer",
		line("1 10 . A C . PASS DP=1,2 GT 0/0 0/0"):                   "line 8, INFO: DP has 2 values, the header says 1",
		line("1 10 . A C . PASS DB=yes GT 0/0 0/0"):                   "line 8, INFO: DB is a flag",
		line("1 10 . A C . PASS =1 GT 0/0 0/0"):                       "line 8, INFO: has a key",
		line("1 10 . A C . PASS . AD:GT 0/0 0/0"):                     "line 8, FORMAT: has GT, which must come first",
		line("1 10 . A C . PASS . GT:AD:AD 0/0 0/0"):                  "line 8, FORMAT: has a key twice",
		line("1 10 . A C . PASS . GT 0/0 0/2"):                        "line 8, sample 2: has a GT",
		line("1 10 . A C . PASS . GT 0/ 0/0"):                         "line 8, sample 1: has a GT",
		line("1 10 . A C . PASS . GT 0/1:5 0/0"):                      "line 8, sample 1: has more values than FORMAT",
		line("1 10 . A C . PASS . GT:AD 0/1:a 0/0"):                   "line 8, sample 1: AD has a value",
	} {
		_, _, err := read([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text[max(0, len(text)-60):], err, want)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(head + columns + "1\t10\trs1\tAC\tA,<DEL>,A]1:5]\t12.5\tq10;s50\tDP=7;DB;END=20\tGT:AD\t0|2:3,4,5\t./1\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := vcf.NewReader(strings.NewReader(text))
		if err != nil {
			return
		}
		for {
			rec, err := r.Next()
			if err != nil {
				return
			}
			if rec.End() < rec.Pos-1 {
				t.Fatalf("record ends at %d before %d", rec.End(), rec.Pos)
			}
			n := 0
			for c := range rec.Calls() {
				n++
				if a, _ := c.Alleles(nil); len(c.GT) > 0 && len(a) == 0 {
					t.Fatal("a genotype without alleles")
				}
				for _, v := range c.Values() {
					vcf.Ints(nil, v)
					vcf.Floats(nil, v)
				}
			}
			if n != len(r.Header.Samples) && len(rec.Format) > 0 {
				t.Fatalf("%d calls of %d samples", n, len(r.Header.Samples))
			}
		}
	})
}
