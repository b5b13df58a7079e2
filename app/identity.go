package app

import (
	"context"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/service/iam"
	"github.com/galen-health/galen/service/sts"
)

// openIdentity opens who may: the iam service is the directory that the evaluator and the edge ask.
func (e *engines) openIdentity(ctx context.Context, cfg *Config) (err error) {
	e.iam, err = iam.New(ctx, iam.Config{Account: cfg.Account, RootAccessKeyID: cfg.RootAccessKeyID, RootSecret: cfg.RootSecretAccessKey}, e.records, e.keys)
	if err != nil {
		return err
	}
	id, secret, generated := e.iam.Root()
	e.root = Credentials{id, secret}
	if generated {
		e.generated = e.root
	}
	e.directory = e.iam
	e.authorizer = authz.New(e.iam, cfg.Account, cfg.Region)
	e.roles = authz.NewRoles(e.authorizer, e.iam)
	e.sts = sts.New(sts.Config{Account: cfg.Account}, e.keys, e.iam)
	return nil
}
