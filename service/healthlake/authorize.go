package healthlake

import (
	"context"
	"net/http"
	"strings"

	api "github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/platform/authz"
)

// typeKey is the condition key of FHIR interactions that says which type of resource they are on; anyType is its value when they may touch every type.
const (
	typeKey = "healthlake:ResourceType"
	anyType = "*"
)

// Authorize tells what the caller of an operation must be allowed: its own action on the data store that it names, with the tags of the request and of the
// data store as condition keys (Service Authorization Reference, "Actions defined by AWS HealthLake"). Whether a role may be passed is checked by the jobs.
func (s *Service) Authorize(ctx context.Context, op string, in any) ([]authz.Request, error) {
	r := authz.Request{Action: "healthlake:" + op, Resource: "*", Context: map[string]string{}, Values: map[string][]string{}}
	id := ""
	switch in := in.(type) {
	case *api.CreateFHIRDatastoreInput:
		giveTags(&r, in.Tags)
	case *api.DescribeFHIRDatastoreInput:
		id = in.DatastoreId
	case *api.UpdateFHIRDatastoreInput:
		id = in.DatastoreId
	case *api.DeleteFHIRDatastoreInput:
		id = in.DatastoreId
	case *api.StartFHIRImportJobInput:
		id = in.DatastoreId
	case *api.DescribeFHIRImportJobInput:
		id = in.DatastoreId
	case *api.ListFHIRImportJobsInput:
		id = in.DatastoreId
	case *api.StartFHIRExportJobInput:
		id = in.DatastoreId
	case *api.DescribeFHIRExportJobInput:
		id = in.DatastoreId
	case *api.ListFHIRExportJobsInput:
		id = in.DatastoreId
	case *api.TagResourceInput:
		r.Resource = in.ResourceARN
		giveTags(&r, in.Tags)
	case *api.UntagResourceInput:
		r.Resource, r.Values["aws:TagKeys"] = in.ResourceARN, in.TagKeys
	case *api.ListTagsForResourceInput:
		r.Resource = in.ResourceARN
	}
	if id != "" {
		r.Resource = s.arn(id)
	}
	r.Tags = func() map[string]string { return s.tagsOf(ctx, r.Resource) }
	return []authz.Request{r}, nil
}

// giveTags adds the condition keys of tags that a request gives.
func giveTags(r *authz.Request, tags []api.Tag) {
	for _, t := range tags {
		r.Context["aws:RequestTag/"+t.Key] = t.Value
		r.Values["aws:TagKeys"] = append(r.Values["aws:TagKeys"], t.Key)
	}
}

// tagsOf are a data store's tags; what does not exist has none, and the operation will say so.
func (s *Service) tagsOf(ctx context.Context, arn string) map[string]string {
	id, err := s.storeID(arn)
	if err != nil {
		return nil
	}
	d, err := s.store(ctx, id)
	if err != nil || len(d.Tags) == 0 {
		return nil
	}
	out := make(map[string]string, len(d.Tags))
	for _, t := range d.Tags {
		out[t.Key] = t.Value
	}
	return out
}

// keys are the condition keys of a FHIR interaction. One that may reach beyond the type in its path (includes, chains, compartments, a search in a
// body that is not read yet) is said to be on every type.
func keys(in interaction, r *http.Request) map[string]string {
	switch in.name {
	case "GetCapabilities", "ProcessBundle": // the entries of a Bundle are decided one by one
		return nil
	}
	typ := r.PathValue("type")
	if typ == "" || in.name == "SearchWithPost" || strings.Contains(in.path, "{compartment}") || reachesOut(r) {
		typ = anyType
	}
	return map[string]string{typeKey: typ}
}

// reachesOut reports whether a search may answer or test resources of other types than the one in its path.
func reachesOut(r *http.Request) bool {
	for name := range r.URL.Query() {
		base, _, _ := strings.Cut(name, ":")
		if base == "_include" || base == "_revinclude" || base == "_has" || base == "_contained" || base == "_list" || strings.Contains(name, ".") {
			return true
		}
	}
	return false
}
