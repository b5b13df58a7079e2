package cohort_test

import (
	"crypto/sha256"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/app/cohort"
	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/standard/sniff"
)

func write(t *testing.T) (string, map[string][32]byte) {
	t.Helper()
	dir := t.TempDir()
	c := cohort.Default
	c.Patients, c.Slices = 2, 3
	if _, err := c.Write(dir, nil); err != nil {
		t.Fatal(err)
	}
	sums := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		sums[rel] = sha256.Sum256(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir, sums
}

func TestSameSeedSameBytes(t *testing.T) {
	_, a := write(t)
	_, b := write(t)
	if len(a) < 2*8 || len(a) != len(b) {
		t.Fatalf("%d and %d files", len(a), len(b))
	}
	for name, sum := range a {
		if b[name] != sum && !strings.HasSuffix(name, ".wav") { // a synthesiser may dither
			t.Errorf("%s differs between two runs", name)
		}
	}
}

// Every file is what its folder says, by content alone.
func TestFilesAreWhatTheyClaim(t *testing.T) {
	dir, files := write(t)
	want := map[string]sniff.Kind{".json": sniff.FHIRJSON, ".dcm": sniff.DICOM, ".fastq.gz": sniff.FASTQ, ".vcf.gz": sniff.VCF, ".fa": sniff.FASTA, ".txt": sniff.Transcript, ".wav": sniff.Audio}
	for name := range files {
		v, err := sniff.File(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for ext, k := range want {
			if strings.HasSuffix(name, ext) && v.Kind != k {
				t.Errorf("%s is %q (%s), want %q", name, v.Kind, v.Reason, k)
			}
		}
		if strings.HasSuffix(name, ".dcm") {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			f, err := dicom.Parse(b, dicom.Limits{})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if id := f.Dataset.String(dicom.TagPatientID); !strings.Contains(name, id) || id == "" {
				t.Errorf("%s belongs to %q", name, id)
			}
		}
	}
}

func TestHistoryRefersToItsPatient(t *testing.T) {
	dir, files := write(t)
	for name := range files {
		if !strings.HasPrefix(name, "records") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var bundle struct {
			Entry []struct {
				Resource struct {
					ResourceType, ID string
					Subject, Patient struct{ Reference string }
				}
				Request struct{ Method, URL string }
			}
		}
		if err := json.Unmarshal(b, &bundle); err != nil || len(bundle.Entry) < 20 {
			t.Fatalf("%s: %d entries, %v", name, len(bundle.Entry), err)
		}
		patient := "Patient/" + bundle.Entry[0].Resource.ID
		for _, e := range bundle.Entry[1:] {
			if e.Resource.Subject.Reference != patient && e.Resource.Patient.Reference != patient {
				t.Errorf("%s: %s/%s belongs to nobody", name, e.Resource.ResourceType, e.Resource.ID)
			}
			if e.Request.Method != "PUT" || e.Request.URL != e.Resource.ResourceType+"/"+e.Resource.ID {
				t.Errorf("%s: request %+v", name, e.Request)
			}
		}
	}
}
