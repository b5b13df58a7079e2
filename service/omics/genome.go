package omics

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/fasta"
	"github.com/galen-health/galen/standard/sam"
)

// genome gives the sequences of a reference by name or MD5.
type genome struct {
	at   blob.ReaderAt
	name map[string]*fasta.Sequence
	md5  map[string]*fasta.Sequence
}

// genome opens the reference of an ARN; without an ARN there are no sequences.
func (s *Service) genome(ctx context.Context, arn string) (*genome, error) {
	g := &genome{name: map[string]*fasta.Sequence{}, md5: map[string]*fasta.Sequence{}}
	if arn == "" {
		return g, nil
	}
	r, err := s.reference(ctx, arn)
	if err != nil {
		return nil, err
	}
	all, err := s.sequences(ctx, r)
	if err != nil {
		return nil, err
	}
	for i := range all {
		g.name[all[i].Name] = &all[i]
		g.md5[all[i].MD5Hex()] = &all[i]
	}
	g.at, err = s.cfg.Blobs.ReaderAt(ctx, r.Source.Blob)
	return g, err
}

// sequences reads what is known of a reference's sequences.
func (s *Service) sequences(ctx context.Context, r *reference) ([]fasta.Sequence, error) {
	body, err := s.cfg.Blobs.Open(ctx, r.Sequences.Blob, blob.All)
	if err != nil {
		return nil, err
	}
	defer body.Close() //nolint:errcheck // only read from
	var all []fasta.Sequence
	if err := json.NewDecoder(body).Decode(&all); err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "the sequences of a reference cannot be read")
	}
	return all, nil
}

func (g *genome) close() {
	if g.at != nil {
		_ = g.at.Close() // only read from
	}
}

// sequence reads a whole sequence in upper case, found by its MD5 when one is given, else by name.
func (g *genome) sequence(name, md5 string) ([]byte, error) {
	q := g.md5[md5]
	if q == nil {
		q = g.name[name]
	}
	if q == nil || md5 != "" && q.MD5Hex() != md5 {
		return nil, errs.New(errs.Invalid, "the reference has no sequence %s with the MD5 that the CRAM names: give the reference that it was made with as referenceArn", name)
	}
	if q.Length == 0 {
		return nil, nil
	}
	text := make([]byte, q.Place(q.Length-1)+1-q.Offset)
	if _, err := g.at.ReadAt(text, q.Offset); err != nil && err != io.EOF {
		return nil, err
	}
	out := text[:0]
	for i := int64(0); i < int64(len(text)); i += q.LineWidth {
		out = append(out, text[i:min(i+q.LineBases, int64(len(text)))]...)
	}
	return bytes.ToUpper(out), nil
}

// fits checks that a header's references are those of the linked reference, as far as both have them.
func (s *Service) fits(ctx context.Context, in *intake, h *sam.Header) error {
	if in.Reference == "" || len(h.References) == 0 {
		return nil
	}
	r, err := s.reference(ctx, in.Reference)
	if err != nil {
		return err
	}
	all, err := s.sequences(ctx, r)
	if err != nil {
		return err
	}
	known := make(map[string]*fasta.Sequence, len(all))
	for i := range all {
		known[all[i].Name] = &all[i]
	}
	for _, q := range h.References {
		k := known[q.Name]
		if k == nil {
			continue // decoys and alternates that the reference leaves out
		}
		if k.Length != q.Length {
			return errs.New(errs.Invalid, "the source was aligned to another reference: its sequence %s has %d bases, the linked one %d", q.Name, q.Length, k.Length)
		}
		if q.MD5 != "" && q.MD5 != k.MD5Hex() {
			return errs.New(errs.Invalid, "the source was aligned to another reference: the MD5 of its sequence %s differs", q.Name)
		}
	}
	return nil
}
