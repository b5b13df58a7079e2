// Command gen turns the models in aws/model into the generated packages aws/<service>, and refreshes the models from botocore's package.
//
//	go run ./aws/gen            writes types.go and service.go of every package
//	go run ./aws/gen refresh    first takes the models anew from botocore (pip must be installed)
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/galen-health/galen/aws"
)

// packages maps the generated package to its model.
var packages = []struct{ name, model string }{
	{"athena", "athena.json"}, {"cloudtrail", "cloudtrail.json"}, {"comprehendmedical", "comprehendmedical.json"}, {"connecthealth", "connecthealth.json"},
	{"ecr", "ecr.json"}, {"events", "events.json"}, {"healthlake", "healthlake.json"}, {"iam", "iam.json"}, {"kms", "kms.json"}, {"logs", "logs.json"},
	{"medicalimaging", "medical-imaging.json"}, {"omics", "omics.json"}, {"pricing", "pricing.json"}, {"s3", "s3.json"}, {"sts", "sts.json"},
	{"transcribe", "transcribe.json"}, {"transcribestreaming", "transcribe-streaming.smithy.json"},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	dir := "aws"
	if _, err := os.Stat("model"); err == nil {
		dir = "." // go generate runs in the package's folder
	}
	if len(os.Args) > 1 && os.Args[1] == "refresh" {
		if err := refresh(filepath.Join(dir, "model")); err != nil {
			return err
		}
	}
	for _, p := range packages {
		s, err := aws.Parse(os.DirFS(filepath.Join(dir, "model")), p.model, p.name)
		if err != nil {
			return err
		}
		g := newGenerator(s, p.model)
		out := filepath.Join(dir, p.name)
		if err := os.MkdirAll(out, 0o755); err != nil {
			return err
		}
		for file, make := range map[string]func() ([]byte, error){"types.go": g.types, "service.go": g.service} {
			b, err := make()
			if err != nil {
				return fmt.Errorf("%s/%s: %w", p.name, file, err)
			}
			if err := os.WriteFile(filepath.Join(out, file), b, 0o644); err != nil {
				return err
			}
		}
		fmt.Printf("%-20s %3d operations\n", p.name, len(s.Operations))
	}
	return nil
}
