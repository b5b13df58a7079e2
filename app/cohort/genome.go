package cohort

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
)

// reference is a made-up genome of two contigs: real in form, nobody's in content.
type reference struct {
	names []string
	seqs  [][]byte
}

const readLength, fragment = 100, 320

func newReference(seed uint64) *reference {
	rng := rand.New(rand.NewPCG(seed, 0xfa57a))
	r := &reference{names: []string{"demo1", "demo2"}}
	for _, n := range []int{40_000, 24_000} {
		s := make([]byte, n)
		for i := range s {
			s[i] = "ACGT"[rng.IntN(4)]
		}
		r.seqs = append(r.seqs, s)
	}
	return r
}

func (r *reference) fasta() []byte {
	var b bytes.Buffer
	for i, s := range r.seqs {
		fmt.Fprintf(&b, ">%s synthetic contig\n", r.names[i])
		for len(s) > 0 {
			n := min(60, len(s))
			b.Write(append(s[:n:n], '\n'))
			s = s[n:]
		}
	}
	return b.Bytes()
}

// genome writes a FASTQ pair sampled from the person's two haplotypes and the VCF of where they differ from the reference.
func (p *Person) genome(ref *reference, write func(name string, b []byte) error) error {
	var vcf, fq1, fq2 bytes.Buffer
	vcf.WriteString("##fileformat=VCFv4.3\n##source=galen-demo\n##FILTER=<ID=PASS,Description=\"All filters passed\">\n##INFO=<ID=DP,Number=1,Type=Integer,Description=\"Depth\">\n" +
		"##FORMAT=<ID=GT,Number=1,Type=String,Description=\"Genotype\">\n##FORMAT=<ID=GQ,Number=1,Type=Integer,Description=\"Quality\">\n")
	for i, n := range ref.names {
		fmt.Fprintf(&vcf, "##contig=<ID=%s,length=%d>\n", n, len(ref.seqs[i]))
	}
	fmt.Fprintf(&vcf, "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t%s\n", p.ID)
	haplotypes := make([][2][]byte, len(ref.seqs))
	for c, s := range ref.seqs {
		haplotypes[c] = [2][]byte{bytes.Clone(s), bytes.Clone(s)}
		for pos := 200 + p.rng.IntN(400); pos < len(s)-200; pos += 150 + p.rng.IntN(900) {
			alt := "ACGT"[p.rng.IntN(4)]
			if alt == s[pos] {
				continue
			}
			genotype := []string{"0/1", "1/1"}[p.rng.IntN(2)]
			haplotypes[c][1][pos] = alt
			if genotype == "1/1" {
				haplotypes[c][0][pos] = alt
			}
			fmt.Fprintf(&vcf, "%s\t%d\t.\t%c\t%c\t%d\tPASS\tDP=%d\tGT:GQ\t%s:%d\n", ref.names[c], pos+1, s[pos], alt, 30+p.rng.IntN(70), 12+p.rng.IntN(30), genotype, 20+p.rng.IntN(79))
		}
	}
	n := 0
	for c := range haplotypes {
		for range len(ref.seqs[c]) / 40 {
			h := haplotypes[c][p.rng.IntN(2)]
			at := p.rng.IntN(len(h) - fragment)
			n++
			p.read(&fq1, n, 1, h[at:at+readLength])
			p.read(&fq2, n, 2, reverseComplement(h[at+fragment-readLength:at+fragment]))
		}
	}
	for name, b := range map[string][]byte{"_R1.fastq.gz": fq1.Bytes(), "_R2.fastq.gz": fq2.Bytes(), ".vcf.gz": vcf.Bytes()} {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		if _, err := w.Write(b); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		if err := write(name, z.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// read writes one FASTQ record with falling qualities and the errors that they promise.
func (p *Person) read(b *bytes.Buffer, n, mate int, s []byte) {
	fmt.Fprintf(b, "@%s:%d/%d\n", p.ID, n, mate)
	seq, qual := bytes.Clone(s), make([]byte, len(s))
	for i := range seq {
		q := 38 - i/8 + p.rng.IntN(4)
		qual[i] = byte(33 + q)
		if p.rng.IntN(4000) < 40-q {
			seq[i] = "ACGT"[p.rng.IntN(4)]
		}
	}
	fmt.Fprintf(b, "%s\n+\n%s\n", seq, qual)
}

func reverseComplement(s []byte) []byte {
	out := make([]byte, len(s))
	for i, c := range s {
		out[len(s)-1-i] = map[byte]byte{'A': 'T', 'C': 'G', 'G': 'C', 'T': 'A'}[c]
	}
	return out
}
