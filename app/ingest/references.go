package ingest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/cram"
	"github.com/galen-health/galen/standard/fasta"
	"github.com/galen-health/galen/standard/sam"
	"github.com/galen-health/galen/standard/sniff"
	"github.com/galen-health/galen/standard/vcf"
)

// reference is one of the folder's FASTA files, as imported. What is aligned names the sequences that it stands on, so a folder may hold many.
type reference struct {
	arn       string
	sequences map[string]sam.Reference // by name
}

// landReference imports a FASTA file.
func (r *run) landReference(ctx context.Context, it Item) (string, error) {
	uri, err := r.upload(ctx, it.Files[0], ".fa")
	if err != nil {
		return "", err
	}
	name := storeName(strings.TrimSuffix(path.Base(it.Files[0].Rel), path.Ext(it.Files[0].Rel))) + "-" + it.Files[0].Hash[:8]
	arn, err := r.importReference(ctx, uri, name, it.Files[0].Hash)
	if err != nil {
		return "", err
	}
	return arn, r.keepReference(arn, it.Files[0])
}

func (r *run) importReference(ctx context.Context, uri, name, token string) (string, error) {
	store, err := r.shared("referencestore", func() (string, error) {
		list, err := r.genomes.ListReferenceStores(ctx, &omics.ListReferenceStoresInput{})
		if err != nil {
			return "", err
		}
		if len(list.ReferenceStores) > 0 { // an account has one
			return list.ReferenceStores[0].Id, nil
		}
		made, err := r.genomes.CreateReferenceStore(ctx, &omics.CreateReferenceStoreInput{Name: r.Name, ClientToken: "galen-ingest"})
		if err != nil {
			return "", err
		}
		return made.Id, nil
	})
	if err != nil {
		return "", err
	}
	role, err := r.role(ctx)
	if err != nil {
		return "", err
	}
	job, err := r.genomes.StartReferenceImportJob(ctx, &omics.StartReferenceImportJobInput{ReferenceStoreId: store, RoleArn: role, ClientToken: token,
		Sources: []omics.StartReferenceImportJobSourceItem{{SourceFile: uri, Name: name}}})
	if err != nil {
		return "", err
	}
	arn := ""
	err = until(ctx, func() (bool, error) {
		j, err := r.genomes.GetReferenceImportJob(ctx, &omics.GetReferenceImportJobInput{ReferenceStoreId: store, Id: job.Id})
		if err != nil {
			return false, err
		}
		switch j.Status {
		case omics.ReferenceImportJobStatusCompleted:
			ref, err := r.genomes.GetReferenceMetadata(ctx, &omics.GetReferenceMetadataInput{ReferenceStoreId: store, Id: j.Sources[0].ReferenceId})
			if err == nil {
				arn = ref.Arn
			}
			return true, err
		case omics.ReferenceImportJobStatusFailed, omics.ReferenceImportJobStatusCompletedWithFailures, omics.ReferenceImportJobStatusCancelled:
			return false, errs.New(errs.Invalid, "the reference was not imported: %s %s", j.StatusMessage, j.Sources[0].StatusMessage)
		}
		return false, nil
	})
	return arn, err
}

// keepReference remembers an imported FASTA file for what is aligned to it.
func (r *run) keepReference(arn string, f File) error {
	in, err := open(f)
	if err != nil {
		return err
	}
	defer in.Close()
	x := fasta.NewIndexer()
	if _, err := io.Copy(x, in); err != nil {
		return err
	}
	all, err := x.Close()
	if err != nil {
		return err
	}
	ref := reference{arn: arn, sequences: make(map[string]sam.Reference, len(all))}
	for i := range all {
		ref.sequences[all[i].Name] = sam.Reference{Name: all[i].Name, Length: all[i].Length, MD5: all[i].MD5Hex()}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.references = append(r.references, ref)
	return nil
}

// find returns the reference that holds all these sequences, "" when none does. A length of 0 or an empty MD5 is not said, and fits any.
func (r *run) find(sequences []sam.Reference) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	best := reference{}
candidates:
	for _, ref := range r.references {
		for _, want := range sequences {
			got, ok := ref.sequences[want.Name]
			if !ok || want.Length != 0 && want.Length != got.Length || want.MD5 != "" && !strings.EqualFold(want.MD5, got.MD5) {
				continue candidates
			}
		}
		// the one with the fewest other sequences, whichever landed first
		if best.arn == "" || len(ref.sequences) < len(best.sequences) || len(ref.sequences) == len(best.sequences) && ref.arn < best.arn {
			best = ref
		}
	}
	return best.arn
}

// alignedTo returns the reference that a read file's header names, "" when the folder has none or the reads are not aligned.
func (r *run) alignedTo(it Item) (string, error) {
	if it.Kind == sniff.FASTQ {
		return "", nil
	}
	in, err := os.Open(it.Files[0].Path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	header := sam.Comment
	if it.Kind == sniff.CRAM {
		header = cram.Comment
	}
	_, h, err := header(in, "")
	if err != nil { // its owner says what is wrong with it
		return "", errs.New(errs.Invalid, "%v", err)
	}
	if len(h.References) == 0 {
		return "", nil
	}
	return r.find(h.References), nil
}

// calledOn returns the reference that a VCF file names; where the folder has none, one with the contig names only is made of the VCF's own header, and
// says so in its name.
func (r *run) calledOn(ctx context.Context, f File) (string, error) {
	contigs, err := contigsOf(f)
	if err != nil {
		return "", err
	}
	if arn := r.find(contigs); arn != "" && len(contigs) > 0 {
		return arn, nil
	}
	return r.shared("placeholder-reference", func() (string, error) {
		var b bytes.Buffer
		for _, c := range contigs {
			fmt.Fprintf(&b, ">%s placeholder: contig name only, no bases\nN\n", c.Name)
		}
		if len(contigs) == 0 {
			b.WriteString(">unknown placeholder: no contig is named\nN\n")
		}
		uri, err := r.put(ctx, "in/placeholder.fa", bytes.NewReader(b.Bytes()))
		if err != nil {
			return "", err
		}
		return r.importReference(ctx, uri, "placeholder-contig-names-only", "placeholder-"+r.Name)
	})
}

// contigsOf reads the contigs that a VCF header declares; where it declares none, the first record's.
func contigsOf(f File) ([]sam.Reference, error) {
	in, err := open(f)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	z, err := vcf.NewReader(in)
	if err != nil {
		return nil, errs.New(errs.Invalid, "%v", err)
	}
	var out []sam.Reference
	for _, c := range z.Header.Contigs {
		out = append(out, sam.Reference{Name: c.ID, Length: c.Length})
	}
	if len(out) == 0 {
		if rec, err := z.Next(); err == nil {
			out = append(out, sam.Reference{Name: string(rec.Chrom)})
		}
	}
	return out, nil
}

// open opens a file that may be gzipped.
func open(f File) (io.ReadCloser, error) {
	in, err := os.Open(f.Path)
	if err != nil || !f.Verdict.Gzip {
		return in, err
	}
	z, err := gzip.NewReader(bufio.NewReader(in))
	if err != nil {
		in.Close()
		return nil, errs.New(errs.Invalid, "%v", err)
	}
	return struct {
		io.Reader
		io.Closer
	}{z, in}, nil
}
