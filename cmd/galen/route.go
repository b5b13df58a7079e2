package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/galen-health/galen/app/catalogue"
	"github.com/galen-health/galen/standard/sniff"
)

type routeCmd struct {
	JSON  bool     `help:"One JSON object a file: path, service, kind, reason."`
	Paths []string `arg:"" name:"path" help:"Files or folders; - reads standard input."`
}

type routed struct {
	Path    string     `json:"path"`
	Service string     `json:"service"` // SDK service id, "" when none owns it
	Kind    sniff.Kind `json:"kind"`
	Reason  string     `json:"reason"`
}

// Run routes every file below the paths in their order. A path that cannot be read is reported and makes the command fail at its end; the others
// are still routed.
func (c *routeCmd) Run() error {
	out := bufio.NewWriter(os.Stdout)
	failed := 0
	for _, p := range c.Paths {
		if p == "-" {
			v, err := sniff.Reader(os.Stdin)
			if err := c.print(out, "-", v, err); err != nil {
				return err
			}
			continue
		}
		err := filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				return nil
			}
			var v sniff.Verdict
			if err == nil {
				v, err = sniff.File(path)
			}
			if err != nil {
				failed++
			}
			return c.print(out, path, v, err)
		})
		if err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d files could not be read", failed)
	}
	return nil
}

func (c *routeCmd) print(out *bufio.Writer, path string, v sniff.Verdict, err error) error {
	r := routed{Path: path, Kind: v.Kind, Reason: v.Reason}
	if s := catalogue.Owner(v.Kind); s != nil {
		r.Service = s.ID
	}
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		r.Reason = "cannot be read: " + err.Error()
	}
	if c.JSON {
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%s\n", b)
		return err
	}
	service := r.Service
	if service == "" {
		service = "none"
	}
	_, err = fmt.Fprintf(out, "%-16s %-14s %s  (%s)\n", service, r.Kind, r.Path, r.Reason)
	return err
}
