package medicalimaging

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/dicom"
)

// GetImageSetMetadata answers the metadata of an image set as a gzip of HealthImaging's JSON, schema 1.1.
func (s *Service) GetImageSetMetadata(ctx context.Context, in *api.GetImageSetMetadataInput) (*api.GetImageSetMetadataOutput, error) {
	d, err := s.active(ctx, in.DatastoreId)
	if err != nil {
		return nil, err
	}
	var doc []byte
	err = s.view(ctx, space(d.ID), func(v record.View) error {
		set, err := usable(v, in.ImageSetId, in.VersionId)
		if err != nil {
			return err
		}
		list, err := s.instancesOf(ctx, v, set)
		if err != nil {
			return err
		}
		doc, err = document(d, set, list)
		return err
	})
	if err != nil {
		return nil, err
	}
	var z bytes.Buffer
	w, _ := gzip.NewWriterLevel(&z, gzip.BestSpeed)
	_, _ = w.Write(doc) // a buffer takes everything
	_ = w.Close()
	return &api.GetImageSetMetadataOutput{ImageSetMetadataBlob: io.NopCloser(&z), ContentType: "application/json", ContentEncoding: "gzip"}, nil
}

// document writes the metadata JSON of a set (developer guide, "Understanding image sets").
func document(d *datastore, set storedSet, list []*instance) ([]byte, error) {
	shared, err := set.shared()
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 4096+2048*len(list))
	b = append(b, `{"SchemaVersion":"1.1","DatastoreID":"`...)
	b = append(b, d.ID...)
	b = append(b, `","ImageSetID":"`...)
	b = append(b, set.ID...)
	b = append(b, `","Patient":{`...)
	b = appendLevel(b, atLevel(shared, patientLevel))
	b = append(b, `},"Study":{`...)
	b = appendLevel(b, atLevel(shared, studyLevel))
	b = append(b, `,"Series":{`...)
	b = dicom.AppendJSONString(b, set.Series)
	b = append(b, `:{`...)
	b = appendLevel(b, atLevel(shared, seriesLevel))
	b = append(b, `,"Instances":{`...)
	for i, in := range list {
		own, err := members(in.Attributes)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = dicom.AppendJSONString(b, in.SOP)
		b = append(b, `:{`...)
		b = appendLevel(b, withSyntax(own, in.Syntax))
		b = append(b, `,"StoredTransferSyntaxUID":"`...)
		b = append(b, in.Stored...)
		b = append(b, `","ImageFrames":[`...)
		b = appendFrames(b, in.Pixel)
		b = append(b, `]}`...)
	}
	return append(b, `}}}}}`...), nil
}

// withSyntax adds the original transfer syntax and the empty pixel data, as HealthImaging shows them.
func withSyntax(own []member, syntax string) []member {
	own = set(own, "00020010", []byte(`{"vr":"UI","Value":["`+syntax+`"]}`))
	return set(own, "7FE00010", []byte(`{"vr":"OW"}`))
}

// appendLevel writes "DICOM" and, when there are private elements, "DICOMVRs".
func appendLevel(b []byte, ms []member) []byte {
	b = append(b, `"DICOM":{`...)
	var vrs []byte
	for i, m := range ms {
		t, _ := dicom.ParseTag(m.Tag)
		a := decodeAttribute(m.JSON)
		if i > 0 {
			b = append(b, ',')
		}
		name := dicom.Keyword(t)
		b = dicom.AppendJSONString(b, name)
		b = append(b, ':')
		b = appendPlain(b, a)
		if t.Private() && a.VR != "" {
			if vrs != nil {
				vrs = append(vrs, ',')
			}
			vrs = append(dicom.AppendJSONString(vrs, name), ':')
			vrs = dicom.AppendJSONString(vrs, a.VR)
		}
	}
	b = append(b, '}')
	if vrs != nil {
		b = append(b, `,"DICOMVRs":{`...)
		b = append(append(b, vrs...), '}')
	}
	return b
}

// appendPlain writes a value as HealthImaging does: one value alone, several as a list, none as null; decimal strings stay strings, names are one string,
// sequences are lists of objects by keyword.
func appendPlain(b []byte, a attribute) []byte {
	switch {
	case a.BulkDataURI != "":
		return dicom.AppendJSONString(b, a.BulkDataURI)
	case a.InlineBinary != "":
		return dicom.AppendJSONString(b, a.InlineBinary)
	case a.VR == "SQ":
		b = append(b, '[')
		for i, item := range a.Value {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendItem(b, item)
		}
		return append(b, ']')
	case len(a.Value) == 0:
		return append(b, "null"...)
	}
	if len(a.Value) > 1 {
		b = append(b, '[')
	}
	for i, v := range a.Value {
		if i > 0 {
			b = append(b, ',')
		}
		switch {
		case v == nil:
			b = append(b, "null"...)
		case a.VR == "PN" || a.VR == "DS" || a.VR == "IS":
			b = dicom.AppendJSONString(b, valueText(v))
		default:
			b = appendValue(b, v)
		}
	}
	if len(a.Value) > 1 {
		b = append(b, ']')
	}
	return b
}

// appendFrames writes the frames of an instance with their checksums.
func appendFrames(b []byte, p *pixels) []byte {
	if p == nil {
		return b
	}
	for i, f := range p.Frames {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"ID":"`...)
		b = append(b, p.frameID(i)...)
		b = append(b, `","PixelDataChecksumFromBaseToFullResolution":[`...)
		for k, l := range f.Levels {
			if k > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"Width":`...)
			b = strconv.AppendUint(b, uint64(l[0]), 10)
			b = append(b, `,"Height":`...)
			b = strconv.AppendUint(b, uint64(l[1]), 10)
			b = append(b, `,"Checksum":`...)
			b = strconv.AppendUint(b, uint64(l[2]), 10)
			b = append(b, '}')
		}
		b = append(b, `],"MinPixelValue":`...)
		b = appendOptional(b, f.Min)
		b = append(b, `,"MaxPixelValue":`...)
		b = appendOptional(b, f.Max)
		b = append(b, `,"FrameSizeInBytes":`...)
		b = strconv.AppendInt(b, f.Size, 10)
		b = append(b, '}')
	}
	return b
}

func appendOptional(b []byte, n *int64) []byte {
	if n == nil {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, *n, 10)
}

// GetImageFrame answers one frame as it is stored.
func (s *Service) GetImageFrame(ctx context.Context, in *api.GetImageFrameInput) (*api.GetImageFrameOutput, error) {
	d, err := s.active(ctx, in.DatastoreId)
	if err != nil {
		return nil, err
	}
	key, i, ok := frameOf(in.ImageFrameInformation.ImageFrameId)
	if !ok {
		return nil, noFrame()
	}
	var found *instance
	if err := s.view(ctx, space(d.ID), func(v record.View) error {
		if _, err := usable(v, in.ImageSetId, ""); err != nil {
			return err
		}
		page, err := v.Query(ctx, record.Query{Kind: instances.Name, Limit: 1, Where: record.And{
			record.Match{Index: "frames", Value: record.Token("", key)}, record.Match{Index: "set", Value: record.Token("", in.ImageSetId)}}})
		if err != nil || len(page.Hits) == 0 {
			return err
		}
		found, err = instances.Decode(page.Hits[0].Body)
		return err
	}); err != nil {
		return nil, err
	}
	if found == nil || i >= len(found.Pixel.Frames) {
		return nil, noFrame()
	}
	body, _, err := s.openFrame(ctx, found, i)
	if err != nil {
		return nil, err
	}
	media := dicom.MediaType(found.Stored)
	if media == "" {
		media = "application/octet-stream"
	}
	return &api.GetImageFrameOutput{ImageFrameBlob: body, ContentType: media}, nil
}

func noFrame() error {
	return errs.New(errs.NotFound, "there is no image frame with this id in the image set")
}

func appendItem(b []byte, item any) []byte {
	m, _ := item.(map[string]any)
	ms := make([]member, 0, len(m))
	for tag, v := range m {
		raw, err := json.Marshal(v)
		if err == nil {
			ms = append(ms, member{tag, raw})
		}
	}
	slices.SortFunc(ms, func(x, y member) int { return strings.Compare(x.Tag, y.Tag) })
	b = append(b, '{')
	for i, m := range ms {
		if i > 0 {
			b = append(b, ',')
		}
		t, _ := dicom.ParseTag(m.Tag)
		b = append(dicom.AppendJSONString(b, dicom.Keyword(t)), ':')
		b = appendPlain(b, decodeAttribute(m.JSON))
	}
	return append(b, '}')
}

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return dicom.AppendJSONString(b, v)
	case json.Number:
		return append(b, v...)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, raw...)
}
