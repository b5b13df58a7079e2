package bench

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/test/galen"
)

// TestReadSetImport imports an unaligned BAM from S3 (semantic ETag, storage, encryption) beside `samtools view | md5sum`, which computes the same hash and stores nothing.
func TestReadSetImport(t *testing.T) {
	ctx := asked(t)
	samtools, err := exec.LookPath("samtools")
	if err != nil {
		t.Skip("samtools is not installed")
	}
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	var sam bytes.Buffer
	sam.WriteString("@HD\tVN:1.6\tSO:unsorted\n")
	for i := range 400_000 {
		seq, qual := make([]byte, 100), make([]byte, 100)
		for j := range seq {
			seq[j], qual[j] = "ACGT"[rng.IntN(4)], byte('#'+rng.IntN(40))
		}
		fmt.Fprintf(&sam, "read%07d\t4\t*\t0\t0\t*\t*\t0\t0\t%s\t%s\n", i, seq, qual)
	}
	bam := filepath.Join(dir, "x.bam")
	cmd := exec.Command(samtools, "view", "-b", "-o", bam, "-")
	cmd.Stdin = &sam
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("samtools: %v %s", err, out)
	}
	st, err := os.Stat(bam)
	if err != nil {
		t.Fatal(err)
	}
	g := galen.Start(t)
	h := g.Client()
	objects, genomes, identity := s3.NewClient(h), omics.NewClient(h), iam.NewClient(h)
	if _, err := objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "reads"}); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(bam)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := objects.PutObject(ctx, &s3.PutObjectInput{Bucket: "reads", Key: "x.bam", Body: f}); err != nil {
		t.Fatal(err)
	}
	role, err := identity.CreateRole(ctx, &iam.CreateRoleInput{RoleName: "r", AssumeRolePolicyDocument: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"omics.amazonaws.com"},"Action":"sts:AssumeRole"}]}`})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := identity.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: "r", PolicyName: "p", PolicyDocument: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`}); err != nil {
		t.Fatal(err)
	}
	store, err := genomes.CreateSequenceStore(ctx, &omics.CreateSequenceStoreInput{Name: "bench"})
	if err != nil {
		t.Fatal(err)
	}
	mb := float64(st.Size()) / 1e6
	var us, them []float64
	want := ""
	for range 3 {
		start := time.Now()
		view := exec.Command(samtools, "view", "-@", "2", bam)
		out, err := view.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := view.Start(); err != nil {
			t.Fatal(err)
		}
		sum := md5.New()
		if _, err := io.Copy(sum, out); err != nil {
			t.Fatal(err)
		}
		if err := view.Wait(); err != nil {
			t.Fatal(err)
		}
		them = append(them, mb/time.Since(start).Seconds())
		want = hex.EncodeToString(sum.Sum(nil))

		start = time.Now()
		job, err := genomes.StartReadSetImportJob(ctx, &omics.StartReadSetImportJobInput{SequenceStoreId: store.Id, RoleArn: role.Role.Arn, Sources: []omics.StartReadSetImportJobSourceItem{
			{SourceFiles: &omics.SourceFiles{Source1: "s3://reads/x.bam"}, SourceFileType: omics.FileTypeUbam, SubjectId: "s", SampleId: "s", Name: "x"}}})
		if err != nil {
			t.Fatal(err)
		}
		id := ""
		for id == "" {
			j, err := genomes.GetReadSetImportJob(ctx, &omics.GetReadSetImportJobInput{SequenceStoreId: store.Id, Id: job.Id})
			if err != nil {
				t.Fatal(err)
			}
			switch j.Status {
			case omics.ReadSetImportJobStatusCompleted:
				id = j.Sources[0].ReadSetId
			case omics.ReadSetImportJobStatusFailed, omics.ReadSetImportJobStatusCompletedWithFailures:
				t.Fatalf("import: %s %s", j.StatusMessage, j.Sources[0].StatusMessage)
			}
			time.Sleep(10 * time.Millisecond)
		}
		us = append(us, mb/time.Since(start).Seconds())
		m, err := genomes.GetReadSetMetadata(ctx, &omics.GetReadSetMetadataInput{SequenceStoreId: store.Id, Id: id})
		if err != nil || m.Etag == nil || m.Etag.Source1 != want {
			t.Fatalf("semantic ETag %+v, samtools says %s (%v)", m.Etag, want, err)
		}
	}
	row(t, fmt.Sprintf("uBAM import from S3, %.0f MB (hash, store, encrypt)", mb), "MB/s", median(us), "samtools view | md5 (hash only)", median(them))
}
