package sam_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/bgzf"
	"github.com/galen-health/galen/standard/sam"
	"github.com/galen-health/galen/test/testdata"
)

// samtools runs the foreign tool that these tests hold us to, or skips.
func samtools(t testing.TB, stdin []byte, args ...string) ([]byte, error) {
	t.Helper()
	path, err := exec.LookPath("samtools")
	if err != nil {
		t.Skip("samtools is not on this machine (Debian package samtools)")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return nil, errors.New(err.Error() + ": " + strings.TrimSpace(errOut.String()))
	}
	return out.Bytes(), nil
}

func scan(file []byte, index bool) (string, *sam.Summary, error) {
	var text bytes.Buffer
	s, err := sam.Scan{Workers: 2, Text: &text, Index: index}.Run(bytes.NewReader(file))
	return text.String(), s, err
}

// TestTextIsSamtools takes every SAM and BAM file of the public corpora that samtools turns into BAM: our text of it must be samtools'.
func TestTextIsSamtools(t *testing.T) {
	n := 0
	check := func(name string, body []byte) {
		if !strings.HasSuffix(name, ".sam") && !strings.HasSuffix(name, ".bam") || strings.Contains(name, "/failed/") || strings.Contains(name, "longrefs") {
			return
		}
		bam, err := samtools(t, body, "view", "-b", "--no-PG", "-")
		if err != nil {
			return
		}
		want, err := samtools(t, bam, "view", "-")
		if err != nil {
			t.Fatal(err)
		}
		n++
		got, s, err := scan(bam, true)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if got != string(want) {
			t.Errorf("%s: text differs from samtools:\n%s", name, firstDifference(got, string(want)))
		}
		if lines := int64(strings.Count(string(want), "\n")); s.Records != lines {
			t.Errorf("%s: %d records, samtools has %d", name, s.Records, lines)
		}
	}
	testdata.Tar(t, "omics/htslib-test.tar.gz", check)
	testdata.Tar(t, "omics/hts-specs-test.tar.gz", check)
	if n < 100 {
		t.Errorf("only %d files were compared", n)
	}
	t.Logf("%d files", n)
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return "got  " + x[i] + "\nwant " + y[i]
		}
	}
	return "one is longer"
}

// aligned is a sorted BAM file from the corpus with reads on several references, some unmapped.
func aligned(t testing.TB) []byte {
	var file []byte
	testdata.Tar(t, "omics/htslib-test.tar.gz", func(name string, body []byte) {
		if strings.HasSuffix(name, "test/range.bam") {
			file = body
		}
	})
	if file == nil {
		t.Fatal("range.bam is not in the corpus")
	}
	return file
}

// TestIndexFindsWhatSamtoolsFinds compares region queries by samtools through our index with those through its own.
func TestIndexFindsWhatSamtoolsFinds(t *testing.T) {
	file := aligned(t)
	_, s, err := scan(file, true)
	if err != nil || !s.Sorted {
		t.Fatalf("sorted %v (%s), error %v", s.Sorted, s.Reason, err)
	}
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours.bam"), filepath.Join(dir, "theirs.bam")
	var bai bytes.Buffer
	if err := s.WriteIndex(&bai); err != nil {
		t.Fatal(err)
	}
	for p, b := range map[string][]byte{ours: file, theirs: file, ours + ".bai": bai.Bytes()} {
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := samtools(t, nil, "index", theirs); err != nil {
		t.Fatal(err)
	}
	total := 0
	regions := []string{"*"}
	for _, r := range s.Header.References {
		regions = append(regions, r.Name)
		for _, span := range []string{"1-1000", "1-20000", "3000-3001", "16384-16385", "10000-200000", "500000-600000"} {
			regions = append(regions, r.Name+":"+span)
		}
	}
	for _, region := range regions {
		got, err := samtools(t, nil, "view", ours, region)
		if err != nil {
			t.Fatal(err)
		}
		want, err := samtools(t, nil, "view", theirs, region)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes through our index, %d through samtools'", region, len(got), len(want))
		}
		total += len(want)
	}
	if total == 0 {
		t.Error("no region has reads")
	}
	got, err := samtools(t, nil, "idxstats", ours)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := samtools(t, nil, "idxstats", theirs)
	if !bytes.Equal(got, want) {
		t.Errorf("idxstats:\n%swant\n%s", got, want)
	}
}

func TestUnsortedFilesHaveNoIndex(t *testing.T) {
	text := "@HD\tVN:1.6\n@SQ\tSN:c1\tLN:1000\n" +
		"a\t0\tc1\t100\t60\t4M\t*\t0\t0\tACGT\tIIII\nb\t0\tc1\t50\t60\t4M\t*\t0\t0\tACGT\tIIII\n"
	bam, err := samtools(t, []byte(text), "view", "-b", "--no-PG", "-")
	if err != nil {
		t.Fatal(err)
	}
	_, s, err := scan(bam, true)
	if err != nil || s.Sorted || s.Reason == "" || s.Records != 2 || s.Bases != 8 || s.Mapped != 2 {
		t.Errorf("summary %+v, error %v", s, err)
	}
}

// TestComment holds that only the header changes, for samtools too.
func TestComment(t *testing.T) {
	file := aligned(t)
	r, h, err := sam.Comment(bytes.NewReader(file), "store 123\nnot a second line")
	if err != nil {
		t.Fatal(err)
	}
	changed, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	before, _, err := scan(file, false)
	if err != nil {
		t.Fatal(err)
	}
	after, s, err := scan(changed, true)
	if err != nil || after != before {
		t.Fatalf("the records changed, error %v", err)
	}
	if s.Header.Text != h.Text+"@CO\tstore 123 not a second line\n" {
		t.Errorf("header ends with %q", s.Header.Text[max(0, len(s.Header.Text)-60):])
	}
	head, err := samtools(t, changed, "view", "-H", "--no-PG", "-")
	if err != nil || string(head) != s.Header.Text {
		t.Errorf("samtools reads the header %q, error %v", head, err)
	}
	want, _ := samtools(t, file, "view", "-")
	if before != string(want) {
		t.Error("text differs from samtools")
	}
}

// bam wraps a raw record behind a header with one reference.
func bam(raw string, size int) []byte {
	var out bytes.Buffer
	w := bgzf.NewWriter(&out, 1, 1)
	head := "BAM\x01\x00\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00\x00c1\x00\xe8\x03\x00\x00"
	_, _ = w.Write([]byte(head))
	_, _ = w.Write(binary.LittleEndian.AppendUint32(nil, uint32(size)))
	_, _ = w.Write([]byte(raw))
	_ = w.Close()
	return out.Bytes()
}

// raw is a record of four bases at c1:1 with these changes.
func raw(changes map[int]byte, tail string) string {
	b := []byte("\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x02\x3c\x48\x12" + "\x01\x00" + "\x00\x00" + "\x04\x00\x00\x00" +
		"\xff\xff\xff\xff" + "\xff\xff\xff\xff" + "\x00\x00\x00\x00" + "a\x00" + "\x40\x00\x00\x00" + "\x12\x48" + "\x20\x20\x20\x20" + tail)
	for at, v := range changes {
		b[at] = v
	}
	return string(b)
}

func TestBrokenRecordsAreRefused(t *testing.T) {
	good := raw(nil, "")
	if got, _, err := scan(bam(good, len(good)), true); err != nil || got != "a\t0\tc1\t1\t60\t4M\t*\t0\t0\tACGT\tAAAA\n" {
		t.Fatalf("the unbroken record is %q, error %v", got, err)
	}
	for name, c := range map[string]struct {
		raw  string
		size int
		want string
	}{
		"cut off":               {good[:20], len(good), "ends within a record"},
		"too short":             {good, 31, "it must have 32"},
		"negative size":         {good, -1, "it must have 32"},
		"no such reference":     {raw(map[int]byte{0: 1}, ""), 0, "beyond the 1 of the header"},
		"no such mate":          {raw(map[int]byte{20: 7, 21: 0, 22: 0, 23: 0}, ""), 0, "beyond the 1 of the header"},
		"empty name":            {raw(map[int]byte{8: 0}, ""), 0, "empty name"},
		"name without end":      {raw(map[int]byte{33: 'b'}, ""), 0, "does not end with NUL"},
		"sequence too long":     {raw(map[int]byte{16: 0xff}, ""), 0, "needs"},
		"huge sequence":         {raw(map[int]byte{19: 0x7f}, ""), 0, "needs"},
		"CIGAR does not fit":    {raw(map[int]byte{34: 0x50}, ""), 0, "a CIGAR of 5 bases for a sequence of 4"},
		"too many CIGAR ops":    {raw(map[int]byte{13: 0xff}, ""), 0, "needs"},
		"unknown tag type":      {raw(nil, "XX?abcd"), 0, "tag XX"},
		"tag without end":       {raw(nil, "XXZabcd"), 0, "tag XX without an end"},
		"tag array cut off":     {raw(nil, "XXBI\xff\xff\xff\xffabcd"), 0, "array is cut off"},
		"tag number cut off":    {raw(nil, "XXi\x01"), 0, "cut off"},
		"tag of unnamed letter": {raw(nil, "\x01\x02?abcd"), 0, "tag 0102"},
	} {
		t.Run(name, func(t *testing.T) {
			size := c.size
			if size == 0 {
				size = len(c.raw)
			}
			_, _, err := scan(bam(c.raw, size), true)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "record 1 ") {
				t.Errorf("error %v, want one of record 1 with %q", err, c.want)
			}
		})
	}
}

func TestNumbersAsHtslibWritesThem(t *testing.T) {
	text := "@SQ\tSN:c1\tLN:1000\n"
	for _, v := range []string{"0", "-0", "1", "-1.5", "0.1", "3.14159274", "123456.7", "999999", "1e+06", "1000000", "0.0001", "0.00012345678", "0.00001234", "9.9999999",
		"0.009999999", "1e-30", "1e30", "inf", "-inf", "nan", "65504", "0.333333", "2.5", "100000"} {
		text += "a\t4\t*\t0\t0\t*\t*\t0\t0\tA\t*\tXF:f:" + v + "\tXB:B:f," + v + "," + v + "\n"
	}
	file, err := samtools(t, []byte(text), "view", "-b", "--no-PG", "-")
	if err != nil {
		t.Fatal(err)
	}
	want, _ := samtools(t, file, "view", "-")
	got, _, err := scan(file, false)
	if err != nil || got != string(want) {
		t.Errorf("error %v\n%s", err, firstDifference(got, string(want)))
	}
}

// TestTiesGoToEven holds what current htslib does and the one of Debian 12 does not.
func TestTiesGoToEven(t *testing.T) {
	b := raw(nil, "XBBf\x02\x00\x00\x00"+string(binary.LittleEndian.AppendUint32(nil, math.Float32bits(262144.5)))+string(binary.LittleEndian.AppendUint32(nil, math.Float32bits(262145.5))))
	got, _, err := scan(bam(b, len(b)), false)
	if err != nil || !strings.HasSuffix(got, "XB:B:f,262144,262146\n") {
		t.Errorf("%q, error %v", got, err)
	}
}

func TestHeaderText(t *testing.T) {
	h, err := sam.ParseHeader("@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:c1\tLN:10\tM5:abc\n@SQ\tSN:c2\tLN:20\n@RG\tID:r\tSM:s\tPL:ILLUMINA\n@CO\tsome text")
	if err != nil || h.SortOrder() != "coordinate" || len(h.References) != 2 || h.References[0] != (sam.Reference{Name: "c1", Length: 10, MD5: "abc"}) ||
		len(h.ReadGroups()) != 1 || h.ReadGroups()[0].Sample != "s" || !strings.HasSuffix(h.Text, "text\n") {
		t.Errorf("header %+v, error %v", h, err)
	}
	for _, bad := range []string{"SQ\tSN:x", "@SQ\tSN:x\n", "@SQ\tSN:x\tLN:0\n", "@SQ\tLN:5\n", "@HD VN:1.6\n", "@SQ\tSN:x\tLN:99999999999999999999\n", "x"} {
		if _, err := sam.ParseHeader(bad); err == nil {
			t.Errorf("header %q is accepted", bad)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, r := range []string{raw(nil, ""), raw(nil, "XXZab\x00NMC\x01"), raw(nil, "XXBf\x01\x00\x00\x00abcd")} {
		f.Add([]byte(r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text, s, err := scan(bam(string(b), len(b)), true)
		if err != nil {
			return
		}
		if strings.Count(text, "\n") < int(s.Records) {
			t.Fatalf("%d records in %q", s.Records, text)
		}
		if s.Sorted {
			if err := s.WriteIndex(io.Discard); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add("@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:c1\tLN:10\tM5:abc\n")
	f.Fuzz(func(t *testing.T, text string) {
		if h, err := sam.ParseHeader(text); err == nil {
			h.SortOrder()
			h.ReadGroups()
			if again, err := sam.ParseHeader(h.Text); err != nil || len(again.References) != len(h.References) {
				t.Fatalf("the header's own text is not accepted: %v", err)
			}
		}
	})
}
