package omics

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/limits"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
)

// upload is a direct upload in progress; once it is completed it is the read set in PROCESSING_UPLOAD. Contract: the …MultipartReadSetUpload operations.
type upload struct {
	ID, Store         string
	Type              api.FileType
	Subject, Sample   string
	Generated         string
	Reference         string
	Name, Description string
	Tags              map[string]string
	Created           time.Time
}

var uploads = record.Kind[upload]{
	Name: "omics.upload",
	Indexes: record.Indexes[upload]{
		record.ByToken("store", func(u *upload) string { return u.Store }),
		record.ByToken("reference", func(u *upload) string { return u.Reference }),
		record.ByTime("created", func(u *upload) time.Time { return u.Created }),
	},
}

// part is one part of an upload.
type part struct {
	Upload           string // the record id of the upload
	Source           api.ReadSetPartSource
	Number           int32
	File             *file
	Checksum         string // base64 of its SHA-256
	Created, Updated time.Time
}

var parts = record.Kind[part]{
	Name: "omics.part", Volatile: true,
	Indexes: record.Indexes[part]{
		record.ByToken("upload", func(p *part) string { return p.Upload + "/" + string(p.Source) }),
		record.ByTime("created", func(p *part) time.Time { return p.Created }),
		{Name: "number", Values: func(p *part) []record.Value { return []record.Value{record.Number(float64(p.Number))} }},
		blobIndex(func(p *part) []*file { return []*file{p.File} }),
	},
}

const maxUploadParts = 10_000

func partID(upload string, source api.ReadSetPartSource, number int32) string {
	return fmt.Sprintf("%s/%s/%05d", upload, source, number)
}

// CreateMultipartReadSetUpload begins an upload.
func (s *Service) CreateMultipartReadSetUpload(ctx context.Context, in *api.CreateMultipartReadSetUploadInput) (*api.CreateMultipartReadSetUploadOutput, error) {
	if _, err := get(ctx, s, sequenceStores, in.SequenceStoreId, "sequence store"); err != nil {
		return nil, err
	}
	if err := validTags(in.Tags); err != nil {
		return nil, err
	}
	if in.ReferenceArn != "" {
		if _, err := s.reference(ctx, in.ReferenceArn); err != nil {
			return nil, err
		}
	}
	u := &upload{Store: in.SequenceStoreId, Type: in.SourceFileType, Subject: in.SubjectId, Sample: in.SampleId, Generated: in.GeneratedFrom, Reference: in.ReferenceArn, Name: in.Name,
		Description: in.Description, Tags: in.Tags}
	return record.Once(ctx, s.records, control, token("CreateMultipartReadSetUpload", in.ClientToken), in, func(tx record.Tx) (*api.CreateMultipartReadSetUploadOutput, error) {
		var err error
		if u.ID, err = fresh(tx, uploads.Name, u.Store+"/"); err != nil {
			return nil, err
		}
		u.Created = tx.Time()
		return &api.CreateMultipartReadSetUploadOutput{SequenceStoreId: u.Store, UploadId: u.ID, SourceFileType: u.Type, SubjectId: u.Subject, SampleId: u.Sample, GeneratedFrom: u.Generated,
			ReferenceArn: u.Reference, Name: u.Name, Description: u.Description, Tags: u.Tags, CreationTime: u.Created}, uploads.Create(tx, within(u.Store, u.ID), u)
	})
}

// UploadReadSetPart stores a part, in place of one with the same number, and answers the base64 of its SHA-256.
func (s *Service) UploadReadSetPart(ctx context.Context, in *api.UploadReadSetPartInput) (*api.UploadReadSetPartOutput, error) {
	id := within(in.SequenceStoreId, in.UploadId)
	u, err := get(ctx, s, uploads, id, "upload")
	if err != nil {
		return nil, err
	}
	if in.PartSource == api.ReadSetPartSourceSource2 && u.Type != api.FileTypeFastq {
		return nil, errs.New(errs.Invalid, "SOURCE2 is only for FASTQ: a %s read set is one file", u.Type)
	}
	st, err := get(ctx, s, sequenceStores, in.SequenceStoreId, "sequence store")
	if err != nil {
		return nil, err
	}
	info, err := s.cfg.Blobs.Put(ctx, st.SSE.ref(s.sequenceStoreARN(st.ID)), limits.Bytes(in.Payload, partSize, "the part"))
	if err != nil {
		return nil, err
	}
	p := &part{Upload: id, Source: in.PartSource, Number: in.PartNumber, File: &file{Blob: info.ID, Size: info.Size}, Checksum: base64.StdEncoding.EncodeToString(info.SHA256[:])}
	_, err = s.records.Update(ctx, control, []string{uploads.Name + "/" + id}, func(tx record.Tx) error {
		if _, _, err := uploads.Get(tx, id); err != nil {
			return missing(err, "upload")
		}
		pid := partID(id, p.Source, p.Number)
		p.Created, p.Updated = tx.Time(), tx.Time()
		if old, _, err := parts.Get(tx, pid); err == nil {
			p.Created = old.Created
			if err := s.erase(tx, erasure{Blobs: []blob.ID{old.File.Blob}}); err != nil {
				return err
			}
		} else if !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Gone) {
			return err
		}
		return parts.Put(tx, pid, p)
	})
	if err != nil {
		return nil, errors.Join(err, s.cfg.Blobs.Delete(context.WithoutCancel(ctx), info.ID))
	}
	return &api.UploadReadSetPartOutput{Checksum: p.Checksum}, nil
}

// partsOf reads the parts of one source in the order of their numbers.
func partsOf(q func(record.Query) (*record.Page, error), upload string, source api.ReadSetPartSource) ([]*part, error) {
	var out []*part
	query := record.Query{Kind: parts.Name, Where: record.Match{Index: "upload", Value: record.Token("", upload+"/"+string(source))}, Limit: 1000}
	for {
		page, err := q(query)
		if err != nil {
			return nil, err
		}
		for i := range page.Hits {
			p, err := parts.Decode(page.Hits[i].Body)
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
		if page.Next == "" {
			sort.Slice(out, func(i, j int) bool { return out[i].Number < out[j].Number })
			return out, nil
		}
		query.After = page.Next
	}
}

// ListReadSetUploadParts lists the parts of one source.
func (s *Service) ListReadSetUploadParts(ctx context.Context, in *api.ListReadSetUploadPartsInput) (*api.ListReadSetUploadPartsOutput, error) {
	id := within(in.SequenceStoreId, in.UploadId)
	if _, err := get(ctx, s, uploads, id, "upload"); err != nil {
		return nil, err
	}
	f := page.Filter{}.Is("upload", id+"/"+string(in.PartSource))
	if x := in.Filter; x != nil {
		f = f.Between("created", x.CreatedAfter, x.CreatedBefore)
	}
	out := &api.ListReadSetUploadPartsOutput{Parts: []api.ReadSetUploadPartListItem{}}
	var err error
	out.NextToken, err = page.List(ctx, s.pages, parts, page.Request{Operation: "ListReadSetUploadParts/" + id + string(in.PartSource), Asked: in.Filter, Where: f, Token: in.NextToken, Limit: in.MaxResults}, func(p *part) {
		out.Parts = append(out.Parts, api.ReadSetUploadPartListItem{PartNumber: p.Number, PartSize: p.File.Size, PartSource: p.Source, Checksum: p.Checksum, CreationTime: p.Created, LastUpdatedTime: p.Updated})
	})
	return out, err
}

// ListMultipartReadSetUploads lists the uploads that are neither completed nor aborted.
func (s *Service) ListMultipartReadSetUploads(ctx context.Context, in *api.ListMultipartReadSetUploadsInput) (*api.ListMultipartReadSetUploadsOutput, error) {
	if _, err := get(ctx, s, sequenceStores, in.SequenceStoreId, "sequence store"); err != nil {
		return nil, err
	}
	out := &api.ListMultipartReadSetUploadsOutput{Uploads: []api.MultipartReadSetUploadListItem{}}
	var err error
	out.NextToken, err = page.List(ctx, s.pages, uploads, page.Request{Operation: "ListMultipartReadSetUploads/" + in.SequenceStoreId, Where: page.Filter{}.Is("store", in.SequenceStoreId), Token: in.NextToken, Limit: in.MaxResults}, func(u *upload) {
		out.Uploads = append(out.Uploads, api.MultipartReadSetUploadListItem{SequenceStoreId: u.Store, UploadId: u.ID, SourceFileType: u.Type, SubjectId: u.Subject, SampleId: u.Sample,
			GeneratedFrom: u.Generated, ReferenceArn: u.Reference, Name: u.Name, Description: u.Description, Tags: u.Tags, CreationTime: u.Created})
	})
	return out, err
}

// AbortMultipartReadSetUpload forgets an upload and its parts.
func (s *Service) AbortMultipartReadSetUpload(ctx context.Context, in *api.AbortMultipartReadSetUploadInput) (*api.AbortMultipartReadSetUploadOutput, error) {
	id := within(in.SequenceStoreId, in.UploadId)
	_, err := s.records.Update(ctx, control, []string{uploads.Name + "/" + id}, func(tx record.Tx) error {
		_, version, err := uploads.Get(tx, id)
		if err != nil {
			return missing(err, "upload")
		}
		if _, err := tx.Delete(uploads.Name, id, record.Expect(version)); err != nil {
			return err
		}
		return s.forgetParts(tx, id)
	})
	return &api.AbortMultipartReadSetUploadOutput{}, err
}

// forgetParts removes the records of an upload's parts, and their bytes.
func (s *Service) forgetParts(tx record.Tx, upload string) error {
	var e erasure
	for _, source := range []api.ReadSetPartSource{api.ReadSetPartSourceSource1, api.ReadSetPartSourceSource2} {
		all, err := partsOf(tx.Query, upload, source)
		if err != nil {
			return err
		}
		for _, p := range all {
			e.add(p.File)
			if err := tx.Purge(parts.Name, partID(upload, p.Source, p.Number)); err != nil {
				return err
			}
		}
	}
	return s.erase(tx, e)
}

// CompleteMultipartReadSetUpload makes the parts that are named a read set, which is ACTIVE once it was read through.
func (s *Service) CompleteMultipartReadSetUpload(ctx context.Context, in *api.CompleteMultipartReadSetUploadInput) (*api.CompleteMultipartReadSetUploadOutput, error) {
	id := within(in.SequenceStoreId, in.UploadId)
	r := &readSet{Store: in.SequenceStoreId, Status: api.ReadSetStatusProcessingUpload, Creation: api.CreationTypeUpload}
	_, err := s.records.Update(ctx, control, []string{uploads.Name + "/" + id, sequenceStores.Name + "/" + in.SequenceStoreId}, func(tx record.Tx) error {
		u, version, err := uploads.Get(tx, id)
		if err != nil {
			return missing(err, "upload")
		}
		if err := complete(tx, id, in.Parts); err != nil {
			return err
		}
		if r.ID, err = fresh(tx, readSets.Name, u.Store+"/"); err != nil {
			return err
		}
		r.Name, r.Description, r.Subject, r.Sample, r.Generated, r.Type, r.Reference, r.Tags, r.Created = u.Name, u.Description, u.Subject, u.Sample, u.Generated, u.Type, u.Reference, u.Tags, tx.Time()
		if err := readSets.Create(tx, within(r.Store, r.ID), r); err != nil {
			return err
		}
		if _, err := tx.Delete(uploads.Name, id, record.Expect(version)); err != nil {
			return err
		}
		if err := s.readSetEvent(tx, r, string(r.Status)); err != nil {
			return err
		}
		return s.cfg.Jobs.Start(tx, "omics.upload", within(r.Store, r.ID), uploaded{id})
	})
	if err != nil {
		return nil, err
	}
	return &api.CompleteMultipartReadSetUploadOutput{ReadSetId: r.ID}, nil
}

type uploaded struct{ Upload string }

// complete checks that the parts that the caller names are those that are there, from 1 on without a gap.
func complete(tx record.Tx, id string, named []api.CompleteReadSetUploadPartListItem) error {
	for _, source := range []api.ReadSetPartSource{api.ReadSetPartSourceSource1, api.ReadSetPartSourceSource2} {
		have, err := partsOf(tx.Query, id, source)
		if err != nil {
			return err
		}
		sums := map[int32]string{}
		for _, n := range named {
			if n.PartSource == source {
				sums[n.PartNumber] = n.Checksum
			}
		}
		if source == api.ReadSetPartSourceSource1 && len(have) == 0 {
			return errs.New(errs.Invalid, "the upload has no part of SOURCE1")
		}
		if len(sums) != len(have) || len(have) > maxUploadParts {
			return errs.New(errs.Invalid, "the upload has %d parts of %s, the request names %d: list all of them", len(have), source, len(sums))
		}
		for i, p := range have {
			switch sum, ok := sums[p.Number]; {
			case p.Number != int32(i+1):
				return errs.New(errs.Invalid, "part %d of %s is missing", i+1, source)
			case !ok || sum != p.Checksum:
				return errs.New(errs.Invalid, "the checksum of part %d of %s is not that of the part that was uploaded", p.Number, source)
			}
		}
	}
	return nil
}

func (s *Service) registerUpload() {
	s.cfg.Jobs.Register(job.Kind{Name: "omics.upload", Concurrency: 2, Run: s.runUpload, Failed: s.uploadFailed})
}

// runUpload takes the parts in as an import takes in files.
func (s *Service) runUpload(ctx context.Context, run job.Run) error {
	var args uploaded
	if err := run.Args(&args); err != nil {
		return err
	}
	r, err := get(ctx, s, readSets, run.ID(), "read set")
	if err != nil {
		return err
	}
	st, err := get(ctx, s, sequenceStores, r.Store, "sequence store")
	if err != nil {
		return err
	}
	in := &intake{Type: r.Type, Reference: r.Reference}
	for i, source := range []api.ReadSetPartSource{api.ReadSetPartSourceSource1, api.ReadSetPartSourceSource2} {
		var all []*part
		err := s.view(ctx, func(v record.View) (err error) {
			all, err = partsOf(func(q record.Query) (*record.Page, error) { return v.Query(ctx, q) }, args.Upload, source)
			return err
		})
		if err != nil {
			return err
		}
		if len(all) > 0 {
			in.Sources = append(in.Sources, s.joined(fileName(r, i+1), all))
		}
	}
	got, err := s.ingest(ctx, st, in)
	if err != nil {
		return err
	}
	_, err = change(ctx, s, readSets, run.ID(), "read set", func(tx record.Tx, r *readSet) error {
		r.Status = api.ReadSetStatusActive
		r.Source1, r.Source2, r.Index, r.ETag1, r.ETag2, r.Algorithm = got.Source1, got.Source2, got.Index, got.ETag1, got.ETag2, got.Algorithm
		r.Reads, r.Bases, r.Alignment = got.Reads, got.Bases, got.Alignment
		if err := s.forgetParts(tx, args.Upload); err != nil {
			return err
		}
		if err := s.readSetEvent(tx, r, string(r.Status)); err != nil {
			return err
		}
		return run.Finish(tx)
	})
	return err
}

// fileName is how a file that was uploaded is called.
func fileName(r *readSet, n int) string {
	name := strings.ReplaceAll(r.Name, "/", "_")
	if r.Type == api.FileTypeFastq {
		return fmt.Sprintf("%s_source%d.fastq.gz", name, n)
	}
	return name + "." + strings.ToLower(strings.TrimPrefix(string(r.Type), "U"))
}

// joined is the parts as one file.
func (s *Service) joined(name string, all []*part) source {
	return source{Name: name, Open: func(ctx context.Context) (io.ReadCloser, error) {
		return &joint{ctx: ctx, blobs: s.cfg.Blobs, left: all}, nil
	}}
}

// joint reads blobs one after another.
type joint struct {
	ctx   context.Context
	blobs blob.Store
	left  []*part
	cur   io.ReadCloser
}

func (j *joint) Read(p []byte) (int, error) {
	for {
		if j.cur == nil {
			if len(j.left) == 0 {
				return 0, io.EOF
			}
			body, err := j.blobs.Open(j.ctx, j.left[0].File.Blob, blob.All)
			if err != nil {
				return 0, err
			}
			j.cur, j.left = body, j.left[1:]
		}
		n, err := j.cur.Read(p)
		if err == io.EOF {
			_ = j.cur.Close() // only read from
			j.cur = nil
			err = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (j *joint) Close() error {
	if j.cur != nil {
		_ = j.cur.Close() // only read from
	}
	return nil
}

func (s *Service) uploadFailed(ctx context.Context, run job.Run, cause error) error {
	var args uploaded
	if err := run.Args(&args); err != nil {
		return err
	}
	_, err := change(ctx, s, readSets, run.ID(), "read set", func(tx record.Tx, r *readSet) error {
		r.Status, r.Message = api.ReadSetStatusUploadFailed, errs.As(cause).Message
		if err := s.forgetParts(tx, args.Upload); err != nil {
			return err
		}
		return s.readSetEvent(tx, r, string(r.Status))
	})
	return err
}
