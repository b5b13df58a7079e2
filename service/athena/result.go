package athena

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strconv"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/athena"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/sql"
)

// A result is kept as pages of pageRows rows, each a JSON array of rows, one after another in a blob; the first row is the header, as in Athena's own.
const (
	pageRows  = 1000
	maxResult = 8 << 30
)

// result writes a result as it comes: pages for GetQueryResults, and the CSV file.
type result struct {
	rowsW, csvW blob.Writer
	columns     []sql.Column
	pending     [][]*string
	offsets     []int64
	at          int64
	rows        int64
	csv         bytes.Buffer
	csvSize     int64
	rowsID      blob.ID
	csvID       blob.Info
	began       bool
}

func (s *Service) newResult(ctx context.Context, keys []string) (*result, error) {
	ref := keyRef
	if len(keys) > 0 {
		ref.Key = keys[0]
	}
	rows, err := s.cfg.Blobs.Create(ctx, ref)
	if err != nil {
		return nil, err
	}
	csv, err := s.cfg.Blobs.Create(ctx, ref)
	if err != nil {
		rows.Abort()
		return nil, err
	}
	return &result{rowsW: rows, csvW: csv}, nil
}

// page takes in rows; it is what the engine calls.
func (r *result) page(p sql.Page) error {
	if !r.began {
		r.began, r.columns = true, p.Columns
		header := make([]*string, len(p.Columns))
		for i := range p.Columns {
			header[i] = &p.Columns[i].Name
		}
		if err := r.add(header); err != nil {
			return err
		}
	}
	for _, row := range p.Rows {
		if err := r.add(row); err != nil {
			return err
		}
	}
	return nil
}

func (r *result) add(row []*string) error {
	r.rows++
	writeCSV(&r.csv, row)
	if r.pending = append(r.pending, row); len(r.pending) < pageRows {
		return nil
	}
	return r.flush()
}

func (r *result) flush() error {
	if len(r.pending) > 0 {
		b, err := json.Marshal(r.pending)
		if err != nil {
			return errs.Wrap(errs.Internal, err, "a result page cannot be written")
		}
		r.offsets = append(r.offsets, r.at)
		r.at += int64(len(b))
		if _, err := r.rowsW.Write(b); err != nil {
			return err
		}
		r.pending = nil
	}
	r.csvSize += int64(r.csv.Len())
	if r.at > maxResult || r.csvSize > maxResult {
		return errs.New(errs.Invalid, "the result is larger than %d bytes: narrow the query", int64(maxResult))
	}
	_, err := r.csvW.Write(r.csv.Bytes())
	r.csv.Reset()
	return err
}

// writeCSV writes a row as Athena does: every value in quotes, NULL as nothing.
func writeCSV(b *bytes.Buffer, row []*string) {
	for i, c := range row {
		if i > 0 {
			b.WriteByte(',')
		}
		if c == nil {
			continue
		}
		b.WriteByte('"')
		for _, p := range []byte(*c) {
			if p == '"' {
				b.WriteByte('"')
			}
			b.WriteByte(p)
		}
		b.WriteByte('"')
	}
	b.WriteByte('\n')
}

func (r *result) commit() error {
	if err := r.flush(); err != nil {
		return err
	}
	info, err := r.rowsW.Commit()
	if err != nil {
		return err
	}
	r.rowsID = info.ID
	r.csvID, err = r.csvW.Commit()
	return err
}

// abort drops what was not committed.
func (r *result) abort() {
	r.rowsW.Abort()
	r.csvW.Abort()
}

// forget deletes a committed result that no query will name.
func (r *result) forget(ctx context.Context, s *Service) {
	_ = s.cfg.Blobs.Delete(context.WithoutCancel(ctx), r.rowsID) // else the sweep finds it
}

// GetQueryResults answers rows of a query that succeeded; the first row of all is the header.
func (s *Service) GetQueryResults(ctx context.Context, in *api.GetQueryResultsInput) (*api.GetQueryResultsOutput, error) {
	q, err := s.get(ctx, in.QueryExecutionId)
	if err != nil {
		return nil, err
	}
	switch q.State {
	case api.QueryExecutionStateSucceeded:
	case api.QueryExecutionStateFailed, api.QueryExecutionStateCancelled:
		return nil, errs.Named(errs.Invalid, "InvalidRequestException", "Query did not finish successfully. Final query state: %s", q.State)
	default:
		return nil, errs.Named(errs.Invalid, "InvalidRequestException", "Query has not yet finished. Current state: %s", q.State)
	}
	for _, k := range q.Keys {
		if err := s.cfg.Keys.Check(ctx, k); err != nil {
			return nil, errs.Named(errs.Invalid, "InvalidRequestException", "The result cannot be read: a key that the tables of the query are under is disabled or deleted. %s", errs.As(err).Message)
		}
	}
	of := "GetQueryResults/" + q.ID
	cursor, err := s.cursor(of, in.NextToken)
	if err != nil {
		return nil, err
	}
	from := int64(0)
	if cursor != "" {
		if from, err = strconv.ParseInt(cursor, 10, 64); err != nil {
			return nil, errs.Named(errs.Invalid, "InvalidRequestException", "NextToken is not one that this request was answered with")
		}
	}
	limit := int64(pageRows)
	if in.MaxResults != nil {
		limit = min(limit, int64(max(*in.MaxResults, 1)))
	}
	to := min(from+limit, q.Rows)
	out := &api.GetQueryResultsOutput{UpdateCount: aws.Ptr(int64(0)), ResultSet: &api.ResultSet{Rows: []api.Row{}, ResultSetMetadata: &api.ResultSetMetadata{ColumnInfo: columnInfo(q.Columns)}}}
	for p := from / pageRows; p*pageRows < to; p++ {
		rows, err := s.readPage(ctx, q, p)
		if err != nil {
			return nil, err
		}
		for i, row := range rows {
			if n := p*pageRows + int64(i); n < from || n >= to {
				continue
			}
			data := make([]api.Datum, len(row))
			for j, c := range row {
				if c != nil {
					data[j].VarCharValue = *c
				}
			}
			out.ResultSet.Rows = append(out.ResultSet.Rows, api.Row{Data: data})
		}
	}
	if to < q.Rows {
		out.NextToken = s.pages.Token(of, strconv.FormatInt(to, 10))
	}
	return out, nil
}

func (s *Service) readPage(ctx context.Context, q *query, p int64) ([][]*string, error) {
	r := blob.Range{Offset: q.Pages[p], Length: -1}
	if int(p)+1 < len(q.Pages) {
		r.Length = q.Pages[p+1] - q.Pages[p]
	}
	body, err := s.cfg.Blobs.Open(ctx, q.Result, r)
	if err != nil {
		return nil, err
	}
	defer body.Close() //nolint:errcheck // only read from
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	var rows [][]*string
	if err := json.Unmarshal(b, &rows); err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "a stored result cannot be read")
	}
	return rows, nil
}

// precision of Athena's types, as its drivers expect them.
var precision = map[string]int32{"varchar": 2147483647, "bigint": 19, "integer": 10, "smallint": 5, "tinyint": 3, "double": 17, "float": 17, "boolean": 0, "date": 0, "timestamp": 3, "decimal": 38}

func columnInfo(columns []sql.Column) []api.ColumnInfo {
	out := make([]api.ColumnInfo, len(columns))
	for i, c := range columns {
		out[i] = api.ColumnInfo{CatalogName: "hive", Name: c.Name, Label: c.Name, Type: c.Type, Precision: aws.Ptr(precision[c.Type]), Scale: aws.Ptr(int32(0)), Nullable: api.ColumnNullableUnknown,
			CaseSensitive: aws.Ptr(c.Type == "varchar")}
	}
	return out
}
