package omics

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
)

// reference is a genome in FASTA with its index. Contract: Omics 2022-11-28, the …Reference operations.
type reference struct {
	ID, Store, Name, Description string
	Status                       api.ReferenceStatus
	MD5                          string // of the uncompressed FASTA file
	Created, Updated             time.Time
	Job                          string // that imported it
	Source, Index                *file  // FASTA and .fai, both uncompressed
	Sequences                    *file  // names, lengths, places and digests as JSON
	Tags                         map[string]string
}

var references = record.Kind[reference]{
	Name: "omics.reference",
	Indexes: record.Indexes[reference]{
		record.ByToken("store", func(r *reference) string { return r.Store }),
		record.ByToken("name", func(r *reference) string { return r.Name }),
		record.ByToken("md5", func(r *reference) string { return r.MD5 }),
		record.ByTime("created", func(r *reference) time.Time { return r.Created }),
		blobIndex(func(r *reference) []*file { return []*file{r.Source, r.Index, r.Sequences} }),
	},
}

const maxReferences = 50

// within is the record id of something in a store: ids are unique in their store's name.
func within(store, id string) string { return store + "/" + id }

func (s *Service) referenceARN(store, id string) string {
	return s.arn("referenceStore/" + store + "/reference/" + id)
}

// reference reads the reference of an ARN of ours.
func (s *Service) reference(ctx context.Context, arn string) (*reference, error) {
	rest, ok := strings.CutPrefix(arn, s.arn("referenceStore/"))
	store, id, ok2 := strings.Cut(rest, "/reference/")
	if !ok || !ok2 {
		return nil, errs.New(errs.Invalid, "referenceArn is not the ARN of a reference in this account and region")
	}
	return get(ctx, s, references, within(store, id), "reference")
}

// GetReferenceMetadata tells what is known of a reference.
func (s *Service) GetReferenceMetadata(ctx context.Context, in *api.GetReferenceMetadataInput) (*api.GetReferenceMetadataOutput, error) {
	r, err := get(ctx, s, references, within(in.ReferenceStoreId, in.Id), "reference")
	if err != nil {
		return nil, err
	}
	return &api.GetReferenceMetadataOutput{Id: r.ID, Arn: s.referenceARN(r.Store, r.ID), ReferenceStoreId: r.Store, Md5: r.MD5, Status: r.Status, Name: r.Name, Description: r.Description,
		CreationTime: r.Created, UpdateTime: r.Updated, Files: &api.ReferenceFiles{Source: r.Source.info(), Index: r.Index.info()},
		CreationType: api.ReferenceCreationTypeImport, CreationJobId: r.Job}, nil
}

// ListReferences lists a store's references in the order of their creation.
func (s *Service) ListReferences(ctx context.Context, in *api.ListReferencesInput) (*api.ListReferencesOutput, error) {
	if _, err := get(ctx, s, referenceStores, in.ReferenceStoreId, "reference store"); err != nil {
		return nil, err
	}
	f := page.Filter{}.Is("store", in.ReferenceStoreId)
	if x := in.Filter; x != nil {
		f = f.Is("name", x.Name).Is("md5", x.Md5).Between("created", x.CreatedAfter, x.CreatedBefore)
	}
	out := &api.ListReferencesOutput{References: []api.ReferenceListItem{}}
	var err error
	out.NextToken, err = page.List(ctx, s.pages, references, page.Request{Operation: "ListReferences/" + in.ReferenceStoreId, Asked: in.Filter, Where: f, Token: in.NextToken, Limit: in.MaxResults}, func(r *reference) {
		out.References = append(out.References, api.ReferenceListItem{Id: r.ID, Arn: s.referenceARN(r.Store, r.ID), ReferenceStoreId: r.Store, Md5: r.MD5, Status: r.Status, Name: r.Name,
			Description: r.Description, CreationTime: r.Created, UpdateTime: r.Updated})
	})
	return out, err
}

// GetReference streams a part of the FASTA file or its index; a Range header is a range within the part.
func (s *Service) GetReference(ctx context.Context, in *api.GetReferenceInput) (*api.GetReferenceOutput, error) {
	r, err := get(ctx, s, references, within(in.ReferenceStoreId, in.Id), "reference")
	if err != nil {
		return nil, err
	}
	st, err := get(ctx, s, referenceStores, in.ReferenceStoreId, "reference store")
	if err != nil {
		return nil, err
	}
	if err := s.mayRead(ctx, st.SSE); err != nil {
		return nil, err
	}
	f := r.Source
	if in.File == api.ReferenceFileIndex {
		f = r.Index
	}
	part, err := f.part(in.PartNumber)
	if err != nil {
		return nil, err
	}
	if part, err = narrow(part, in.Range); err != nil {
		return nil, err
	}
	body, err := s.cfg.Blobs.Open(ctx, f.Blob, part)
	if err != nil {
		return nil, err
	}
	return &api.GetReferenceOutput{Payload: body}, nil
}

// part is the range of a part, from 1.
func (f *file) part(n int32) (blob.Range, error) {
	if n < 1 || n > f.parts() {
		return blob.Range{}, errs.New(errs.OutOfRange, "the file has %d parts, there is no part %d", f.parts(), n)
	}
	offset := int64(n-1) * partSize
	return blob.Range{Offset: offset, Length: min(partSize, f.Size-offset)}, nil
}

// narrow applies a Range header with one range (RFC 9110 §14.1.2) to a part.
func narrow(part blob.Range, header string) (blob.Range, error) {
	if header == "" {
		return part, nil
	}
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, ok2 := strings.Cut(spec, "-")
	bad := errs.New(errs.OutOfRange, "Range %s does not lie within the part of %d bytes", fmt.Sprintf("%.40q", header), part.Length)
	if !ok || !ok2 || strings.Contains(spec, ",") {
		return part, bad
	}
	if first == "" { // the last n bytes
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n <= 0 || part.Length == 0 {
			return part, bad
		}
		n = min(n, part.Length)
		return blob.Range{Offset: part.Offset + part.Length - n, Length: n}, nil
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from < 0 || from >= part.Length {
		return part, bad
	}
	to := part.Length - 1
	if last != "" {
		if to, err = strconv.ParseInt(last, 10, 64); err != nil || to < from {
			return part, bad
		}
		to = min(to, part.Length-1)
	}
	return blob.Range{Offset: part.Offset + from, Length: to - from + 1}, nil
}

// DeleteReference removes a reference that no read set or variant store names.
func (s *Service) DeleteReference(ctx context.Context, in *api.DeleteReferenceInput) (*api.DeleteReferenceOutput, error) {
	id := within(in.ReferenceStoreId, in.Id)
	arn := s.referenceARN(in.ReferenceStoreId, in.Id)
	_, err := s.records.Update(ctx, control, []string{references.Name + "/" + id}, func(tx record.Tx) error {
		r, version, err := references.Get(tx, id)
		if err != nil {
			return missing(err, "reference")
		}
		for _, kind := range []string{readSets.Name, variantStores.Name, uploads.Name} {
			if none, err := empty(tx, kind, "reference", arn); err != nil {
				return err
			} else if !none {
				return errs.New(errs.Conflict, "read sets or variant stores still name the reference: delete them first")
			}
		}
		if _, err := tx.Delete(references.Name, id, record.Expect(version)); err != nil {
			return err
		}
		var e erasure
		e.add(r.Source, r.Index, r.Sequences)
		if err := s.erase(tx, e); err != nil {
			return err
		}
		return s.emit(tx, "Reference Status Change", arn, "DELETED", map[string]string{"referenceStoreId": r.Store, "id": r.ID})
	})
	return &api.DeleteReferenceOutput{}, err
}

// absent reports whether a reference that is about to be named is gone.
func absent(tx record.Tx, s *Service, arn string) (bool, error) {
	rest, _ := strings.CutPrefix(arn, s.arn("referenceStore/"))
	store, id, _ := strings.Cut(rest, "/reference/")
	_, _, err := references.Get(tx, within(store, id))
	if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Gone) {
		return true, nil
	}
	return false, err
}
