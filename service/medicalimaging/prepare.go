package medicalimaging

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/dicom"
)

// prepared is an instance whose body is durable and which no record names yet.
type prepared struct {
	instance
	keys   []string // values of groupingTags
	shared []member // elements of the Patient, Study and Series levels
	own    []member // elements of the instance level
}

// maxObject is the largest file that is taken, as HealthImaging's quota.
const maxObject = 4 << 30

// bulkSize is from where on binary values are kept apart from the metadata.
const bulkSize = 1 << 20

// part10 is a DICOM file to be imported: in memory, or where it can be read anywhere.
type part10 struct {
	memory []byte
	at     io.ReaderAt
	size   int64
	sha256 [32]byte
}

func inMemory(b []byte) part10 {
	return part10{memory: b, size: int64(len(b)), sha256: sha256.Sum256(b)}
}

func (o part10) parse() (*dicom.File, error) {
	if o.at == nil {
		return dicom.Parse(o.memory, dicom.Limits{})
	}
	return dicom.ParseAt(o.at, o.size, dicom.Limits{Inline: bulkSize})
}

// identify reads what an object is, without its pixels: enough to see that it is here already.
func identify(f *dicom.File) (*prepared, error) {
	d := f.Dataset
	if f.TransferSyntax == "" {
		return nil, missing(dicom.TagTransferSyntaxUID)
	}
	for _, t := range []dicom.Tag{dicom.TagSOPClassUID, dicom.TagSOPInstanceUID, dicom.TagStudyInstanceUID, dicom.TagSeriesInstanceUID} {
		if d.String(t) == "" {
			return nil, missing(t)
		}
	}
	for t, most := range longest {
		if v := d.String(t); len(v) > most {
			return nil, refuse(reasonMismatch, "DICOM attribute %s has more than %d characters", dicom.Keyword(t), most)
		}
	}
	p := &prepared{}
	p.Study, p.Series = d.String(dicom.TagStudyInstanceUID), d.String(dicom.TagSeriesInstanceUID)
	p.SOPClass, p.SOP, p.Syntax = d.String(dicom.TagSOPClassUID), d.String(dicom.TagSOPInstanceUID), f.TransferSyntax
	for _, uid := range []string{p.Study, p.Series, p.SOP, p.SOPClass} {
		if strings.ContainsAny(uid, "/\\ \x00") {
			return nil, refuse(reasonMismatch, "a UID of the instance holds characters that no UID has")
		}
		if !validUID(uid) && len(p.Warnings) == 0 {
			p.Warnings = append(p.Warnings, warning{45570, "InvalidUidFormat", "a UID does not have the form of the standard"})
		}
	}
	for _, t := range groupingTags {
		p.keys = append(p.keys, d.String(t))
	}
	if n, ok := d.Int(dicom.TagInstanceNumber); ok {
		p.Number = &n
	}
	return p, nil
}

// longest are the element constraints of imports (developer guide, "DICOM element constraints").
var longest = map[dicom.Tag]int{dicom.TagPatientName: 256, dicom.TagPatientID: 256, dicom.TagPatientBirthDate: 18, dicom.TagPatientSex: 16,
	dicom.TagStudyInstanceUID: 256, dicom.TagStudyID: 256, dicom.TagStudyDescription: 256, dicom.TagAccessionNumber: 256, dicom.TagStudyDate: 18,
	dicom.TagStudyTime: 28, dicom.TagSOPInstanceUID: 256, dicom.TagSeriesInstanceUID: 256}

// validUID reports whether a UID has the form of PS3.5 §9.1.
func validUID(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for _, part := range strings.Split(s, ".") {
		if part == "" || len(part) > 1 && part[0] == '0' || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return true
}

// prepare reads an object, compresses and verifies its frames, and makes its body durable.
func (s *Service) prepare(ctx context.Context, d *datastore, o part10) (*prepared, error) {
	if o.size > maxObject {
		return nil, errs.New(errs.TooLarge, "the file has %d bytes, the most is %d", o.size, int64(maxObject))
	}
	f, err := o.parse()
	if err != nil {
		return nil, unreadable(err)
	}
	p, err := identify(f)
	if err != nil {
		return nil, err
	}
	p.Source = hex.EncodeToString(o.sha256[:])
	same, err := s.known(ctx, d, p)
	if err != nil || same {
		return p, err
	}
	return p, s.storeBody(ctx, d, f, p)
}

// storeBody writes the body of an instance: frames, long values, and the data set without them.
func (s *Service) storeBody(ctx context.Context, d *datastore, f *dicom.File, p *prepared) error {
	w, err := s.blobs.Create(ctx, s.keyRef(d))
	if err != nil {
		return err
	}
	out := &counter{w: w}
	defer func() { out.w.Abort() }()
	if err := s.storePixels(ctx, d, f, p, out); err != nil {
		return err
	}
	if err := storeBulk(f, p, out); err != nil {
		return err
	}
	header, head, err := encode(f.Dataset, f)
	if err != nil {
		return refuse(reasonNotUnderstood, "the data set cannot be written: %v", err)
	}
	p.Header, p.Head = span{out.n, int64(len(header))}, int64(head)
	if _, err := out.Write(header); err != nil {
		return err
	}
	info, err := out.w.Commit()
	if err != nil {
		return err
	}
	p.Blob = info.ID
	return nil
}

// counter counts what a blob has so far.
type counter struct {
	w blob.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// storeBulk writes long binary values and turns the data set into attributes. The values stay in the data set too.
func storeBulk(f *dicom.File, p *prepared, out *counter) error {
	var failed error
	conv := dicom.JSON{Bulk: func(path string, e *dicom.Element) string {
		if e.Len() <= bulkSize || failed != nil {
			return ""
		}
		sum := sha256.Sum256([]byte(path))
		id := hex.EncodeToString(sum[:16])
		if p.Bulk == nil {
			p.Bulk = map[string]span{}
		}
		start := out.n
		b, err := f.Bytes(e)
		if err == nil {
			_, err = out.Write(b)
		}
		if failed = err; err != nil {
			return ""
		}
		p.Bulk[id] = span{start, out.n - start}
		return bulkPlace + id
	}}
	p.shared, p.own = nil, nil
	for _, m := range mustMembers(conv.Append(nil, f.Dataset)) {
		if t, _ := dicom.ParseTag(m.Tag); t == dicom.TagPixelData || t == dicom.TagFloatPixelData || t == dicom.TagDoubleFloatPixelData ||
			t == dicom.TagExtendedOffsetTable || t == dicom.TagExtendedOffsetTableLengths {
			continue
		} else if levelOf(t) == instanceLevel {
			p.own = append(p.own, m)
		} else {
			p.shared = append(p.shared, m)
		}
	}
	return failed
}

// bulkPlace stands before the id of a long value in stored attributes; the address is put in when they are served.
const bulkPlace = "galen-bulk:"

// mustMembers is members of what dicom.JSON just wrote.
func mustMembers(b []byte) []member {
	ms, err := members(b)
	if err != nil {
		panic("medicalimaging: dicom.JSON wrote what members cannot read")
	}
	return ms
}

// encode writes a data set, explicit little endian, and tells where pixel data belongs in it.
func encode(d *dicom.Dataset, f *dicom.File) (b []byte, head int, err error) {
	i := 0
	for i < len(d.Elements) && d.Elements[i].Tag < dicom.TagPixelData {
		i++
	}
	if b, err = dicom.AppendDataset(nil, &dicom.Dataset{Elements: d.Elements[:i]}, dicom.ExplicitVRLittleEndian, f); err != nil {
		return nil, 0, err
	}
	head = len(b)
	b, err = dicom.AppendDataset(b, &dicom.Dataset{Elements: d.Elements[i:]}, dicom.ExplicitVRLittleEndian, f)
	return b, head, err
}
