package medicalimaging

import (
	"context"
	"maps"
	"net/http"
	"slices"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/authz"
)

// Authorize tells what the caller of an operation must be allowed: its own action on the data store or image set that it names, with the tags of the request
// and of the resource as condition keys (Service Authorization Reference, "Actions defined by AWS HealthImaging"). Whether a role may be passed is checked by
// the jobs.
func (s *Service) Authorize(ctx context.Context, op string, in any) ([]authz.Request, error) {
	r := authz.Request{Action: "medical-imaging:" + op, Resource: "*", Context: map[string]string{}, Values: map[string][]string{}}
	store, set := "", ""
	var tags map[string]string
	switch in := in.(type) {
	case *api.CreateDatastoreInput:
		tags = in.Tags
	case *api.GetDatastoreInput:
		store = in.DatastoreId
	case *api.DeleteDatastoreInput:
		store = in.DatastoreId
	case *api.StartDICOMImportJobInput:
		store = in.DatastoreId
	case *api.GetDICOMImportJobInput:
		store = in.DatastoreId
	case *api.ListDICOMImportJobsInput:
		store = in.DatastoreId
	case *api.SearchImageSetsInput:
		store = in.DatastoreId
	case *api.GetImageSetInput:
		store, set = in.DatastoreId, in.ImageSetId
	case *api.GetImageSetMetadataInput:
		store, set = in.DatastoreId, in.ImageSetId
	case *api.GetImageFrameInput:
		store, set = in.DatastoreId, in.ImageSetId
	case *api.ListImageSetVersionsInput:
		store, set = in.DatastoreId, in.ImageSetId
	case *api.UpdateImageSetMetadataInput:
		store, set = in.DatastoreId, in.ImageSetId
	case *api.DeleteImageSetInput:
		store, set = in.DatastoreId, in.ImageSetId
	case *api.CopyImageSetInput:
		store, set = in.DatastoreId, in.SourceImageSetId
	case *api.TagResourceInput:
		r.Resource, tags = in.ResourceArn, in.Tags
	case *api.UntagResourceInput:
		r.Resource, r.Values["aws:TagKeys"] = in.ResourceArn, in.TagKeys
	case *api.ListTagsForResourceInput:
		r.Resource = in.ResourceArn
	}
	switch {
	case set != "":
		r.Resource = s.setARN(store, set)
	case store != "":
		r.Resource = s.arn(store)
	}
	for k, v := range tags {
		r.Context["aws:RequestTag/"+k] = v
	}
	if len(tags) > 0 {
		r.Values["aws:TagKeys"] = slices.Sorted(maps.Keys(tags))
	}
	r.Tags = s.tagsOf(ctx, r.Resource)
	needs := []authz.Request{r}
	if c, ok := in.(*api.CopyImageSetInput); ok && c.CopyImageSetInformation != nil && c.CopyImageSetInformation.DestinationImageSet != nil { // into an image set that is there
		to := authz.Request{Action: r.Action, Resource: s.setARN(store, c.CopyImageSetInformation.DestinationImageSet.ImageSetId)}
		to.Tags = s.tagsOf(ctx, to.Resource)
		needs = append(needs, to)
	}
	return needs, nil
}

// tagsOf gives a resource's tags; what does not exist has none, and the operation will say so.
func (s *Service) tagsOf(ctx context.Context, arn string) func() map[string]string {
	return func() map[string]string {
		if _, _, err := s.parseARN(arn); err != nil {
			return nil
		}
		out, err := s.ListTagsForResource(ctx, &api.ListTagsForResourceInput{ResourceArn: arn})
		if err != nil {
			return nil
		}
		return out.Tags
	}
}

// keys are the condition keys of a DICOMweb interaction: HealthImaging's own two.
func keys(r *http.Request) map[string]string {
	out := map[string]string{}
	if v := r.PathValue("study"); v != "" {
		out["medical-imaging:StudyInstanceUID"] = v
	}
	if v := r.PathValue("series"); v != "" {
		out["medical-imaging:SeriesInstanceUID"] = v
	}
	return out
}
