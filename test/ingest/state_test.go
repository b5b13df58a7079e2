package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/app/ingest"
	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/athena"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/test/galen"
)

// view reads a server through its contracts.
type view struct {
	t      *testing.T
	g      *galen.Server
	stores map[string]string
}

func look(t *testing.T, g *galen.Server, r *ingest.Report) *view {
	return &view{t: t, g: g, stores: r.Stores}
}

func (v *view) get(service, path, accept string) []byte {
	v.t.Helper()
	status, b, err := v.g.Client().Send(context.Background(), service, "GET", path, map[string]string{"Accept": accept}, nil, 256<<20)
	if err != nil || status != 200 {
		v.t.Fatalf("GET %s: %d %v %.300s", path, status, err, b)
	}
	return b
}

// total is FHIR's count of a search.
func (v *view) total(search string) int {
	v.t.Helper()
	sep := "?"
	if strings.Contains(search, "?") {
		sep = "&"
	}
	var page struct{ Total *int }
	if err := json.Unmarshal(v.get("healthlake", "/datastore/"+v.stores["datastore"]+"/r4/"+search+sep+"_summary=count", "application/fhir+json"), &page); err != nil || page.Total == nil {
		v.t.Fatalf("%s has no total: %v", search, err)
	}
	return *page.Total
}

// history is how many versions of a resource there are.
func (v *view) history(reference string) int {
	v.t.Helper()
	var page struct{ Entry []json.RawMessage }
	if err := json.Unmarshal(v.get("healthlake", "/datastore/"+v.stores["datastore"]+"/r4/"+reference+"/_history", "application/fhir+json"), &page); err != nil {
		v.t.Fatal(err)
	}
	return len(page.Entry)
}

// must returns what a call answered, or ends the test.
func must[T any](t *testing.T) func(T, error) T {
	return func(out T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// imageSets are all image sets, from every page.
func (v *view) imageSets() []medicalimaging.ImageSetsMetadataSummary {
	v.t.Helper()
	c := medicalimaging.NewClient(v.g.Client())
	var out []medicalimaging.ImageSetsMetadataSummary
	for next := ""; ; {
		page := must[*medicalimaging.SearchImageSetsOutput](v.t)(c.SearchImageSets(context.Background(), &medicalimaging.SearchImageSetsInput{DatastoreId: v.stores["imagestore"], NextToken: next}))
		out = append(out, page.ImageSetsMetadataSummaries...)
		if next = page.NextToken; next == "" {
			return out
		}
	}
}

// metadata is the part of an image set's metadata document that these tests read.
type metadata struct {
	Study struct {
		Series map[string]struct {
			Instances map[string]struct {
				ImageFrames []struct {
					ID string
				}
			}
		}
	}
}

func (v *view) metadata(set string) metadata {
	v.t.Helper()
	out := must[*medicalimaging.GetImageSetMetadataOutput](v.t)(medicalimaging.NewClient(v.g.Client()).GetImageSetMetadata(context.Background(),
		&medicalimaging.GetImageSetMetadataInput{DatastoreId: v.stores["imagestore"], ImageSetId: set}))
	defer out.ImageSetMetadataBlob.Close()
	b := must[[]byte](v.t)(io.ReadAll(out.ImageSetMetadataBlob))
	if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		b = must[[]byte](v.t)(io.ReadAll(must[*gzip.Reader](v.t)(gzip.NewReader(bytes.NewReader(b)))))
	}
	var m metadata
	if err := json.Unmarshal(b, &m); err != nil {
		v.t.Fatal(err)
	}
	return m
}

// instances are the SOP Instance UIDs that QIDO-RS finds, page by page.
func (v *view) instances() []string {
	v.t.Helper()
	var out []string
	for {
		b := v.get("medical-imaging", fmt.Sprintf("/datastore/%s/instances?limit=50&offset=%d", v.stores["imagestore"], len(out)), "application/dicom+json")
		var page []map[string]struct{ Value []any }
		if len(b) > 0 {
			if err := json.Unmarshal(b, &page); err != nil {
				v.t.Fatal(err)
			}
		}
		for _, i := range page {
			out = append(out, fmt.Sprint(i["00080018"].Value...))
		}
		if len(page) < 50 {
			sort.Strings(out)
			return out
		}
	}
}

func (v *view) readSets() []omics.ReadSetListItem {
	v.t.Helper()
	c := omics.NewClient(v.g.Client())
	var out []omics.ReadSetListItem
	for next := ""; ; {
		page := must[*omics.ListReadSetsOutput](v.t)(c.ListReadSets(context.Background(), &omics.ListReadSetsInput{SequenceStoreId: v.stores["sequencestore"], NextToken: next}))
		out = append(out, page.ReadSets...)
		if next = page.NextToken; next == "" {
			return out
		}
	}
}

// query runs SQL and returns the rows below the heading.
func (v *view) query(database, sql string) [][]string {
	v.t.Helper()
	ctx, c := context.Background(), athena.NewClient(v.g.Client())
	q := must[*athena.StartQueryExecutionOutput](v.t)(c.StartQueryExecution(ctx, &athena.StartQueryExecutionInput{QueryString: sql,
		QueryExecutionContext: &athena.QueryExecutionContext{Database: database}, ResultConfiguration: &athena.ResultConfiguration{OutputLocation: "s3://galen-ingest-" + galen.Account + "/athena/"}}))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		got := must[*athena.GetQueryExecutionOutput](v.t)(c.GetQueryExecution(ctx, &athena.GetQueryExecutionInput{QueryExecutionId: q.QueryExecutionId}))
		switch got.QueryExecution.Status.State {
		case athena.QueryExecutionStateSucceeded:
			page := must[*athena.GetQueryResultsOutput](v.t)(c.GetQueryResults(ctx, &athena.GetQueryResultsInput{QueryExecutionId: q.QueryExecutionId}))
			var out [][]string
			for _, r := range page.ResultSet.Rows[1:] {
				var row []string
				for _, d := range r.Data {
					row = append(row, d.VarCharValue)
				}
				out = append(out, row)
			}
			return out
		case athena.QueryExecutionStateFailed, athena.QueryExecutionStateCancelled:
			v.t.Fatalf("%s: %s", sql, got.QueryExecution.Status.StateChangeReason)
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("%s did not end within a minute", sql)
		}
	}
}

// variants are the calls a sample in the variant store, by SQL.
func (v *view) variants() [][]string {
	v.t.Helper()
	dbs := must[*athena.ListDatabasesOutput](v.t)(athena.NewClient(v.g.Client()).ListDatabases(context.Background(), &athena.ListDatabasesInput{CatalogName: "AwsDataCatalog"}))
	for _, db := range dbs.DatabaseList {
		if strings.HasPrefix(db.Name, "variant_") {
			return v.query(db.Name, "SELECT sampleid, count(*) FROM galen_variants GROUP BY sampleid ORDER BY sampleid")
		}
	}
	v.t.Fatal("no database holds the variants")
	return nil
}

// resourceTypes that the folder's histories hold most of.
var resourceTypes = []string{"Patient", "Encounter", "Observation", "Condition", "Procedure", "Claim", "ExplanationOfBenefit", "Immunization", "MedicationRequest", "Organization",
	"Practitioner", "Location", "DiagnosticReport", "CarePlan", "CareTeam", "AllergyIntolerance", "Goal"}

// state is what a server holds, free of the ids that differ from one server to the next: two servers that took the same folder are equal in it.
func (v *view) state() map[string]string {
	v.t.Helper()
	ctx, h := context.Background(), v.g.Client()
	out := map[string]string{}
	for _, typ := range resourceTypes {
		out["fhir "+typ] = fmt.Sprint(v.total(typ))
	}
	out["instances"] = strings.Join(v.instances(), " ")
	var lines []string
	for _, r := range v.readSets() {
		m := must[*omics.GetReadSetMetadataOutput](v.t)(omics.NewClient(h).GetReadSetMetadata(ctx, &omics.GetReadSetMetadataInput{SequenceStoreId: r.SequenceStoreId, Id: r.Id}))
		etag := ""
		if m.Etag != nil {
			etag = m.Etag.Source1 + "," + m.Etag.Source2
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %s", m.Name, m.FileType, m.Status, etag))
	}
	sort.Strings(lines)
	out["read sets"] = strings.Join(lines, "\n")
	lines = nil
	for _, s := range must[*omics.ListReferenceStoresOutput](v.t)(omics.NewClient(h).ListReferenceStores(ctx, &omics.ListReferenceStoresInput{})).ReferenceStores {
		for _, r := range must[*omics.ListReferencesOutput](v.t)(omics.NewClient(h).ListReferences(ctx, &omics.ListReferencesInput{ReferenceStoreId: s.Id})).References {
			lines = append(lines, fmt.Sprintf("%s %s %s", r.Name, r.Md5, r.Status))
		}
	}
	sort.Strings(lines)
	out["references"] = strings.Join(lines, "\n")
	out["variants"] = fmt.Sprint(v.variants())
	lines = nil
	for _, j := range must[*transcribe.ListMedicalScribeJobsOutput](v.t)(transcribe.NewClient(h).ListMedicalScribeJobs(ctx, &transcribe.ListMedicalScribeJobsInput{MaxResults: aws.Ptr(int32(100))})).MedicalScribeJobSummaries {
		lines = append(lines, fmt.Sprintf("%s %s", j.MedicalScribeJobName, j.MedicalScribeJobStatus))
	}
	sort.Strings(lines)
	out["visits"] = strings.Join(lines, "\n")
	out["stores"] = fmt.Sprintf("%d FHIR, %d imaging, %d sequence, %d variant",
		len(must[*healthlake.ListFHIRDatastoresOutput](v.t)(healthlake.NewClient(h).ListFHIRDatastores(ctx, &healthlake.ListFHIRDatastoresInput{})).DatastorePropertiesList),
		len(must[*medicalimaging.ListDatastoresOutput](v.t)(medicalimaging.NewClient(h).ListDatastores(ctx, &medicalimaging.ListDatastoresInput{})).DatastoreSummaries),
		len(must[*omics.ListSequenceStoresOutput](v.t)(omics.NewClient(h).ListSequenceStores(ctx, &omics.ListSequenceStoresInput{})).SequenceStores),
		len(must[*omics.ListVariantStoresOutput](v.t)(omics.NewClient(h).ListVariantStores(ctx, &omics.ListVariantStoresInput{})).VariantStores))
	return out
}

// same says what differs between two states.
func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for k := range want {
		if got[k] != want[k] {
			t.Errorf("%s: %s =\n%s\nwant\n%s", what, k, got[k], want[k])
		}
	}
}

func gunzip(t *testing.T, b []byte) []byte {
	t.Helper()
	return must[[]byte](t)(io.ReadAll(must[*gzip.Reader](t)(gzip.NewReader(bytes.NewReader(b)))))
}
