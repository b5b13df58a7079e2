package medicalimaging

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/standard/htj2k"
	"github.com/galen-health/galen/test/testbed"
	"github.com/galen-health/galen/test/testdata"
)

// lab is the service over real engines, with the routes mounted as the edge mounts them.
type lab struct {
	*testbed.Engines
	t     testing.TB
	s     *Service
	s3    *testbed.Objects
	mux   *http.ServeMux
	store string
}

func newLab(t testing.TB) *lab {
	t.Helper()
	return labIn(t, t.TempDir(), testbed.NewObjects())
}

// labIn opens a lab over a folder that may have been used before.
func labIn(t testing.TB, dir string, obj *testbed.Objects) *lab {
	t.Helper()
	if err := htj2k.Ready(context.Background(), htj2k.HTJ2K); err != nil {
		t.Skip(err)
	}
	l := &lab{Engines: testbed.Open(t, dir), t: t, s3: obj, mux: http.NewServeMux()}
	var err error
	l.s, err = New(l.Ctx, Config{Records: l.Records, Blobs: l.Blobs, Jobs: l.Jobs, Keys: l.Keys, Guard: testbed.KeyPolicy{}, Roles: testbed.Roles(servicePrincipal), S3: obj,
		Account: testbed.Account, Region: testbed.Region})
	if err != nil {
		t.Fatal(err)
	}
	l.Run()
	for _, r := range l.s.Routes() {
		l.mux.HandleFunc(r.Method+" "+r.Pattern, func(w http.ResponseWriter, req *http.Request) {
			if err := r.Handle(w, req); err != nil {
				r.Fail(w, req, err)
			}
		})
	}
	return l
}

// create makes an active data store and remembers it.
func (l *lab) create(in *api.CreateDatastoreInput) string {
	l.t.Helper()
	out, err := l.s.CreateDatastore(l.Ctx, in)
	if err != nil {
		l.t.Fatal(err)
	}
	l.Await("the store is active", func() bool { return l.status(out.DatastoreId) == api.DatastoreStatusActive })
	l.store = out.DatastoreId
	return l.store
}

func (l *lab) status(id string) api.DatastoreStatus {
	l.t.Helper()
	d, err := l.s.GetDatastore(l.Ctx, &api.GetDatastoreInput{DatastoreId: id})
	if err != nil {
		l.t.Fatal(err)
	}
	return d.DatastoreProperties.DatastoreStatus
}

// answer of a DICOMweb interaction.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do calls an interaction below the store's root. headers are "Name: value".
func (l *lab) do(method, path string, body []byte, headers ...string) answer {
	l.t.Helper()
	r := httptest.NewRequest(method, "http://galen.test/datastore/"+l.store+path, bytes.NewReader(body)).WithContext(l.Ctx)
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	l.mux.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.Bytes()}
}

// want calls an interaction and fails the test on another status.
func (l *lab) want(status int, method, path string, body []byte, headers ...string) answer {
	l.t.Helper()
	a := l.do(method, path, body, headers...)
	if a.status != status {
		l.t.Fatalf("%s %s: status %d, want %d: %.400s", method, path, a.status, status, a.body)
	}
	return a
}

// put stores one file by STOW-RS and returns its answer.
func (l *lab) put(b []byte) answer {
	l.t.Helper()
	return l.do("POST", "/studies", b, "Content-Type: application/dicom")
}

func (l *lab) mustPut(b []byte) {
	l.t.Helper()
	if a := l.put(b); a.status != 200 && a.status != 202 {
		l.t.Fatalf("store: %d %.300s", a.status, a.body)
	}
}

// list decodes an answer of DICOM JSON.
func (a answer) list(t testing.TB) []map[string]attribute {
	t.Helper()
	var out []map[string]attribute
	if err := json.Unmarshal(a.body, &out); err != nil || a.status != 200 {
		t.Fatalf("%d %v: %.300s", a.status, err, a.body)
	}
	return out
}

func (l *lab) sets(filters ...api.SearchFilter) []api.ImageSetsMetadataSummary {
	l.t.Helper()
	out, err := l.s.SearchImageSets(l.Ctx, &api.SearchImageSetsInput{DatastoreId: l.store, SearchCriteria: &api.SearchCriteria{Filters: filters}})
	if err != nil {
		l.t.Fatal(err)
	}
	return out.ImageSetsMetadataSummaries
}

// metadata is the metadata JSON of an image set.
func (l *lab) metadata(set, version string) map[string]any {
	l.t.Helper()
	out, err := l.s.GetImageSetMetadata(l.Ctx, &api.GetImageSetMetadataInput{DatastoreId: l.store, ImageSetId: set, VersionId: version})
	if err != nil {
		l.t.Fatal(err)
	}
	z, err := gzip.NewReader(out.ImageSetMetadataBlob)
	if err != nil {
		l.t.Fatal(err)
	}
	var doc map[string]any
	if err := json.NewDecoder(z).Decode(&doc); err != nil {
		l.t.Fatal(err)
	}
	return doc
}

// at walks a JSON document.
func at(doc any, path ...string) any {
	for _, p := range path {
		m, _ := doc.(map[string]any)
		if doc = m[p]; p == "*" {
			for _, v := range m {
				doc = v
			}
		}
	}
	return doc
}

var unzstd, _ = zstd.NewReader(nil)

// sample reads a file of the public test data.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	path := testdata.Dir(t, "imaging/"+name)
	b, err := os.ReadFile(path)
	if err == nil && filepath.Ext(path) == ".zst" {
		b, err = unzstd.DecodeAll(b, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// slice makes a small CT image: 64 by 48, 12 bits, its own pixels for each number.
func slice(study, series string, n int, more func(*dicom.Dataset)) []byte {
	d := &dicom.Dataset{}
	d.SetStrings(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.2")
	d.SetStrings(dicom.TagSOPInstanceUID, fmt.Sprintf("%s.%d", series, n))
	d.SetStrings(dicom.TagStudyInstanceUID, study)
	d.SetStrings(dicom.TagSeriesInstanceUID, series)
	d.SetStrings(dicom.TagPatientID, "P1")
	d.SetStrings(dicom.TagPatientName, "Doe^Jane")
	d.SetStrings(dicom.TagStudyDate, "20260101")
	d.SetStrings(dicom.TagStudyTime, "101500")
	d.SetStrings(dicom.TagAccessionNumber, "A1")
	d.SetStrings(dicom.TagStudyID, "S1")
	d.SetStrings(dicom.TagModality, "CT")
	d.SetStrings(dicom.TagSeriesNumber, "2")
	d.SetStrings(dicom.TagInstanceNumber, fmt.Sprint(n))
	d.SetInts(dicom.TagSamplesPerPixel, dicom.US, 1)
	d.SetStrings(dicom.TagPhotometricInterpretation, "MONOCHROME2")
	d.SetInts(dicom.TagRows, dicom.US, 48)
	d.SetInts(dicom.TagColumns, dicom.US, 64)
	d.SetInts(dicom.TagBitsAllocated, dicom.US, 16)
	d.SetInts(dicom.TagBitsStored, dicom.US, 12)
	d.SetInts(dicom.TagHighBit, dicom.US, 11)
	d.SetInts(dicom.TagPixelRepresentation, dicom.US, 0)
	px := make([]byte, 2*48*64)
	for i := 0; i < len(px); i += 2 {
		v := (i*7 + n*13 + i/128) & 0xFFF
		px[i], px[i+1] = byte(v), byte(v>>8)
	}
	d.Set(dicom.Element{Tag: dicom.TagPixelData, VR: dicom.OW, Value: px})
	if more != nil {
		more(d)
	}
	b := dicom.AppendMeta(nil, d.String(dicom.TagSOPClassUID), d.String(dicom.TagSOPInstanceUID), dicom.ExplicitVRLittleEndian)
	b, err := dicom.AppendDataset(b, d, dicom.ExplicitVRLittleEndian, nil)
	if err != nil {
		panic(err)
	}
	return b
}
