package sql_test

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

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/sql"
	"github.com/galen-health/galen/platform/sql/duck"
)

// TestMain is the child when the engine starts this test binary again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sql.ChildArg {
		os.Exit(duck.Main())
	}
	os.Exit(m.Run())
}

type row struct {
	Sample  string            `parquet:"sampleid"`
	Start   int64             `parquet:"start"`
	Qual    *float64          `parquet:"qual,optional"`
	Alts    []string          `parquet:"alternatealleles,list"`
	Calls   []int32           `parquet:"calls,list"`
	Info    map[string]string `parquet:"attributes"`
	Flagged bool              `parquet:"flagged"`
}

func rows(from, n int) []row {
	out := make([]row, n)
	for i := range out {
		k := from + i
		out[i] = row{Sample: fmt.Sprintf("s%d", k%3), Start: int64(k), Alts: []string{"A", "<DEL>"}, Calls: []int32{0, int32(k % 2)}, Info: map[string]string{"DP": fmt.Sprint(k)}, Flagged: k%2 == 0}
		if k%4 != 0 {
			q := float64(k) / 2
			out[i].Qual = &q
		}
	}
	return out
}

func file(t testing.TB, rs []row) sql.File {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b)
	if _, err := w.Write(rs); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return sql.File{Size: int64(b.Len()), Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }}
}

var columns = []sql.Column{{Name: "sampleid", Type: "string"}, {Name: "start", Type: "bigint"}, {Name: "qual", Type: "double"},
	{Name: "alternatealleles", Type: "array<string>"}, {Name: "calls", Type: "array<int>"}, {Name: "attributes", Type: "map<string,string>"}, {Name: "flagged", Type: "boolean"}}

func engine(t testing.TB) *sql.Engine {
	t.Helper()
	e, err := sql.NewEngine(filepath.Join(t.TempDir(), "sql"), 2)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// all runs a query over one table "variants" of two files in database "db".
func all(t testing.TB, e *sql.Engine, query string) (cols []sql.Column, out []string, err error) {
	t.Helper()
	table := &sql.Table{Database: "db", Name: "variants", Columns: columns, Files: []sql.File{file(t, rows(0, 700)), file(t, rows(700, 800))}}
	empty := &sql.Table{Database: "db", Name: "empty", Columns: columns}
	err = e.Run(context.Background(), sql.Query{SQL: query, Database: "db", Tables: []*sql.Table{table, empty}}, func(p sql.Page) error {
		cols = p.Columns
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
	return cols, out, err
}

func TestQueries(t *testing.T) {
	e := engine(t)
	for query, want := range map[string]string{
		`select count(*), sum("start"), max(qual) from variants`:                                                  "bigint,decimal,double: 1500|1124250|749.5",
		`select * from db.variants where start = 5`:                                                               "varchar,bigint,double,array,array,map,boolean: s2|5|2.5|[A, <DEL>]|[0, 1]|{DP=5}|false",
		`select qual, flagged from awsdatacatalog.db.variants where start = 4`:                                    "double,boolean: NULL|true",
		`select sampleid, count(*) n from "db"."variants" group by 1 order by 1`:                                  "varchar,bigint: s0|500;s1|500;s2|500",
		`select cardinality(calls), attributes['DP'] from variants where start = 7`:                               "bigint,varchar: 2|7",
		`select a from variants cross join unnest(alternatealleles) as u(a) where start = 1`:                      "varchar: A;<DEL>",
		`select count(*) from empty`:                                                                              "bigint: 0",
		`select sampleid, calls from empty`:                                                                       "varchar,array: ",
		`select date '2024-02-29', timestamp '2024-02-29 01:02:03', 1e10, cast(1.5 as float)`:                     "date,timestamp,double,float: 2024-02-29|2024-02-29 01:02:03.000|1.0E10|1.5",
		`with v as (select 1 x) select v.x, cast(12.50 as decimal(10,2)) from v`:                                  "integer,decimal: 1|12.5",
		`select approx_distinct(sampleid), regexp_like(max(sampleid), '^s') from variants`:                        "bigint,boolean: 3|true",
		`select count(*) from variants where contains(calls, 1) and len(list_filter(calls, lambda x: x = 0)) > 0`: "bigint: 750",
	} {
		cols, got, err := all(t, e, query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		types := make([]string, len(cols))
		for i, c := range cols {
			types[i] = c.Type
		}
		if s := strings.Join(types, ",") + ": " + strings.Join(got, ";"); s != want {
			t.Errorf("%s\n got %s\nwant %s", query, s, want)
		}
	}
}

func TestPagesAreBoundedAndComplete(t *testing.T) {
	e := engine(t)
	n, pages := 0, 0
	err := e.Run(context.Background(), sql.Query{SQL: "select i, repeat('x', 100) from range(25300) t(i)"}, func(p sql.Page) error {
		pages++
		n += len(p.Rows)
		if len(p.Rows) > 1000 {
			t.Fatalf("a page of %d rows", len(p.Rows))
		}
		return nil
	})
	if err != nil || n != 25300 || pages < 25 {
		t.Errorf("%d rows on %d pages, error %v", n, pages, err)
	}
}

// TestTheChildCanDoNothingElse holds the walls one by one.
func TestTheChildCanDoNothingElse(t *testing.T) {
	e := engine(t)
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(secret, []byte("a,b\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		"select * from read_csv('" + secret + "')",
		"select * from '" + secret + "'",
		"select * from read_text('/etc/passwd')",
		"select * from read_blob('/proc/self/environ')",
		"select * from glob('/etc/*')",
		"select * from read_parquet('https://127.0.0.1:1/x.parquet')",
		"copy (select 1) to '" + secret + ".out'",
		"attach '" + secret + ".db' as x",
		"install httpfs", "load httpfs",
		"set enable_external_access=true", "set allowed_paths=['" + secret + "']", "set memory_limit='100GB'", "reset lock_configuration", "pragma enable_external_access",
		"create table x as select 1", "drop view variants", "insert into variants select * from variants",
		"select 1; select 2", "export database '" + secret + ".dir'", "",
	} {
		if _, got, err := all(t, e, query); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: rows %v, error %v, want errs.Invalid", query, got, err)
		}
	}
	left, err := os.ReadDir(filepath.Dir(secret))
	if err != nil || len(left) != 1 {
		t.Errorf("the folder has %d entries, error %v", len(left), err)
	}
}

func TestNothingIsLeftInTheFolder(t *testing.T) {
	e := engine(t)
	if _, _, err := all(t, e, "select count(*) from variants"); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(e.Dir)
	if err != nil || len(left) != 0 {
		t.Errorf("%d files are left, error %v", len(left), err)
	}
	if info, err := os.Stat(e.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
}

func TestLimits(t *testing.T) {
	e := engine(t)
	e.Memory = "64MB"
	if _, _, err := all(t, e, "select list(i) from range(100000000) t(i)"); !errs.Is(err, errs.Exhausted) {
		t.Errorf("memory: %v, want errs.Exhausted", err)
	}
	e = engine(t)
	e.Timeout = 300 * time.Millisecond
	if _, _, err := all(t, e, "select count(*) from range(1000000) a, range(1000000) b where a.range * b.range % 7 = 3"); !errs.Is(err, errs.Timeout) {
		t.Errorf("time: %v, want errs.Timeout", err)
	}
	e = engine(t)
	e.MaxBytes = 100
	if _, _, err := all(t, e, "select 1"); !errs.Is(err, errs.TooLarge) {
		t.Errorf("size: %v, want errs.TooLarge", err)
	}
}

func TestCancelKillsTheChild(t *testing.T) {
	e := engine(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := fmt.Errorf("stopped")
	time.AfterFunc(200*time.Millisecond, func() { cancel(stop) })
	err := e.Run(ctx, sql.Query{SQL: "select count(*) from range(1000000) a, range(1000000) b where a.range * b.range % 7 = 3"}, func(sql.Page) error { return nil })
	if err != stop {
		t.Errorf("error %v, want the cause of the cancelled context", err)
	}
	enough := fmt.Errorf("enough")
	if err := e.Run(context.Background(), sql.Query{SQL: "select * from range(100000000)"}, func(sql.Page) error { return enough }); err != enough {
		t.Errorf("error %v, want the caller's own", err)
	}
}

func TestNames(t *testing.T) {
	e := engine(t)
	for query, want := range map[string]string{
		"select 1": "[]",
		`select * from a join "D b"."T.x" on true where exists (select 1 from AwsDataCatalog.c.d)`: "[{c d} {D b T.x} {db a}]",
		"with v as (select * from z) select * from v":                                              "[{db z}]",
	} {
		got, err := e.Names(context.Background(), query, "db")
		seen := map[string]bool{}
		for _, n := range got {
			seen[fmt.Sprint(n)] = true
		}
		ok := err == nil && len(seen) == strings.Count(want, "{")
		for n := range seen {
			ok = ok && strings.Contains(want, n)
		}
		if !ok {
			t.Errorf("%s: %v, error %v, want %s", query, got, err, want)
		}
	}
	for _, bad := range []string{"selec 1", "select * from", "select * from other.db.t"} {
		if got, err := e.Names(context.Background(), bad, "db"); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v, error %v, want errs.Invalid", bad, got, err)
		}
	}
}

func TestSourceErrorsComeThrough(t *testing.T) {
	e := engine(t)
	broken := errs.New(errs.Corrupt, "the blob is damaged")
	table := &sql.Table{Database: "db", Name: "t", Columns: columns, Files: []sql.File{{Size: 1, Open: func(context.Context) (io.ReadCloser, error) { return nil, broken }}}}
	if err := e.Run(context.Background(), sql.Query{SQL: "select * from db.t", Tables: []*sql.Table{table}}, nil); err != broken {
		t.Errorf("error %v, want the source's", err)
	}
}
