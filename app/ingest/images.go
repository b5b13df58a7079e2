package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/errs"
)

// imagestore finds or makes the imaging data store, linked to the FHIR data store so that studies appear as ImagingStudy resources.
func (r *run) imagestore(ctx context.Context) (string, error) {
	return r.shared("imagestore", func() (string, error) {
		id, next := "", ""
		for id == "" {
			list, err := r.images.ListDatastores(ctx, &medicalimaging.ListDatastoresInput{NextToken: next})
			if err != nil {
				return "", err
			}
			for _, d := range list.DatastoreSummaries { // one that is being made was begun by a run that was killed
				if d.DatastoreName == r.Name && (d.DatastoreStatus == medicalimaging.DatastoreStatusActive || d.DatastoreStatus == medicalimaging.DatastoreStatusCreating) {
					id = d.DatastoreId
					break
				}
			}
			if next = list.NextToken; next == "" {
				break
			}
		}
		if id == "" {
			tags, err := r.link(ctx)
			if err != nil {
				return "", err
			}
			made, err := r.images.CreateDatastore(ctx, &medicalimaging.CreateDatastoreInput{DatastoreName: r.Name, ClientToken: token(), Tags: tags})
			if err != nil {
				return "", err
			}
			id = made.DatastoreId
		}
		return id, until(ctx, func() (bool, error) {
			d, err := r.images.GetDatastore(ctx, &medicalimaging.GetDatastoreInput{DatastoreId: id})
			if err != nil {
				return false, err
			}
			if d.DatastoreProperties.DatastoreStatus == medicalimaging.DatastoreStatusCreateFailed {
				return false, errs.New(errs.Conflict, "the imaging data store could not be made")
			}
			return d.DatastoreProperties.DatastoreStatus == medicalimaging.DatastoreStatusActive, nil
		})
	})
}

// LinkTag names the FHIR data store that gets linked resources for what is stored in the tagged store.
const LinkTag = "galen:fhir-datastore"

func (r *run) link(ctx context.Context) (map[string]string, error) {
	store, err := r.datastore(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]string{LinkTag: store}, nil
}

// landImage stores one instance by STOW-RS, which is idempotent by SOP Instance UID.
func (r *run) landImage(ctx context.Context, it Item) (string, error) {
	store, err := r.imagestore(ctx)
	if err != nil {
		return "", err
	}
	f, err := os.Open(it.Files[0].Path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	status, answer, err := r.HTTP.Send(ctx, "medical-imaging", "POST", "/datastore/"+store+"/studies",
		map[string]string{"Content-Type": "application/dicom", "Accept": "application/dicom+json"}, f, 4<<20)
	if err != nil {
		return "", err
	}
	type element struct{ Value []json.RawMessage }
	var got struct {
		Failed     element `json:"00081198"`
		Referenced element `json:"00081199"`
	}
	if json.Unmarshal(answer, &got) == nil && len(got.Referenced.Value) == 1 && status < 300 {
		var item struct {
			UID struct{ Value []string } `json:"00081155"`
		}
		if err := json.Unmarshal(got.Referenced.Value[0], &item); err == nil && len(item.UID.Value) == 1 {
			return "dicom:" + store + "/" + item.UID.Value[0], nil
		}
		return "dicom:" + store, nil
	}
	switch {
	case status == 401:
		return "", errs.New(errs.Unauthenticated, "the imaging service does not accept the credentials")
	case status == 403:
		return "", errs.New(errs.Denied, "storing instances is not allowed for this caller")
	case status >= 500:
		return "", errs.New(errs.Unavailable, "the imaging service answered %d", status)
	}
	reason := fmt.Sprintf("the imaging service answered %d", status)
	if len(got.Failed.Value) > 0 {
		var item struct {
			Reason  struct{ Value []int }    `json:"00081197"`
			Comment struct{ Value []string } `json:"00000902"`
		}
		if json.Unmarshal(got.Failed.Value[0], &item) == nil && len(item.Reason.Value) > 0 {
			reason = fmt.Sprintf("DICOM failure reason %04X", item.Reason.Value[0])
			if len(item.Comment.Value) > 0 {
				reason += ": " + item.Comment.Value[0]
			}
		}
	}
	return "", errs.New(errs.Invalid, "%s", reason)
}
