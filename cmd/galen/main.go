// Command galen is the one binary: the server and the tools around it. Each subcommand is in its own file.
package main

import (
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	"github.com/galen-health/galen/platform/sql"
	"github.com/galen-health/galen/platform/sql/duck"
)

// version is set by the build.
var version = "dev"

type cli struct {
	Demo      demoCmd      `cmd:"" help:"Synthesise a cohort, ingest it and show what to look at; serves on until interrupted."`
	Ingest    ingestCmd    `cmd:"" help:"Take a mixed folder into a running server, each file to the service that owns it."`
	Serve     serveCmd     `cmd:"" help:"Run the server: every service behind one address."`
	Route     routeCmd     `cmd:"" help:"Say for any file which service owns it, by content alone."`
	Catalogue catalogueCmd `cmd:"" help:"Print the portfolio: who owns what, under which contracts, how available it is."`
	Verify    verifyCmd    `cmd:"" help:"Read all data at rest, server stopped: exit 0 when it is whole, else 1 and a line a fault."`
	Doctor    doctorCmd    `cmd:"" help:"Check the server, the credentials, the clock, this binary and the data folder; say what to do."`
	Admin     adminCmd     `cmd:"" help:"Operate a running server: who may what and why, the first administrator, clients of the OpenID provider."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

type versionCmd struct{}

func (versionCmd) Run() error {
	_, err := fmt.Println("galen", version)
	return err
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == sql.ChildArg { // this binary is also the confined child that answers one SQL query
		os.Exit(duck.Main())
	}
	var c cli
	ctx := kong.Parse(&c, kong.Name("galen"), kong.Description("The open, self-hosted answer to AWS for Health."), kong.UsageOnError())
	if err := ctx.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "galen:", err)
		os.Exit(1)
	}
}
