package medicalimaging

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/errs"
)

// FuzzUpdate: a document of metadata updates becomes edits of attributes, or is refused as the caller's fault.
func FuzzUpdate(f *testing.F) {
	f.Add([]byte(`{"SchemaVersion":1.1,"Patient":{"DICOM":{"PatientName":"A^B","00101010":"040Y"}},"Study":{"Series":{"1.2":{"DICOM":{},"Instances":{"1.2.3":{"DICOM":{"WindowCenter":[40,"41"]},"DICOMVRs":{"00091001":"LO"}}}}}}}`), "1.2", false)
	f.Add([]byte(`{"Study":{"DICOM":{"StudyDescription":null,"ReferencedStudySequence":[{"ReferencedSOPClassUID":"1.2"}]}}}`), "", true)
	f.Fuzz(func(t *testing.T, b []byte, series string, remove bool) {
		d, err := readUpdate(b, "updatableAttributes")
		if err == nil {
			_, _, err = d.edits(series, remove)
		}
		if c := errs.CodeOf(err); err != nil && c != errs.Invalid && c != errs.TooLarge {
			t.Fatalf("%q: %v", b, err)
		}
	})
}

// FuzzSearch: the query of a search transaction (PS3.18 §8.3.4).
func FuzzSearch(f *testing.F) {
	for _, s := range []string{"PatientName=A*&StudyDate=20240101-20241231&limit=5&offset=1", "00100010=x&includefield=all&fuzzymatching=true", "StudyTime=10-1112.5&ModalitiesInStudy=CT\\MR", "StudyInstanceUID=1.2,1.3", "RequestAttributesSequence.ScheduledProcedureStepID=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, q string) {
		v, err := url.ParseQuery(q)
		if err != nil {
			return
		}
		if s, err := parseSearch(v); err != nil {
			if c := errs.CodeOf(err); c != errs.Invalid && c != errs.Unsupported && c != errs.TooLarge {
				t.Fatalf("%q: %v", q, err)
			}
		} else if s.limit < 0 || s.limit > maxResults {
			t.Fatalf("%q: limit %d", q, s.limit)
		}
	})
}

// FuzzParts: the parts of a store request; a part is read to its end or refused, and the boundary is the caller's.
func FuzzParts(f *testing.F) {
	f.Add("b", "--b\r\nContent-Type: application/dicom\r\n\r\nDICM\r\n--b--\r\n")
	f.Add("b", "--b\r\nContent-Type: application/dicom; transfer-syntax=*\r\nContent-Transfer-Encoding: base64\r\n\r\nQQ==\r\n--b\r\n")
	f.Add("", "----")
	f.Fuzz(func(t *testing.T, boundary, body string) {
		if boundary == "" {
			return
		}
		mr := multipart.NewReader(strings.NewReader(body), boundary)
		for n := 0; ; n++ {
			p, err := nextPart(mr)
			if err != nil {
				return
			}
			if n > len(body) {
				t.Fatal("there are more parts than bytes")
			}
			if _, err := io.Copy(io.Discard, p); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				return
			}
		}
	})
}

// FuzzAccept: what a viewer accepts, best first.
func FuzzAccept(f *testing.F) {
	for _, s := range []string{`multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.4.201; q=0.5, */*`, "image/jpeg;q=x", `multipart/related;type=application/dicom`, `"`, ",;,=,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", s)
		list := accepts(r)
		for i := range list {
			if list[i].q < 0 || list[i].q > 1 || i > 0 && list[i].q > list[i-1].q {
				t.Fatalf("%q became %+v", s, list)
			}
		}
	})
}
