package duck

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	galensql "github.com/galen-health/galen/platform/sql"
)

// Main is the child: it answers one request and returns the exit status.
func Main() int {
	debug.SetMemoryLimit(256 << 20) // of Go; DuckDB has its own limit
	var req galensql.Request
	in := bufio.NewReader(os.Stdin)
	if err := galensql.Receive(in, &req); err != nil {
		fmt.Fprintln(os.Stderr, "sql child: the request cannot be read")
		return 2
	}
	go func() { // the parent is gone, or done with us
		_, _ = io.Copy(io.Discard, in)
		os.Exit(3)
	}()
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	err := answer(context.Background(), &req, func(m *galensql.Message) error {
		if err := galensql.Send(out, m); err != nil {
			return err
		}
		return out.Flush()
	})
	if err == nil {
		return 0
	}
	if errors.As(err, new(ours)) {
		fmt.Fprintln(os.Stderr, "sql child:", err)
		return 2
	}
	m := galensql.Message{Error: plain(err)}
	var d *duckdb.Error
	m.Memory = errors.As(err, &d) && d.Type == duckdb.ErrorTypeOutOfMemory
	if galensql.Send(out, &m) != nil || out.Flush() != nil {
		return 1
	}
	return 0
}

// ours is a failure that the caller's SQL did not cause.
type ours struct{ error }

// plain is DuckDB's message without the hints that name its own settings.
func plain(err error) string {
	s := err.Error()
	if i := strings.Index(s, "\n\nLINE "); i >= 0 {
		s = s[:i] + s[i+1:]
	}
	if len(s) > 2000 {
		s = s[:2000]
	}
	return s
}

func answer(ctx context.Context, req *galensql.Request, send func(*galensql.Message) error) error {
	db, err := open(req)
	if err != nil {
		return ours{err}
	}
	defer db.Close() //nolint:errcheck // in memory
	if err := confine(); err != nil {
		return ours{fmt.Errorf("the process cannot be confined: %w", err)}
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // in memory
	query, one := single(req.SQL)
	if !one {
		return errors.New("only one statement is allowed")
	}
	if req.Names {
		names, err := tableNames(conn, query)
		if err != nil {
			return err
		}
		return send(&galensql.Message{Names: names, End: true})
	}
	if err := onlyReads(conn, query); err != nil {
		return err
	}
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err is asked
	return pages(rows, send)
}

// open makes the database with its tables and locks it.
func open(req *galensql.Request) (*sql.DB, error) {
	c, err := duckdb.NewConnector("", func(driver.ExecerContext) error { return nil })
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1) // USE is a connection's
	for _, s := range setup(req) {
		if _, err := db.Exec(s); err != nil {
			return nil, err
		}
	}
	return db, nil
}

func setup(req *galensql.Request) []string {
	var paths []string
	for _, t := range req.Tables {
		for _, d := range t.Descriptors {
			paths = append(paths, quote(path(d)))
		}
	}
	s := []string{
		"SET memory_limit=" + quote(req.Memory),
		fmt.Sprintf("SET threads=%d", max(req.Threads, 1)),
		"SET temp_directory=''",
		"SET preserve_insertion_order=false",
		"SET autoinstall_known_extensions=false",
		"SET autoload_known_extensions=false",
		"SET allowed_paths=[" + strings.Join(paths, ",") + "]",
		"ATTACH ':memory:' AS " + galensql.DataCatalog,
		"USE " + galensql.DataCatalog,
	}
	s = append(s, dialect...)
	seen := map[string]bool{}
	for _, t := range req.Tables {
		if !seen[t.Database] {
			seen[t.Database] = true
			s = append(s, "CREATE SCHEMA IF NOT EXISTS "+name(t.Database))
		}
		s = append(s, view(&t))
	}
	if req.Database != "" {
		s = append(s, "CREATE SCHEMA IF NOT EXISTS "+name(req.Database), "SET search_path="+quote(galensql.DataCatalog+"."+name(req.Database)+","+galensql.DataCatalog+".main"))
	}
	return append(s, "SET enable_external_access=false", "SET lock_configuration=true")
}

// view makes a table of its files; without files it is empty and has its columns.
func view(t *galensql.Handed) string {
	head := "CREATE VIEW " + name(t.Database) + "." + name(t.Name) + " AS SELECT "
	if len(t.Descriptors) == 0 {
		cols := make([]string, len(t.Columns))
		for i, c := range t.Columns {
			cols[i] = "CAST(NULL AS " + duckType(c.Type) + ") AS " + name(c.Name)
		}
		return head + strings.Join(cols, ", ") + " WHERE false"
	}
	cols := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		cols[i] = name(c.Name)
	}
	paths := make([]string, len(t.Descriptors))
	for i, d := range t.Descriptors {
		paths[i] = quote(path(d))
	}
	return head + strings.Join(cols, ", ") + " FROM read_parquet([" + strings.Join(paths, ",") + "])"
}

// path names an open descriptor: opening it opens the file again, name or none.
func path(descriptor int) string { return fmt.Sprintf("/proc/self/fd/%d", descriptor) }

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func name(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// dialect gives Athena's names to what DuckDB calls otherwise.
var dialect = []string{
	"CREATE MACRO cardinality(x) AS len(x)",
	"CREATE MACRO approx_distinct(x) AS approx_count_distinct(x)",
	"CREATE MACRO approx_percentile(x, p) AS approx_quantile(x, p)",
	"CREATE MACRO array_join(x, s) AS array_to_string(x, s)",
	"CREATE MACRO regexp_like(s, p) AS regexp_matches(s, p)",
	"CREATE MACRO from_unixtime(x) AS to_timestamp(x)",
	"CREATE MACRO json_extract_scalar(j, p) AS json_extract_string(j, p)",
}

// onlyReads holds that the statement changes nothing.
func onlyReads(conn *sql.Conn, query string) error {
	return conn.Raw(func(c any) error {
		st, err := c.(*duckdb.Conn).PrepareContext(context.Background(), query)
		if err != nil {
			return err
		}
		defer st.Close() //nolint:errcheck // in memory
		typ, err := st.(*duckdb.Stmt).StatementType()
		if err != nil {
			return err
		}
		switch typ {
		case duckdb.STATEMENT_TYPE_SELECT, duckdb.STATEMENT_TYPE_EXPLAIN:
			return nil
		}
		return errors.New("only one SELECT, SHOW, DESCRIBE or EXPLAIN is allowed")
	})
}

// tableNames are the tables of a query, their parts between NULs.
func tableNames(conn *sql.Conn, query string) ([]string, error) {
	names, err := duckdb.GetTableNames(conn, query, true)
	if err != nil {
		return nil, err
	}
	for i, n := range names {
		names[i] = strings.Join(parts(n), "\x00")
	}
	return names, nil
}

// parts splits a."b.c".d.
func parts(s string) []string {
	var out []string
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' && quoted && i+1 < len(s) && s[i+1] == '"':
			b.WriteByte('"')
			i++
		case c == '"':
			quoted = !quoted
		case c == '.' && !quoted:
			out = append(out, b.String())
			b.Reset()
		default:
			b.WriteByte(c)
		}
	}
	return append(out, b.String())
}
