package omics

import (
	"bytes"
	"math"
	"strings"

	"github.com/galen-health/galen/platform/sql"
	"github.com/galen-health/galen/standard/vcf"
)

// variantRow is one sample's call at one site: the columns of HealthOmics' variant table. Places are 0-based and half-open. A file without samples
// gives rows whose sampleid is NULL.
type variantRow struct {
	ImportJob    string            `parquet:"importjobid,dict"`
	Contig       string            `parquet:"contigname,dict"`
	Start        int64             `parquet:"start,delta"`
	End          int64             `parquet:"end,delta"`
	Names        []string          `parquet:"names,list"`
	Ref          string            `parquet:"referenceallele"`
	Alts         []string          `parquet:"alternatealleles,list"`
	Qual         *float64          `parquet:"qual,optional"`
	Filters      []string          `parquet:"filters,list"`
	Split        bool              `parquet:"splitfrommultiallelic"`
	Attributes   map[string]string `parquet:"attributes"`
	Phased       bool              `parquet:"phased"`
	Calls        []int32           `parquet:"calls,list"`
	Likelihoods  []float64         `parquet:"genotypelikelihoods,list"`
	Phred        []int32           `parquet:"phredlikelihoods,list"`
	AlleleDepths []int32           `parquet:"alleledepths,list"`
	Quality      *int32            `parquet:"conditionalquality,optional"`
	StrandPhred  []int32           `parquet:"spl,list"`
	Depth        *int32            `parquet:"depth,optional"`
	PhaseSet     *int32            `parquet:"ps,optional"`
	Sample       *string           `parquet:"sampleid,optional,dict"`
	Information  map[string]string `parquet:"information"`
}

// variantColumns are the columns as DDL names their types.
var variantColumns = []sql.Column{
	{Name: "importjobid", Type: "string", Comment: "the job that imported the row"},
	{Name: "contigname", Type: "string"},
	{Name: "start", Type: "bigint", Comment: "0-based"},
	{Name: "end", Type: "bigint", Comment: "exclusive"},
	{Name: "names", Type: "array<string>", Comment: "ID of the VCF line"},
	{Name: "referenceallele", Type: "string"},
	{Name: "alternatealleles", Type: "array<string>"},
	{Name: "qual", Type: "double"},
	{Name: "filters", Type: "array<string>"},
	{Name: "splitfrommultiallelic", Type: "boolean"},
	{Name: "attributes", Type: "map<string,string>", Comment: "INFO"},
	{Name: "phased", Type: "boolean"},
	{Name: "calls", Type: "array<int>", Comment: "GT; -1 is a missing allele"},
	{Name: "genotypelikelihoods", Type: "array<double>", Comment: "GL"},
	{Name: "phredlikelihoods", Type: "array<int>", Comment: "PL"},
	{Name: "alleledepths", Type: "array<int>", Comment: "AD"},
	{Name: "conditionalquality", Type: "int", Comment: "GQ"},
	{Name: "spl", Type: "array<int>"},
	{Name: "depth", Type: "int", Comment: "DP of the sample"},
	{Name: "ps", Type: "int", Comment: "phase set"},
	{Name: "sampleid", Type: "string"},
	{Name: "information", Type: "map<string,string>", Comment: "other values of the sample"},
}

// rowsOf makes the rows of a record; what they share is made once.
func rowsOf(to []variantRow, r *vcf.Record, jobID string, samples []string) []variantRow {
	site := variantRow{ImportJob: jobID, Contig: string(r.Chrom), Start: r.Pos - 1, End: r.End(), Ref: strings.ToUpper(string(r.Ref)), Attributes: map[string]string{}}
	site.Names = fields(r.IDs, ';')
	site.Filters = fields(r.Filters, ';')
	for _, a := range r.Alts {
		site.Alts = append(site.Alts, string(a))
	}
	if !math.IsNaN(r.Qual) {
		q := r.Qual
		site.Qual = &q
	}
	for k, v := range r.InfoFields() {
		value := string(v)
		if v == nil {
			value = "true" // a flag
		}
		site.Attributes[string(k)] = value
	}
	if len(samples) == 0 {
		return append(to, site)
	}
	i := 0
	for c := range r.Calls() {
		row := site
		row.Sample = &samples[i]
		i++
		row.call(c)
		to = append(to, row)
	}
	return to
}

// call takes in one sample's values.
func (v *variantRow) call(c vcf.Call) {
	v.Calls, v.Phased = c.Alleles(nil)
	for k, raw := range c.Values() {
		if len(raw) == 0 || len(raw) == 1 && raw[0] == '.' {
			continue
		}
		ok := true
		switch string(k) {
		case "GT":
		case "GL":
			v.Likelihoods, ok = vcf.Floats(nil, raw)
		case "PL":
			v.Phred, ok = vcf.Ints(nil, raw)
		case "AD":
			v.AlleleDepths, ok = vcf.Ints(nil, raw)
		case "SPL":
			v.StrandPhred, ok = vcf.Ints(nil, raw)
		case "GQ":
			v.Quality, ok = one(raw)
		case "DP":
			v.Depth, ok = one(raw)
		case "PS":
			v.PhaseSet, ok = one(raw)
		default:
			ok = false
		}
		if !ok { // not of its own column, or with a missing value among others
			if v.Information == nil {
				v.Information = map[string]string{}
			}
			v.Information[string(k)] = string(raw)
		}
	}
}

// one is a single number; false when it is a list or none.
func one(raw []byte) (*int32, bool) {
	n, ok := vcf.Ints(nil, raw)
	if !ok || len(n) != 1 {
		return nil, false
	}
	return &n[0], true
}

// fields splits a list; "." is an empty one.
func fields(b []byte, sep byte) []string {
	if len(b) == 1 && b[0] == '.' {
		return nil
	}
	var out []string
	for _, f := range bytes.Split(b, []byte{sep}) {
		out = append(out, string(f))
	}
	return out
}
