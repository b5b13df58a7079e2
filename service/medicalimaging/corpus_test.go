package medicalimaging

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/standard/dicom/pixel"
	"github.com/galen-health/galen/test/testdata"
)

// Every file of the public corpus is stored or refused with a reason; what was stored comes back with the pixels and the data elements that
// it had, decoded and as stored.
func TestCorpusComesBack(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{DatastoreName: "corpus"})
	root := testdata.Dir(t, "imaging")
	stored, refused, frames := 0, map[string]string{}, 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, ".txt") {
			return err
		}
		name, _ := filepath.Rel(root, path)
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".zst") {
			if b, err = unzstd.DecodeAll(b, nil); err != nil {
				return err
			}
		}
		if testing.Short() && len(b) > 200<<10 {
			return nil
		}
		a := l.put(b)
		if a.status == 409 {
			refused[filepath.Base(name)] = string(a.body)
			if !bytes.Contains(a.body, []byte(`"00081197":{"vr":"US","Value":[`)) || !bytes.Contains(a.body, []byte(`"00000902"`)) {
				t.Errorf("%s: refused without reason: %.300s", name, a.body)
			}
			return nil
		}
		if a.status != 200 && a.status != 202 {
			t.Errorf("%s: %d %.300s", name, a.status, a.body)
			return nil
		}
		stored++
		frames += l.compare(name, b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d stored, %d refused, %d frames compared", stored, len(refused), frames)
	for name, why := range refused {
		if want := refusals[name]; want == "" || !strings.Contains(why, want) {
			t.Errorf("%s was refused: %s", name, why)
		}
	}
	if !testing.Short() && (stored < 258 || frames < 296) {
		t.Errorf("%d stored, %d frames", stored, frames)
	}
}

// refusals are the files of the corpus that are broken, bare data sets, or lack what makes an instance, with what the answer says.
var refusals = map[string]string{
	"no_meta.dcm": "not DICOM Part 10", "MR_truncated.dcm": "ends 62 bytes after the file", "rtplan_truncated.dcm": "ends 265 bytes after the file",
	"emri_small_jpeg_2k_lossless_too_short.dcm": "the file ends within the header of an element",
	"rtstruct.dcm": "TransferSyntaxUID does not exist", "OT-PAL-8-face.dcm": "TransferSyntaxUID does not exist", "meta_missing_tsyntax.dcm": "TransferSyntaxUID does not exist",
	"ExplVR_LitEndNoMeta.dcm": "TransferSyntaxUID does not exist", "ExplVR_BigEndNoMeta.dcm": "TransferSyntaxUID does not exist",
	"priv_SQ.dcm": "SOPClassUID does not exist", "nested_priv_SQ.dcm": "SOPClassUID does not exist", "no_meta_group_length.dcm": "SOPClassUID does not exist",
	"empty_charset_LEI.dcm": "SOPClassUID does not exist",
}

// compare retrieves an instance in every way and holds it against its file. It returns the number of frames.
func (l *lab) compare(name string, b []byte) (frames int) {
	t := l.t
	f, err := dicom.Parse(b, dicom.Limits{})
	if err != nil {
		t.Errorf("%s was stored and cannot be read: %v", name, err)
		return 0
	}
	d := f.Dataset
	sop := d.String(dicom.TagSOPInstanceUID)
	set := ""
	for _, s := range l.sets(api.SearchFilter{Operator: api.OperatorEqual, Values: []api.SearchByAttributeValue{{DICOMSeriesInstanceUID: d.String(dicom.TagSeriesInstanceUID)}}}) {
		if at(l.metadata(s.ImageSetId, ""), "Study", "Series", "*", "Instances", sop) != nil {
			set = s.ImageSetId // the set that changed last is the first
			break
		}
	}
	path := "/studies/" + d.String(dicom.TagStudyInstanceUID) + "/series/" + d.String(dicom.TagSeriesInstanceUID) + "/instances/" + sop
	query := "?imageSetId=" + set
	back := l.want(200, "GET", path+query, nil, "Accept: application/dicom; transfer-syntax=*")
	l.same(name+" as stored", f, back.body)
	plain := l.do("GET", path+query, nil, "Accept: application/dicom; transfer-syntax="+dicom.ExplicitVRLittleEndian)
	if plain.status == 200 {
		l.same(name+" as explicit little endian", f, plain.body)
	} else if plain.status != 406 {
		t.Errorf("%s as explicit little endian: %d %.200s", name, plain.status, plain.body)
	}
	fr, err := f.Frames()
	if err != nil || fr == nil {
		return 0
	}
	for i := range min(fr.Image.Frames, 3) {
		want := l.native(f, fr, i)
		if want == nil {
			continue
		}
		got := l.want(200, "GET", path+"/frames/"+string(rune('1'+i))+query, nil, "Accept: application/octet-stream")
		if !bytes.Equal(got.body, want) {
			t.Errorf("%s: frame %d differs (%d bytes, want %d)", name, i+1, len(got.body), len(want))
		}
		frames++
	}
	return frames
}

// native is a frame of the file, uncompressed; nil when nothing here can decode it.
func (l *lab) native(f *dicom.File, fr *dicom.Frames, i int) []byte {
	b, err := fr.Frame(i)
	if err != nil {
		return nil
	}
	dec, err := pixel.Decode(l.Ctx, f.TransferSyntax, fr.Image, b)
	if err != nil {
		if !errors.Is(err, pixel.ErrUnsupported) {
			l.t.Logf("%v", err)
		}
		return nil
	}
	if dicom.Native(f.TransferSyntax) && fr.Planar && fr.Samples > 1 && !fr.Subsampled() {
		return pixel.Interleave(dec.Pixels, fr.Image)
	}
	return dec.Pixels
}

// same holds a retrieved file against the original: all elements but those that describe how the pixels are coded, and the decoded pixels.
func (l *lab) same(what string, f *dicom.File, got []byte) {
	t := l.t
	g, err := dicom.Parse(got, dicom.Limits{})
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	coding := map[dicom.Tag]bool{dicom.TagPixelData: true, dicom.TagPhotometricInterpretation: true, dicom.TagPlanarConfiguration: true,
		dicom.TagExtendedOffsetTable: true, dicom.TagExtendedOffsetTableLengths: true, dicom.TagFloatPixelData: true, dicom.TagDoubleFloatPixelData: true}
	only := dicom.JSON{Only: func(t dicom.Tag) bool { return !coding[t] && t.Group() > 2 && t.Group() != 1 }}
	if x, y := string(only.Append(nil, f.Dataset)), string(only.Append(nil, g.Dataset)); x != y {
		t.Errorf("%s: the data elements differ", what)
	}
	fr, err := f.Frames()
	if err != nil || fr == nil {
		return
	}
	gr, err := g.Frames()
	if err != nil || gr == nil || gr.Image.Frames != fr.Image.Frames {
		t.Errorf("%s: frames: %v", what, err)
		return
	}
	want, have := l.native(f, fr, 0), l.native(g, gr, 0)
	if want != nil && !bytes.Equal(want, have) {
		t.Errorf("%s: the pixels differ", what)
	}
}
