package ingest

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strings"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/sniff"
)

// partSize of direct uploads.
const partSize = 16 << 20

// upload puts a file into the ingest bucket and returns its URI.
func (r *run) upload(ctx context.Context, f File, suffix string) (string, error) {
	in, err := os.Open(f.Path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	return r.put(ctx, "in/"+f.Hash+suffix, in)
}

func (r *run) put(ctx context.Context, key string, body io.Reader) (string, error) {
	if _, err := r.objects.PutObject(ctx, &s3.PutObjectInput{Bucket: r.ledger.bucket, Key: key, Body: body}); err != nil {
		return "", err
	}
	return "s3://" + r.ledger.bucket + "/" + key, nil
}

// role finds or makes the role that jobs read and write the ingest bucket under.
func (r *run) role(ctx context.Context) (string, error) {
	if r.RoleARN != "" {
		return r.RoleARN, nil
	}
	return r.shared("role", func() (string, error) {
		const name = "galen-ingest"
		trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["omics.amazonaws.com","transcribe.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`
		got, err := r.identity.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: trust})
		arn := fmt.Sprintf("arn:aws:iam::%s:role/%s", r.Account, name)
		if err == nil {
			arn = got.Role.Arn
		} else if !errs.Is(err, errs.Conflict) {
			return "", err
		}
		bucket := "arn:aws:s3:::" + r.ledger.bucket
		_, err = r.identity.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: name, PolicyName: "ingest-bucket",
			PolicyDocument: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:ListBucket","s3:GetBucketLocation"],"Resource":["` + bucket + `","` + bucket + `/*"]}]}`})
		return arn, err
	})
}

// token of a store that is made: what a token named stays named after the store is deleted, so each making has its own.
func token() string { return "galen-ingest-" + rand.Text() }

var notName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

func storeName(s string) string {
	if s = strings.Trim(notName.ReplaceAllString(s, "-"), "-"); s == "" {
		return "file"
	}
	return s[:min(len(s), 100)]
}

// sample is the sample's name in a read file's name: what is left without mate numbers and endings.
func sample(rel string) string {
	base := path.Base(rel)
	if m := mate.FindStringSubmatch(base); m != nil {
		return storeName(m[1])
	}
	for _, ext := range []string{".gz", ".fastq", ".fq", ".bam", ".cram", ".vcf"} {
		base = strings.TrimSuffix(base, ext)
	}
	return storeName(base)
}

func (r *run) sequencestore(ctx context.Context) (string, error) {
	return r.shared("sequencestore", func() (string, error) {
		list, err := r.genomes.ListSequenceStores(ctx, &omics.ListSequenceStoresInput{Filter: &omics.SequenceStoreFilter{Name: r.Name}})
		if err != nil {
			return "", err
		}
		id := ""
		for _, s := range list.SequenceStores { // one that is being made was begun by a run that was killed
			if s.Name == r.Name && s.Status != omics.SequenceStoreStatusDeleting && s.Status != omics.SequenceStoreStatusFailed {
				id = s.Id
				break
			}
		}
		if id == "" {
			tags, err := r.link(ctx)
			if err != nil {
				return "", err
			}
			made, err := r.genomes.CreateSequenceStore(ctx, &omics.CreateSequenceStoreInput{Name: r.Name, ClientToken: token(), Tags: tags})
			if err != nil {
				return "", err
			}
			id = made.Id
		}
		return id, until(ctx, func() (bool, error) {
			s, err := r.genomes.GetSequenceStore(ctx, &omics.GetSequenceStoreInput{Id: id})
			return err == nil && s.Status == omics.SequenceStoreStatusActive, err
		})
	})
}

// landReads uploads a read set directly, part by part; plain FASTQ is compressed on the way, because the contract takes it compressed only.
func (r *run) landReads(ctx context.Context, it Item) (string, error) {
	store, err := r.sequencestore(ctx)
	if err != nil {
		return "", err
	}
	ref, err := r.alignedTo(it)
	if err != nil {
		return "", err
	}
	kind := map[sniff.Kind]omics.FileType{sniff.FASTQ: omics.FileTypeFastq, sniff.BAM: omics.FileTypeBam, sniff.CRAM: omics.FileTypeCram}[it.Kind]
	if it.Kind == sniff.CRAM && ref == "" {
		return "", left{"a CRAM file needs its reference: put the FASTA file that its header names into the folder"}
	}
	if it.Kind == sniff.BAM && ref == "" {
		kind = omics.FileTypeUbam
	}
	in := &omics.CreateMultipartReadSetUploadInput{SequenceStoreId: store, SourceFileType: kind, SubjectId: sample(it.Files[0].Rel), SampleId: sample(it.Files[0].Rel), Name: sample(it.Files[0].Rel),
		ClientToken: it.Key()}
	if kind != omics.FileTypeFastq && kind != omics.FileTypeUbam {
		in.ReferenceArn = ref
	}
	arn, err := r.uploadReads(ctx, in, it)
	if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Conflict) { // the token's upload has ended in an earlier run, and was not remembered: begin anew
		in.ClientToken = ""
		arn, err = r.uploadReads(ctx, in, it)
	}
	return arn, err
}

// uploadReads makes one direct upload and waits until the read set is active.
func (r *run) uploadReads(ctx context.Context, in *omics.CreateMultipartReadSetUploadInput, it Item) (string, error) {
	store := in.SequenceStoreId
	up, err := r.genomes.CreateMultipartReadSetUpload(ctx, in)
	if err != nil {
		return "", err
	}
	var parts []omics.CompleteReadSetUploadPartListItem
	for i, f := range it.Files {
		src := []omics.ReadSetPartSource{omics.ReadSetPartSourceSource1, omics.ReadSetPartSourceSource2}[i]
		got, err := r.parts(ctx, store, up.UploadId, src, f)
		if err != nil {
			return "", err
		}
		parts = append(parts, got...)
	}
	done, err := r.genomes.CompleteMultipartReadSetUpload(ctx, &omics.CompleteMultipartReadSetUploadInput{SequenceStoreId: store, UploadId: up.UploadId, Parts: parts})
	if err != nil {
		return "", err
	}
	arn := ""
	err = until(ctx, func() (bool, error) {
		m, err := r.genomes.GetReadSetMetadata(ctx, &omics.GetReadSetMetadataInput{SequenceStoreId: store, Id: done.ReadSetId})
		if err != nil {
			return false, err
		}
		if m.Status == omics.ReadSetStatusUploadFailed { // nothing of it stays: the next run would leave another
			if _, err := r.genomes.BatchDeleteReadSet(ctx, &omics.BatchDeleteReadSetInput{SequenceStoreId: store, Ids: []string{done.ReadSetId}}); err != nil {
				return false, err
			}
			return false, errs.New(errs.Invalid, "the reads were refused: %s", m.StatusMessage)
		}
		arn = m.Arn
		return m.Status == omics.ReadSetStatusActive, nil
	})
	return arn, err
}

func (r *run) parts(ctx context.Context, store, upload string, src omics.ReadSetPartSource, f File) ([]omics.CompleteReadSetUploadPartListItem, error) {
	in, err := os.Open(f.Path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var body io.Reader = in
	if f.Verdict.Kind == sniff.FASTQ && !f.Verdict.Gzip {
		pr, pw := io.Pipe()
		go func() {
			zw := gzip.NewWriter(pw)
			_, err := io.Copy(zw, in)
			if cerr := zw.Close(); err == nil {
				err = cerr
			}
			pw.CloseWithError(err)
		}()
		defer pr.Close()
		body = pr
	}
	var out []omics.CompleteReadSetUploadPartListItem
	buf := make([]byte, partSize)
	for n := int32(1); ; n++ {
		size, err := io.ReadFull(body, buf)
		if size == 0 && n > 1 {
			return out, nil
		}
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return nil, err
		}
		got, uerr := r.genomes.UploadReadSetPart(ctx, &omics.UploadReadSetPartInput{SequenceStoreId: store, UploadId: upload, PartSource: src, PartNumber: n, Payload: bytes.NewReader(buf[:size])})
		if uerr != nil {
			return nil, uerr
		}
		out = append(out, omics.CompleteReadSetUploadPartListItem{PartNumber: n, PartSource: src, Checksum: got.Checksum})
		if err != nil {
			return out, nil
		}
	}
}

// landVariants imports a VCF file into the run's variant store.
func (r *run) landVariants(ctx context.Context, it Item) (string, error) {
	ref, err := r.calledOn(ctx, it.Files[0])
	if err != nil {
		return "", err
	}
	store := strings.ReplaceAll(strings.ToLower(storeName(r.Name)), "-", "_") + "_variants"
	if _, err = r.shared("variantstore", func() (string, error) {
		got, err := r.genomes.GetVariantStore(ctx, &omics.GetVariantStoreInput{Name: store})
		if errs.Is(err, errs.NotFound) {
			tags, terr := r.link(ctx)
			if terr != nil {
				return "", terr
			}
			made, merr := r.genomes.CreateVariantStore(ctx, &omics.CreateVariantStoreInput{Name: store, Reference: &omics.ReferenceItem{ReferenceArn: ref}, Tags: tags})
			if merr != nil {
				return "", merr
			}
			return made.Name, until(ctx, func() (bool, error) {
				s, err := r.genomes.GetVariantStore(ctx, &omics.GetVariantStoreInput{Name: store})
				return err == nil && s.Status == omics.StoreStatusActive, err
			})
		}
		if err != nil {
			return "", err
		}
		return got.Name, nil
	}); err != nil {
		return "", err
	}
	role, err := r.role(ctx)
	if err != nil {
		return "", err
	}
	suffix := ".vcf"
	if it.Files[0].Verdict.Gzip {
		suffix = ".vcf.gz"
	}
	uri, err := r.upload(ctx, it.Files[0], suffix)
	if err != nil {
		return "", err
	}
	job, err := r.genomes.StartVariantImportJob(ctx, &omics.StartVariantImportJobInput{DestinationName: store, RoleArn: role, RunLeftNormalization: aws.Ptr(false), Items: []omics.VariantImportItemSource{{Source: uri}}})
	if err != nil {
		return "", err
	}
	return "variantStore/" + store, until(ctx, func() (bool, error) {
		j, err := r.genomes.GetVariantImportJob(ctx, &omics.GetVariantImportJobInput{JobId: job.JobId})
		if err != nil {
			return false, err
		}
		switch j.Status {
		case omics.JobStatusCompleted:
			return true, nil
		case omics.JobStatusFailed, omics.JobStatusCancelled, omics.JobStatusCompletedWithFailures:
			return false, errs.New(errs.Invalid, "the variants were refused: %s", j.StatusMessage)
		}
		return false, nil
	})
}
