package access

import (
	"testing"

	"github.com/galen-health/galen/aws/client"
	healthlakeapi "github.com/galen-health/galen/aws/healthlake"
	imagingapi "github.com/galen-health/galen/aws/medicalimaging"
)

// TestTagsAndKeysDecide: policies see the tags of data stores, the types of FHIR resources and the UIDs of studies, in operations and on the open standards' routes.
func TestTagsAndKeysDecide(t *testing.T) {
	h := open(t)
	hl, mi := healthlakeapi.NewClient(h.g.Client()), imagingapi.NewClient(h.g.Client())
	fhirARN := must[*healthlakeapi.DescribeFHIRDatastoreOutput](t)(hl.DescribeFHIRDatastore(ctx, &healthlakeapi.DescribeFHIRDatastoreInput{DatastoreId: h.fhir})).DatastoreProperties.DatastoreArn
	imagesARN := must[*imagingapi.GetDatastoreOutput](t)(mi.GetDatastore(ctx, &imagingapi.GetDatastoreInput{DatastoreId: h.images})).DatastoreProperties.DatastoreArn
	byTag := user(t, h.g, "icu", doc(`{"Effect":"Allow","Action":["healthlake:*","medical-imaging:*"],"Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/Unit":"icu"}}}`))
	byType := user(t, h.g, "lab", doc(`{"Effect":"Allow","Action":"healthlake:*","Resource":"`+fhirARN+`","Condition":{"StringEquals":{"healthlake:ResourceType":["Observation","Specimen"]}}}`))
	byStudy := user(t, h.g, "trial", doc(`{"Effect":"Allow","Action":"medical-imaging:SearchDICOM*","Resource":"`+imagesARN+`","Condition":{"StringLike":{"medical-imaging:StudyInstanceUID":"1.2.826.*"}}}`))
	get := func(c *client.HTTP, service, path string) int {
		t.Helper()
		status, _, err := c.Send(ctx, service, "GET", path, nil, nil, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	fhir, images := "/datastore/"+h.fhir+"/r4", "/datastore/"+h.images
	check := func(when string, want int) {
		t.Helper()
		_, err := healthlakeapi.NewClient(byTag).DescribeFHIRDatastore(ctx, &healthlakeapi.DescribeFHIRDatastoreInput{DatastoreId: h.fhir})
		_, ierr := imagingapi.NewClient(byTag).GetDatastore(ctx, &imagingapi.GetDatastoreInput{DatastoreId: h.images})
		if a, b := get(byTag, "healthlake", fhir+"/Patient"), get(byTag, "medical-imaging", images+"/studies"); a != want || b != want || (err == nil) != (want == 200) || (ierr == nil) != (want == 200) {
			t.Errorf("%s: FHIR %d, DICOMweb %d, %v, %v; want %d", when, a, b, err, ierr, want)
		}
	}
	check("before they are tagged", 403)
	must[*healthlakeapi.TagResourceOutput](t)(hl.TagResource(ctx, &healthlakeapi.TagResourceInput{ResourceARN: fhirARN, Tags: []healthlakeapi.Tag{{Key: "Unit", Value: "icu"}}}))
	must[*imagingapi.TagResourceOutput](t)(mi.TagResource(ctx, &imagingapi.TagResourceInput{ResourceArn: imagesARN, Tags: map[string]string{"Unit": "icu"}}))
	check("tagged", 200)
	must[*healthlakeapi.UntagResourceOutput](t)(hl.UntagResource(ctx, &healthlakeapi.UntagResourceInput{ResourceARN: fhirARN, TagKeys: []string{"Unit"}}))
	must[*imagingapi.UntagResourceOutput](t)(mi.UntagResource(ctx, &imagingapi.UntagResourceInput{ResourceArn: imagesARN, TagKeys: []string{"Unit"}}))
	check("untagged", 403)
	for path, want := range map[string]int{"/Observation": 200, "/Specimen": 200, "/Patient": 403, "/Observation?_include=Observation:subject": 403, "/_history": 403} {
		if got := get(byType, "healthlake", fhir+path); got != want {
			t.Errorf("by type: %s: %d, want %d", path, got, want)
		}
	}
	for path, want := range map[string]int{"/studies/1.2.826.1/series": 200, "/studies/1.3.1/series": 403, "/studies": 403, "/series": 403} {
		if got := get(byStudy, "medical-imaging", images+path); got != want {
			t.Errorf("by study: %s: %d, want %d", path, got, want)
		}
	}
}
