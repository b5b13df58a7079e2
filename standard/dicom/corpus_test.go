package dicom

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/galen-health/galen/test/testdata"
)

var unzstd, _ = zstd.NewReader(nil)

// corpus calls fn for each DICOM file of the public test data.
func corpus(t testing.TB, fn func(name string, b []byte)) {
	t.Helper()
	root := testdata.Dir(t, "imaging")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, ".txt") || strings.HasSuffix(path, ".md") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".zst") {
			if b, err = unzstd.DecodeAll(b, nil); err != nil {
				return err
			}
		}
		name, _ := filepath.Rel(root, path)
		fn(strings.TrimSuffix(name, ".zst"), b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// refused lists the files of the corpus that are broken, with the reason that is expected.
var refused = map[string]string{
	"MR_truncated.dcm":                          "its value of 8192 bytes ends 62 bytes after the file",
	"emri_small_jpeg_2k_lossless_too_short.dcm": "the file ends within the header of an element",
	"no_meta.dcm":                               "not a DICOM file",
	"rtplan_truncated.dcm":                      "its value of 976 bytes ends 265 bytes after the file",
}

func TestCorpusIsParsedOrRefused(t *testing.T) {
	parsed, failed := 0, 0
	corpus(t, func(name string, b []byte) {
		f, err := Parse(b, Limits{})
		if want := refused[filepath.Base(name)]; want != "" {
			failed++
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want one with %q", name, err, want)
			}
			return
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		parsed++
		// The same file read through a seeking source must say the same, value for value.
		g, err := ParseAt(bytes.NewReader(b), int64(len(b)), Limits{Inline: 1000})
		if err != nil {
			t.Errorf("%s: through ReaderAt: %v", name, err)
			return
		}
		x, errX := AppendDataset(nil, f.Dataset, ExplicitVRLittleEndian, f)
		y, errY := AppendDataset(nil, g.Dataset, ExplicitVRLittleEndian, g)
		if errX != nil || errY != nil || !bytes.Equal(x, y) {
			t.Errorf("%s: differs when read through a ReaderAt (%v, %v)", name, errX, errY)
		}
	})
	if failed != len(refused) || parsed < 250 {
		t.Errorf("%d parsed, %d refused, want at least 250 and %d", parsed, failed, len(refused))
	}
}

// odd lists files with values of odd length, which the standard forbids: they come back padded.
var odd = map[string]bool{"meta_missing_tsyntax.dcm": true, "nested_priv_SQ.dcm": true}

// What is written and read again says the same, in explicit and implicit layout; sequence lengths and padding may differ.
func TestWriteAndReadAgain(t *testing.T) {
	corpus(t, func(name string, b []byte) {
		f, err := Parse(b, Limits{})
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := f.Write(&out); err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		g, err := Parse(out.Bytes(), Limits{})
		if err != nil {
			t.Errorf("%s: written, then: %v", name, err)
			return
		}
		if got, want := string(JSON{}.Append(nil, g.Dataset)), string(JSON{}.Append(nil, f.Dataset)); got != want && !odd[filepath.Base(name)] {
			t.Errorf("%s: says another thing after it was written", name)
		}
		fr, err := f.Frames()
		if err != nil || fr == nil {
			return
		}
		gr, err := g.Frames()
		if err != nil || gr == nil || gr.Image != fr.Image {
			t.Errorf("%s: frames after writing: %v", name, err)
			return
		}
		for i := range fr.Image.Frames {
			x, _ := fr.Frame(i)
			y, err := gr.Frame(i)
			if err != nil || !bytes.Equal(x, y) {
				t.Errorf("%s: frame %d differs after writing (%v)", name, i+1, err)
			}
		}
	})
}

// DCMTK is the judge of our JSON: every element that dcm2json prints must be there with the same value, and no other.
func TestJSONAgreesWithDCMTK(t *testing.T) {
	tool, err := exec.LookPath("dcm2json")
	if err != nil {
		t.Skip("dcm2json (package dcmtk) is not installed")
	}
	compared, same := 0, 0
	corpus(t, func(name string, b []byte) {
		f, err := Parse(b, Limits{})
		if err != nil {
			return
		}
		tmp := filepath.Join(t.TempDir(), "f.dcm")
		if err := os.WriteFile(tmp, b, 0o600); err != nil {
			t.Fatal(err)
		}
		ref, err := exec.Command(tool, tmp).Output()
		if err != nil {
			return // DCMTK refuses some of what is read here
		}
		var want, got map[string]any
		if json.Unmarshal(ref, &want) != nil {
			return // some output of DCMTK is not JSON
		}
		if err := json.Unmarshal(JSON{}.Append(nil, f.Dataset), &got); err != nil {
			t.Errorf("%s: our JSON: %v", name, err)
			return
		}
		compared++
		if diff := differ("", want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
			return
		}
		same++
	})
	t.Logf("%d of %d files agree", same, compared)
	if compared < 120 {
		t.Errorf("only %d files were compared", compared)
	}
}

func differ(at string, want, got map[string]any) string {
	for k, w := range want {
		tag, _ := ParseTag(k)
		if tag.Element() == 0 || tag.Group() == 2 || tag == TagSpecificCharacterSet {
			continue
		}
		g, ok := got[k]
		if !ok {
			return at + k + " is missing"
		}
		wm, gm := w.(map[string]any), g.(map[string]any)
		if wm["vr"] != gm["vr"] {
			if tag.Private() || gm["vr"] == "UN" || wm["vr"] == "UN" {
				continue // DCMTK knows private dictionaries
			}
			if tag == TagPixelData || strings.Contains(Lookup(tag).VRs, "/") {
				continue
			}
			return fmt.Sprintf("%s%s has VR %v, want %v", at, k, gm["vr"], wm["vr"])
		}
		wv, _ := wm["Value"].([]any)
		gv, _ := gm["Value"].([]any)
		if wm["vr"] == "SQ" {
			if len(wv) != len(gv) {
				return fmt.Sprintf("%s%s has %d items, want %d", at, k, len(gv), len(wv))
			}
			for i := range wv {
				if d := differ(fmt.Sprintf("%s%s/%d/", at, k, i), wv[i].(map[string]any), gv[i].(map[string]any)); d != "" {
					return d
				}
			}
			continue
		}
		if x, y := fmt.Sprint(plain(wv)...), fmt.Sprint(plain(gv)...); x != y {
			return fmt.Sprintf("%s%s is %.100s, want %.100s", at, k, y, x)
		}
		if b, ok := wm["InlineBinary"].(string); ok && tag != TagPixelData && unpadded(b) != unpadded(gm["InlineBinary"]) {
			return at + k + " has other bytes"
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok && k != "7FE00010" && k != "FFFCFFFC" && k[:4] != "0002" {
			return at + k + " is not in the file"
		}
	}
	return ""
}

// plain takes away what the two may rightly say in two ways: empty name components at the end, digits beyond the precision.
func plain(values []any) []any {
	out := make([]any, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case float64:
			out[i] = float32(v)
		case map[string]any:
			name := ""
			for _, g := range nameGroups {
				s, _ := v[g].(string)
				name += strings.TrimRight(s, "^") + "="
			}
			out[i] = strings.Trim(name, "=")
		case nil:
			out[i] = ""
		default:
			out[i] = v
		}
	}
	return out
}

func unpadded(v any) string {
	s, _ := v.(string)
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "not base64"
	}
	return strings.TrimRight(string(b), "\x00")
}
