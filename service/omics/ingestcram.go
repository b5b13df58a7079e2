package omics

import (
	"context"
	"encoding/hex"
	"io"

	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/standard/cram"
)

// ingestCRAM decodes with the linked reference; the text that is hashed has MD and NM as stored.
func (s *Service) ingestCRAM(ctx context.Context, st *sequenceStore, ref key.Ref, in *intake, r *readSet) error {
	genome, err := s.genome(ctx, in.Reference)
	if err != nil {
		return err
	}
	defer genome.close()
	h := newHash(st.ETags)
	var sum *cram.Summary
	r.Source1, err = s.storeChanged(ctx, ref, in.Sources[0], func(body io.Reader) (io.Reader, error) {
		changed, _, err := cram.Comment(body, s.comment(st))
		return changed, err
	}, func(body io.Reader) error {
		var err error
		sum, err = cram.Scan{Text: h, Reference: genome.sequence, Prefix: in.Sources[0].Name}.Run(body)
		return err
	})
	if err != nil {
		return err
	}
	r.ETag1 = hex.EncodeToString(h.Sum(nil))
	if err := s.fits(ctx, in, sum.Header); err != nil {
		return err
	}
	r.Reads, r.Bases, r.Alignment = sum.Reads, sum.Bases, unaligned
	if sum.Mapped > 0 {
		r.Alignment = aligned
	}
	r.Index, err = s.storeIndex(ctx, ref, in.Sources[0].Name+".crai", sum.WriteIndex)
	return err
}
