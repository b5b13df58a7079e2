package athena

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/athena"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/sql"
	"github.com/galen-health/galen/platform/sql/duck"
	"github.com/galen-health/galen/test/testbed"
)

// TestMain is the SQL child when the engine starts this test binary again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sql.ChildArg {
		os.Exit(duck.Main())
	}
	os.Exit(m.Run())
}

// lab is the service over real engines; the catalog and the policy are the test's own, because they are other services.
type lab struct {
	t   testing.TB
	s   *Service
	ctx context.Context
	s3  *testbed.Objects
}

func newLab(t testing.TB) *lab {
	t.Helper()
	dir := t.TempDir()
	e := testbed.Open(t, dir)
	engine, err := sql.NewEngine(filepath.Join(dir, "sql"), 2)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, s3: testbed.NewObjects(), ctx: as(e.Ctx, "analyst")}
	l.s3.OnPut = func(in *s3.PutObjectInput) error {
		if in.Bucket == "absent" {
			return errs.Named(errs.NotFound, "NoSuchBucket", "The specified bucket does not exist")
		}
		return nil
	}
	l.s, err = New(e.Ctx, Config{Records: e.Records, Blobs: e.Blobs, Jobs: e.Jobs, Authorizer: policy{}, S3: l.s3, Engine: engine, Catalogs: []sql.Catalog{published{t}},
		Account: testbed.Account, Region: testbed.Region})
	if err != nil {
		t.Fatal(err)
	}
	e.Run()
	return l
}

func as(ctx context.Context, user string) context.Context {
	return call.With(ctx, &call.Call{Principal: call.Principal{Kind: call.IAMUser, ARN: "arn:aws:iam::000000000000:user/" + user, Name: user}})
}

// policy lets everyone but the guest read.
type policy struct{}

func (policy) Decide(context.Context, *call.Call, authz.Request) authz.Decision {
	return authz.Decision{Allowed: true}
}

func (policy) Check(ctx context.Context, r authz.Request) error {
	if call.From(ctx).Principal.Name == "guest" {
		return errs.New(errs.Denied, "User: guest is not authorized to perform: %s on resource: %s", r.Action, r.Resource)
	}
	return nil
}

// published is a catalog with one table of 2,500 rows.
type published struct{ t testing.TB }

type row struct {
	ID   int64   `parquet:"id"`
	Name *string `parquet:"name,optional"`
}

func (published) Databases(context.Context) ([]sql.Database, error) {
	return []sql.Database{{Name: "db", Description: "a database"}, {Name: "other"}}, nil
}

func (published) tables() []sql.Table {
	return []sql.Table{{Database: "db", Name: "people", Columns: []sql.Column{{Name: "id", Type: "bigint"}, {Name: "name", Type: "string", Comment: "may be null"}}, Action: "x:Read", Resource: "arn:x"}}
}

func (p published) Tables(_ context.Context, database string) ([]sql.Table, error) {
	switch database {
	case "db":
		return p.tables(), nil
	case "other":
		return nil, nil
	}
	return nil, errs.New(errs.NotFound, "no")
}

func (p published) Table(_ context.Context, database, name string) (*sql.Table, error) {
	if database != "db" || name != "people" {
		return nil, errs.New(errs.NotFound, "no")
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b)
	for i := range 2500 {
		r := row{ID: int64(i)}
		if i%2 == 0 {
			n := fmt.Sprintf(`n"%d`, i)
			r.Name = &n
		}
		if _, err := w.Write([]row{r}); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	t := p.tables()[0]
	t.Files = []sql.File{{Size: int64(b.Len()), Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }}}
	return &t, nil
}

func (l *lab) start(ctx context.Context, query string) string {
	l.t.Helper()
	out, err := l.s.StartQueryExecution(ctx, &api.StartQueryExecutionInput{QueryString: query, QueryExecutionContext: &api.QueryExecutionContext{Database: "db"},
		ResultConfiguration: &api.ResultConfiguration{OutputLocation: "s3://out/q"}})
	if err != nil {
		l.t.Fatal(err)
	}
	return out.QueryExecutionId
}

// end waits until a query has ended.
func (l *lab) end(id string) *api.QueryExecution {
	l.t.Helper()
	for limit := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		out, err := l.s.GetQueryExecution(l.ctx, &api.GetQueryExecutionInput{QueryExecutionId: id})
		if err != nil {
			l.t.Fatal(err)
		}
		if e := out.QueryExecution; !e.Status.CompletionDateTime.IsZero() {
			return e
		}
		if time.Now().After(limit) {
			l.t.Fatal("the query never ends")
		}
	}
}

func TestAQueryAndItsPages(t *testing.T) {
	l := newLab(t)
	id := l.start(l.ctx, "SELECT id, name FROM people ORDER BY id")
	e := l.end(id)
	if e.Status.State != api.QueryExecutionStateSucceeded || e.ResultConfiguration.OutputLocation != "s3://out/q/"+id+".csv" || aws.Val(e.Statistics.DataScannedInBytes) == 0 ||
		e.EngineVersion.EffectiveEngineVersion != "Athena engine version 3" || e.StatementType != api.StatementTypeDml {
		t.Fatalf("execution %+v, status %+v", e, e.Status)
	}
	for _, limit := range []int32{1000, 999, 7} {
		var rows []string
		in := &api.GetQueryResultsInput{QueryExecutionId: id, MaxResults: aws.Ptr(limit)}
		for {
			out, err := l.s.GetQueryResults(l.ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			if int32(len(out.ResultSet.Rows)) > limit {
				t.Fatalf("%d rows on a page of %d", len(out.ResultSet.Rows), limit)
			}
			if c := out.ResultSet.ResultSetMetadata.ColumnInfo; len(c) != 2 || c[0].Type != "bigint" || c[1].Type != "varchar" {
				t.Fatalf("columns %+v", c)
			}
			for _, r := range out.ResultSet.Rows {
				rows = append(rows, r.Data[0].VarCharValue+"|"+r.Data[1].VarCharValue)
			}
			if in.NextToken = out.NextToken; in.NextToken == "" {
				break
			}
		}
		if len(rows) != 2501 || rows[0] != "id|name" || rows[1] != `0|n"0` || rows[2] != "1|" || rows[2500] != "2499|" {
			t.Errorf("by %d: %d rows, %q … %q", limit, len(rows), rows[:3], rows[len(rows)-1])
		}
	}
	csv := string(l.s3.Get("out/q/" + id + ".csv"))
	if !strings.HasPrefix(csv, "\"id\",\"name\"\n\"0\",\"n\"\"0\"\n\"1\",\n") || strings.Count(csv, "\n") != 2501 {
		t.Errorf("CSV begins with %q", csv[:min(60, len(csv))])
	}
	_, err := l.s.GetQueryResults(l.ctx, &api.GetQueryResultsInput{QueryExecutionId: id, NextToken: "bm9uZQ"})
	if !errs.Is(err, errs.Invalid) {
		t.Errorf("a foreign token: %v", err)
	}
}

func TestFailuresAreTheQueriesOwn(t *testing.T) {
	l := newLab(t)
	for query, want := range map[string]string{
		"SELECT nothing FROM people":               "Binder Error",
		"SELECT * FROM elsewhere":                  "TABLE_NOT_FOUND: Table 'awsdatacatalog.db.elsewhere'",
		"SELECT * FROM read_csv('/etc/passwd')":    "",
		"SELECT * FROM '/etc/passwd'":              "",
		"DROP TABLE people":                        "",
		"SELECT 1; SELECT 2":                       "one statement",
		"SELEC":                                    "Parser Error",
		"INSERT INTO people SELECT * FROM people":  "",
		"SELECT 1/0 + cast('x' as int)":            "Conversion Error",
		"COPY people TO '/tmp/x.parquet'":          "",
		"ATTACH 'x.db'":                            "",
		"SELECT * FROM db.people, other.db.people": "in no known database",
	} {
		e := l.end(l.start(l.ctx, query))
		if e.Status.State != api.QueryExecutionStateFailed || !strings.Contains(e.Status.StateChangeReason, want) || e.Status.AthenaError == nil {
			t.Errorf("%s: %s %q, want %q", query, e.Status.State, e.Status.StateChangeReason, want)
		}
	}
	id := l.start(as(l.ctx, "guest"), "SELECT * FROM people")
	if e := l.end(id); e.Status.State != api.QueryExecutionStateFailed || !strings.Contains(e.Status.StateChangeReason, "guest is not authorized to perform: x:Read") {
		t.Errorf("the guest: %+v", e.Status)
	}
	if _, err := l.s.GetQueryResults(l.ctx, &api.GetQueryResultsInput{QueryExecutionId: id}); !errs.Is(err, errs.Invalid) {
		t.Errorf("results of a failed query: %v", err)
	}
	out, err := l.s.StartQueryExecution(l.ctx, &api.StartQueryExecutionInput{QueryString: "SELECT 1", ResultConfiguration: &api.ResultConfiguration{OutputLocation: "s3://absent/"}})
	if err != nil {
		t.Fatal(err)
	}
	if e := l.end(out.QueryExecutionId); !strings.Contains(e.Status.StateChangeReason, "bucket does not exist") {
		t.Errorf("no bucket: %+v", e.Status)
	}
}

func TestWrongRequests(t *testing.T) {
	l := newLab(t)
	for name, in := range map[string]*api.StartQueryExecutionInput{
		"no output":  {QueryString: "SELECT 1"},
		"not S3":     {QueryString: "SELECT 1", ResultConfiguration: &api.ResultConfiguration{OutputLocation: "/tmp"}},
		"workgroup":  {QueryString: "SELECT 1", WorkGroup: "mine", ResultConfiguration: &api.ResultConfiguration{OutputLocation: "s3://out/"}},
		"catalog":    {QueryString: "SELECT 1", QueryExecutionContext: &api.QueryExecutionContext{Catalog: "mine"}, ResultConfiguration: &api.ResultConfiguration{OutputLocation: "s3://out/"}},
		"parameters": {QueryString: "SELECT ?", ExecutionParameters: []string{"1"}, ResultConfiguration: &api.ResultConfiguration{OutputLocation: "s3://out/"}},
	} {
		if _, err := l.s.StartQueryExecution(l.ctx, in); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := l.s.GetQueryExecution(l.ctx, &api.GetQueryExecutionInput{QueryExecutionId: "none"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("an unknown query: %v", err)
	}
	list, err := l.s.ListQueryExecutions(l.ctx, &api.ListQueryExecutionsInput{})
	if err != nil || len(list.QueryExecutionIds) != 0 {
		t.Errorf("queries %v, error %v", list, err)
	}
}

func TestStop(t *testing.T) {
	l := newLab(t)
	id := l.start(l.ctx, "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3")
	if _, err := l.s.StopQueryExecution(l.ctx, &api.StopQueryExecutionInput{QueryExecutionId: id}); err != nil {
		t.Fatal(err)
	}
	if e := l.end(id); e.Status.State != api.QueryExecutionStateCancelled {
		t.Errorf("status %+v", e.Status)
	}
	if _, err := l.s.StopQueryExecution(l.ctx, &api.StopQueryExecutionInput{QueryExecutionId: id}); err != nil {
		t.Errorf("stopping again: %v", err)
	}
}

func TestTokensListsAndMetadata(t *testing.T) {
	l := newLab(t)
	in := &api.StartQueryExecutionInput{QueryString: "SELECT 1", ClientRequestToken: "0123456789012345678901234567890123", ResultConfiguration: &api.ResultConfiguration{OutputLocation: "s3://out/"}}
	a, err := l.s.StartQueryExecution(l.ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.s.StartQueryExecution(l.ctx, in)
	if err != nil || a.QueryExecutionId != b.QueryExecutionId {
		t.Errorf("the same token: %v and %v, error %v", a, b, err)
	}
	second := l.start(l.ctx, "SHOW TABLES")
	if e := l.end(second); e.Status.State != api.QueryExecutionStateSucceeded || e.StatementType != api.StatementTypeUtility {
		t.Errorf("SHOW TABLES: %+v", e.Status)
	}
	out, err := l.s.GetQueryResults(l.ctx, &api.GetQueryResultsInput{QueryExecutionId: second})
	if err != nil || len(out.ResultSet.Rows) != 2 || out.ResultSet.Rows[1].Data[0].VarCharValue != "people" {
		t.Errorf("SHOW TABLES: %+v, error %v", out, err)
	}
	list, err := l.s.ListQueryExecutions(l.ctx, &api.ListQueryExecutionsInput{MaxResults: aws.Ptr(int32(1))})
	if err != nil || len(list.QueryExecutionIds) != 1 || list.QueryExecutionIds[0] != second || list.NextToken == "" {
		t.Errorf("list %+v, error %v", list, err)
	}
	list, err = l.s.ListQueryExecutions(l.ctx, &api.ListQueryExecutionsInput{MaxResults: aws.Ptr(int32(1)), NextToken: list.NextToken})
	if err != nil || len(list.QueryExecutionIds) != 1 || list.QueryExecutionIds[0] != a.QueryExecutionId {
		t.Errorf("second page %+v, error %v", list, err)
	}
	dbs, err := l.s.ListDatabases(l.ctx, &api.ListDatabasesInput{CatalogName: "AwsDataCatalog", MaxResults: aws.Ptr(int32(1))})
	if err != nil || len(dbs.DatabaseList) != 1 || dbs.DatabaseList[0].Name != "db" || dbs.NextToken == "" {
		t.Errorf("databases %+v, error %v", dbs, err)
	}
	tables, err := l.s.ListTableMetadata(l.ctx, &api.ListTableMetadataInput{CatalogName: "AwsDataCatalog", DatabaseName: "db", Expression: "peo.*"})
	if err != nil || len(tables.TableMetadataList) != 1 || tables.TableMetadataList[0].Columns[1] != (api.Column{Name: "name", Type: "string", Comment: "may be null"}) {
		t.Errorf("tables %+v, error %v", tables, err)
	}
	if _, err := l.s.GetTableMetadata(l.ctx, &api.GetTableMetadataInput{CatalogName: "AwsDataCatalog", DatabaseName: "db", TableName: "none"}); errs.As(err) == nil || errs.As(err).Name != "MetadataException" {
		t.Errorf("no table: %v", err)
	}
	if w, err := l.s.GetWorkGroup(l.ctx, &api.GetWorkGroupInput{WorkGroup: "primary"}); err != nil || w.WorkGroup.Configuration.EngineVersion.EffectiveEngineVersion != "Athena engine version 3" {
		t.Errorf("workgroup %+v, error %v", w, err)
	}
}
