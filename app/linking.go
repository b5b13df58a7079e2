package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"

	"github.com/galen-health/galen/app/edge"
	"github.com/galen-health/galen/app/linker"
	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
)

// inside is the directory that the edge and the evaluator ask: the users' own, and the principals of this process, whose keys are made at each start and known to
// nobody else. They have identity policies like everybody, and no more than they need.
type inside struct {
	authz.Directory
	account  string
	keys     map[string]authz.Credential
	policies map[string]string // by ARN
}

// Credential implements authz.Directory.
func (d *inside) Credential(ctx context.Context, id, token string) (authz.Credential, error) {
	if c, ok := d.keys[id]; ok && token == "" {
		return c, nil
	}
	return d.Directory.Credential(ctx, id, token)
}

// Policies implements authz.Directory.
func (d *inside) Policies(ctx context.Context, p call.Principal) ([]authz.Policy, string, error) {
	if doc, ok := d.policies[p.ARN]; ok {
		return []authz.Policy{{Name: "galen:" + p.Name, Document: doc}}, "", nil
	}
	return d.Directory.Policies(ctx, p)
}

// principal makes a principal of this process with one policy and returns what it signs with. The path /galen-internal/ cannot be made through IAM's names here.
func (d *inside) principal(name, policy string) (sigv4.Credentials, error) {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		return sigv4.Credentials{}, err
	}
	c := sigv4.Credentials{AccessKeyID: "GALEN" + hex.EncodeToString(b[:8]), SecretAccessKey: hex.EncodeToString(b[8:])}
	arn := "arn:aws:iam::" + d.account + ":user/galen-internal/" + hex.EncodeToString(b[:4]) + "/" + name
	d.keys[c.AccessKeyID] = authz.Credential{Secret: c.SecretAccessKey, Principal: call.Principal{Kind: call.IAMUser, ARN: arn, ID: "AIDAGALEN" + name, Account: d.account, Name: name}}
	d.policies[arn] = policy
	return c, nil
}

// linkerPolicy is what linking takes.
const linkerPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*","Action":[
 "healthlake:ReadResource","healthlake:SearchWithGet","healthlake:UpdateResource","healthlake:CreateResource",
 "medical-imaging:ListTagsForResource","medical-imaging:GetImageSetMetadata","medical-imaging:SearchDICOM*",
 "omics:ListTagsForResource","omics:GetReadSetMetadata","transcribe:GetMedicalScribeJob","s3:GetObject","kms:Decrypt","kms:GenerateDataKey"]}]}`

// openLinker subscribes the linker, which speaks the services' contracts through the edge without a socket.
func openLinker(cfg *Config, e *engines, local *edge.Local) error {
	c, err := e.directory.principal("linker", linkerPolicy)
	if err != nil {
		return err
	}
	h := &client.HTTP{Base: "http://galen.internal", Region: cfg.Region, Credentials: c, Client: &http.Client{Transport: edge.Transport{Local: local}}}
	return linker.New(h, cfg.base(), cfg.Account, cfg.Region, e.log).Subscribe(e.events)
}
