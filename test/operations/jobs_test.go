package operations

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/aws/s3"
)

// TestJobsAreHandedBack: a job that runs at SIGTERM holds nothing up; it is saved, released and goes on in the next process to the same end, nothing twice.
func TestJobsAreHandedBack(t *testing.T) {
	const patients = 30_000
	dir, ctx := t.TempDir(), t.Context()
	p := start(t, dir)
	role, err := iam.NewClient(p.client()).CreateRole(ctx, &iam.CreateRoleInput{RoleName: "import", AssumeRolePolicyDocument: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"healthlake.amazonaws.com"},"Action":"sts:AssumeRole"}]}`})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := iam.NewClient(p.client()).PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: "import", PolicyName: "all", PolicyDocument: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`}); err != nil {
		t.Fatal(err)
	}
	if _, err := s3.NewClient(p.client()).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "records"}); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for i := range patients {
		fmt.Fprintf(&lines, "{\"resourceType\":\"Patient\",\"id\":\"p%d\",\"gender\":\"female\",\"birthDate\":\"1970-01-02\"}\n", i)
	}
	if _, err := s3.NewClient(p.client()).PutObject(ctx, &s3.PutObjectInput{Bucket: "records", Key: "in/patients.ndjson", Body: strings.NewReader(lines.String())}); err != nil {
		t.Fatal(err)
	}
	lake := healthlake.NewClient(p.client())
	store, err := lake.CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4})
	if err != nil {
		t.Fatal(err)
	}
	p.until("the data store is active", func() bool {
		d, err := lake.DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: store.DatastoreId})
		return err == nil && d.DatastoreProperties.DatastoreStatus == healthlake.DatastoreStatusActive
	})
	key, err := kms.NewClient(p.client()).CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	job, err := lake.StartFHIRImportJob(ctx, &healthlake.StartFHIRImportJobInput{DatastoreId: store.DatastoreId, DataAccessRoleArn: role.Role.Arn, ClientToken: "drain", InputDataConfig: &healthlake.InputDataConfig{S3Uri: "s3://records/in/"},
		JobOutputDataConfig: &healthlake.OutputDataConfig{S3Configuration: &healthlake.S3Configuration{S3Uri: "s3://records/out/", KmsKeyId: key.KeyMetadata.Arn}}})
	if err != nil {
		t.Fatal(err)
	}
	p.until("the import runs", func() bool {
		status, m := p.admin("/metrics")
		return status == http.StatusOK && strings.Contains(m, `galen_record_versions_total`) && imported(t, p, store.DatastoreId, job.JobId) > 0
	})
	p.signal(syscall.SIGTERM)
	if s := p.wait(); s.ExitCode() != 0 || strings.Contains(p.log(), "jobs were cut off") {
		t.Fatalf("the server ended with %v while a job ran", s)
	}

	again := start(t, dir)
	again.until("the import is done", func() bool {
		d, err := healthlake.NewClient(again.client()).DescribeFHIRImportJob(ctx, &healthlake.DescribeFHIRImportJobInput{DatastoreId: store.DatastoreId, JobId: job.JobId})
		return err == nil && d.ImportJobProperties.JobStatus == healthlake.JobStatusCompleted
	})
	if n := imported(t, again, store.DatastoreId, job.JobId); n != patients {
		t.Errorf("the job reports %d resources, want %d", n, patients)
	}
	status, body, err := again.client().Send(ctx, "healthlake", http.MethodGet, "/datastore/"+store.DatastoreId+"/r4/Patient?_summary=count", nil, nil, 1<<20)
	if err != nil || status != http.StatusOK || !strings.Contains(strings.ReplaceAll(string(body), " ", ""), fmt.Sprintf(`"total":%d`, patients)) {
		t.Errorf("%d %s %v, want %d patients", status, body, err, patients)
	}
}

// imported is how many resources an import says that it has taken in.
func imported(t *testing.T, p *process, store, job string) int64 {
	t.Helper()
	d, err := healthlake.NewClient(p.client()).DescribeFHIRImportJob(t.Context(), &healthlake.DescribeFHIRImportJobInput{DatastoreId: store, JobId: job})
	if err != nil || d.ImportJobProperties.JobProgressReport == nil {
		return 0
	}
	return aws.Val(d.ImportJobProperties.JobProgressReport.TotalNumberOfResourcesImported)
}
