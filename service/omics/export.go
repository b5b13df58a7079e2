package omics

import (
	"context"
	"io"
	"strings"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/s3files"
)

// export writes the files of read sets to S3, each read set in a folder of its own below the destination. Contract: the …ReadSetExportJob operations.
type export struct {
	task
	Destination string
	Items       []item
}

var exports = record.Kind[export]{Name: "omics.export", Volatile: true, Indexes: taskIndexes(func(j *export) *task { return &j.task })}

func (s *Service) registerExport() {
	s.cfg.Jobs.Register(job.Kind{Name: exports.Name, Concurrency: 2, Run: s.runExport, Failed: s.exportFailed})
}

func (s *Service) exportEvent(tx record.Tx, j *export) error {
	return s.emit(tx, "Read Set Export Job Status Change", s.arn("sequenceStore/"+j.Store+"/exportJob/"+j.ID), j.Status, map[string]string{"sequenceStoreId": j.Store, "id": j.ID})
}

// StartReadSetExportJob puts an export in line.
func (s *Service) StartReadSetExportJob(ctx context.Context, in *api.StartReadSetExportJobInput) (*api.StartReadSetExportJobOutput, error) {
	st, err := get(ctx, s, sequenceStores, in.SequenceStoreId, "sequence store")
	if err != nil {
		return nil, err
	}
	if err := s.mayRead(ctx, st.SSE); err != nil {
		return nil, err
	}
	if _, _, err := s3files.Parse(in.Destination); err != nil {
		return nil, err
	}
	j := &export{task: task{Store: in.SequenceStoreId, Role: in.RoleArn}, Destination: in.Destination}
	for _, src := range in.Sources {
		if _, err := get(ctx, s, readSets, within(in.SequenceStoreId, src.ReadSetId), "read set"); err != nil {
			return nil, err
		}
		j.Items = append(j.Items, item{ReadSet: src.ReadSetId, Status: notStarted})
	}
	if err := s.cfg.Roles.Pass(ctx, in.RoleArn, servicePrincipal); err != nil {
		return nil, err
	}
	return record.Once(ctx, s.records, control, token("StartReadSetExportJob", in.ClientToken), in, func(tx record.Tx) (*api.StartReadSetExportJobOutput, error) {
		var err error
		if j.ID, err = fresh(tx, exports.Name, j.Store+"/"); err != nil {
			return nil, err
		}
		j.begin(tx)
		if err := exports.Create(tx, within(j.Store, j.ID), j); err != nil {
			return nil, err
		}
		if err := s.exportEvent(tx, j); err != nil {
			return nil, err
		}
		return &api.StartReadSetExportJobOutput{Id: j.ID, SequenceStoreId: j.Store, Destination: j.Destination, Status: api.ReadSetExportJobStatus(j.Status), CreationTime: j.Created},
			s.cfg.Jobs.Start(tx, exports.Name, within(j.Store, j.ID), nil)
	})
}

func (s *Service) runExport(ctx context.Context, r job.Run) error {
	j, err := change(ctx, s, exports, r.ID(), "export job", func(tx record.Tx, j *export) error {
		if j.Status == inProgress {
			return nil
		}
		j.Status, j.Updated = inProgress, tx.Time()
		return s.exportEvent(tx, j)
	})
	if err != nil {
		return err
	}
	asRole, err := s.cfg.Roles.As(authz.WithSource(ctx, s.sequenceStoreARN(j.Store)), j.Role, servicePrincipal, "omics-"+j.ID)
	if err != nil {
		return err
	}
	for i := range j.Items {
		if j.Items[i].Status == finished || j.Items[i].Status == failed {
			continue
		}
		r.Progress(int64(i), int64(len(j.Items)), "read sets")
		failure := s.exportOne(ctx, asRole, j, j.Items[i].ReadSet)
		if failure != nil && !lasting(failure) {
			return failure
		}
		if _, err := change(ctx, s, exports, r.ID(), "export job", func(tx record.Tx, j *export) error {
			it := &j.Items[i]
			it.Status, j.Updated = finished, tx.Time()
			if failure != nil {
				it.Status, it.Message = failed, errs.As(failure).Message
			}
			return nil
		}); err != nil {
			return err
		}
	}
	_, err = change(ctx, s, exports, r.ID(), "export job", func(tx record.Tx, j *export) error {
		statuses := make([]string, len(j.Items))
		for i := range j.Items {
			statuses[i] = j.Items[i].Status
		}
		good, bad := tally(statuses)
		j.end(tx, good, bad)
		if err := s.exportEvent(tx, j); err != nil {
			return err
		}
		return r.Finish(tx)
	})
	return err
}

func (s *Service) exportOne(ctx, asRole context.Context, j *export, id string) error {
	r, err := get(ctx, s, readSets, within(j.Store, id), "read set")
	if err != nil {
		return err
	}
	if r.Status != api.ReadSetStatusActive {
		return errs.New(errs.Conflict, "the read set is %s: only an ACTIVE one can be exported", r.Status)
	}
	bucket, prefix, err := s3files.Parse(j.Destination)
	if err != nil {
		return err
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	for _, f := range []*file{r.Source1, r.Source2, r.Index} {
		if f == nil {
			continue
		}
		if err := s.putFile(ctx, asRole, bucket, prefix+id+"/"+f.Name, f); err != nil {
			return err
		}
	}
	return nil
}

// largestPut is up to where an object is written in one request (S3: 5 GiB); exportPart is the size of parts beyond.
const (
	largestPut = 5 << 30
	exportPart = 512 << 20
)

func (s *Service) putFile(ctx, asRole context.Context, bucket, key string, f *file) error {
	open := func(r blob.Range) (io.ReadCloser, error) { return s.cfg.Blobs.Open(ctx, f.Blob, r) }
	if f.Size <= largestPut {
		body, err := open(blob.All)
		if err != nil {
			return err
		}
		defer body.Close() //nolint:errcheck // only read from
		_, err = s.cfg.S3.PutObject(asRole, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: body, ContentLength: aws.Ptr(f.Size), ContentType: "application/octet-stream"})
		return err
	}
	up, err := s.cfg.S3.CreateMultipartUpload(asRole, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	if err != nil {
		return err
	}
	done := &s3.CompletedMultipartUpload{}
	for n, offset := int32(1), int64(0); offset < f.Size; n, offset = n+1, offset+exportPart {
		size := min(exportPart, f.Size-offset)
		body, err := open(blob.Range{Offset: offset, Length: size})
		if err != nil {
			return err
		}
		out, err := s.cfg.S3.UploadPart(asRole, &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: up.UploadId, PartNumber: n, Body: body, ContentLength: aws.Ptr(size)})
		_ = body.Close() // only read from
		if err != nil {
			_, _ = s.cfg.S3.AbortMultipartUpload(asRole, &s3.AbortMultipartUploadInput{Bucket: bucket, Key: key, UploadId: up.UploadId})
			return err
		}
		done.Parts = append(done.Parts, s3.CompletedPart{ETag: out.ETag, PartNumber: aws.Ptr(n)})
	}
	_, err = s.cfg.S3.CompleteMultipartUpload(asRole, &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: up.UploadId, MultipartUpload: done})
	return err
}

func (s *Service) exportFailed(ctx context.Context, r job.Run, cause error) error {
	_, err := change(ctx, s, exports, r.ID(), "export job", func(tx record.Tx, j *export) error {
		for i := range j.Items {
			if it := &j.Items[i]; it.Status != finished && it.Status != failed {
				it.Status, it.Message = failed, errs.As(cause).Message
			}
		}
		j.fail(tx, failed, errs.As(cause).Message)
		return s.exportEvent(tx, j)
	})
	return err
}

// GetReadSetExportJob tells how an export is.
func (s *Service) GetReadSetExportJob(ctx context.Context, in *api.GetReadSetExportJobInput) (*api.GetReadSetExportJobOutput, error) {
	j, err := get(ctx, s, exports, within(in.SequenceStoreId, in.Id), "read set export job")
	if err != nil {
		return nil, err
	}
	out := &api.GetReadSetExportJobOutput{Id: j.ID, SequenceStoreId: j.Store, Destination: j.Destination, Status: api.ReadSetExportJobStatus(j.Status), StatusMessage: j.Message, CreationTime: j.Created,
		CompletionTime: ended(j.Ended)}
	for _, it := range j.Items {
		out.ReadSets = append(out.ReadSets, api.ExportReadSetDetail{Id: it.ReadSet, Status: api.ReadSetExportJobItemStatus(it.Status), StatusMessage: it.Message})
	}
	return out, nil
}

// ListReadSetExportJobs lists a store's exports in the order of their creation.
func (s *Service) ListReadSetExportJobs(ctx context.Context, in *api.ListReadSetExportJobsInput) (*api.ListReadSetExportJobsOutput, error) {
	f := page.Filter{}.Is("store", in.SequenceStoreId)
	if x := in.Filter; x != nil {
		f = f.Is("status", string(x.Status)).Between("created", x.CreatedAfter, x.CreatedBefore)
	}
	out := &api.ListReadSetExportJobsOutput{ExportJobs: []api.ExportReadSetJobDetail{}}
	var err error
	out.NextToken, err = page.List(ctx, s.pages, exports, page.Request{Operation: "ListReadSetExportJobs/" + in.SequenceStoreId, Asked: in.Filter, Where: f, Token: in.NextToken, Limit: in.MaxResults}, func(j *export) {
		out.ExportJobs = append(out.ExportJobs, api.ExportReadSetJobDetail{Id: j.ID, SequenceStoreId: j.Store, Destination: j.Destination, Status: api.ReadSetExportJobStatus(j.Status), CreationTime: j.Created,
			CompletionTime: ended(j.Ended)})
	})
	return out, err
}
