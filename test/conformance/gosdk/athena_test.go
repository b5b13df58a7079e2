package gosdk

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"
	"github.com/aws/aws-sdk-go-v2/service/omics"
	omicstypes "github.com/aws/aws-sdk-go-v2/service/omics/types"

	"github.com/galen-health/galen/test/galen"
	"github.com/galen-health/galen/test/sample"
)

// variantTable imports 200 variants, so that there is something to ask for.
func variantTable(t *testing.T, g *galen.Server) {
	t.Helper()
	ctx, c := t.Context(), omics.NewFromConfig(config(g, newCalls()))
	put(t, g, "sdk-sql", "ref.fa", sample.FASTA())
	put(t, g, "sdk-sql", "v.vcf.gz", sample.Gzip(sample.VCF(200)))
	role := role(t, g, "omics")
	refs := must(c.CreateReferenceStore(ctx, &omics.CreateReferenceStoreInput{Name: aws.String("sql")}))(t).Id
	job := must(c.StartReferenceImportJob(ctx, &omics.StartReferenceImportJobInput{ReferenceStoreId: refs, RoleArn: role, Sources: []omicstypes.StartReferenceImportJobSourceItem{{SourceFile: aws.String("s3://sdk-sql/ref.fa"), Name: aws.String("ref")}}}))(t).Id
	imported := omics.NewReferenceImportJobCompletedWaiter(c, func(w *omics.ReferenceImportJobCompletedWaiterOptions) {
		w.MinDelay, w.MaxDelay = 100*time.Millisecond, time.Second
	})
	if err := imported.Wait(ctx, &omics.GetReferenceImportJobInput{ReferenceStoreId: refs, Id: job}, time.Minute); err != nil {
		t.Fatal(err)
	}
	ref := must(c.ListReferences(ctx, &omics.ListReferencesInput{ReferenceStoreId: refs}))(t).References[0].Arn
	name := aws.String("sql_variants")
	must(c.CreateVariantStore(ctx, &omics.CreateVariantStoreInput{Name: name, Reference: &omicstypes.ReferenceItemMemberReferenceArn{Value: *ref}}))(t)
	created := omics.NewVariantStoreCreatedWaiter(c, func(w *omics.VariantStoreCreatedWaiterOptions) {
		w.MinDelay, w.MaxDelay = 100*time.Millisecond, time.Second
	})
	if err := created.Wait(ctx, &omics.GetVariantStoreInput{Name: name}, time.Minute); err != nil {
		t.Fatal(err)
	}
	variants := must(c.StartVariantImportJob(ctx, &omics.StartVariantImportJobInput{DestinationName: name, RoleArn: role, Items: []omicstypes.VariantImportItemSource{{Source: aws.String("s3://sdk-sql/v.vcf.gz")}}}))(t).JobId
	done := omics.NewVariantImportJobCreatedWaiter(c, func(w *omics.VariantImportJobCreatedWaiterOptions) {
		w.MinDelay, w.MaxDelay = 100*time.Millisecond, time.Second
	})
	if err := done.Wait(ctx, &omics.GetVariantImportJobInput{JobId: variants}, time.Minute); err != nil {
		t.Fatal(err)
	}
}

func TestAthena(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	variantTable(t, g)
	seen := newCalls()
	c := athena.NewFromConfig(config(g, seen))
	database, table := athenaCatalog(t, c)
	athenaQuery(t, g, c, database, table)
	athenaRefused(t, c, database)
	seen.all(t, "Athena", c)
}

func athenaCatalog(t *testing.T, c *athena.Client) (database, table string) {
	ctx := t.Context()
	catalog := aws.String("AwsDataCatalog")
	for pages := athena.NewListDataCatalogsPaginator(c, &athena.ListDataCatalogsInput{}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).DataCatalogsSummary; len(l) != 1 || *l[0].CatalogName != *catalog {
			t.Errorf("catalogs are %+v", l)
		}
	}
	must(c.GetDataCatalog(ctx, &athena.GetDataCatalogInput{Name: catalog}))(t)
	for pages := athena.NewListDatabasesPaginator(c, &athena.ListDatabasesInput{CatalogName: catalog, MaxResults: aws.Int32(1)}); pages.HasMorePages(); {
		for _, d := range must(pages.NextPage(ctx))(t).DatabaseList {
			if strings.HasPrefix(*d.Name, "variant_") {
				database = *d.Name
			}
		}
	}
	if d := must(c.GetDatabase(ctx, &athena.GetDatabaseInput{CatalogName: catalog, DatabaseName: &database}))(t).Database; *d.Name != database {
		t.Errorf("the database is %s, want %s", *d.Name, database)
	}
	for pages := athena.NewListTableMetadataPaginator(c, &athena.ListTableMetadataInput{CatalogName: catalog, DatabaseName: &database}); pages.HasMorePages(); {
		for _, m := range must(pages.NextPage(ctx))(t).TableMetadataList {
			table = *m.Name
		}
	}
	var columns []string
	for _, col := range must(c.GetTableMetadata(ctx, &athena.GetTableMetadataInput{CatalogName: catalog, DatabaseName: &database, TableName: &table}))(t).TableMetadata.Columns {
		columns = append(columns, *col.Name)
	}
	if !slices.Contains(columns, "contigname") || !slices.Contains(columns, "start") {
		t.Errorf("columns are %v", columns)
	}
	for pages := athena.NewListWorkGroupsPaginator(c, &athena.ListWorkGroupsInput{}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).WorkGroups; len(l) != 1 || *l[0].Name != "primary" {
			t.Errorf("work groups are %+v", l)
		}
	}
	must(c.GetWorkGroup(ctx, &athena.GetWorkGroupInput{WorkGroup: aws.String("primary")}))(t)
	return database, table
}

func athenaQuery(t *testing.T, g *galen.Server, c *athena.Client, database, table string) {
	ctx := t.Context()
	start := func(sql string) *string {
		return must(c.StartQueryExecution(ctx, &athena.StartQueryExecutionInput{QueryString: &sql, QueryExecutionContext: &types.QueryExecutionContext{Database: &database}, ResultConfiguration: &types.ResultConfiguration{OutputLocation: aws.String("s3://sdk-sql/q/")}}))(t).QueryExecutionId
	}
	state := func(id *string) func() types.QueryExecutionState {
		return func() types.QueryExecutionState {
			return must(c.GetQueryExecution(ctx, &athena.GetQueryExecutionInput{QueryExecutionId: id}))(t).QueryExecution.Status.State
		}
	}
	id := start(fmt.Sprintf(`SELECT contigname, start FROM "%s" ORDER BY start`, table))
	poll(t, state(id), types.QueryExecutionStateSucceeded)
	var rows []string
	for pages := athena.NewGetQueryResultsPaginator(c, &athena.GetQueryResultsInput{QueryExecutionId: id, MaxResults: aws.Int32(75)}); pages.HasMorePages(); {
		for _, r := range must(pages.NextPage(ctx))(t).ResultSet.Rows {
			rows = append(rows, *r.Data[0].VarCharValue+" "+*r.Data[1].VarCharValue)
		}
	}
	if len(rows) != 201 || rows[0] != "contigname start" || rows[1] != "sample1 99" {
		t.Errorf("%d rows from %q on", len(rows), rows[:min(2, len(rows))])
	}
	if csv := get(t, g, "sdk-sql", "q/"+*id+".csv"); strings.Count(csv, "\n") != 201 {
		t.Errorf("the file of the result has %d lines, want 201", strings.Count(csv, "\n"))
	}
	wrong := start("SELECT * FROM read_csv('/etc/passwd')")
	poll(t, state(wrong), types.QueryExecutionStateFailed)
	stopped := start(fmt.Sprintf(`SELECT count(*) FROM "%[1]s" a, "%[1]s" b, "%[1]s" c, "%[1]s" d`, table))
	must(c.StopQueryExecution(ctx, &athena.StopQueryExecutionInput{QueryExecutionId: stopped}))(t)
	poll(t, state(stopped), types.QueryExecutionStateCancelled, types.QueryExecutionStateSucceeded)
	all := must(c.BatchGetQueryExecution(ctx, &athena.BatchGetQueryExecutionInput{QueryExecutionIds: []string{*id, *wrong, "00000000-0000-4000-8000-000000000000"}}))(t)
	if len(all.QueryExecutions) != 2 || len(all.UnprocessedQueryExecutionIds) != 1 {
		t.Errorf("%d queries and %d unknown, want 2 and 1", len(all.QueryExecutions), len(all.UnprocessedQueryExecutionIds))
	}
	n := 0
	for pages := athena.NewListQueryExecutionsPaginator(c, &athena.ListQueryExecutionsInput{MaxResults: aws.Int32(1)}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).QueryExecutionIds)
	}
	if n != 3 {
		t.Errorf("%d queries, want 3", n)
	}
}

func athenaRefused(t *testing.T, c *athena.Client, database string) {
	ctx := t.Context()
	_, err := c.GetQueryExecution(ctx, &athena.GetQueryExecutionInput{QueryExecutionId: aws.String("00000000-0000-4000-8000-000000000000")})
	refused[*types.InvalidRequestException](t, "an absent query", err, 400)
	_, err = c.GetTableMetadata(ctx, &athena.GetTableMetadataInput{CatalogName: aws.String("AwsDataCatalog"), DatabaseName: &database, TableName: aws.String("none")})
	refused[*types.MetadataException](t, "an absent table", err, 400)
	_, err = c.StartQueryExecution(ctx, &athena.StartQueryExecutionInput{QueryString: aws.String("SELECT 1")})
	refused[*types.InvalidRequestException](t, "a query without a place for its result", err, 400)
}
