package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/galen-health/galen/app"
)

// rootKeyCmd is what an operator does with the root key.
type rootKeyCmd struct {
	Move moveRootCmd `cmd:"" help:"Server stopped: seal the key ring under a root key that is kept elsewhere. No data is written anew."`
}

type moveRootCmd struct {
	DataDir string `name:"data-dir" required:"" env:"GALEN_DATA_DIR" help:"Folder of all data." type:"existingdir"`
	KeysDir string `name:"keys-dir" env:"GALEN_KEYS_DIR" type:"path" help:"Folder of the key ring that the server ran with; keys/ in the data folder when empty."`
	From    string `name:"from" env:"GALEN_ROOT_KEY_FROM" help:"Where the root key is now, as --root-key of galen serve had it; empty for GALEN_ROOT_KEY or the key folder's own file."`
	To      string `name:"to" required:"" help:"Where it shall be: env:NAME, file:PATH, passphrase[:VARIABLE], passphrase-file:PATH, vault:URL/transit/keys/KEY or pkcs11:MODULE?token=LABEL&key=LABEL."`
}

// Run moves it and says how to start from now on.
func (c *moveRootCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := app.MoveRootKey(ctx, app.Config{DataDir: c.DataDir, KeysDir: c.KeysDir, RootKey: c.From}, c.To); err != nil {
		return err
	}
	fmt.Printf("the key ring is sealed under the root key of %s: from now on start with galen serve --root-key '%s' (or GALEN_ROOT_KEY_FROM), and make a new backup of the key folder\n", c.To, c.To)
	return nil
}
