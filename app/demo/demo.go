// Package demo shows what an ingested cohort has become: a tour that reads it back through the AWS contracts and the open standards, and the recipes to
// do the same by hand. A tour that does not find what was ingested fails.
package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/galen-health/galen/app/ingest"
	"github.com/galen-health/galen/aws/athena"
	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/sniff"
)

// tour is one walk through what a report says was taken.
type tour struct {
	ctx    context.Context
	h      *client.HTTP
	report *ingest.Report
	out    io.Writer

	readSets int // listed by omics
}

// landed counts the files of a kind that are in.
func (t *tour) landed(kinds ...sniff.Kind) int {
	n := 0
	for _, r := range t.report.Results {
		for _, k := range kinds {
			if r.Kind == k && (r.State == ingest.Landed || r.State == ingest.Already) {
				n++
			}
		}
	}
	return n
}

func (t *tour) say(format string, args ...any) { fmt.Fprintf(t.out, "   "+format+"\n", args...) }

// Tour reads back what was ingested.
func Tour(ctx context.Context, h *client.HTTP, report *ingest.Report, out io.Writer) error {
	t := &tour{ctx: ctx, h: h, report: report, out: out}
	for _, step := range []func() error{t.records, t.images, t.genomes, t.variants, t.links} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// total asks FHIR for a count.
func (t *tour) total(search string) (int, error) {
	sep := "?"
	if strings.Contains(search, "?") {
		sep = "&"
	}
	status, b, err := t.h.Send(t.ctx, "healthlake", "GET", "/datastore/"+t.report.Stores["datastore"]+"/r4/"+search+sep+"_summary=count", map[string]string{"Accept": "application/fhir+json"}, nil, 1<<20)
	var page struct{ Total int }
	if err == nil && (status != 200 || json.Unmarshal(b, &page) != nil) {
		err = errs.New(errs.Unavailable, "FHIR answered %d to %s", status, search)
	}
	return page.Total, err
}

func (t *tour) records() error {
	want := t.landed(sniff.FHIRJSON)
	patients, err := t.total("Patient")
	if err != nil {
		return err
	}
	if want > 0 && patients < want {
		return errs.New(errs.NotFound, "%d histories were taken, but there are %d patients", want, patients)
	}
	observations, err := t.total("Observation")
	if err != nil {
		return err
	}
	diabetics, err := t.total("Patient?_has:Condition:subject:code=E11.9")
	if err != nil {
		return err
	}
	t.say("FHIR       %d patients, %d observations; %d patients with type 2 diabetes (a reverse chained search)", patients, observations, diabetics)
	return nil
}

func (t *tour) images() error {
	want, store := t.landed(sniff.DICOM), t.report.Stores["imagestore"]
	if want == 0 {
		return nil
	}
	sets, err := medicalimaging.NewClient(t.h).SearchImageSets(t.ctx, &medicalimaging.SearchImageSetsInput{DatastoreId: store, SearchCriteria: &medicalimaging.SearchCriteria{}})
	if err != nil {
		return err
	}
	status, b, err := t.h.Send(t.ctx, "medical-imaging", "GET", "/datastore/"+store+"/instances", map[string]string{"Accept": "application/dicom+json"}, nil, 32<<20)
	if err != nil {
		return err
	}
	var found []json.RawMessage
	if status != 200 || json.Unmarshal(b, &found) != nil || len(found) < want {
		return errs.New(errs.NotFound, "%d instances were taken, but QIDO-RS finds %d (status %d)", want, len(found), status)
	}
	t.say("imaging    %d image sets through SearchImageSets, %d instances through QIDO-RS; frames are lossless HTJ2K", len(sets.ImageSetsMetadataSummaries), len(found))
	return nil
}

func (t *tour) genomes() error {
	if t.landed(sniff.FASTQ, sniff.BAM, sniff.CRAM) == 0 {
		return nil
	}
	list, err := omics.NewClient(t.h).ListReadSets(t.ctx, &omics.ListReadSetsInput{SequenceStoreId: t.report.Stores["sequencestore"]})
	if err != nil {
		return err
	}
	if len(list.ReadSets) == 0 {
		return errs.New(errs.NotFound, "reads were taken, but no read set is listed")
	}
	t.readSets = len(list.ReadSets)
	first := list.ReadSets[0]
	etag := ""
	if first.Etag != nil {
		etag = first.Etag.Source1
	}
	t.say("genomics   %d read sets; %s has the semantic ETag %s", len(list.ReadSets), first.Name, etag)
	return nil
}

func (t *tour) variants() error {
	if t.landed(sniff.VCF) == 0 {
		return nil
	}
	c := athena.NewClient(t.h)
	dbs, err := c.ListDatabases(t.ctx, &athena.ListDatabasesInput{CatalogName: "AwsDataCatalog"})
	if err != nil {
		return err
	}
	for _, db := range dbs.DatabaseList {
		if !strings.HasPrefix(db.Name, "variant_") {
			continue
		}
		q, err := c.StartQueryExecution(t.ctx, &athena.StartQueryExecutionInput{QueryString: "SELECT sampleid, count(*) FROM demo_variants GROUP BY sampleid ORDER BY sampleid",
			QueryExecutionContext: &athena.QueryExecutionContext{Database: db.Name}, ResultConfiguration: &athena.ResultConfiguration{OutputLocation: "s3://galen-ingest-000000000000/athena/"}})
		if err != nil {
			return err
		}
		for {
			got, err := c.GetQueryExecution(t.ctx, &athena.GetQueryExecutionInput{QueryExecutionId: q.QueryExecutionId})
			if err != nil {
				return err
			}
			switch got.QueryExecution.Status.State {
			case athena.QueryExecutionStateFailed, athena.QueryExecutionStateCancelled:
				return errs.New(errs.Invalid, "the SQL over the variants failed: %s", got.QueryExecution.Status.StateChangeReason)
			case athena.QueryExecutionStateSucceeded:
				rows, err := c.GetQueryResults(t.ctx, &athena.GetQueryResultsInput{QueryExecutionId: q.QueryExecutionId})
				if err != nil {
					return err
				}
				t.say("variants   SQL over %d samples in %s.demo_variants", len(rows.ResultSet.Rows)-1, db.Name)
				return nil
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-t.ctx.Done():
				return t.ctx.Err()
			}
		}
	}
	return errs.New(errs.NotFound, "variants were taken, but no database holds them")
}

// links waits until the linker, which works from events, has caught up.
func (t *tour) links() error {
	wants := map[string]int{}
	if t.landed(sniff.DICOM) > 0 {
		status, b, err := t.h.Send(t.ctx, "medical-imaging", "GET", "/datastore/"+t.report.Stores["imagestore"]+"/studies", map[string]string{"Accept": "application/dicom+json"}, nil, 32<<20)
		if err != nil {
			return err
		}
		var studies []json.RawMessage
		if status != 200 || json.Unmarshal(b, &studies) != nil {
			return errs.New(errs.Unavailable, "QIDO-RS answered %d to a search of studies", status)
		}
		wants["ImagingStudy"] = len(studies)
	}
	wants["Composition"] = t.landed(sniff.Audio, sniff.Transcript)
	wants["DocumentReference"] = t.readSets + wants["Composition"] // a read set is one, its two files notwithstanding
	got := map[string]int{}
	for _, kind := range []string{"ImagingStudy", "DocumentReference", "Composition"} {
		for deadline := time.Now().Add(time.Minute); ; {
			n, err := t.total(kind)
			if err != nil {
				return err
			}
			got[kind] = n
			if n >= wants[kind] {
				break
			}
			if time.Now().After(deadline) {
				return errs.New(errs.NotFound, "after a minute there are %d %s resources that link to what was taken, want %d", n, kind, wants[kind])
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-t.ctx.Done():
				return t.ctx.Err()
			}
		}
	}
	t.say("links      %d ImagingStudy, %d DocumentReference, %d Composition resources point from the record to images, reads and notes", got["ImagingStudy"], got["DocumentReference"], got["Composition"])
	return nil
}

// Address is how clients reach the demo's server.
type Address struct{ Base, Region, AccessKeyID, SecretAccessKey string }

// Recipes prints the exact calls to look further.
func Recipes(out io.Writer, a Address, report *ingest.Report) {
	store, images, reads := report.Stores["datastore"], report.Stores["imagestore"], report.Stores["sequencestore"]
	patient := ""
	for _, r := range report.Results {
		if i := strings.Index(r.Where, "/Patient/"); i >= 0 && patient == "" {
			patient = r.Where[i+1:]
		}
	}
	fmt.Fprintf(out, `
4. Look for yourself. The credentials of this demo, shown for every shell and SDK:

   export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s
   export AWS_ENDPOINT_URL=%s AWS_REGION=%[4]s AWS_DEFAULT_REGION=%[4]s AWS_DISABLE_HOST_PREFIX_INJECTION=true

   AWS CLI
     aws healthlake list-fhir-datastores
     aws medical-imaging search-image-sets --datastore-id %s
     aws omics list-read-sets --sequence-store-id %s
     aws cloudtrail lookup-events --max-results 5

   curl (FHIR and DICOMweb are signed like every call)
     curl --aws-sigv4 "aws:amz:%s:healthlake" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
       "%s/datastore/%s/r4/%s/\$everything"
     curl --aws-sigv4 "aws:amz:%s:medical-imaging" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
       "%s/datastore/%s/studies"

   Python (pip install boto3)
     import boto3
     hl = boto3.client("healthlake")            # the environment above points it here
     print(hl.describe_fhir_datastore(DatastoreId="%s")["DatastoreProperties"]["DatastoreEndpoint"])
`, a.AccessKeyID, a.SecretAccessKey, a.Base, a.Region, images, reads, a.Region, a.Base, store, patient, a.Region, a.Base, images, store)
}
