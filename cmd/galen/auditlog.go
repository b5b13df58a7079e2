package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/audit"
)

// auditCmd is what an auditor does with the log's files; a server may run or not, and none is asked.
type auditCmd struct {
	Prove  proveAuditCmd  `cmd:"" help:"Print the proof that an entry is in the log, or with --since that the log continues an earlier checkpoint."`
	Check  checkAuditCmd  `cmd:"" help:"Check a proof with the log's public key alone, and print the entry."`
	Verify verifyAuditCmd `cmd:"" help:"Check every entry, and with --witness that the log continues what it was at the last time."`
}

type auditFolder struct {
	DataDir string `name:"data-dir" required:"" env:"GALEN_DATA_DIR" help:"Folder of all data." type:"existingdir"`
}

func (f auditFolder) dir() string { return filepath.Join(f.DataDir, "audit") }

type proveAuditCmd struct {
	auditFolder
	Since string `type:"existingfile" help:"A checkpoint that was kept earlier."`
	Entry string `arg:"" optional:"" help:"Number of the entry, from 0, or its event id."`
}

// Run prints the proof as JSON.
func (c *proveAuditCmd) Run() error {
	p, err := c.proof(context.Background())
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(b))
	return err
}

func (c *proveAuditCmd) proof(ctx context.Context) (*audit.Proof, error) {
	if (c.Entry == "") == (c.Since == "") {
		return nil, errors.New("give an entry, or --since with a checkpoint")
	}
	if c.Since != "" {
		earlier, err := os.ReadFile(c.Since)
		if err != nil {
			return nil, err
		}
		return audit.ProveContinues(ctx, c.dir(), earlier)
	}
	if n, err := strconv.ParseUint(c.Entry, 10, 64); err == nil {
		return audit.Prove(ctx, c.dir(), n)
	}
	var found *uint64
	if err := audit.Read(ctx, c.dir(), func(i uint64, e *audit.Entry) error {
		if e.ID == c.Entry {
			found = &i
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if found == nil {
		return nil, fmt.Errorf("no entry under the newest checkpoint has the event id %s", c.Entry)
	}
	return audit.Prove(ctx, c.dir(), *found)
}

type checkAuditCmd struct {
	Key   string `required:"" type:"existingfile" help:"The log's public key: a copy of verifier.txt that you trust."`
	Proof string `arg:"" type:"existingfile" help:"What prove printed."`
}

// Run fails when the proof does not hold.
func (c *checkAuditCmd) Run() error {
	key, err := os.ReadFile(c.Key)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(c.Proof)
	if err != nil {
		return err
	}
	var p audit.Proof
	if err := json.Unmarshal(b, &p); err != nil {
		return fmt.Errorf("%s is no proof: %w", c.Proof, err)
	}
	e, err := p.Check(strings.TrimSpace(string(key)))
	if err != nil {
		return err
	}
	if e == nil {
		_, err = fmt.Println("the log continues the earlier checkpoint")
		return err
	}
	_, err = fmt.Printf("entry %d of the log:\n%s\n", p.Index, p.Entry)
	return err
}

type verifyAuditCmd struct {
	auditFolder
	Key     string `type:"existingfile" help:"The log's public key: a copy of verifier.txt that you trust; the folder's own when empty."`
	Witness string `type:"path" help:"A file, kept where whoever can change the log cannot write. The log must continue the checkpoint in it, which is then replaced by the newest; made when absent."`
}

// Run checks the log and moves the witness on.
func (c *verifyAuditCmd) Run() error {
	key := ""
	if c.Key != "" {
		b, err := os.ReadFile(c.Key)
		if err != nil {
			return err
		}
		key = strings.TrimSpace(string(b))
	}
	var since []byte
	if c.Witness != "" {
		b, err := os.ReadFile(c.Witness)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		since = b
	}
	now, err := audit.Checkpoint(c.dir()) // of before: the log may grow while it is checked
	if err != nil {
		return err
	}
	r, err := audit.Verify(context.Background(), c.dir(), key, since)
	if err != nil {
		return err
	}
	if c.Witness != "" {
		if err := os.WriteFile(c.Witness+".tmp", now, 0o600); err != nil {
			return err
		}
		if err := os.Rename(c.Witness+".tmp", c.Witness); err != nil {
			return err
		}
	}
	fmt.Printf("all is whole: %d entries of %s, %d more wait in the journal\n", r.Size, r.Origin, r.Waiting)
	if r.Dropped > 0 {
		_, err = fmt.Printf("the oldest %d of them, from before %s, were dropped by retention, as a note says that the log signed; their hashes are whole\n", r.Dropped, r.Before.Format(time.RFC3339))
	}
	return err
}
