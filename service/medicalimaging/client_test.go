package medicalimaging

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/test/testdata"
)

// A client that nobody here wrote stores, finds and retrieves, and sees what pydicom sees in the same files.
func TestForeignClient(t *testing.T) {
	python := os.Getenv("GALEN_TEST_PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", ".cache", "venv", "bin", "python")
	}
	if _, err := os.Stat(python); err != nil {
		t.Skip("no Python with pydicom and dicomweb-client (make setup-test, or set GALEN_TEST_PYTHON)")
	}
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.mux.ServeHTTP(w, r.WithContext(l.Ctx)) }))
	defer srv.Close()
	dir := testdata.Dir(t, "imaging/dicom-test-files/data/pydicom")
	args := []string{filepath.Join("testdata", "client.py"), srv.URL + "/datastore/" + l.store}
	for _, name := range []string{"CT_small.dcm", "MR_small.dcm", "MR_small_implicit.dcm", "SC_rgb.dcm", "OBXXXX1A_2frame.dcm", "rtdose.dcm", "emri_small.dcm"} {
		args = append(args, filepath.Join(dir, name))
	}
	if out, err := exec.Command(python, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
