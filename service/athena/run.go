package athena

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/athena"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/sql"
)

// run runs a query as its caller: reads the tables, keeps the result, writes the CSV file.
func (s *Service) run(ctx context.Context, r job.Run) error {
	q, err := s.change(ctx, r.ID(), func(tx record.Tx, q *query) error {
		now := tx.Time()
		q.State, q.Started = api.QueryExecutionStateRunning, &now
		return nil
	})
	if err != nil {
		return err
	}
	as := call.With(ctx, &call.Call{Principal: q.Caller, Via: "athena.amazonaws.com", Secure: true, Time: time.Now().UTC()})
	tables, err := s.tablesOf(as, q)
	if err != nil {
		return err
	}
	for _, t := range tables {
		for _, f := range t.Files {
			q.Scanned += f.Size
		}
	}
	q.Keys = keysOf(tables)
	w, err := s.newResult(ctx, q.Keys)
	if err != nil {
		return err
	}
	defer w.abort()
	if err := s.cfg.Engine.Run(as, sql.Query{SQL: q.SQL, Database: q.Database, Tables: tables}, w.page); err != nil {
		return err
	}
	if err := w.commit(); err != nil {
		return err
	}
	if err := s.deliver(ctx, as, q, w.csvID); err != nil {
		w.forget(ctx, s)
		return err
	}
	_, err = s.change(ctx, q.ID, func(tx record.Tx, stored *query) error {
		now := tx.Time()
		stored.State, stored.Ended, stored.Scanned = api.QueryExecutionStateSucceeded, &now, q.Scanned
		stored.Columns, stored.Result, stored.Pages, stored.Rows = w.columns, w.rowsID, w.offsets, w.rows
		stored.Keys = q.Keys
		return r.Finish(tx)
	})
	return err
}

// keysOf are the keys that tables are under, each once.
func keysOf(tables []*sql.Table) (keys []string) {
	for _, t := range tables {
		if t.Key != "" && !slices.Contains(keys, t.Key) {
			keys = append(keys, t.Key)
		}
	}
	return keys
}

// tablesOf finds the tables that a query names and checks that the caller may read each.
func (s *Service) tablesOf(ctx context.Context, q *query) ([]*sql.Table, error) {
	names, err := s.cfg.Engine.Names(ctx, q.SQL, q.Database)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 && statementType(q.SQL) == api.StatementTypeUtility && q.Database != "" {
		return s.described(ctx, q.Database)
	}
	var out []*sql.Table
	seen := map[sql.Name]bool{}
	for _, n := range names {
		n = sql.Name{Database: strings.ToLower(n.Database), Table: strings.ToLower(n.Table)}
		if seen[n] {
			continue
		}
		seen[n] = true
		t, err := s.table(ctx, n.Database, n.Table)
		if err != nil {
			return nil, err
		}
		if err := s.cfg.Authorizer.Check(ctx, authz.Request{Action: t.Action, Resource: t.Resource}); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// described is a database's tables without rows, for SHOW and DESCRIBE.
func (s *Service) described(ctx context.Context, database string) ([]*sql.Table, error) {
	all, err := s.tables(ctx, database)
	if err != nil {
		return nil, err
	}
	out := make([]*sql.Table, len(all))
	for i := range all {
		out[i] = &all[i]
		out[i].Files = nil
	}
	return out, nil
}

// deliver writes the CSV file to the caller's output location with the caller's rights.
func (s *Service) deliver(ctx, as context.Context, q *query, csv blob.Info) error {
	defer func() { _ = s.cfg.Blobs.Delete(context.WithoutCancel(ctx), csv.ID) }() // else the sweep finds it
	bucket, key, _ := strings.Cut(strings.TrimPrefix(q.Output, "s3://"), "/")
	body, err := s.cfg.Blobs.Open(ctx, csv.ID, blob.All)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // only read from
	_, err = s.cfg.S3.PutObject(as, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: body, ContentLength: aws.Ptr(csv.Size), ContentType: "text/csv"})
	if err != nil {
		e := errs.As(err)
		if e.Code == errs.Internal || e.Code == errs.Unavailable || e.Code == errs.Throttled {
			return err
		}
		return errs.Wrap(errs.Invalid, err, "the result cannot be written to the output location: %s", e.Message)
	}
	return nil
}

func (s *Service) failed(ctx context.Context, r job.Run, cause error) error {
	return s.end(ctx, r.ID(), api.QueryExecutionStateFailed, errs.As(cause).Message, errs.Is(cause, errs.Denied))
}

func (s *Service) cancelled(ctx context.Context, r job.Run) error {
	return s.end(ctx, r.ID(), api.QueryExecutionStateCancelled, "the query was stopped", false)
}

func (s *Service) end(ctx context.Context, id string, state api.QueryExecutionState, reason string, denied bool) error {
	_, err := s.change(ctx, id, func(tx record.Tx, q *query) error {
		now := tx.Time()
		q.State, q.Reason, q.Denied, q.Ended = state, reason, denied, &now
		return nil
	})
	return err
}

// kept is how long a query and its result are kept, as Athena keeps its history.
const kept = 45 * 24 * time.Hour

// Tick forgets queries whose time is over.
func (s *Service) Tick(ctx context.Context) error {
	v, err := s.records.View(ctx, control)
	if err != nil {
		return err
	}
	page, err := v.Query(ctx, record.Query{Kind: queries.Name, Where: record.Range{Index: "submitted", High: record.Instant(time.Now().Add(-kept))}, Limit: 1000})
	v.Close()
	if err != nil {
		return err
	}
	for i := range page.Hits {
		q, err := queries.Decode(page.Hits[i].Body)
		if err != nil {
			return err
		}
		if !q.over() {
			continue
		}
		if _, err := s.records.Update(ctx, control, nil, func(tx record.Tx) error { return tx.Purge(queries.Name, q.ID) }); err != nil {
			return err
		}
		if q.Result != "" {
			if err := s.cfg.Blobs.Delete(ctx, q.Result); err != nil {
				return err
			}
		}
	}
	return nil
}
