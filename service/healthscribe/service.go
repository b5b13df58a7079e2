package healthscribe

import (
	"context"
	"strings"

	"github.com/galen-health/galen/aws/s3"
	api "github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/speech"
)

const (
	space            = record.Space("healthscribe")
	servicePrincipal = "transcribe.amazonaws.com"
)

// Config is what the service stands on.
type Config struct {
	Records         record.Store
	Jobs            *job.Engine
	Guard           key.Guard // may the caller use a customer's key
	Roles           authz.Roles
	S3              s3.Service
	Speech          speech.Recognizer // nil = none
	Account, Region string
}

// Service implements the contract.
type Service struct {
	api.Unimplemented
	cfg     Config
	records record.Store
}

var _ api.Service = (*Service)(nil)

// Kinds are the kinds of records that are kept here; who moves records asks for them.
func Kinds() []record.KindDef {
	return []record.KindDef{jobs.Def()}
}

// New opens the service's space and registers its job.
func New(ctx context.Context, cfg Config) (*Service, error) {
	if err := cfg.Records.Declare(Kinds()...); err != nil {
		return nil, err
	}
	if err := cfg.Records.CreateSpace(ctx, space, key.Ref{Context: map[string]string{"service": "transcribe"}}); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, records: cfg.Records}
	cfg.Jobs.Register(job.Kind{Name: jobKind, Run: s.run, Failed: s.failed})
	return s, nil
}

func (s *Service) arn(name string) string {
	return "arn:aws:transcribe:" + s.cfg.Region + ":" + s.cfg.Account + ":medical-scribe-job/" + name
}

// Authorize tells the resources of each operation.
func (s *Service) Authorize(_ context.Context, op string, in any) ([]authz.Request, error) {
	r := authz.Request{Action: "transcribe:" + op, Resource: "*"}
	switch in := in.(type) {
	case *api.StartMedicalScribeJobInput:
		r.Resource = s.arn(in.MedicalScribeJobName)
		tagged(&r, in.Tags)
	case *api.GetMedicalScribeJobInput:
		r.Resource = s.arn(in.MedicalScribeJobName)
	case *api.DeleteMedicalScribeJobInput:
		r.Resource = s.arn(in.MedicalScribeJobName)
	case *api.TagResourceInput:
		r.Resource = in.ResourceArn
		tagged(&r, in.Tags)
	case *api.UntagResourceInput:
		r.Resource = in.ResourceArn
		r.Values = map[string][]string{"aws:TagKeys": in.TagKeys}
	case *api.ListTagsForResourceInput:
		r.Resource = in.ResourceArn
	}
	return []authz.Request{r}, nil
}

// tagged adds the condition keys of tags that a request gives.
func tagged(r *authz.Request, tags []api.Tag) {
	if len(tags) == 0 {
		return
	}
	r.Context = map[string]string{}
	var keys []string
	for _, t := range tags {
		r.Context["aws:RequestTag/"+t.Key] = t.Value
		keys = append(keys, t.Key)
	}
	r.Values = map[string][]string{"aws:TagKeys": keys}
}

func absent(err error) bool { return errs.Is(err, errs.NotFound) || errs.Is(err, errs.Gone) }

func noJob() error {
	return errs.New(errs.NotFound, "The requested job couldn't be found. Check the job name and try your request again.")
}

// name takes the job out of an ARN.
func (s *Service) name(arn string) (string, error) {
	n, ok := strings.CutPrefix(arn, s.arn(""))
	if !ok || n == "" {
		return "", errs.New(errs.NotFound, "there is no such resource in this account and region")
	}
	return n, nil
}
