package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"

	"github.com/galen-health/galen/platform/errs"
)

// named is the contract's name of an error.
func named(err error) string { return errs.As(err).Name }

// clientCmd manages the clients of the built-in OpenID provider.
type clientCmd struct {
	Add    clientAddCmd    `cmd:"" help:"Register a client: its tokens act under a role, within scopes."`
	List   clientListCmd   `cmd:"" help:"List the clients."`
	Remove clientRemoveCmd `cmd:"" help:"Remove a client; its tokens end at once."`
}

type clientAddCmd struct {
	target
	Role  string `required:"" help:"ARN of the role that its tokens act under; it must trust the provider."`
	Scope string `help:"SMART scopes that it may ask for (\"system/*.rs\"); without, its role alone limits it."`
	JWKS  string `name:"jwks" type:"existingfile" help:"File with its public keys (JWK set): it proves itself by private_key_jwt."`
	URL   string `name:"jwks-url" help:"Address of its public keys instead."`
	Name  string `arg:"" help:"Name for people."`
}

// Run prints what the server registered, the secret included where there is one.
func (c *clientAddCmd) Run() error {
	m := map[string]any{"client_name": c.Name, "galen_role": c.Role, "scope": c.Scope}
	if c.URL != "" {
		m["jwks_uri"] = c.URL
	}
	if c.JWKS != "" {
		b, err := os.ReadFile(c.JWKS)
		if err != nil {
			return err
		}
		if !json.Valid(b) {
			return fmt.Errorf("%s is not JSON", c.JWKS)
		}
		m["jwks"] = json.RawMessage(b)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return c.show("POST", "/oauth2/register", body)
}

type clientListCmd struct{ target }

// Run prints the clients.
func (c *clientListCmd) Run() error { return c.show("GET", "/oauth2/register", nil) }

type clientRemoveCmd struct {
	target
	ID string `arg:"" help:"client_id."`
}

// Run removes a client.
func (c *clientRemoveCmd) Run() error {
	_, err := c.send("DELETE", "/oauth2/register/"+url.PathEscape(c.ID), nil, 1<<20)
	return err
}

// show prints an answer.
func (t target) show(method, path string, body []byte) error {
	b, err := t.send(method, path, body, 16<<20)
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
