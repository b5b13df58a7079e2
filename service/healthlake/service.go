package healthlake

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"

	api "github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
)

// Config is what the service stands on. All fields are needed.
type Config struct {
	Records    record.Store
	Jobs       *job.Engine
	Keys       key.Ring
	Guard      key.Guard        // may the caller use a customer's key
	Roles      authz.Roles      // jobs run under the caller's role
	Authorizer authz.Authorizer // entries of a Bundle are actions of their own
	S3         s3.Service       // where import files come from and manifests go
	Audit      audit.Reader     // what the view of AuditEvents is over
	Account    string
	Region     string
	BaseURL    string // of the AWS endpoint, without a slash at the end: "http://127.0.0.1:8484"
	Version    string // of the software, for the CapabilityStatement
}

// Service implements the HealthLake API and serves FHIR.
type Service struct {
	api.Unimplemented
	cfg     Config
	records record.Store
	pages   page.Tokens
	started time.Time
}

// servicePrincipal is who the service is to roles and keys.
const servicePrincipal = "healthlake.amazonaws.com"

// control is the space of what is said about stores and jobs.
const control record.Space = "healthlake"

// secrets hold the key that authenticates page tokens over restarts.
var secrets = page.Kind("healthlake.secret")

// Kinds are the kinds of records that are kept here; who moves records asks for them.
func Kinds() []record.KindDef {
	return append(resourceKinds(), datastores.Def(), importJobs.Def(), exportJobs.Def(), idempotencyKeys.Def(), secrets.Def())
}

// New declares the record kinds, registers the jobs and opens the service's space. Call it before the job engine runs.
func New(ctx context.Context, cfg Config) (*Service, error) {
	s := &Service{cfg: cfg, records: cfg.Records, started: time.Now()}
	if err := s.records.Declare(Kinds()...); err != nil {
		return nil, err
	}
	if err := s.records.CreateSpace(ctx, control, key.Ref{Context: map[string]string{"service": "healthlake"}}); err != nil {
		return nil, err
	}
	var err error
	if s.pages, err = page.Open(ctx, s.records, control, secrets); err != nil {
		return nil, err
	}
	s.registerStoreJobs()
	s.registerImport()
	s.registerExport()
	return s, nil
}

// onceToken keeps the client tokens of one operation apart from those of another; "" stays "".
func onceToken(op, token string) string {
	if token == "" {
		return ""
	}
	return "healthlake/" + op + "/" + token
}

// newID is 32 lower-case hex digits, as data stores and jobs are named.
func newID() string {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never fails on a supported system
	}
	return hex.EncodeToString(b[:])
}

func (s *Service) arn(datastoreID string) string {
	return "arn:aws:healthlake:" + s.cfg.Region + ":" + s.cfg.Account + ":datastore/fhir/" + datastoreID
}

// storeID is the data store of an ARN of ours.
func (s *Service) storeID(arn string) (string, error) {
	id, ok := strings.CutPrefix(arn, s.arn(""))
	if !ok || len(id) != 32 {
		return "", errs.New(errs.Invalid, "ResourceARN is not the ARN of a data store in this account and region")
	}
	return id, nil
}

// emit announces a change of a data store or job in the caller's batch (aws-health: source aws.healthlake).
func (s *Service) emit(tx record.Tx, detailType, datastoreID string, detail any) error {
	return event.Emit(tx, event.Event{Source: "aws.healthlake", DetailType: detailType, Resources: []string{s.arn(datastoreID)}, Detail: event.Detail(detail)})
}
