package athena

import (
	"context"
	"strings"

	api "github.com/galen-health/galen/aws/athena"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/sql"
)

// Config is what the service stands on. All fields are needed.
type Config struct {
	Records    record.Store
	Blobs      blob.Store
	Keys       key.Checker
	Jobs       *job.Engine
	Authorizer authz.Authorizer
	S3         s3.Service // where result files go
	Engine     *sql.Engine
	Catalogs   []sql.Catalog // what services publish
	Account    string
	Region     string
}

// Service implements the Athena API.
type Service struct {
	api.Unimplemented
	cfg     Config
	records record.Store
	pages   page.Tokens
}

const control record.Space = "athena"

var secrets = page.Kind("athena.secret")

// keyRef is what records are encrypted under, and the results of queries that read no table.
var keyRef = key.Ref{Context: map[string]string{"service": "athena"}}

// Kinds are the kinds of records that are kept here; who moves records asks for them.
func Kinds() []record.KindDef {
	return []record.KindDef{queries.Def(), secrets.Def()}
}

// New declares the record kinds, registers the jobs and opens the service's space. Call it before the job engine runs.
func New(ctx context.Context, cfg Config) (*Service, error) {
	s := &Service{cfg: cfg, records: cfg.Records}
	if err := s.records.Declare(Kinds()...); err != nil {
		return nil, err
	}
	if err := s.records.CreateSpace(ctx, control, keyRef); err != nil {
		return nil, err
	}
	var err error
	if s.pages, err = page.Open(ctx, s.records, control, secrets); err != nil {
		return nil, err
	}
	cfg.Jobs.Register(job.Kind{Name: queries.Name, Concurrency: 2, MaxAttempts: 3, Run: s.run, Failed: s.failed, Cancelled: s.cancelled})
	return s, nil
}

// The one workgroup and the one catalog.
const (
	primary     = "primary"
	catalogName = "AwsDataCatalog"
)

func workGroup(name string) error {
	if name != "" && name != primary {
		return errs.Named(errs.Invalid, "InvalidRequestException", "WorkGroup %.100s is not found: there is one workgroup, primary", name)
	}
	return nil
}

func catalog(name string) error {
	if name != "" && !strings.EqualFold(name, catalogName) {
		return errs.Named(errs.Invalid, "InvalidRequestException", "there is no data catalog %.100s: the only one is AwsDataCatalog", name)
	}
	return nil
}

// cursor reads a page token; Athena has one name for what is wrong with a request.
func (s *Service) cursor(of, token string) (string, error) {
	c, err := s.pages.Cursor(of, token)
	if err != nil {
		return "", errs.Named(errs.Invalid, "InvalidRequestException", "NextToken is not one that this request was answered with")
	}
	return c, nil
}

// Authorize tells the edge which permission an operation needs: its own action on the workgroup or the catalog.
func (s *Service) Authorize(_ context.Context, op string, _ any) ([]authz.Request, error) {
	resource := "workgroup/" + primary
	switch op {
	case "ListDatabases", "GetDatabase", "ListTableMetadata", "GetTableMetadata", "GetDataCatalog":
		resource = "datacatalog/" + catalogName
	case "ListDataCatalogs", "ListWorkGroups", "ListEngineVersions":
		return []authz.Request{{Action: "athena:" + op, Resource: "*"}}, nil
	}
	return []authz.Request{{Action: "athena:" + op, Resource: "arn:aws:athena:" + s.cfg.Region + ":" + s.cfg.Account + ":" + resource}}, nil
}

// Keeps reports whether a query names a blob. The sweep of the blob store asks every service.
func (s *Service) Keeps(ctx context.Context, id blob.ID) (bool, error) {
	v, err := s.records.View(ctx, control)
	if err != nil {
		return false, err
	}
	defer v.Close()
	n, err := v.Count(ctx, queries.Name, record.Match{Index: "blob", Value: record.Token("", string(id))})
	return n > 0, err
}
