package app

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/oidc"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/safedial"
	"github.com/galen-health/galen/service/iam"
	"github.com/galen-health/galen/service/openid"
	"github.com/galen-health/galen/service/sts"
)

// rootDoc keeps generated root credentials, in a space of their own so that they are sealed like everything else.
type rootDoc struct{ AccessKeyID, SecretAccessKey string }

var rootKind = record.Kind[rootDoc]{Name: "galen.root"}

const rootSpace = record.Space("galen")

// openIdentity finds or makes the root credentials and opens who may: the iam service is the directory that the evaluator and the edge ask.
func (e *engines) openIdentity(ctx context.Context, cfg *Config) (err error) {
	if err := e.findRoot(ctx, cfg); err != nil {
		return err
	}
	dial, err := safedial.New(cfg.AllowHosts)
	if err != nil {
		return err
	}
	e.iam, err = iam.New(ctx, iam.Config{Account: cfg.Account, RootAccessKeyID: e.root.AccessKeyID, RootSecret: e.root.SecretAccessKey, Dial: dial}, e.records, e.keys)
	if err != nil {
		return err
	}
	e.directory = &inside{Directory: e.iam, account: cfg.Account, keys: map[string]authz.Credential{}, policies: map[string]string{}}
	e.authorizer = authz.New(e.directory, cfg.Account, cfg.Region)
	e.roles = authz.NewRoles(e.authorizer, e.iam)
	e.openid, err = openid.New(ctx, openid.Config{Account: cfg.Account, Issuer: cfg.base(), Records: e.records, Dial: dial, Authorizer: e.authorizer})
	if err != nil {
		return err
	}
	e.ticks = append(e.ticks, e.openid.Tick)
	e.sts = sts.New(sts.Config{Account: cfg.Account, Providers: providers{e.openid, e.iam}, Authorizer: e.authorizer}, e.keys, e.iam)
	return nil
}

// providers are the OpenID providers of the account: the built-in one, then the outside ones.
type providers []oidc.Directory

// Provider implements oidc.Directory.
func (p providers) Provider(ctx context.Context, issuer string) (*oidc.Provider, error) {
	for _, d := range p[:len(p)-1] {
		if out, err := d.Provider(ctx, issuer); !errs.Is(err, errs.NotFound) {
			return out, err
		}
	}
	return p[len(p)-1].Provider(ctx, issuer)
}

// findRoot takes the root credentials from the configuration, else those made at the first start, else makes them.
func (e *engines) findRoot(ctx context.Context, cfg *Config) error {
	if cfg.RootAccessKeyID != "" {
		e.root = Credentials{cfg.RootAccessKeyID, cfg.RootSecretAccessKey}
		return nil
	}
	if err := e.records.Declare(rootKind.Def()); err != nil {
		return err
	}
	if err := e.records.CreateSpace(ctx, rootSpace, key.Ref{}); err != nil {
		return err
	}
	_, err := e.records.Update(ctx, rootSpace, []string{"root"}, func(tx record.Tx) error {
		doc, _, err := rootKind.Get(tx, "root")
		unseen := e.first && cfg.Records == "" // made by a start that was cut off before it showed them; a database may be in use by others
		if err == nil && !unseen {
			e.root = Credentials(*doc)
			return nil
		}
		if err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		var id [10]byte
		var secret [30]byte
		if _, err := rand.Read(id[:]); err != nil {
			return err
		}
		if _, err := rand.Read(secret[:]); err != nil {
			return err
		}
		e.root = Credentials{"AKIA" + base32.StdEncoding.EncodeToString(id[:]), base64.StdEncoding.EncodeToString(secret[:])}
		e.generated = e.root
		d := rootDoc(e.root)
		return rootKind.Put(tx, "root", &d)
	})
	return err
}
