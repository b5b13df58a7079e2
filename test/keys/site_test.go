package keys

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/galen-health/galen/aws/athena"
	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/test/galen"
	"github.com/galen-health/galen/test/sample"
)

var ctx = context.Background()

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// await polls until ok says so.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("never came: %s", what)
		}
	}
}

// site is a server with a store of each service, all under one key; "" = each under a key that Galen owns.
type site struct {
	t    testing.TB
	g    *galen.Server
	h    *client.HTTP
	key  string // ARN
	role string

	lake, images, refs, reads, variants string // ids of stores
	reference, readSet, imageSet, frame string
}

func (s *site) s3() *s3.Client         { return s3.NewClient(s.h) }
func (s *site) genomes() *omics.Client { return omics.NewClient(s.h) }

// build fills every kind of store: objects and sources in plain buckets, then what is imported from them.
func build(t testing.TB, g *galen.Server, keyARN string) *site {
	t.Helper()
	s := &site{t: t, g: g, h: g.Client(), key: keyARN}
	s.h.Attempts = 1
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["healthlake.amazonaws.com","medical-imaging.amazonaws.com","omics.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`
	users := iam.NewClient(s.h)
	s.role = must[*iam.CreateRoleOutput](t)(users.CreateRole(ctx, &iam.CreateRoleInput{RoleName: "jobs", AssumeRolePolicyDocument: trust})).Role.Arn
	must[*iam.PutRolePolicyOutput](t)(users.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: "jobs", PolicyName: "all", PolicyDocument: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`}))
	for _, b := range []string{"plain", "sealed"} {
		must[*s3.CreateBucketOutput](t)(s.s3().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: b}))
	}
	s.seal("a", []byte("a text"))
	s.records()
	s.pictures()
	s.sequences()
	return s
}

// put stores a source of an import in the bucket that is under no key of a customer.
func (s *site) put(name string, body []byte) string {
	s.t.Helper()
	must[*s3.PutObjectOutput](s.t)(s.s3().PutObject(ctx, &s3.PutObjectInput{Bucket: "plain", Key: name, Body: bytes.NewReader(body)}))
	return "s3://plain/" + name
}

// seal stores an object under the site's key.
func (s *site) seal(name string, body []byte) {
	s.t.Helper()
	in := &s3.PutObjectInput{Bucket: "sealed", Key: name, Body: bytes.NewReader(body)}
	if s.key != "" {
		in.ServerSideEncryption, in.SSEKMSKeyId = "aws:kms", s.key
	}
	must[*s3.PutObjectOutput](s.t)(s.s3().PutObject(ctx, in))
}

func (s *site) records() {
	s.t.Helper()
	c := healthlake.NewClient(s.h)
	in := &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4}
	if s.key != "" {
		in.SseConfiguration = &healthlake.SseConfiguration{KmsEncryptionConfig: &healthlake.KmsEncryptionConfig{CmkType: healthlake.CmkTypeCustomerManagedKmsKey, KmsKeyId: s.key}}
	}
	s.lake = must[*healthlake.CreateFHIRDatastoreOutput](s.t)(c.CreateFHIRDatastore(ctx, in)).DatastoreId
	await(s.t, "the FHIR data store", func() bool {
		d := must[*healthlake.DescribeFHIRDatastoreOutput](s.t)(c.DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: s.lake}))
		return d.DatastoreProperties.DatastoreStatus == healthlake.DatastoreStatusActive
	})
	if status, b := s.fhir("PUT", "Patient/p", `{"resourceType":"Patient","id":"p","gender":"female"}`); status != 201 {
		s.t.Fatalf("PUT: %d %s", status, b)
	}
}

func (s *site) fhir(method, path, body string) (int, string) {
	s.t.Helper()
	return s.send("healthlake", method, "/datastore/"+s.lake+"/r4/"+path, map[string]string{"Content-Type": "application/fhir+json"}, body)
}

func (s *site) send(service, method, path string, header map[string]string, body string) (int, string) {
	s.t.Helper()
	status, b, err := s.h.Send(ctx, service, method, path, header, strings.NewReader(body), 16<<20)
	if err != nil { // a body that ends early is no answer
		return 0, err.Error()
	}
	return status, string(b)
}

// dicomweb asks for a slice's frame and whatever else.
func (s *site) dicomweb(path, accept string) (int, string) {
	s.t.Helper()
	return s.send("medical-imaging", "GET", "/datastore/"+s.images+"/studies/"+sample.Study+path, map[string]string{"Accept": accept}, "")
}

func (s *site) pictures() {
	s.t.Helper()
	c := medicalimaging.NewClient(s.h)
	s.images = must[*medicalimaging.CreateDatastoreOutput](s.t)(c.CreateDatastore(ctx, &medicalimaging.CreateDatastoreInput{DatastoreName: "sealed", ClientToken: "t", KmsKeyArn: s.key})).DatastoreId
	await(s.t, "the image data store", func() bool {
		d := must[*medicalimaging.GetDatastoreOutput](s.t)(c.GetDatastore(ctx, &medicalimaging.GetDatastoreInput{DatastoreId: s.images}))
		return d.DatastoreProperties.DatastoreStatus == medicalimaging.DatastoreStatusActive
	})
	s.put("dcm/1.dcm", sample.Slice(1, secret))
	job := must[*medicalimaging.StartDICOMImportJobOutput](s.t)(c.StartDICOMImportJob(ctx, &medicalimaging.StartDICOMImportJobInput{DatastoreId: s.images, DataAccessRoleArn: s.role, ClientToken: "i",
		InputS3Uri: "s3://plain/dcm/", OutputS3Uri: "s3://plain/out/"})).JobId
	await(s.t, "the image", func() bool {
		d := must[*medicalimaging.GetDICOMImportJobOutput](s.t)(c.GetDICOMImportJob(ctx, &medicalimaging.GetDICOMImportJobInput{DatastoreId: s.images, JobId: job})).JobProperties
		if d.JobStatus == medicalimaging.JobStatusFailed {
			s.t.Fatal(d.Message)
		}
		return d.JobStatus == medicalimaging.JobStatusCompleted
	})
	found := must[*medicalimaging.SearchImageSetsOutput](s.t)(c.SearchImageSets(ctx, &medicalimaging.SearchImageSetsInput{DatastoreId: s.images})).ImageSetsMetadataSummaries
	if len(found) != 1 {
		s.t.Fatalf("%d image sets, want 1", len(found))
	}
	s.imageSet = found[0].ImageSetId
	if s.frame = s.metadata(); s.frame == "" {
		s.t.Fatal("the image set has no frame")
	}
}

// metadata reads the image set's document and gives the first frame's id; "" when it cannot be read.
func (s *site) metadata() string {
	out, err := medicalimaging.NewClient(s.h).GetImageSetMetadata(ctx, &medicalimaging.GetImageSetMetadataInput{DatastoreId: s.images, ImageSetId: s.imageSet})
	if err != nil {
		return ""
	}
	defer out.ImageSetMetadataBlob.Close() //nolint:errcheck // only read
	var doc struct {
		Study struct {
			Series map[string]struct {
				Instances map[string]struct{ ImageFrames []struct{ ID string } }
			}
		}
	}
	if json.NewDecoder(out.ImageSetMetadataBlob).Decode(&doc) != nil {
		return ""
	}
	for _, series := range doc.Study.Series {
		for _, in := range series.Instances {
			return in.ImageFrames[0].ID
		}
	}
	return ""
}

func (s *site) sse() *omics.SseConfig {
	if s.key == "" {
		return nil
	}
	return &omics.SseConfig{Type: omics.EncryptionTypeKms, KeyArn: s.key}
}

func (s *site) sequences() {
	s.t.Helper()
	c := s.genomes()
	s.refs = must[*omics.CreateReferenceStoreOutput](s.t)(c.CreateReferenceStore(ctx, &omics.CreateReferenceStoreInput{Name: "refs", SseConfig: s.sse()})).Id
	job := must[*omics.StartReferenceImportJobOutput](s.t)(c.StartReferenceImportJob(ctx, &omics.StartReferenceImportJobInput{ReferenceStoreId: s.refs, RoleArn: s.role,
		Sources: []omics.StartReferenceImportJobSourceItem{{SourceFile: s.put("ref.fa", sample.FASTA()), Name: "reference"}}})).Id
	await(s.t, "the reference", func() bool {
		j := must[*omics.GetReferenceImportJobOutput](s.t)(c.GetReferenceImportJob(ctx, &omics.GetReferenceImportJobInput{ReferenceStoreId: s.refs, Id: job}))
		s.reference = j.Sources[0].ReferenceId
		return j.Status == omics.ReferenceImportJobStatusCompleted
	})
	s.reads = must[*omics.CreateSequenceStoreOutput](s.t)(c.CreateSequenceStore(ctx, &omics.CreateSequenceStoreInput{Name: "reads", SseConfig: s.sse()})).Id
	await(s.t, "the sequence store", func() bool {
		return must[*omics.GetSequenceStoreOutput](s.t)(c.GetSequenceStore(ctx, &omics.GetSequenceStoreInput{Id: s.reads})).Status == omics.SequenceStoreStatusActive
	})
	s.put("reads.fastq.gz", sample.Gzip(sample.FASTQ(100)))
	job = s.importReads("reads.fastq.gz")
	await(s.t, "the read set", func() bool {
		j := must[*omics.GetReadSetImportJobOutput](s.t)(c.GetReadSetImportJob(ctx, &omics.GetReadSetImportJobInput{SequenceStoreId: s.reads, Id: job}))
		s.readSet = j.Sources[0].ReadSetId
		return j.Status == omics.ReadSetImportJobStatusCompleted
	})
	made := must[*omics.CreateVariantStoreOutput](s.t)(c.CreateVariantStore(ctx, &omics.CreateVariantStoreInput{Name: "variants", SseConfig: s.sse(),
		Reference: &omics.ReferenceItem{ReferenceArn: fmt.Sprintf("arn:aws:omics:%s:%s:referenceStore/%s/reference/%s", galen.Region, galen.Account, s.refs, s.reference)}}))
	s.variants = made.Id
	await(s.t, "the variant store", func() bool {
		return must[*omics.GetVariantStoreOutput](s.t)(c.GetVariantStore(ctx, &omics.GetVariantStoreInput{Name: "variants"})).Status == omics.StoreStatusActive
	})
	vjob := must[*omics.StartVariantImportJobOutput](s.t)(c.StartVariantImportJob(ctx, &omics.StartVariantImportJobInput{DestinationName: "variants", RoleArn: s.role,
		Items: []omics.VariantImportItemSource{{Source: s.put("v.vcf.gz", sample.Gzip(sample.VCF(50)))}}})).JobId
	await(s.t, "the variants", func() bool {
		return must[*omics.GetVariantImportJobOutput](s.t)(c.GetVariantImportJob(ctx, &omics.GetVariantImportJobInput{JobId: vjob})).Status == omics.JobStatusCompleted
	})
}

// importReads starts the import of an object of the plain bucket.
func (s *site) importReads(name string) string {
	s.t.Helper()
	return must[*omics.StartReadSetImportJobOutput](s.t)(s.genomes().StartReadSetImportJob(ctx, &omics.StartReadSetImportJobInput{SequenceStoreId: s.reads, RoleArn: s.role,
		Sources: []omics.StartReadSetImportJobSourceItem{{SourceFiles: &omics.SourceFiles{Source1: "s3://plain/" + name}, SourceFileType: omics.FileTypeFastq, SubjectId: "s", SampleId: "s", Name: name}}})).Id
}

// query counts the variants by SQL; it gives the execution's id, and whether it succeeded.
func (s *site) query() (id string, ok bool) {
	s.t.Helper()
	c := athena.NewClient(s.h)
	out, err := c.StartQueryExecution(ctx, &athena.StartQueryExecutionInput{QueryString: "SELECT count(*) FROM variants", QueryExecutionContext: &athena.QueryExecutionContext{Database: "variant_" + galen.Account + "_" + s.variants},
		ResultConfiguration: &athena.ResultConfiguration{OutputLocation: "s3://plain/sql/"}})
	if err != nil {
		return "", false
	}
	state := athena.QueryExecutionStateQueued
	await(s.t, "the query", func() bool {
		state = must[*athena.GetQueryExecutionOutput](s.t)(c.GetQueryExecution(ctx, &athena.GetQueryExecutionInput{QueryExecutionId: out.QueryExecutionId})).QueryExecution.Status.State
		return state != athena.QueryExecutionStateQueued && state != athena.QueryExecutionStateRunning
	})
	return out.QueryExecutionId, state == athena.QueryExecutionStateSucceeded && s.result(out.QueryExecutionId)
}

// result reports whether a query's result can be read, and is right.
func (s *site) result(id string) bool {
	r, err := athena.NewClient(s.h).GetQueryResults(ctx, &athena.GetQueryResultsInput{QueryExecutionId: id})
	return err == nil && len(r.ResultSet.Rows) == 2 && r.ResultSet.Rows[1].Data[0].VarCharValue == "50"
}

// presign makes a URL that anybody may read an object by for an hour.
func (s *site) presign(path string) string {
	s.t.Helper()
	r := must[*http.Request](s.t)(http.NewRequestWithContext(ctx, http.MethodGet, s.g.URL+path+"?X-Amz-Expires=3600", nil))
	signed, _, err := v4.NewSigner().PresignHTTP(ctx, sdk.Credentials{AccessKeyID: galen.AccessKeyID, SecretAccessKey: galen.SecretAccessKey}, r, "UNSIGNED-PAYLOAD", "s3", galen.Region, time.Now(),
		func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		s.t.Fatal(err)
	}
	return signed
}

// all reads a body of an answer to its end; nil unless there was one.
func all(body io.ReadCloser, err error) []byte {
	if err != nil {
		return nil
	}
	defer body.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(body)
	if err != nil {
		return nil
	}
	return b
}
