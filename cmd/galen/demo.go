package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/galen-health/galen/app"
	"github.com/galen-health/galen/app/cohort"
	"github.com/galen-health/galen/app/demo"
	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/sigv4"
)

type demoCmd struct {
	Once     bool   `help:"End after the tour instead of serving on."`
	Dir      string `default:"demo-data" type:"path" help:"Folder of the demo: the cohort's files and the server's data."`
	Addr     string `default:"127.0.0.1:8484" help:"Address to serve on."`
	Patients int    `default:"6" help:"Synthetic patients."`
	Slices   int    `default:"24" help:"CT slices a patient."`
}

// Run makes a cohort, starts the server over it, ingests it through the front door and shows what is there.
func (c *demoCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	made := cohort.Default
	made.Patients, made.Slices = c.Patients, c.Slices
	files := filepath.Join(c.Dir, "cohort")
	fmt.Printf("1. A cohort of %d synthetic patients (seed %d) in %s\n", made.Patients, made.Seed, files)
	n, err := made.Write(files, nil)
	if err != nil {
		return err
	}
	fmt.Printf("   %d files: FHIR histories, CT and CR phantoms, reads and variants, visit conversations\n\n", n)

	cfg := app.Config{DataDir: filepath.Join(c.Dir, "data"), Addr: c.Addr, Account: "000000000000", Region: "us-east-1"}
	a, err := app.New(ctx, cfg, version, newLogger("warn", "text"))
	if err != nil {
		return err
	}
	serving, end := context.WithCancel(ctx)
	defer end()
	served := make(chan error, 1)
	go func() { served <- a.Serve(serving) }()
	h := &client.HTTP{Base: a.URL(), Region: cfg.Region, Credentials: sigv4.Credentials{AccessKeyID: a.Root.AccessKeyID, SecretAccessKey: a.Root.SecretAccessKey}}
	fmt.Printf("2. Galen serves %s; every file goes to the service that owns it\n", h.Base)
	report, err := takeIn(ctx, h, files, "demo", "", 4)
	if err == nil {
		printReport(report)
		fmt.Printf("\n3. Read back through both contracts\n")
		err = demo.Tour(ctx, h, report, os.Stdout)
	}
	if err != nil {
		end()
		return errors.Join(err, <-served)
	}
	demo.Recipes(os.Stdout, demo.Address{Base: h.Base, Region: cfg.Region, AccessKeyID: a.Root.AccessKeyID, SecretAccessKey: a.Root.SecretAccessKey}, report)
	if c.Once {
		end()
		return <-served
	}
	fmt.Printf("\nServing until you press Ctrl-C. The data stays in %s.\n", c.Dir)
	return <-served
}
