package linker

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/errs"
)

// image links the study of an image set: one ImagingStudy a study, rebuilt from what QIDO-RS says of it, and one Endpoint a data store.
func (l *Linker) image(ctx context.Context, detail json.RawMessage) error {
	var d struct {
		DatastoreID string `json:"datastoreId"`
		ImageSetID  string `json:"imagesetId"`
	}
	if err := json.Unmarshal(detail, &d); err != nil || d.DatastoreID == "" || d.ImageSetID == "" {
		return errs.New(errs.Invalid, "the event names no image set")
	}
	tags, err := l.images.ListTagsForResource(ctx, &medicalimaging.ListTagsForResourceInput{ResourceArn: l.arn("medical-imaging", "datastore/"+d.DatastoreID)})
	if err != nil {
		return err
	}
	store := tags.Tags[Tag]
	if store == "" {
		return nil
	}
	uid, err := l.studyOf(ctx, d.DatastoreID, d.ImageSetID)
	if err != nil {
		return err
	}
	study, err := l.qido(ctx, d.DatastoreID, "studies?StudyInstanceUID="+uid+"&includefield=StudyDescription")
	if err != nil || len(study) == 0 {
		return err
	}
	series, err := l.qido(ctx, d.DatastoreID, "studies/"+uid+"/series?includefield=SeriesDescription")
	if err != nil {
		return err
	}
	root := l.base + "/datastore/" + d.DatastoreID
	endpoint := shortID("imaging", d.DatastoreID)
	if err := l.put(ctx, store, object{"resourceType": "Endpoint", "id": endpoint, "status": "active", "name": "DICOMweb of data store " + d.DatastoreID,
		"connectionType": object{"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "dicom-wado-rs"},
		"payloadType":    []object{coded("http://terminology.hl7.org/CodeSystem/endpoint-payload-type", "any", "Any")}, "payloadMimeType": []string{"application/dicom"}, "address": root}); err != nil {
		return err
	}
	subject, err := l.subject(ctx, store, study[0].text("00100020"))
	if err != nil {
		return err
	}
	if subject == nil {
		subject = object{"display": "unknown"}
	}
	r := object{"resourceType": "ImagingStudy", "id": shortID("study", uid), "status": "available", "subject": subject, "endpoint": []object{{"reference": "Endpoint/" + endpoint}},
		"identifier": []object{{"system": "urn:dicom:uid", "value": "urn:oid:" + uid}}}
	if t, err := time.Parse("20060102", study[0].text("00080020")); err == nil {
		r["started"] = t.Format("2006-01-02")
	}
	if s := study[0].text("00081030"); s != "" {
		r["description"] = s
	}
	var list []object
	instances, modalities, seen := 0, []object{}, map[string]bool{}
	for _, s := range series {
		n, _ := strconv.Atoi(s.text("00201209")) // an absent count is 0
		instances += n
		m := object{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": s.text("00080060")}
		if !seen[s.text("00080060")] {
			seen[s.text("00080060")] = true
			modalities = append(modalities, m)
		}
		one := object{"uid": s.text("0020000E"), "modality": m, "numberOfInstances": n}
		if num, err := strconv.Atoi(s.text("00200011")); err == nil && num >= 0 {
			one["number"] = num
		}
		if t := s.text("0008103E"); t != "" {
			one["description"] = t
		}
		list = append(list, one)
	}
	r["series"], r["modality"], r["numberOfSeries"], r["numberOfInstances"] = list, modalities, len(list), instances
	return l.put(ctx, store, r)
}

func (l *Linker) studyOf(ctx context.Context, datastore, set string) (string, error) {
	out, err := l.images.GetImageSetMetadata(ctx, &medicalimaging.GetImageSetMetadataInput{DatastoreId: datastore, ImageSetId: set})
	if err != nil {
		return "", err
	}
	defer out.ImageSetMetadataBlob.Close()
	var doc struct {
		Study struct {
			DICOM struct{ StudyInstanceUID string }
		}
	}
	in, err := plain(out.ImageSetMetadataBlob, out.ContentEncoding)
	if err != nil {
		return "", err
	}
	if err := json.NewDecoder(in).Decode(&doc); err != nil {
		return "", errs.Wrap(errs.Invalid, err, "the image set's metadata cannot be read")
	}
	return doc.Study.DICOM.StudyInstanceUID, nil
}

// attributes is one DICOM JSON object (PS3.18 §F.2).
type attributes map[string]struct {
	VR    string            `json:"vr"`
	Value []json.RawMessage `json:"Value"`
}

// text is an attribute's first value as text.
func (a attributes) text(tag string) string {
	v := a[tag].Value
	if len(v) == 0 {
		return ""
	}
	var s string
	if json.Unmarshal(v[0], &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(v[0], &n) == nil {
		return n.String()
	}
	return ""
}

func (l *Linker) qido(ctx context.Context, datastore, path string) ([]attributes, error) {
	status, b, err := l.http.Send(ctx, "medical-imaging", "GET", "/datastore/"+datastore+"/"+path, map[string]string{"Accept": "application/dicom+json"}, nil, 16<<20)
	switch {
	case err != nil:
		return nil, err
	case status == 204:
		return nil, nil
	case status != 200:
		return nil, errs.New(errs.Unavailable, "QIDO-RS answered %d", status)
	}
	var out []attributes
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, fmt.Errorf("QIDO-RS: %w", err)
	}
	return out, nil
}
