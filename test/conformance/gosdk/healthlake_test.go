package gosdk

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/healthlake"
	"github.com/aws/aws-sdk-go-v2/service/healthlake/types"

	"github.com/galen-health/galen/test/galen"
)

func TestHealthLake(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	seen := newCalls()
	c := healthlake.NewFromConfig(config(g, seen))
	store := recordStore(t, g, c)
	role, key := role(t, g, "healthlake"), key(t, g)
	t.Run("import", func(t *testing.T) { recordImport(t, g, c, store, role, key) })
	t.Run("FHIR", func(t *testing.T) { recordFHIR(t, g, store) })
	t.Run("export", func(t *testing.T) { recordExport(t, g, c, store, role, key) })
	t.Run("refused", func(t *testing.T) { recordRefused(t, c, store) })
	t.Run("delete", func(t *testing.T) { recordDelete(t, c, store) })
	seen.all(t, "HealthLake", c)
}

func recordStore(t *testing.T, g *galen.Server, c *healthlake.Client) *string {
	ctx := t.Context()
	out := must(c.CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: types.FHIRVersionR4, DatastoreName: aws.String("sdk"), Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}))(t)
	id := out.DatastoreId
	active := healthlake.NewFHIRDatastoreActiveWaiter(c, func(o *healthlake.FHIRDatastoreActiveWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second
	})
	got, err := active.WaitForOutput(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: id}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if p := got.DatastoreProperties; *p.DatastoreArn != *out.DatastoreArn || !strings.HasSuffix(*p.DatastoreEndpoint, "/datastore/"+*id+"/r4/") || time.Since(*p.CreatedAt).Abs() > time.Hour {
		t.Errorf("the data store is %+v", p)
	}
	must(c.CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: types.FHIRVersionR4, DatastoreName: aws.String("sdk-2")}))(t)
	found := map[string]bool{}
	for pages := healthlake.NewListFHIRDatastoresPaginator(c, &healthlake.ListFHIRDatastoresInput{MaxResults: aws.Int32(1)}); pages.HasMorePages(); {
		for _, d := range must(pages.NextPage(ctx))(t).DatastorePropertiesList {
			found[*d.DatastoreName] = true
		}
	}
	if !found["sdk"] || !found["sdk-2"] {
		t.Errorf("listed are %v", found)
	}
	must(c.UpdateFHIRDatastore(ctx, &healthlake.UpdateFHIRDatastoreInput{DatastoreId: id, DatastoreName: aws.String("sdk-renamed")}))(t)
	if err := active.Wait(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: id}, time.Minute); err != nil {
		t.Error(err)
	}
	if p := must(c.DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: id}))(t).DatastoreProperties; *p.DatastoreName != "sdk-renamed" {
		t.Errorf("the data store is called %s", *p.DatastoreName)
	}
	must(c.TagResource(ctx, &healthlake.TagResourceInput{ResourceARN: out.DatastoreArn, Tags: []types.Tag{{Key: aws.String("c"), Value: aws.String("d")}}}))(t)
	must(c.UntagResource(ctx, &healthlake.UntagResourceInput{ResourceARN: out.DatastoreArn, TagKeys: []string{"a"}}))(t)
	if tags := must(c.ListTagsForResource(ctx, &healthlake.ListTagsForResourceInput{ResourceARN: out.DatastoreArn}))(t).Tags; len(tags) != 1 || *tags[0].Key != "c" {
		t.Errorf("tags are %v", tags)
	}
	return id
}

func recordImport(t *testing.T, g *galen.Server, c *healthlake.Client, store, role, key *string) {
	ctx := t.Context()
	var lines strings.Builder
	for i := range 50 {
		fmt.Fprintf(&lines, "{\"resourceType\":\"Patient\",\"id\":\"sdk%d\",\"gender\":\"female\"}\n", i)
	}
	put(t, g, "sdk-records", "in/patients.ndjson", []byte(lines.String()+"not json\n"))
	job := must(c.StartFHIRImportJob(ctx, &healthlake.StartFHIRImportJobInput{DatastoreId: store, DataAccessRoleArn: role, JobName: aws.String("sdk-import"),
		InputDataConfig: &types.InputDataConfigMemberS3Uri{Value: "s3://sdk-records/in/"}, JobOutputDataConfig: output("s3://sdk-records/out/", key)}))(t).JobId
	done := healthlake.NewFHIRImportJobCompletedWaiter(c, func(o *healthlake.FHIRImportJobCompletedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second
	})
	out, err := done.WaitForOutput(ctx, &healthlake.DescribeFHIRImportJobInput{DatastoreId: store, JobId: job}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	p := out.ImportJobProperties
	if r := p.JobProgressReport; p.JobStatus != types.JobStatusCompletedWithErrors || *r.TotalNumberOfResourcesImported != 50 || *r.TotalNumberOfResourcesWithCustomerError != 1 {
		t.Errorf("the job is %s: %+v", p.JobStatus, r)
	}
	n := 0
	for pages := healthlake.NewListFHIRImportJobsPaginator(c, &healthlake.ListFHIRImportJobsInput{DatastoreId: store, JobName: aws.String("sdk-import")}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).ImportJobPropertiesList)
	}
	if n != 1 {
		t.Errorf("%d jobs are listed, want 1", n)
	}
}

func output(uri string, key *string) types.OutputDataConfig {
	return &types.OutputDataConfigMemberS3Configuration{Value: types.S3Configuration{S3Uri: &uri, KmsKeyId: key}}
}

// The resources have no client in the SDK: its signer signs plain HTTP for them.
func recordFHIR(t *testing.T, g *galen.Server, store *string) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/datastore/"+*store+"/r4/Patient/sdk7", nil)
	if err != nil {
		t.Fatal(err)
	}
	creds := aws.Credentials{AccessKeyID: galen.AccessKeyID, SecretAccessKey: galen.SecretAccessKey}
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256 of nothing
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, empty, "healthlake", galen.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if body := content(t, resp.Body); resp.StatusCode != 200 || !strings.Contains(body, `"gender":"female"`) {
		t.Errorf("the patient is %d %s", resp.StatusCode, body)
	}
}

func recordExport(t *testing.T, g *galen.Server, c *healthlake.Client, store, role, key *string) {
	ctx := t.Context()
	job := must(c.StartFHIRExportJob(ctx, &healthlake.StartFHIRExportJobInput{DatastoreId: store, DataAccessRoleArn: role, JobName: aws.String("sdk-export"), OutputDataConfig: output("s3://sdk-records/export/", key)}))(t).JobId
	done := healthlake.NewFHIRExportJobCompletedWaiter(c, func(o *healthlake.FHIRExportJobCompletedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second
	})
	out, err := done.WaitForOutput(ctx, &healthlake.DescribeFHIRExportJobInput{DatastoreId: store, JobId: job}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if s := out.ExportJobProperties.JobStatus; s != types.JobStatusCompleted {
		t.Errorf("the job is %s: %s", s, aws.ToString(out.ExportJobProperties.Message))
	}
	lines := 0
	for _, key := range keys(t, g, "sdk-records", "export/") {
		if strings.HasSuffix(key, ".ndjson") {
			lines += strings.Count(get(t, g, "sdk-records", key), "\n")
		}
	}
	if lines != 50 {
		t.Errorf("%d resources were exported, want 50", lines)
	}
	n := 0
	for pages := healthlake.NewListFHIRExportJobsPaginator(c, &healthlake.ListFHIRExportJobsInput{DatastoreId: store}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).ExportJobPropertiesList)
	}
	if n != 1 {
		t.Errorf("%d jobs are listed, want 1", n)
	}
}

func recordRefused(t *testing.T, c *healthlake.Client, store *string) {
	ctx := t.Context()
	none := aws.String(strings.Repeat("0", 32))
	_, err := c.DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: none})
	refused[*types.ResourceNotFoundException](t, "an absent data store", err, 404)
	_, err = c.DescribeFHIRImportJob(ctx, &healthlake.DescribeFHIRImportJobInput{DatastoreId: store, JobId: none})
	refused[*types.ResourceNotFoundException](t, "an absent job", err, 404)
	_, err = c.CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: "R9"})
	refused[*types.ValidationException](t, "an unknown version", err, 400)
	_, err = c.DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: aws.String(strings.Repeat("a", 33))})
	refused[*types.ValidationException](t, "an id too long", err, 400)
	_, err = c.ListFHIRDatastores(ctx, &healthlake.ListFHIRDatastoresInput{NextToken: aws.String("forged")})
	refused[*types.ValidationException](t, "a forged page token", err, 400)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := healthlake.NewFHIRDatastoreActiveWaiter(c).Wait(ended, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: store}, time.Minute); err == nil {
		t.Error("a cancelled waiter worked")
	}
}

func recordDelete(t *testing.T, c *healthlake.Client, store *string) {
	ctx := t.Context()
	must(c.DeleteFHIRDatastore(ctx, &healthlake.DeleteFHIRDatastoreInput{DatastoreId: store}))(t)
	deleted := healthlake.NewFHIRDatastoreDeletedWaiter(c, func(o *healthlake.FHIRDatastoreDeletedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second
	})
	if err := deleted.Wait(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: store}, time.Minute); err != nil {
		t.Error(err)
	}
}
