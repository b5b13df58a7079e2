package crash_test

import (
	"fmt"
	"strings"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/athena"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/test/sample"
)

// genomes are the imports of HealthOmics: references, read sets and variants.
func (s *site) genomes() []work {
	ctx, c := s.t.Context(), omics.NewClient(s.g.Client())
	refs, err := c.CreateReferenceStore(ctx, &omics.CreateReferenceStoreInput{Name: "jobs", ClientToken: "jobs"})
	if err != nil {
		s.t.Fatal(err)
	}
	reads, err := c.CreateSequenceStore(ctx, &omics.CreateSequenceStoreInput{Name: "jobs", ClientToken: "jobs"})
	if err != nil {
		s.t.Fatal(err)
	}
	await(s.t, "the sequence store", func() bool {
		d, err := c.GetSequenceStore(ctx, &omics.GetSequenceStoreInput{Id: reads.Id})
		if err != nil {
			s.t.Fatal(err)
		}
		return d.Status == omics.SequenceStoreStatusActive
	})
	references := work{
		name: "omics reference import",
		prepare: func(n int) {
			s.put(fmt.Sprintf("omics-in/%d.fa", n), fmt.Appendf(sample.FASTA(), ">extra%d\nACGT\n", n))
		},
		start: func(n int) string {
			out, err := c.StartReferenceImportJob(ctx, &omics.StartReferenceImportJobInput{ReferenceStoreId: refs.Id, RoleArn: s.role, ClientToken: fmt.Sprint("ref", n),
				Sources: []omics.StartReferenceImportJobSourceItem{{SourceFile: fmt.Sprintf("s3://jobs/omics-in/%d.fa", n), Name: fmt.Sprint("ref", n)}}})
			if err != nil {
				s.t.Fatal(err)
			}
			return out.Id
		},
		state: func(id string) string {
			d, err := c.GetReferenceImportJob(ctx, &omics.GetReferenceImportJobInput{ReferenceStoreId: refs.Id, Id: id})
			if err != nil {
				return err.Error()
			}
			return stateOf(d.Status, d.StatusMessage, nil)
		},
		check: func(n int, _ string) {
			list, err := c.ListReferences(ctx, &omics.ListReferencesInput{ReferenceStoreId: refs.Id, Filter: &omics.ReferenceFilter{Name: fmt.Sprint("ref", n)}})
			if err != nil || len(list.References) != 1 || list.References[0].Status != omics.ReferenceStatusActive {
				s.t.Errorf("reference import %d: %+v, %v", n, list, err)
			}
		},
	}
	readSets := work{
		name: "omics read set import",
		prepare: func(n int) {
			for i := range 2 {
				s.put(fmt.Sprintf("omics-in/%d-%d.fastq.gz", n, i), sample.Gzip(sample.FASTQ(60_000+n*2+i)))
			}
		},
		start: func(n int) string {
			in := &omics.StartReadSetImportJobInput{SequenceStoreId: reads.Id, RoleArn: s.role, ClientToken: fmt.Sprint("reads", n)}
			for i := range 2 {
				in.Sources = append(in.Sources, omics.StartReadSetImportJobSourceItem{SourceFiles: &omics.SourceFiles{Source1: fmt.Sprintf("s3://jobs/omics-in/%d-%d.fastq.gz", n, i)}, SourceFileType: omics.FileTypeFastq,
					SubjectId: "s", SampleId: fmt.Sprint("sample", n), Name: fmt.Sprintf("reads%d-%d", n, i)})
			}
			out, err := c.StartReadSetImportJob(ctx, in)
			if err != nil {
				s.t.Fatal(err)
			}
			return out.Id
		},
		state: func(id string) string {
			d, err := c.GetReadSetImportJob(ctx, &omics.GetReadSetImportJobInput{SequenceStoreId: reads.Id, Id: id})
			if err != nil {
				return err.Error()
			}
			return stateOf(d.Status, d.StatusMessage, nil)
		},
		check: func(n int, _ string) {
			list, err := c.ListReadSets(ctx, &omics.ListReadSetsInput{SequenceStoreId: reads.Id, Filter: &omics.ReadSetFilter{SampleId: fmt.Sprint("sample", n)}})
			if err != nil {
				s.t.Fatal(err)
			}
			names := map[string]int64{}
			for _, r := range list.ReadSets {
				d, err := c.GetReadSetMetadata(ctx, &omics.GetReadSetMetadataInput{SequenceStoreId: reads.Id, Id: r.Id})
				if err != nil || d.Status != omics.ReadSetStatusActive {
					s.t.Fatalf("read set import %d: %+v, %v", n, d, err)
				}
				names[d.Name] = *d.SequenceInformation.TotalReadCount
			}
			if len(list.ReadSets) != 2 || names[fmt.Sprintf("reads%d-0", n)] != int64(60_000+n*2) || names[fmt.Sprintf("reads%d-1", n)] != int64(60_001+n*2) {
				s.t.Errorf("read set import %d: %d read sets, reads %v", n, len(list.ReadSets), names)
			}
		},
	}
	return []work{references, readSets, s.variants(c, refs.Id)}
}

// variants imports into a store of its own each round, and counts with SQL.
func (s *site) variants(c omics.Service, refs string) work {
	ctx := s.t.Context()
	name := func(n int) string { return fmt.Sprint("variants", n) }
	store := map[int]string{}
	return work{
		name: "omics variant import",
		prepare: func(n int) {
			s.put("omics-in/v.vcf.gz", sample.Gzip(sample.VCF(290)))
			list, err := c.ListReferences(ctx, &omics.ListReferencesInput{ReferenceStoreId: refs})
			if err != nil {
				s.t.Fatal(err)
			}
			made, err := c.CreateVariantStore(ctx, &omics.CreateVariantStoreInput{Name: name(n), Reference: &omics.ReferenceItem{ReferenceArn: list.References[0].Arn}})
			if err != nil {
				s.t.Fatal(err)
			}
			store[n] = made.Id
			await(s.t, "the variant store", func() bool {
				d, err := c.GetVariantStore(ctx, &omics.GetVariantStoreInput{Name: name(n)})
				if err != nil {
					s.t.Fatal(err)
				}
				return d.Status == omics.StoreStatusActive
			})
		},
		start: func(n int) string {
			out, err := c.StartVariantImportJob(ctx, &omics.StartVariantImportJobInput{DestinationName: name(n), RoleArn: s.role, Items: []omics.VariantImportItemSource{{Source: "s3://jobs/omics-in/v.vcf.gz"}}})
			if err != nil {
				s.t.Fatal(err)
			}
			return out.JobId
		},
		state: func(id string) string {
			d, err := c.GetVariantImportJob(ctx, &omics.GetVariantImportJobInput{JobId: id})
			if err != nil {
				return err.Error()
			}
			return stateOf(d.Status, d.StatusMessage, nil)
		},
		check: func(n int, _ string) {
			if rows := s.count("variant_"+store[n], name(n)); rows != "290" {
				s.t.Errorf("variant import %d: %s rows, want 290", n, rows)
			}
			if _, err := c.DeleteVariantStore(ctx, &omics.DeleteVariantStoreInput{Name: name(n), Force: aws.Ptr(true)}); err != nil { // an account has ten at most
				s.t.Error(err)
			}
		},
	}
}

// count is the number of rows of a table, by Athena.
func (s *site) count(database, table string) string {
	ctx, c := s.t.Context(), athena.NewClient(s.g.Client())
	list, err := c.ListDatabases(ctx, &athena.ListDatabasesInput{CatalogName: "AwsDataCatalog"})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, d := range list.DatabaseList { // the store's, however its id is written in the name
		if strings.Contains(d.Name, strings.TrimPrefix(database, "variant_")) {
			database = d.Name
		}
	}
	q, err := c.StartQueryExecution(ctx, &athena.StartQueryExecutionInput{QueryString: fmt.Sprintf(`SELECT count(*) FROM "%s"`, table), QueryExecutionContext: &athena.QueryExecutionContext{Database: database},
		ResultConfiguration: &athena.ResultConfiguration{OutputLocation: "s3://jobs/sql/"}})
	if err != nil {
		s.t.Fatal(err)
	}
	await(s.t, "the query", func() bool {
		d, err := c.GetQueryExecution(ctx, &athena.GetQueryExecutionInput{QueryExecutionId: q.QueryExecutionId})
		if err != nil {
			s.t.Fatal(err)
		}
		if state := d.QueryExecution.Status.State; state == athena.QueryExecutionStateFailed || state == athena.QueryExecutionStateCancelled {
			s.t.Fatalf("the query is %s: %s", state, d.QueryExecution.Status.StateChangeReason)
		}
		return d.QueryExecution.Status.State == athena.QueryExecutionStateSucceeded
	})
	r, err := c.GetQueryResults(ctx, &athena.GetQueryResultsInput{QueryExecutionId: q.QueryExecutionId})
	if err != nil || len(r.ResultSet.Rows) != 2 {
		s.t.Fatalf("the count: %+v, %v", r, err)
	}
	return r.ResultSet.Rows[1].Data[0].VarCharValue
}
