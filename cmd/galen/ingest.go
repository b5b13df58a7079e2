package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"strings"
	"syscall"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/galen-health/galen/app/ingest"
	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/aws/sts"
)

type ingestCmd struct {
	JSON     bool   `help:"Print the report as one JSON document."`
	Dir      string `arg:"" type:"existingdir" help:"Folder to take in."`
	Endpoint string `env:"AWS_ENDPOINT_URL" default:"http://127.0.0.1:8484" help:"The running server."`
	Region   string `env:"AWS_REGION,AWS_DEFAULT_REGION" default:"us-east-1"`
	Name     string `default:"galen" help:"Name of the stores that files go into; made when absent."`
	RoleARN  string `name:"role-arn" help:"Role that import jobs run under; made when absent."`
	Workers  int    `default:"4" help:"Files taken at once."`
}

// Run ingests a folder; credentials come from the environment as for every AWS client.
func (c *ingestCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	h, err := httpClient(c.Endpoint, c.Region)
	if err != nil {
		return err
	}
	report, err := takeIn(ctx, h, c.Dir, c.Name, c.RoleARN, c.Workers)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(report)
	}
	printReport(report)
	return nil
}

// httpClient is a client with the environment's credentials.
func httpClient(endpoint, region string) (*client.HTTP, error) {
	cred := sigv4.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN")}
	if cred.AccessKeyID == "" || cred.SecretAccessKey == "" {
		return nil, fmt.Errorf("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (galen serve prints root's at its first start)")
	}
	return &client.HTTP{Base: strings.TrimSuffix(endpoint, "/"), Region: region, Credentials: cred}, nil
}

// takeIn runs an ingest with progress on standard error.
func takeIn(ctx context.Context, h *client.HTTP, dir, name, role string, workers int) (*ingest.Report, error) {
	who, err := sts.NewClient(h).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, err
	}
	var bar *progressbar.ProgressBar
	report, err := ingest.Dir(ctx, dir, ingest.Options{HTTP: h, Account: who.Account, Workers: workers, Name: name, RoleARN: role, Progress: func(done, total int, _ ingest.Result) {
		if !term.IsTerminal(int(os.Stderr.Fd())) {
			if done == total || done%100 == 0 { // plain lines where nobody watches a bar
				fmt.Fprintf(os.Stderr, "ingest: %d of %d\n", done, total)
			}
			return
		}
		if bar == nil {
			bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription("ingest"), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(200e6))
		}
		_ = bar.Set(done) // a bar that cannot be drawn stops nothing
	}})
	if bar != nil {
		fmt.Fprintln(os.Stderr)
	}
	return report, err
}

func printReport(r *ingest.Report) {
	sort.SliceStable(r.Results, func(i, j int) bool { return r.Results[i].Path < r.Results[j].Path })
	type key struct {
		state           ingest.State
		service, reason string
	}
	counts, order, example := map[key]int{}, []key{}, map[key]string{}
	for _, res := range r.Results {
		k := key{res.State, res.Service, res.Reason}
		if counts[k] == 0 {
			order = append(order, k)
			example[k] = res.Path
		}
		counts[k]++
	}
	sort.SliceStable(order, func(i, j int) bool {
		return order[i].state+ingest.State(order[i].service) < order[j].state+ingest.State(order[j].service)
	})
	for _, k := range order {
		service := k.service
		if service == "" {
			service = "none"
		}
		line := fmt.Sprintf("%-8s %-18s %5d", k.state, service, counts[k])
		if k.reason != "" {
			line += "  " + k.reason + " (" + example[k] + ")"
		}
		fmt.Println(line)
	}
	for kind, id := range r.Stores {
		fmt.Printf("store    %-18s %s\n", kind, id)
	}
}
