package omics

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/sql"
)

const vcfHead = "##fileformat=VCFv4.2\n##contig=<ID=c1,length=1000>\n##INFO=<ID=DP,Number=1,Type=Integer,Description=\"d\">\n" +
	"##FORMAT=<ID=GT,Number=1,Type=String,Description=\"g\">\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts1\ts2\n"

func (l *lab) variantStore(name string) {
	l.t.Helper()
	must[*api.CreateVariantStoreOutput](l.t)(l.s.CreateVariantStore(l.Ctx, &api.CreateVariantStoreInput{Name: name, Reference: &api.ReferenceItem{ReferenceArn: l.reference(name+".fa", []byte(">c1\nACGT\n"))}}))
}

func (l *lab) importVariants(store string, keys ...string) (j *api.GetVariantImportJobOutput) {
	l.t.Helper()
	in := &api.StartVariantImportJobInput{DestinationName: store, RoleArn: role}
	for _, k := range keys {
		in.Items = append(in.Items, api.VariantImportItemSource{Source: "s3://in/" + k})
	}
	id := must[*api.StartVariantImportJobOutput](l.t)(l.s.StartVariantImportJob(l.Ctx, in)).JobId
	l.Await("the import ends", func() bool {
		j = must[*api.GetVariantImportJobOutput](l.t)(l.s.GetVariantImportJob(l.Ctx, &api.GetVariantImportJobInput{JobId: id}))
		return !j.CompletionTime.IsZero()
	})
	return j
}

// query runs SQL over the store's table, which it calls t.
func (l *lab) query(store, query string) []string {
	l.t.Helper()
	e, err := sql.NewEngine(filepath.Join(l.t.TempDir(), "sql"), 1)
	if err != nil {
		l.t.Fatal(err)
	}
	var table *sql.Table
	for _, d := range must[[]sql.Database](l.t)(l.s.Catalog().Databases(l.Ctx)) {
		if t, err := l.s.Catalog().Table(l.Ctx, d.Name, store); err == nil {
			table = t
		}
	}
	if table == nil {
		l.t.Fatal("the store is in no database")
	}
	var out []string
	err = e.Run(context.Background(), sql.Query{SQL: query, Database: table.Database, Tables: []*sql.Table{table}}, func(p sql.Page) error {
		for _, r := range p.Rows {
			cells := make([]string, len(r))
			for i, c := range r {
				cells[i] = "NULL"
				if c != nil {
					cells[i] = *c
				}
			}
			out = append(out, strings.Join(cells, "|"))
		}
		return nil
	})
	if err != nil {
		l.t.Fatalf("%s: %v", query, err)
	}
	return out
}

func TestVariantsAreQueried(t *testing.T) {
	l := newLab(t)
	l.variantStore("cohort")
	l.s3.Put("in/a.vcf.gz", gz(vcfHead+
		"c1\t10\trs1;rs2\tA\tC,<DEL>\t50\tPASS\tDP=7;DB\tGT:AD:PL:GQ:DP:XX\t0|2:3,4,5:1,2,3,4,5,6:99:12:hello\t./1\n"+
		"c1\t20\t.\tac\tA\t.\tq10;s50\tEND=40\tGT\t0/0\t1/1\n"))
	j := l.importVariants("cohort", "a.vcf.gz")
	if j.Status != api.JobStatusCompleted || j.Items[0].JobStatus != api.JobStatusCompleted {
		t.Fatalf("job %+v", j)
	}
	got := l.query("cohort", `select sampleid, contigname, start, "end", names, referenceallele, alternatealleles, qual, filters, attributes, phased, calls, alleledepths,
		phredlikelihoods, conditionalquality, depth, information from cohort order by start, sampleid`)
	want := []string{
		"s1|c1|9|10|[rs1, rs2]|A|[C, <DEL>]|50.0|[PASS]|{DB=true, DP=7}|true|[0, 2]|[3, 4, 5]|[1, 2, 3, 4, 5, 6]|99|12|{XX=hello}",
		"s2|c1|9|10|[rs1, rs2]|A|[C, <DEL>]|50.0|[PASS]|{DB=true, DP=7}|false|[-1, 1]|[]|[]|NULL|NULL|{}",
		"s1|c1|19|40|[]|AC|[A]|NULL|[q10, s50]|{END=40}|false|[0, 0]|[]|[]|NULL|NULL|{}",
		"s2|c1|19|40|[]|AC|[A]|NULL|[q10, s50]|{END=40}|false|[1, 1]|[]|[]|NULL|NULL|{}",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("rows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	st := must[*api.GetVariantStoreOutput](t)(l.s.GetVariantStore(l.Ctx, &api.GetVariantStoreInput{Name: "cohort"}))
	if st.StoreSizeBytes == 0 || st.Status != api.StoreStatusActive {
		t.Errorf("store %+v", st)
	}
}

// TestImportTwiceChangesNothing imports the same file again, the same content under another name, and a changed file under the old name.
func TestImportTwiceChangesNothing(t *testing.T) {
	l := newLab(t)
	l.variantStore("cohort")
	line := "c1\t10\t.\tA\tC\t.\tPASS\t.\tGT\t0/1\t1/1\n"
	l.s3.Put("in/a.vcf", []byte(vcfHead+line))
	l.s3.Put("in/b.vcf.gz", gz(vcfHead+line))
	l.importVariants("cohort", "a.vcf")
	before := l.query("cohort", "select * from cohort order by sampleid")
	l.importVariants("cohort", "a.vcf", "b.vcf.gz")
	if after := l.query("cohort", "select * from cohort order by sampleid"); strings.Join(after, "\n") != strings.Join(before, "\n") || len(after) != 2 {
		t.Errorf("rows %q, before %q", after, before)
	}
	l.s3.Put("in/a.vcf", []byte(vcfHead+line+"c1\t30\t.\tA\tC\t.\tPASS\t.\tGT\t0/1\t1/1\n"))
	l.importVariants("cohort", "a.vcf")
	if got := l.query("cohort", "select count(*), count(distinct start) from cohort"); got[0] != "4|2" {
		t.Errorf("after the file grew: %s", got[0])
	}
	l.Await("old files are gone", func() bool { return l.blobCount() == 3+1 }) // the reference's three
}

func TestUnsortedFilesBecomeSortedRuns(t *testing.T) {
	l := newLab(t)
	l.variantStore("cohort")
	var text strings.Builder
	text.WriteString(vcfHead)
	for _, c := range []string{"c1", "c2", "c1"} {
		for _, pos := range []int{5, 9, 9, 2, 7} {
			fmt.Fprintf(&text, "%s\t%d\t.\tA\tC\t.\tPASS\t.\tGT\t0/1\t1/1\n", c, pos)
		}
	}
	l.s3.Put("in/a.vcf", []byte(text.String()))
	if j := l.importVariants("cohort", "a.vcf"); j.Status != api.JobStatusCompleted {
		t.Fatalf("job %+v", j)
	}
	if got := l.query("cohort", "select count(*) from cohort")[0]; got != "30" {
		t.Errorf("%s rows", got)
	}
	if n := l.blobCount(); n != 3+4 {
		t.Errorf("%d blobs, want the reference's three and four runs", n)
	}
}

func TestBrokenVariantFilesFailAlone(t *testing.T) {
	l := newLab(t)
	l.variantStore("cohort")
	l.s3.Put("in/good", []byte(vcfHead+"c1\t10\t.\tA\tC\t.\tPASS\t.\tGT\t0/1\t1/1\n"))
	l.s3.Put("in/bad", []byte(vcfHead+"c1\t10\t.\tA\tC\t.\tPASS\t.\tGT\t0/1\t1/1\nc1\tx\t.\tA\tC\t.\tPASS\t.\tGT\t0/1\t1/1\n"))
	j := l.importVariants("cohort", "good", "bad", "absent")
	if j.Status != api.JobStatusCompletedWithFailures || j.Items[0].JobStatus != api.JobStatusCompleted || j.Items[1].StatusMessage != "vcf: line 7, POS: is no number from 0 to 2147483647" ||
		!strings.Contains(j.Items[2].StatusMessage, "does not exist") {
		t.Errorf("job %+v", j)
	}
	if n := l.blobCount(); n != 3+1 {
		t.Errorf("%d blobs are stored", n)
	}
	_, err := l.s.StartVariantImportJob(l.Ctx, &api.StartVariantImportJobInput{DestinationName: "cohort", RoleArn: role, RunLeftNormalization: aws.Ptr(true),
		Items: []api.VariantImportItemSource{{Source: "s3://in/good"}}})
	wantCode(t, err, errs.Invalid)
	_, err = l.s.StartVariantImportJob(l.Ctx, &api.StartVariantImportJobInput{DestinationName: "none", RoleArn: role, Items: []api.VariantImportItemSource{{Source: "s3://in/good"}}})
	wantCode(t, err, errs.NotFound)
	_, err = l.s.DeleteVariantStore(l.Ctx, &api.DeleteVariantStoreInput{Name: "cohort"})
	wantCode(t, err, errs.Conflict)
	must[*api.DeleteVariantStoreOutput](t)(l.s.DeleteVariantStore(l.Ctx, &api.DeleteVariantStoreInput{Name: "cohort", Force: aws.Ptr(true)}))
	_, err = l.s.GetVariantStore(l.Ctx, &api.GetVariantStoreInput{Name: "cohort"})
	wantCode(t, err, errs.NotFound)
	l.Await("the rows are gone", func() bool { return l.blobCount() == 3 })
}

// TestVariantsAgainstBcftools compares SQL over a real file with bcftools over the same.
func TestVariantsAgainstBcftools(t *testing.T) {
	bcftools, err := exec.LookPath("bcftools")
	if err != nil {
		t.Skip("bcftools is not on this machine (Debian package bcftools)")
	}
	l := newLab(t)
	l.variantStore("cohort")
	for _, name := range []string{"merge.a.vcf", "view.vcf", "annotate.vcf"} {
		file := corpus(t, "bcftools-test", "test/"+name)
		l.s3.Put("in/"+name, file)
		if j := l.importVariants("cohort", name); j.Status != api.JobStatusCompleted {
			t.Errorf("%s: %+v", name, j.Items)
			continue
		}
		cmd := exec.Command(bcftools, "query", "-f", "[%CHROM|%POS0|%REF|%ALT|%SAMPLE|%GT\n]", "-")
		cmd.Stdin = bytes.NewReader(file)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Split(strings.TrimSpace(string(out)), "\n")
		for i, w := range want { // genotypes as lists of numbers
			f := strings.SplitN(w, "|", 6)
			f[5] = strings.NewReplacer("/", ",", "|", ",", ".", "-1").Replace(f[5])
			want[i] = strings.Join(f, "|")
		}
		got := l.query("cohort", `select contigname, start, referenceallele, coalesce(nullif(array_to_string(alternatealleles, ','), ''), '.'), sampleid, array_to_string(calls, ',') from cohort
			where importjobid = (select max(importjobid) from cohort where importjobid = '`+l.lastJob()+`')`)
		for i := range got { // without GT there are no calls
			got[i] = strings.TrimSuffix(got[i], "|") + strings.Repeat("|-1", strings.Count(got[i]+"$", "|$"))
		}
		sort.Strings(want)
		sort.Strings(got)
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Errorf("%s: %d rows, bcftools has %d; first difference\n got %s\nwant %s", name, len(got), len(want), got[i], want[i])
					break
				}
			}
		}
	}
}

// lastJob is the id of the newest import.
func (l *lab) lastJob() string {
	l.t.Helper()
	jobs := must[*api.ListVariantImportJobsOutput](l.t)(l.s.ListVariantImportJobs(l.Ctx, &api.ListVariantImportJobsInput{})).VariantImportJobs
	return jobs[len(jobs)-1].Id
}
