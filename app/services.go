package app

import (
	"context"
	"path/filepath"

	athenaapi "github.com/galen-health/galen/aws/athena"
	trailapi "github.com/galen-health/galen/aws/cloudtrail"
	comprehendapi "github.com/galen-health/galen/aws/comprehendmedical"
	connectapi "github.com/galen-health/galen/aws/connecthealth"
	ecrapi "github.com/galen-health/galen/aws/ecr"
	eventsapi "github.com/galen-health/galen/aws/events"
	healthlakeapi "github.com/galen-health/galen/aws/healthlake"
	iamapi "github.com/galen-health/galen/aws/iam"
	kmsapi "github.com/galen-health/galen/aws/kms"
	logsapi "github.com/galen-health/galen/aws/logs"
	imagingapi "github.com/galen-health/galen/aws/medicalimaging"
	omicsapi "github.com/galen-health/galen/aws/omics"
	pricingapi "github.com/galen-health/galen/aws/pricing"
	s3api "github.com/galen-health/galen/aws/s3"
	stsapi "github.com/galen-health/galen/aws/sts"
	transcribeapi "github.com/galen-health/galen/aws/transcribe"
	streamapi "github.com/galen-health/galen/aws/transcribestreaming"

	"github.com/galen-health/galen/app/edge"
	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/platform/httproute"
	"github.com/galen-health/galen/platform/safedial"
	"github.com/galen-health/galen/platform/speech"
	"github.com/galen-health/galen/platform/sql"
	"github.com/galen-health/galen/service/athena"
	"github.com/galen-health/galen/service/cloudtrail"
	"github.com/galen-health/galen/service/comprehendmedical"
	"github.com/galen-health/galen/service/connecthealth"
	"github.com/galen-health/galen/service/events"
	"github.com/galen-health/galen/service/healthlake"
	"github.com/galen-health/galen/service/healthscribe"
	"github.com/galen-health/galen/service/kms"
	"github.com/galen-health/galen/service/medicalimaging"
	"github.com/galen-health/galen/service/omics"
	"github.com/galen-health/galen/service/s3"
)

// services is what the edge serves.
type services struct {
	registrations []edge.Registration
	routes        []httproute.Route
}

// add registers a service, disabled when --services leaves it out.
func (s *services) add(cfg *Config, id string, contract *aws.Service, impl any) {
	s.registrations = append(s.registrations, edge.Registration{Contract: contract, Service: impl, Disabled: !cfg.wants(id)})
	if set, ok := impl.(httproute.Set); ok && cfg.wants(id) {
		s.routes = append(s.routes, set.Routes()...)
	}
}

// openServices makes every service, companions first. local is how one calls another in this process.
func openServices(ctx context.Context, cfg *Config, e *engines, local *edge.Local, version string) (*services, error) {
	out := &services{}
	out.add(cfg, "iam", iamapi.Contract, e.iam)
	out.add(cfg, "sts", stsapi.Contract, e.sts)
	if cfg.wants("sts") {
		out.routes = append(out.routes, e.openid.Routes()...)
	}
	keys, err := kms.New(ctx, kms.Config{Account: cfg.Account, Region: cfg.Region}, e.keys, e.records, e.authorizer)
	if err != nil {
		return nil, err
	}
	e.ticks = append(e.ticks, keys.Tick)
	out.add(cfg, "kms", kmsapi.Contract, keys)
	objects, err := s3.New(ctx, s3.Config{Account: cfg.Account, Region: cfg.Region, Keys: e.keys}, e.records, e.blobs, keys, e.authorizer)
	if err != nil {
		return nil, err
	}
	e.ticks = append(e.ticks, objects.Tick)
	out.add(cfg, "s3", s3api.Contract, objects)
	s3client := s3api.NewClient(local)

	dial, err := safedial.New(cfg.AllowHosts)
	if err != nil {
		return nil, err
	}
	rules, err := events.New(ctx, events.Config{Account: cfg.Account, Region: cfg.Region, Dir: filepath.Join(cfg.DataDir, "events"), Dial: dial, S3: s3client, Roles: e.roles, Log: e.log}, e.records, e.events)
	if err != nil {
		return nil, err
	}
	e.runs = append(e.runs, e.events.Alone("events.deliver", rules.Run))
	e.closers = append(e.closers, rules.Close)
	out.add(cfg, "eventbridge", eventsapi.Contract, rules)
	out.add(cfg, "cloudtrail", trailapi.Contract, cloudtrail.New(e.audit, nil))

	fhir, err := healthlake.New(ctx, healthlake.Config{Records: e.records, Jobs: e.jobs, Keys: e.keys, Guard: keys, Roles: e.roles, Authorizer: e.authorizer, S3: s3client, Audit: e.audit,
		Account: cfg.Account, Region: cfg.Region, BaseURL: cfg.base(), Version: version})
	if err != nil {
		return nil, err
	}
	out.add(cfg, "healthlake", healthlakeapi.Contract, fhir)

	images, err := medicalimaging.New(ctx, medicalimaging.Config{Records: e.records, Blobs: e.blobs, Jobs: e.jobs, Keys: e.keys, Guard: keys, Roles: e.roles, S3: s3client, Account: cfg.Account, Region: cfg.Region})
	if err != nil {
		return nil, err
	}
	out.add(cfg, "medical-imaging", imagingapi.Contract, images)

	genomes, err := omics.New(ctx, omics.Config{Records: e.records, Blobs: e.blobs, Jobs: e.jobs, Keys: e.keys, Guard: keys, Roles: e.roles, S3: s3client, Account: cfg.Account, Region: cfg.Region})
	if err != nil {
		return nil, err
	}
	out.add(cfg, "omics", omicsapi.Contract, genomes)
	engine, err := sql.NewEngine(filepath.Join(cfg.DataDir, "sql"), 2)
	if err != nil {
		return nil, err
	}
	queries, err := athena.New(ctx, athena.Config{Records: e.records, Blobs: e.blobs, Keys: e.keys, Jobs: e.jobs, Authorizer: e.authorizer, S3: s3client, Engine: engine, Catalogs: []sql.Catalog{genomes.Catalog()},
		Account: cfg.Account, Region: cfg.Region})
	if err != nil {
		return nil, err
	}
	e.ticks = append(e.ticks, queries.Tick)
	out.add(cfg, "athena", athenaapi.Contract, queries)
	care, err := connecthealth.New(ctx, connecthealth.Config{Records: e.records, Guard: keys, Account: cfg.Account, Region: cfg.Region})
	if err != nil {
		return nil, err
	}
	out.add(cfg, "connecthealth", connectapi.Contract, care)
	visits, err := healthscribe.New(ctx, healthscribe.Config{Records: e.records, Jobs: e.jobs, Guard: keys, Roles: e.roles, S3: s3client, Speech: speech.NewMoonshine(speech.Dir(), 0),
		Account: cfg.Account, Region: cfg.Region})
	if err != nil {
		return nil, err
	}
	out.add(cfg, "transcribe", transcribeapi.Contract, visits)
	out.add(cfg, "comprehendmedical", comprehendapi.Contract, comprehendmedical.New())

	// Contracts without a service yet answer the documented not-implemented error.
	for _, c := range []struct {
		id       string
		contract *aws.Service
		impl     any
	}{

		{"transcribe", streamapi.Contract, streamapi.Unimplemented{}},
		{"ecr", ecrapi.Contract, ecrapi.Unimplemented{}}, {"cloudwatch-logs", logsapi.Contract, logsapi.Unimplemented{}}, {"pricing", pricingapi.Contract, pricingapi.Unimplemented{}},
	} {
		out.add(cfg, c.id, c.contract, c.impl)
	}
	out.routes = append(out.routes, explainRoute(e, out.registrations))
	out.routes = append(out.routes, maintainRoutes(e, cfg, out)...)
	return out, nil
}
