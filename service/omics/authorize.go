package omics

import (
	"context"
	"maps"
	"slices"

	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/authz"
)

// Authorize tells the edge which permissions an operation needs on what: its own action on the ARN of its resource, omics:TagResource when tags come
// with a creation, and the tags themselves as condition keys (Service Authorization Reference, HealthOmics).
func (s *Service) Authorize(ctx context.Context, op string, in any) ([]authz.Request, error) {
	resource, tags := s.subject(in)
	r := authz.Request{Action: "omics:" + op, Resource: resource, Context: map[string]string{}}
	for k, v := range tags {
		r.Context["aws:RequestTag/"+k] = v
	}
	if len(tags) > 0 {
		r.Values = map[string][]string{"aws:TagKeys": slices.Sorted(maps.Keys(tags))}
	}
	if u, ok := in.(*api.UntagResourceInput); ok {
		r.Values = map[string][]string{"aws:TagKeys": u.TagKeys}
	}
	if resource != "*" {
		if old, err := s.retag(ctx, resource, nil); err == nil { // what does not exist has no tags; the operation will say so
			for k, v := range old {
				r.Context["aws:ResourceTag/"+k] = v
			}
		}
	}
	needs := []authz.Request{r}
	if len(tags) > 0 && op != "TagResource" {
		t := r
		t.Action = "omics:TagResource"
		needs = append(needs, t)
	}
	return needs, nil
}

// subject is the ARN that an operation is on, "*" when it is on none in particular, and the tags that it gives.
func (s *Service) subject(in any) (string, map[string]string) {
	switch v := in.(type) {
	case *api.CreateReferenceStoreInput:
		return "*", v.Tags
	case *api.GetReferenceStoreInput:
		return s.referenceStoreARN(v.Id), nil
	case *api.DeleteReferenceStoreInput:
		return s.referenceStoreARN(v.Id), nil
	case *api.ListReferencesInput:
		return s.referenceStoreARN(v.ReferenceStoreId), nil
	case *api.StartReferenceImportJobInput:
		tags := map[string]string{}
		for _, src := range v.Sources {
			maps.Copy(tags, src.Tags)
		}
		return s.referenceStoreARN(v.ReferenceStoreId), tags
	case *api.GetReferenceImportJobInput:
		return s.referenceStoreARN(v.ReferenceStoreId), nil
	case *api.ListReferenceImportJobsInput:
		return s.referenceStoreARN(v.ReferenceStoreId), nil
	case *api.GetReferenceInput:
		return s.referenceARN(v.ReferenceStoreId, v.Id), nil
	case *api.GetReferenceMetadataInput:
		return s.referenceARN(v.ReferenceStoreId, v.Id), nil
	case *api.DeleteReferenceInput:
		return s.referenceARN(v.ReferenceStoreId, v.Id), nil
	case *api.CreateVariantStoreInput:
		return s.variantStoreARN(v.Name), v.Tags
	case *api.GetVariantStoreInput:
		return s.variantStoreARN(v.Name), nil
	case *api.UpdateVariantStoreInput:
		return s.variantStoreARN(v.Name), nil
	case *api.DeleteVariantStoreInput:
		return s.variantStoreARN(v.Name), nil
	case *api.StartVariantImportJobInput:
		return s.variantStoreARN(v.DestinationName), nil
	case *api.TagResourceInput:
		return v.ResourceArn, v.Tags
	case *api.UntagResourceInput:
		return v.ResourceArn, nil
	case *api.ListTagsForResourceInput:
		return v.ResourceArn, nil
	}
	return s.sequenceSubject(in)
}

// sequenceSubject is subject for what is in sequence stores.
func (s *Service) sequenceSubject(in any) (string, map[string]string) {
	switch v := in.(type) {
	case *api.CreateSequenceStoreInput:
		return "*", v.Tags
	case *api.GetSequenceStoreInput:
		return s.sequenceStoreARN(v.Id), nil
	case *api.UpdateSequenceStoreInput:
		return s.sequenceStoreARN(v.Id), nil
	case *api.DeleteSequenceStoreInput:
		return s.sequenceStoreARN(v.Id), nil
	case *api.GetReadSetInput:
		return s.readSetARN(v.SequenceStoreId, v.Id), nil
	case *api.GetReadSetMetadataInput:
		return s.readSetARN(v.SequenceStoreId, v.Id), nil
	case *api.BatchDeleteReadSetInput:
		return s.sequenceStoreARN(v.SequenceStoreId), nil
	case *api.ListReadSetsInput:
		return s.sequenceStoreARN(v.SequenceStoreId), nil
	case *api.StartReadSetImportJobInput:
		tags := map[string]string{}
		for _, src := range v.Sources {
			maps.Copy(tags, src.Tags)
		}
		return s.sequenceStoreARN(v.SequenceStoreId), tags
	case *api.GetReadSetImportJobInput:
		return s.sequenceStoreARN(v.SequenceStoreId), nil
	case *api.ListReadSetImportJobsInput:
		return s.sequenceStoreARN(v.SequenceStoreId), nil
	case *api.StartReadSetExportJobInput:
		return s.sequenceStoreARN(v.SequenceStoreId), nil
	case *api.GetReadSetExportJobInput:
		return s.sequenceStoreARN(v.SequenceStoreId), nil
	case *api.ListReadSetExportJobsInput:
		return s.sequenceStoreARN(v.SequenceStoreId), nil
	case *api.StartReadSetActivationJobInput:
		return s.sequenceStoreARN(v.SequenceStoreId), nil
	case *api.GetReadSetActivationJobInput:
		return s.sequenceStoreARN(v.SequenceStoreId), nil
	case *api.ListReadSetActivationJobsInput:
		return s.sequenceStoreARN(v.SequenceStoreId), nil
	case *api.CreateMultipartReadSetUploadInput:
		return s.sequenceStoreARN(v.SequenceStoreId), v.Tags
	case *api.UploadReadSetPartInput:
		return s.sequenceStoreARN(v.SequenceStoreId), nil
	case *api.ListReadSetUploadPartsInput:
		return s.sequenceStoreARN(v.SequenceStoreId), nil
	case *api.ListMultipartReadSetUploadsInput:
		return s.sequenceStoreARN(v.SequenceStoreId), nil
	case *api.CompleteMultipartReadSetUploadInput:
		return s.sequenceStoreARN(v.SequenceStoreId), nil
	case *api.AbortMultipartReadSetUploadInput:
		return s.sequenceStoreARN(v.SequenceStoreId), nil
	}
	return "*", nil
}
