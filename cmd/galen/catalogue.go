package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/galen-health/galen/app/catalogue"
)

type catalogueCmd struct{}

func (catalogueCmd) Run() error {
	var b strings.Builder
	for _, s := range catalogue.Services {
		fmt.Fprintf(&b, "%s — %s\n  owns       %s (%s)\n  contracts  %s\n", s.ID, s.Title, s.Object, s.Role, strings.Join(s.Contracts, "; "))
		if len(s.Survives) > 0 {
			fmt.Fprintf(&b, "  survives   %s\n  to build   %s\n", strings.Join(s.Survives, "; "), strings.Join(s.ToBuild, "; "))
		}
		for _, f := range s.Features {
			fmt.Fprintf(&b, "  %-10s %s", f.Availability, f.Name)
			if !f.Since.IsZero() {
				fmt.Fprintf(&b, ", since %s", f.Since.Format("2006-01-02"))
			}
			if f.Migration != "" {
				fmt.Fprintf(&b, "; instead: %s", f.Migration)
			}
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	_, err := os.Stdout.WriteString(b.String())
	return err
}
