package omics

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"io"
	"sync"
	"time"

	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/standard/bgzf"
	"github.com/galen-health/galen/standard/fastq"
	"github.com/galen-health/galen/standard/sam"
)

// intake is what becomes a read set.
type intake struct {
	Type      api.FileType
	Reference string // ARN, "" when there is none
	Sources   []source
}

// Alignment of a read set, as SequenceInformation tells it.
const (
	aligned   = "ALIGNED"
	unaligned = "UNALIGNED"
)

func newHash(family api.ETagAlgorithmFamily) hash.Hash {
	switch family {
	case api.ETagAlgorithmFamilySHA256up:
		return sha256.New()
	case api.ETagAlgorithmFamilySHA512up:
		return sha512.New()
	}
	return md5.New()
}

// algorithm names the semantic ETag: uBAM counts as BAM.
func algorithm(t api.FileType, family api.ETagAlgorithmFamily) api.ETagAlgorithm {
	if t == api.FileTypeUbam {
		t = api.FileTypeBam
	}
	return api.ETagAlgorithm(string(t) + "_" + string(family))
}

// ingest reads the sources to their ends, once, and stores them, checked, hashed and indexed, in blobs. The read set that it returns has what the
// bytes tell; on an error no blob is left behind.
func (s *Service) ingest(ctx context.Context, st *sequenceStore, in *intake) (r *readSet, err error) {
	r = &readSet{Store: st.ID, Type: in.Type, Reference: in.Reference, Algorithm: algorithm(in.Type, st.ETags)}
	defer func() {
		if err != nil {
			for _, f := range []*file{r.Source1, r.Source2, r.Index} {
				if f != nil {
					_ = s.cfg.Blobs.Delete(context.WithoutCancel(ctx), f.Blob) // else the sweep finds it
				}
			}
		}
	}()
	ref := st.SSE.ref(s.sequenceStoreARN(st.ID))
	switch in.Type {
	case api.FileTypeFastq:
		err = s.ingestFASTQ(ctx, st, ref, in, r)
	case api.FileTypeBam, api.FileTypeUbam:
		err = s.ingestBAM(ctx, st, ref, in, r)
	case api.FileTypeCram:
		err = s.ingestCRAM(ctx, st, ref, in, r)
	default:
		err = errs.New(errs.Invalid, "sourceFileType %s is not known", in.Type)
	}
	return r, unfit(err)
}

// ingestFASTQ takes one or two gzipped files, two at once. They are stored as they are.
func (s *Service) ingestFASTQ(ctx context.Context, st *sequenceStore, ref key.Ref, in *intake, r *readSet) error {
	type outcome struct {
		file *file
		etag string
		sum  fastq.Summary
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := make([]outcome, len(in.Sources))
	var wg sync.WaitGroup
	for i, src := range in.Sources {
		wg.Go(func() {
			o := &out[i]
			h := newHash(st.ETags)
			o.file, o.err = s.store(ctx, ref, src, func(body io.Reader) error {
				text, format, err := bgzf.Open(body, 0)
				if err != nil {
					return err
				}
				defer text.Close() //nolint:errcheck // only read from
				if format == bgzf.Plain {
					return errs.New(errs.Invalid, "%s is not gzip: FASTQ sources are gzipped", src.Name)
				}
				var check fastq.Checker
				if _, err := io.Copy(io.MultiWriter(&check, h), text); err != nil {
					return err
				}
				o.sum, err = check.Close()
				return err
			})
			o.etag = hex.EncodeToString(h.Sum(nil))
			if o.err != nil {
				cancel() // the other half is of no use
			}
		})
	}
	wg.Wait()
	for i := range out {
		if i == 0 {
			r.Source1, r.ETag1 = out[i].file, out[i].etag
		} else {
			r.Source2, r.ETag2 = out[i].file, out[i].etag
		}
	}
	for i := range out { // the first failure that is not only the echo of another
		if err := out[i].err; err != nil && (len(out) == 1 || !errs.Is(err, errs.Unavailable) || out[1-i].err == nil) {
			return err
		}
	}
	for i := range out {
		if out[i].err != nil {
			return out[i].err
		}
		r.Reads += out[i].sum.Reads
		r.Bases += out[i].sum.Bases
	}
	if len(out) == 2 && out[0].sum.Reads != out[1].sum.Reads {
		return errs.New(errs.Invalid, "source1 has %d reads and source2 %d: the files are no pair", out[0].sum.Reads, out[1].sum.Reads)
	}
	if r.Reads == 0 {
		return errs.New(errs.Invalid, "the source has no read")
	}
	r.Alignment = unaligned
	return nil
}

// store copies what read takes from a source into a blob, while it is read. read must take all of it.
func (s *Service) store(ctx context.Context, ref key.Ref, src source, read func(io.Reader) error) (*file, error) {
	body, err := src.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close() //nolint:errcheck // only read from
	w, err := s.cfg.Blobs.Create(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	if err := read(io.TeeReader(body, writerOf{w})); err != nil {
		return nil, err
	}
	info, err := w.Commit()
	if err != nil {
		return nil, err
	}
	return &file{info.ID, info.Size, src.Name}, nil
}

// writerOf hides all of a blob's writer but Write, and marks its failures as the engine's.
type writerOf struct{ w blob.Writer }

func (w writerOf) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil && errs.CodeOf(err) == errs.Internal {
		err = errs.Wrap(errs.Unavailable, err, "the read set could not be stored")
	}
	return n, err
}

// comment is the @CO line that a store adds to a header.
func (s *Service) comment(st *sequenceStore) string {
	return "galen omics sequenceStore=" + s.sequenceStoreARN(st.ID) + " ingested=" + time.Now().UTC().Format(time.RFC3339)
}

func (s *Service) ingestBAM(ctx context.Context, st *sequenceStore, ref key.Ref, in *intake, r *readSet) error {
	h := newHash(st.ETags)
	var sum *sam.Summary
	var err error
	r.Source1, err = s.storeChanged(ctx, ref, in.Sources[0], func(body io.Reader) (io.Reader, error) {
		changed, _, err := sam.Comment(body, s.comment(st))
		return changed, err
	}, func(body io.Reader) error {
		var err error
		sum, err = sam.Scan{Text: h, Index: true}.Run(body)
		return err
	})
	if err != nil {
		return err
	}
	r.ETag1 = hex.EncodeToString(h.Sum(nil))
	if err := s.fits(ctx, in, sum.Header); err != nil {
		return err
	}
	if in.Type == api.FileTypeUbam && sum.Mapped > 0 {
		return errs.New(errs.Invalid, "the source is said to be UBAM and has %d aligned records: import it as BAM", sum.Mapped)
	}
	r.Reads, r.Bases, r.Alignment = sum.Reads, sum.Bases, unaligned
	if sum.Mapped > 0 {
		r.Alignment = aligned
	}
	if in.Type == api.FileTypeUbam || !sum.Sorted || sum.Mapped == 0 {
		return nil // nothing to find by place
	}
	r.Index, err = s.storeIndex(ctx, ref, in.Sources[0].Name+".bai", sum.WriteIndex)
	return err
}

// storeChanged is store with the file changed on its way: what is stored is what read sees.
func (s *Service) storeChanged(ctx context.Context, ref key.Ref, src source, change func(io.Reader) (io.Reader, error), read func(io.Reader) error) (*file, error) {
	return s.store(ctx, ref, source{Name: src.Name, Open: func(ctx context.Context) (io.ReadCloser, error) {
		body, err := src.Open(ctx)
		if err != nil {
			return nil, err
		}
		changed, err := change(body)
		if err != nil {
			_ = body.Close()
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{changed, body}, nil
	}}, read)
}

func (s *Service) storeIndex(ctx context.Context, ref key.Ref, name string, write func(io.Writer) error) (*file, error) {
	w, err := s.cfg.Blobs.Create(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	if err := write(w); err != nil {
		return nil, err
	}
	info, err := w.Commit()
	if err != nil {
		return nil, err
	}
	return &file{info.ID, info.Size, name}, nil
}
