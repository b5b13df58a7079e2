package medicalimaging

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"runtime"
	"strings"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
)

// Config is what the service stands on. All fields are needed.
type Config struct {
	Records record.Store
	Blobs   blob.Store
	Jobs    *job.Engine
	Keys    key.Ring
	Guard   key.Guard   // may the caller use a customer's key
	Roles   authz.Roles // jobs run under the caller's role
	S3      s3.Service  // where import files come from and manifests go
	Account string
	Region  string
}

// Service implements the HealthImaging API and serves DICOMweb.
type Service struct {
	api.Unimplemented
	cfg     Config
	records record.Store
	blobs   blob.Store
	pages   page.Tokens
	codecs  chan struct{} // a place for each frame being encoded or decoded
}

// servicePrincipal is who the service is to roles and keys.
const servicePrincipal = "medical-imaging.amazonaws.com"

// control is the space of what is said about stores and jobs.
const control record.Space = "medical-imaging"

// secrets hold the key that authenticates page tokens over restarts.
var secrets = page.Kind("imaging.secret")

// Kinds are the kinds of records that are kept here; who moves records asks for them.
func Kinds() []record.KindDef {
	return []record.KindDef{datastores.Def(), importJobs.Def(), imageSets.Def(), instances.Def(), studies.Def(), bodies.Def(), setTags.Def(), secrets.Def()}
}

// New declares the record kinds, registers the jobs and opens the service's space. Call it before the job engine runs.
func New(ctx context.Context, cfg Config) (*Service, error) {
	s := &Service{cfg: cfg, records: cfg.Records, blobs: cfg.Blobs, codecs: make(chan struct{}, runtime.GOMAXPROCS(0))}
	if err := s.records.Declare(Kinds()...); err != nil {
		return nil, err
	}
	if err := s.records.CreateSpace(ctx, control, key.Ref{Context: map[string]string{"service": "medical-imaging"}}); err != nil {
		return nil, err
	}
	var err error
	if s.pages, err = page.Open(ctx, s.records, control, secrets); err != nil {
		return nil, err
	}
	s.registerStoreJobs()
	s.registerImport()
	return s, nil
}

// onceToken keeps the client tokens of one operation apart from those of another; "" stays "".
func onceToken(op, token string) string {
	if token == "" {
		return ""
	}
	return "medical-imaging/" + op + "/" + token
}

// newID is 32 lower-case hex digits, as data stores, image sets and jobs are named.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

func (s *Service) arn(datastoreID string) string {
	return "arn:aws:medical-imaging:" + s.cfg.Region + ":" + s.cfg.Account + ":datastore/" + datastoreID
}

func (s *Service) setARN(datastoreID, imageSetID string) string {
	return s.arn(datastoreID) + "/imageset/" + imageSetID
}

// parseARN names the data store and, when it is one, the image set of an ARN of ours.
func (s *Service) parseARN(arn string) (datastoreID, imageSetID string, err error) {
	rest, ok := strings.CutPrefix(arn, s.arn(""))
	datastoreID, imageSetID, isSet := strings.Cut(rest, "/imageset/")
	if !ok || len(datastoreID) != 32 || isSet && len(imageSetID) != 32 {
		return "", "", errs.New(errs.Invalid, "resourceArn is not the ARN of a data store or image set in this account and region")
	}
	return datastoreID, imageSetID, nil
}

// emit announces a change in the caller's batch.
func (s *Service) emit(tx record.Tx, detailType, resource string, detail any) error {
	return event.Emit(tx, event.Event{Source: "aws.medical-imaging", DetailType: detailType, Resources: []string{resource}, Detail: event.Detail(detail)})
}

// view runs fn over the newest state of a space.
func (s *Service) view(ctx context.Context, sp record.Space, fn func(record.View) error) error {
	v, err := s.records.View(ctx, sp)
	if err != nil {
		return err
	}
	defer v.Close()
	return fn(v)
}

func absent(err error) bool { return errs.Is(err, errs.NotFound) || errs.Is(err, errs.Gone) }
