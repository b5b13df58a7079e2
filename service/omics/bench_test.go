package omics

import (
	"os"
	"testing"

	api "github.com/galen-health/galen/aws/omics"
)

// BenchmarkImport takes in the files that GALEN_BENCH_FASTQ, GALEN_BENCH_BAM and GALEN_BENCH_CRAM (with GALEN_BENCH_FASTA) name, whole jobs from
// source to ACTIVE: decompressed, checked, hashed, indexed, encrypted and durable. Compare with bgzip -dc | md5sum and samtools view | md5sum.
func BenchmarkImport(b *testing.B) {
	for _, c := range []struct {
		env string
		typ api.FileType
	}{{"GALEN_BENCH_FASTQ", api.FileTypeFastq}, {"GALEN_BENCH_BAM", api.FileTypeBam}, {"GALEN_BENCH_CRAM", api.FileTypeCram}} {
		b.Run(string(c.typ), func(b *testing.B) {
			path := os.Getenv(c.env)
			if path == "" {
				b.Skip(c.env + " names no file")
			}
			body, err := os.ReadFile(path)
			if err != nil {
				b.Fatal(err)
			}
			l := newLab(b)
			store := l.sequenceStore()
			l.s3.Put("in/x", body)
			src := readsFrom(c.typ, "x", "x")
			if c.typ == api.FileTypeCram {
				fasta, err := os.ReadFile(os.Getenv("GALEN_BENCH_FASTA"))
				if err != nil {
					b.Fatal(err)
				}
				src.ReferenceArn = l.reference("ref.fa", fasta)
			}
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				j := l.importReads(store, src)
				if j.Status != api.ReadSetImportJobStatusCompleted {
					b.Fatalf("%+v", j.Sources[0])
				}
				if b.N == 1 {
					b.Log(l.metadata(store, j.Sources[0].ReadSetId).Etag.Source1)
				}
			}
		})
	}
}
