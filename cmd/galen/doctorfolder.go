package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/galen-health/galen/app"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
)

// wholeness says why a data folder could not be served, by its files alone.
func wholeness(dir string) finding {
	if err := app.CheckFolder(app.Config{DataDir: dir}); err != nil {
		what, do, _ := strings.Cut(errs.As(err).Message, ": ")
		return finding{fail, "data folder: " + what, do}
	}
	keys := filepath.Join(dir, "keys")
	if app.InUse(dir) {
		return finding{ok, "data folder: a server has it open", ""}
	}
	if root := os.Getenv("GALEN_ROOT_KEY"); root != "" {
		b, err := keyring.ParseRoot(root)
		if err != nil {
			return finding{fail, "root key: GALEN_ROOT_KEY is none", errs.As(err).Message}
		}
		if _, err := os.Stat(keys); err == nil {
			if n, faults := keyring.Verify(keys, b); n == 0 && len(faults) > 0 && !errors.Is(faults[0], fs.ErrNotExist) {
				return finding{fail, "root key: GALEN_ROOT_KEY does not open the keys in " + dir, "give the root key that made them, or restore keys/ from a backup if they are damaged"}
			}
		}
	}
	return finding{ok, "data folder: its parts are there, of formats that this version reads", ""}
}
