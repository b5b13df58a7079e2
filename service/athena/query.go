package athena

import (
	"context"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/athena"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/sql"
)

// query is a query execution. Contract: Athena 2017-05-18, the …QueryExecution operations.
type query struct {
	ID, SQL, Database string
	Output            string // S3 URI of the CSV file
	State             api.QueryExecutionState
	Reason            string
	Denied            bool // the reason is a missing right
	Submitted         time.Time
	Started, Ended    *time.Time
	Caller            call.Principal
	Scanned           int64 // bytes of Parquet
	Columns           []sql.Column
	Result            blob.ID // pages of rows, JSON
	Pages             []int64 // where each begins in Result
	Rows              int64
	// Keys are the KMS keys that the tables of the query are under. The result is under the first, and is read only while all of them may be used.
	Keys []string
}

var queries = record.Kind[query]{
	Name: "athena.query", Volatile: true,
	Indexes: record.Indexes[query]{
		record.ByToken("state", func(q *query) string { return string(q.State) }),
		record.ByTime("submitted", func(q *query) time.Time { return q.Submitted }),
		record.ByToken("blob", func(q *query) string { return string(q.Result) }),
	},
}

func (q *query) over() bool {
	return q.State == api.QueryExecutionStateSucceeded || q.State == api.QueryExecutionStateFailed || q.State == api.QueryExecutionStateCancelled
}

func missing(err error) error {
	if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Gone) {
		return errs.Named(errs.Invalid, "InvalidRequestException", "QueryExecution was not found")
	}
	return err
}

func (s *Service) get(ctx context.Context, id string) (*query, error) {
	v, err := s.records.View(ctx, control)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	q, _, err := queries.Get(v, id)
	return q, missing(err)
}

func (s *Service) change(ctx context.Context, id string, fn func(record.Tx, *query) error) (q *query, err error) {
	_, err = s.records.Update(ctx, control, []string{"query/" + id}, func(tx record.Tx) error {
		q, err = queries.Change(tx, id, func(q *query) error { return fn(tx, q) })
		return missing(err)
	})
	return q, err
}

// StartQueryExecution puts a query in line.
func (s *Service) StartQueryExecution(ctx context.Context, in *api.StartQueryExecutionInput) (*api.StartQueryExecutionOutput, error) {
	if err := workGroup(in.WorkGroup); err != nil {
		return nil, err
	}
	invalid := func(format string, args ...any) error {
		return errs.Named(errs.Invalid, "InvalidRequestException", format, args...)
	}
	q := &query{ID: event.NewID(), SQL: in.QueryString, State: api.QueryExecutionStateQueued, Caller: call.From(ctx).Principal}
	if c := in.QueryExecutionContext; c != nil {
		if err := catalog(c.Catalog); err != nil {
			return nil, err
		}
		q.Database = strings.ToLower(c.Database)
	}
	output := ""
	if in.ResultConfiguration != nil {
		output = in.ResultConfiguration.OutputLocation
	}
	switch {
	case output == "":
		return nil, invalid("No output location provided: ResultConfiguration.OutputLocation is required, an S3 URI")
	case !strings.HasPrefix(output, "s3://") || len(output) < 8:
		return nil, invalid("outputLocation is not a valid S3 path")
	case len(in.ExecutionParameters) > 0:
		return nil, invalid("ExecutionParameters are not offered here: write the values into the query")
	case in.ResultConfiguration.EncryptionConfiguration != nil && in.ResultConfiguration.EncryptionConfiguration.EncryptionOption == api.EncryptionOptionCseKms:
		return nil, invalid("CSE_KMS is not offered here: use SSE_S3 or SSE_KMS on the bucket")
	}
	if !strings.HasSuffix(output, "/") {
		output += "/"
	}
	q.Output = output + q.ID + ".csv"
	token := ""
	if in.ClientRequestToken != "" {
		token = "StartQueryExecution/" + in.ClientRequestToken
	}
	return record.Once(ctx, s.records, control, token, in, func(tx record.Tx) (*api.StartQueryExecutionOutput, error) {
		q.Submitted = tx.Time()
		if err := queries.Create(tx, q.ID, q); err != nil {
			return nil, err
		}
		return &api.StartQueryExecutionOutput{QueryExecutionId: q.ID}, s.cfg.Jobs.Start(tx, queries.Name, q.ID, nil)
	})
}

// StopQueryExecution cancels a query; one that has ended stays as it is.
func (s *Service) StopQueryExecution(ctx context.Context, in *api.StopQueryExecutionInput) (*api.StopQueryExecutionOutput, error) {
	_, err := s.change(ctx, in.QueryExecutionId, func(tx record.Tx, q *query) error {
		if q.over() {
			return nil
		}
		return s.cfg.Jobs.Cancel(tx, queries.Name, q.ID)
	})
	if errs.Is(err, errs.Conflict) { // it ended meanwhile
		err = nil
	}
	return &api.StopQueryExecutionOutput{}, err
}

// GetQueryExecution tells how a query is.
func (s *Service) GetQueryExecution(ctx context.Context, in *api.GetQueryExecutionInput) (*api.GetQueryExecutionOutput, error) {
	q, err := s.get(ctx, in.QueryExecutionId)
	if err != nil {
		return nil, err
	}
	e := q.execution()
	return &api.GetQueryExecutionOutput{QueryExecution: &e}, nil
}

// BatchGetQueryExecution is GetQueryExecution for many.
func (s *Service) BatchGetQueryExecution(ctx context.Context, in *api.BatchGetQueryExecutionInput) (*api.BatchGetQueryExecutionOutput, error) {
	out := &api.BatchGetQueryExecutionOutput{QueryExecutions: []api.QueryExecution{}, UnprocessedQueryExecutionIds: []api.UnprocessedQueryExecutionId{}}
	for _, id := range in.QueryExecutionIds {
		q, err := s.get(ctx, id)
		switch {
		case errs.Is(err, errs.Invalid):
			out.UnprocessedQueryExecutionIds = append(out.UnprocessedQueryExecutionIds, api.UnprocessedQueryExecutionId{QueryExecutionId: id, ErrorCode: "INVALID_QUERY_EXECUTION_ID", ErrorMessage: errs.As(err).Message})
		case err != nil:
			return nil, err
		default:
			out.QueryExecutions = append(out.QueryExecutions, q.execution())
		}
	}
	return out, nil
}

// statementType sorts a query as Athena does.
func statementType(text string) api.StatementType {
	word := strings.ToUpper(strings.TrimLeft(text, " \t\r\n("))
	for _, w := range []string{"SHOW", "DESCRIBE", "EXPLAIN"} {
		if strings.HasPrefix(word, w) {
			return api.StatementTypeUtility
		}
	}
	return api.StatementTypeDml
}

func (q *query) execution() api.QueryExecution {
	v := engineVersion
	e := api.QueryExecution{QueryExecutionId: q.ID, Query: q.SQL, StatementType: statementType(q.SQL), ResultConfiguration: &api.ResultConfiguration{OutputLocation: q.Output},
		QueryExecutionContext: &api.QueryExecutionContext{Database: q.Database, Catalog: strings.ToLower(catalogName)},
		Status:                &api.QueryExecutionStatus{State: q.State, StateChangeReason: q.Reason, SubmissionDateTime: q.Submitted}, WorkGroup: primary, EngineVersion: &v,
		Statistics: &api.QueryExecutionStatistics{DataScannedInBytes: aws.Ptr(q.Scanned)}}
	if q.Ended != nil {
		e.Status.CompletionDateTime = *q.Ended
		e.Statistics.TotalExecutionTimeInMillis = aws.Ptr(q.Ended.Sub(q.Submitted).Milliseconds())
		if q.Started != nil {
			e.Statistics.QueryQueueTimeInMillis = aws.Ptr(q.Started.Sub(q.Submitted).Milliseconds())
			e.Statistics.EngineExecutionTimeInMillis = aws.Ptr(q.Ended.Sub(*q.Started).Milliseconds())
		}
	}
	if q.State == api.QueryExecutionStateFailed {
		kind := int32(2) // of the user
		e.Status.AthenaError = &api.AthenaError{ErrorCategory: &kind, Retryable: aws.Ptr(false), ErrorMessage: q.Reason}
	}
	return e
}

// ListQueryExecutions lists queries, the newest first.
func (s *Service) ListQueryExecutions(ctx context.Context, in *api.ListQueryExecutionsInput) (*api.ListQueryExecutionsOutput, error) {
	if err := workGroup(in.WorkGroup); err != nil {
		return nil, err
	}
	after, err := s.cursor("ListQueryExecutions", in.NextToken)
	if err != nil {
		return nil, err
	}
	v, err := s.records.View(ctx, control)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	rq := record.Query{Kind: queries.Name, Order: []record.Order{{Index: "submitted", Desc: true}}, After: record.Cursor(after), Limit: 50, IDsOnly: true}
	if in.MaxResults != nil {
		rq.Limit = int(max(*in.MaxResults, 1))
	}
	page, err := v.Query(ctx, rq)
	if err != nil {
		return nil, err
	}
	out := &api.ListQueryExecutionsOutput{QueryExecutionIds: []string{}, NextToken: s.pages.Token("ListQueryExecutions", string(page.Next))}
	for i := range page.Hits {
		out.QueryExecutionIds = append(out.QueryExecutionIds, page.Hits[i].ID)
	}
	return out, nil
}
