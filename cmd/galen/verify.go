package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/galen-health/galen/app"
)

type verifyCmd struct {
	DataDir string `name:"data-dir" required:"" env:"GALEN_DATA_DIR" help:"Folder of all data." type:"existingdir"`
	Records string `env:"GALEN_RECORDS" help:"Record back end that the server ran with (postgres://…); empty for the embedded one."`
	KeysDir string `name:"keys-dir" env:"GALEN_KEYS_DIR" type:"path" help:"Folder of the key ring that the server ran with; keys/ in the data folder when empty."`
	RootKey string `name:"root-key" env:"GALEN_ROOT_KEY_FROM" help:"Where the root key is, as galen serve had it."`
	Blobs   string `env:"GALEN_BLOBS" help:"Blob back end that the server ran with (s3://…); empty for files in the data folder."`
	Account string `default:"000000000000" env:"GALEN_ACCOUNT_ID" help:"Account id that the server ran with."`
	Region  string `default:"us-east-1" env:"GALEN_REGION" help:"Region that the server ran with."`
}

// Run prints a line a fault and fails when there is one.
func (c *verifyCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	v, err := app.Verify(ctx, app.Config{DataDir: c.DataDir, Records: c.Records, KeysDir: c.KeysDir, RootKey: c.RootKey, Blobs: c.Blobs, Addr: "127.0.0.1:8484", Account: c.Account, Region: c.Region}, version, newLogger("error", "text"), func(line string) { fmt.Println(line) })
	if err != nil {
		return err
	}
	looked := fmt.Sprintf("%d records, %d blobs, %d keys, %d audit entries", v.Records, v.Blobs, v.Keys, v.AuditEntries)
	if v.Unreadable > 0 {
		looked += fmt.Sprintf("; %d records and blobs are under keys that are disabled or deleted and could not be opened", v.Unreadable)
	}
	if v.Faults > 0 {
		return fmt.Errorf("%d faults in %s", v.Faults, looked)
	}
	fmt.Println("all is whole:", looked)
	return nil
}
