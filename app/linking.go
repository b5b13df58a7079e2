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

// inside is the directory that the edge asks: the users' own, and the principals of this process, whose keys are made at each start and known to nobody else.
type inside struct {
	authz.Directory
	account string
	keys    map[string]authz.Credential
}

// Credential implements authz.Directory.
func (d *inside) Credential(ctx context.Context, id, token string) (authz.Credential, error) {
	if c, ok := d.keys[id]; ok && token == "" {
		return c, nil
	}
	return d.Directory.Credential(ctx, id, token)
}

// principal makes a principal of this process and returns what it signs with.
func (d *inside) principal(name string) (sigv4.Credentials, error) {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		return sigv4.Credentials{}, err
	}
	c := sigv4.Credentials{AccessKeyID: "GALEN" + hex.EncodeToString(b[:8]), SecretAccessKey: hex.EncodeToString(b[8:])}
	d.keys[c.AccessKeyID] = authz.Credential{Secret: c.SecretAccessKey, Principal: call.Principal{Kind: call.AWSService, ARN: name + ".galen.internal", ID: name, Account: d.account, Name: name}}
	return c, nil
}

// openLinker subscribes the linker, which speaks the services' contracts through the edge without a socket.
func openLinker(cfg *Config, e *engines, local *edge.Local, dir *inside) error {
	c, err := dir.principal("linker")
	if err != nil {
		return err
	}
	h := &client.HTTP{Base: "http://galen.internal", Region: cfg.Region, Credentials: c, Client: &http.Client{Transport: edge.Transport{Local: local}}}
	return linker.New(h, "http://"+cfg.Addr, cfg.Account, cfg.Region).Subscribe(e.events)
}
