package omics

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"hash"
	"io"

	"github.com/parquet-go/parquet-go"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/standard/bgzf"
	"github.com/galen-health/galen/standard/vcf"
)

// Sizes of what is written: a row group is the unit that a query skips or reads.
const (
	rowGroup   = 131_072
	rowBatch   = 2048
	maxRuns    = 1000
	maxRunRows = 50_000_000
)

// taken is what one source file became: sorted runs of rows.
type taken struct {
	source, digest string
	files          []*variantFile
}

func (t *taken) stored() []*file {
	var out []*file
	for _, f := range t.files {
		out = append(out, f.File)
	}
	return out
}

// takeVariants reads a VCF file, plain, gzip or BGZF, and stores its rows as Parquet. On an error no blob is left behind.
func (s *Service) takeVariants(ctx context.Context, v *variantStore, jobID, uri string) (t *taken, err error) {
	t = &taken{source: uri}
	defer func() {
		if err != nil {
			for _, f := range t.stored() {
				_ = s.cfg.Blobs.Delete(context.WithoutCancel(ctx), f.Blob) // else the sweep finds it
			}
			err = unfit(err)
		}
	}()
	src, err := s.object(uri)
	if err != nil {
		return t, err
	}
	body, err := src.Open(ctx)
	if err != nil {
		return t, err
	}
	defer body.Close() //nolint:errcheck // only read from
	text, _, err := bgzf.Open(body, 0)
	if err != nil {
		return t, err
	}
	defer text.Close() //nolint:errcheck // only read from
	sum := md5.New()
	r, err := vcf.NewReader(io.TeeReader(io.LimitReader(text, maxSource), sum))
	if err != nil {
		return t, err
	}
	w := runs{ctx: ctx, s: s, key: v.SSE.ref(s.variantStoreARN(v.Name)), t: t, name: src.Name, sum: sum}
	defer w.abort()
	for {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = w.add(rec, jobID, r.Header.Samples)
		}
		if err != nil {
			return t, err
		}
	}
	if err := w.end(); err != nil {
		return t, err
	}
	t.digest = hex.EncodeToString(sum.Sum(nil))
	for _, f := range t.files {
		f.ETag = t.digest
	}
	return t, nil
}

// runs writes rows into files that are each sorted by contig and start: a new file begins where the source goes back.
type runs struct {
	ctx  context.Context
	s    *Service
	key  key.Ref
	t    *taken
	name string
	sum  hash.Hash

	blob   blob.Writer
	out    *parquet.GenericWriter[variantRow]
	rows   []variantRow
	n      int64
	contig string
	start  int64
	seen   map[string]bool
}

func (w *runs) add(rec *vcf.Record, jobID string, samples []string) error {
	if w.out != nil && (w.n >= maxRunRows || w.back(rec)) {
		if err := w.end(); err != nil {
			return err
		}
	}
	if w.out == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	if string(rec.Chrom) != w.contig {
		w.contig = string(rec.Chrom)
		w.seen[w.contig] = true
	}
	w.start = rec.Pos
	w.rows = rowsOf(w.rows, rec, jobID, samples)
	if len(w.rows) >= rowBatch {
		return w.flush()
	}
	return nil
}

// back reports whether a record lies before what was written.
func (w *runs) back(rec *vcf.Record) bool {
	if string(rec.Chrom) == w.contig {
		return rec.Pos < w.start
	}
	return w.seen[string(rec.Chrom)]
}

func (w *runs) begin() error {
	if err := w.ctx.Err(); err != nil {
		return context.Cause(w.ctx)
	}
	if len(w.t.files) >= maxRuns {
		return errs.New(errs.Invalid, "the file goes back more than %d times: sort it by contig and position (bcftools sort)", maxRuns)
	}
	b, err := w.s.cfg.Blobs.Create(w.ctx, w.key)
	if err != nil {
		return err
	}
	w.blob, w.n, w.seen, w.contig = b, 0, map[string]bool{}, ""
	w.out = parquet.NewGenericWriter[variantRow](writerOf{b}, parquet.MaxRowsPerRowGroup(rowGroup), parquet.Compression(&parquet.Zstd), parquet.CreatedBy("galen", "1", ""))
	return nil
}

func (w *runs) flush() error {
	if err := w.ctx.Err(); err != nil {
		return context.Cause(w.ctx)
	}
	n, err := w.out.Write(w.rows)
	w.n += int64(n)
	clear(w.rows)
	w.rows = w.rows[:0]
	return err
}

// end ends the file in progress.
func (w *runs) end() error {
	if w.out == nil {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.out.Close(); err != nil {
		return err
	}
	info, err := w.blob.Commit()
	if err != nil {
		return err
	}
	w.t.files = append(w.t.files, &variantFile{Source: w.t.source, File: &file{info.ID, info.Size, w.name}, Rows: w.n})
	w.out, w.blob = nil, nil
	return nil
}

func (w *runs) abort() {
	if w.blob != nil {
		w.blob.Abort()
	}
}
