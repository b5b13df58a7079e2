package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/galen-health/galen/platform/authz"
)

// adminCmd is what an operator asks of a running server.
type adminCmd struct {
	ExplainAccess explainCmd     `cmd:"" name:"explain-access" help:"Say whether WHO may do WHAT on a resource, which statement decides, and why the others do not."`
	FirstAdmin    firstCmd       `cmd:"" name:"first-administrator" help:"With root's credentials: make the first administrator and an access key, so that root's can be put away."`
	Backup        backupCmd      `cmd:"" help:"Copy everything, as of one commit, to a folder or a bucket; only what is new is copied."`
	Restore       restoreCmd     `cmd:"" help:"Fill an empty data folder from a backup, with the newest state or that of a time."`
	CheckBackup   checkBackupCmd `cmd:"" name:"check-backup" help:"Read a whole backup and say what is not whole."`
	PruneBackup   pruneBackupCmd `cmd:"" name:"prune-backup" help:"Remove old points of a backup, and what only they name."`
	RootKey       rootKeyCmd     `cmd:"" name:"root-key" help:"Where the root key is kept."`
	Audit         auditCmd       `cmd:"" help:"The audit log by its files alone: prove entries, check proofs, verify the whole."`
	Client        clientCmd      `cmd:"" help:"Programs that get bearer tokens from the built-in OpenID provider."`
}

// target is the running server.
type target struct {
	Endpoint string `env:"AWS_ENDPOINT_URL" default:"http://127.0.0.1:8484" help:"The running server."`
	Region   string `env:"AWS_REGION,AWS_DEFAULT_REGION" default:"us-east-1"`
}

// send asks a route of the server; credentials come from the environment.
func (t target) send(method, path string, body []byte, most int64) ([]byte, error) {
	h, err := httpClient(t.Endpoint, t.Region)
	if err != nil {
		return nil, err
	}
	status, answer, err := h.Send(context.Background(), "iam", method, path, map[string]string{"Content-Type": "application/json"}, strings.NewReader(string(body)), most)
	if err != nil {
		return nil, err
	}
	if status >= 300 {
		return nil, fmt.Errorf("the server answers %d: %s", status, strings.TrimSpace(string(answer)))
	}
	return answer, nil
}

type explainCmd struct {
	target
	JSON    bool     `help:"Print one JSON document."`
	Context []string `short:"c" help:"A condition key of the request: key=value; may be repeated." placeholder:"KEY=VALUE" sep:"none"`
	Who     string   `arg:"" help:"ARN of a user, a role or a session; a bare name is a user, root the root user."`
	What    string   `arg:"" help:"Action, such as healthlake:ReadResource."`
	On      string   `arg:"" optional:"" default:"*" help:"ARN of the resource."`
}

// Run asks the server and prints the answer; whoever is not allowed is no error of the command.
func (c *explainCmd) Run() error {
	who := c.Who
	if !strings.HasPrefix(who, "arn:") {
		account, err := c.account()
		if err != nil {
			return err
		}
		if who = "arn:aws:iam::" + account + ":user/" + who; c.Who == "root" {
			who = "arn:aws:iam::" + account + ":root"
		}
	}
	q := url.Values{"who": {who}, "what": {c.What}, "on": {c.On}, "context": c.Context}
	b, err := c.send("GET", "/admin/explain-access?"+q.Encode(), nil, 16<<20)
	if err != nil {
		return err
	}
	if c.JSON {
		_, err := fmt.Println(string(b))
		return err
	}
	var x authz.Explanation
	if err := json.Unmarshal(b, &x); err != nil {
		return fmt.Errorf("the server's answer is not an explanation: %w", err)
	}
	_, err = fmt.Fprintf(os.Stdout, "%s\n  %s\n  on %s\n%s", who, c.What, c.On, x.Text())
	return err
}
