package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/galen-health/galen/app"
)

type verifyCmd struct {
	Endpoint string `env:"AWS_ENDPOINT_URL" default:"http://127.0.0.1:8484" help:"The running server, when it is asked."`
	Region   string `default:"us-east-1" env:"GALEN_REGION" help:"Region that the server runs with."`
	DataDir  string `name:"data-dir" xor:"where" env:"GALEN_DATA_DIR" help:"Folder of all data, its server stopped." type:"path"`
	Online   bool   `help:"Ask the running server to verify itself; needs the right galen:Verify."`
	Repair   bool   `help:"Make anew what is derived (indexes, directories, histories of records) where it is not what its records say; never touches what is not derived."`
	DryRun   bool   `name:"dry-run" help:"With --repair: only tell what would be made anew."`
	JSON     bool   `help:"Print a JSON document a line: faults, then what was looked at."`
	Records  string `env:"GALEN_RECORDS" help:"Record back end that the server ran with (postgres://…); empty for the embedded one."`
	KeysDir  string `name:"keys-dir" env:"GALEN_KEYS_DIR" type:"path" help:"Folder of the key ring that the server ran with; keys/ in the data folder when empty."`
	RootKey  string `name:"root-key" env:"GALEN_ROOT_KEY_FROM" help:"Where the root key is, as galen serve had it."`
	Blobs    string `env:"GALEN_BLOBS" help:"Blob back end that the server ran with (s3://…); empty for files in the data folder."`
	Account  string `default:"000000000000" env:"GALEN_ACCOUNT_ID" help:"Account id that the server ran with."`
}

// Run prints a line a fault and fails when there is one.
func (c *verifyCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch {
	case c.Online && (c.Repair || c.DryRun):
		return fmt.Errorf("--repair is for a stopped server: stop it, and leave out --online")
	case !c.Online && c.DataDir == "":
		return fmt.Errorf("say what to verify: --data-dir DIR of a stopped server, or --online")
	case c.DryRun && !c.Repair:
		return fmt.Errorf("--dry-run tells what --repair would do: give both")
	}
	show := newProgress("verify")
	fault := func(f app.Fault) {
		show.clear()
		if c.JSON {
			printJSON(app.Line{Fault: &f})
			return
		}
		fmt.Println(f)
	}
	var v app.Verified
	var err error
	if c.Online {
		v, err = c.online(ctx, show, fault)
	} else {
		v, err = app.Verify(ctx, app.Config{DataDir: c.DataDir, Records: c.Records, KeysDir: c.KeysDir, RootKey: c.RootKey, Blobs: c.Blobs, Addr: "127.0.0.1:8484", Account: c.Account, Region: c.Region}, version, newLogger("error", "text"),
			app.VerifyOptions{Repair: c.Repair, DryRun: c.DryRun, Fault: fault, Progress: show.tell, Repaired: func(what string) {
				show.clear()
				if c.DryRun {
					what = "would make anew: " + what
				} else {
					what = "made anew: " + what
				}
				if c.JSON {
					printJSON(map[string]string{"repair": what})
					return
				}
				fmt.Println(what)
			}})
	}
	show.clear()
	if err != nil {
		return err
	}
	looked := fmt.Sprintf("%d records, %d blobs, %d keys, %d audit entries", v.Records, v.Blobs, v.Keys, v.AuditEntries)
	if v.AuditDropped > 0 {
		looked += fmt.Sprintf(" (the oldest %d were dropped by retention, their hashes are whole)", v.AuditDropped)
	}
	if v.Unreadable > 0 {
		looked += fmt.Sprintf("; %d records and blobs are under keys that are disabled or deleted and could not be opened", v.Unreadable)
	}
	if v.Unnamed > 0 {
		looked += fmt.Sprintf("; %d blobs are named by no record, which is no fault: the server's sweep takes them away", v.Unnamed)
	}
	if c.JSON {
		printJSON(app.Line{Verified: &v})
	}
	if v.Faults > 0 {
		return fmt.Errorf("%d faults in %s", v.Faults, looked)
	}
	if !c.JSON {
		fmt.Println("all is whole:", looked)
	}
	return nil
}

func (c *verifyCmd) online(ctx context.Context, show *progress, fault func(app.Fault)) (v app.Verified, err error) {
	done := false
	err = target{c.Endpoint, c.Region}.follow(ctx, "/admin/verify", url.Values{}, func(l app.Line) {
		switch {
		case l.Progress != nil:
			show.tell(*l.Progress)
		case l.Fault != nil:
			fault(*l.Fault)
		case l.Verified != nil:
			v, done = *l.Verified, true
		}
	})
	if err == nil && !done {
		err = fmt.Errorf("the server's answer broke off: ask again")
	}
	return v, err
}

func printJSON(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structures only
	}
	fmt.Println(string(b))
}
