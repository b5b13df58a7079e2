package aws_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/galen-health/galen/test/galen"
)

// coverage is what all suites of boto3 together did.
type coverage struct {
	answered map[string]bool
	refused  map[string]map[string]bool
	paged    map[string]bool
	waited   map[string]bool
}

func newCoverage() *coverage {
	return &coverage{map[string]bool{}, map[string]map[string]bool{}, map[string]bool{}, map[string]bool{}}
}

func (c *coverage) add(r result) {
	for _, op := range r.Answered {
		c.answered[op] = true
	}
	for op, codes := range r.Refused {
		if c.refused[op] == nil {
			c.refused[op] = map[string]bool{}
		}
		for code, declared := range codes {
			c.refused[op][code] = declared
		}
	}
	for op, did := range r.Paged {
		c.paged[op] = c.paged[op] || did
	}
	for w, did := range r.Waited {
		c.waited[w] = c.waited[w] || did
	}
}

// gaps holds what was done against the operations that are implemented, and tells what is missing.
func (c *coverage) gaps(ops []string) (out []string) {
	gap := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, op := range ops {
		if why, ok := unreachable[op]; ok {
			if c.answered[op] {
				gap("%s is listed as unreachable (%s), but a suite called it", op, why)
			}
			continue
		}
		if !c.answered[op] {
			gap("%s is implemented, and no suite calls it successfully", op)
		}
		out = append(out, c.refusalGaps(op)...)
	}
	for op, did := range c.paged {
		if why, ok := onePage[op]; ok && did {
			gap("%s is listed as never having a second page (%s), but a suite saw one", op, why)
		} else if slices.Contains(ops, op) && !did && !ok {
			gap("%s has a paginator that no suite takes past a first page", op)
		}
	}
	for w, did := range c.waited {
		if op, _, _ := strings.Cut(w, " "); slices.Contains(ops, op) && !did {
			gap("no suite uses the waiter %s", w)
		}
	}
	for op := range unreachable {
		if !slices.Contains(ops, op) {
			gap("%s is listed as unreachable and is not implemented", op)
		}
	}
	slices.Sort(out)
	return out
}

// refusalGaps holds that a wrong input was refused, each time with a code that the operation's model declares or the service's documentation knows.
func (c *coverage) refusalGaps(op string) (out []string) {
	service, _, _ := strings.Cut(op, ".")
	good := 0
	for code, declared := range c.refused[op] {
		switch {
		case denials[code]: // says nothing about the input
		case declared || undeclared[service][code]:
			good++
		default:
			out = append(out, fmt.Sprintf("%s failed with %s, which neither its model nor the reviewed list knows", op, code))
		}
	}
	why, ok := neverWrong[op]
	switch {
	case ok && good > 0:
		out = append(out, fmt.Sprintf("%s is listed as never refused (%s), but a suite saw it refused", op, why))
	case !ok && good == 0:
		out = append(out, fmt.Sprintf("no suite sees %s refuse a wrong input", op))
	}
	return out
}

// implemented reads the operations marked ✔, as "<contract>.<operation>".
func implemented(t *testing.T) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(galen.Root(), "docs", "compatibility.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read from
	var out []string
	contract := ""
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "## "); ok {
			contract = name
		}
		if op, ok := strings.CutPrefix(lines.Text(), "- ✔ "); ok {
			op, _, _ = strings.Cut(op, " ") // an availability may follow
			out = append(out, contract+"."+op)
		}
	}
	if err := lines.Err(); err != nil || len(out) == 0 {
		t.Fatalf("%d operations in docs/compatibility.md, %v", len(out), err)
	}
	return out
}

// The check itself finds what is missing, and passes what is whole.
func TestCoverageFindsGaps(t *testing.T) {
	ops := []string{"S3.GetObject", "S3.ListBuckets", "STS.GetCallerIdentity"}
	whole := func() *coverage {
		c := newCoverage()
		c.add(result{Answered: ops, Refused: map[string]map[string]bool{"S3.GetObject": {"NoSuchKey": true, "AccessDenied": false}, "S3.ListBuckets": {"InvalidArgument": false}},
			Paged: map[string]bool{"S3.ListBuckets": true, "S3.Later": false}, Waited: map[string]bool{"S3.GetObject object_exists": true}})
		c.add(result{Paged: map[string]bool{"S3.ListBuckets": false}, Waited: map[string]bool{"S3.GetObject object_exists": false}})
		return c
	}
	if g := whole().gaps(ops); len(g) > 0 {
		t.Errorf("gaps in what is whole: %v", g)
	}
	for want, spoil := range map[string]func(*coverage){
		"S3.GetObject is implemented, and no suite calls it successfully":                                         func(c *coverage) { delete(c.answered, "S3.GetObject") },
		"no suite sees S3.GetObject refuse a wrong input":                                                         func(c *coverage) { c.refused["S3.GetObject"] = map[string]bool{"AccessDenied": true} },
		"S3.GetObject failed with Oops, which neither its model nor the reviewed list knows":                      func(c *coverage) { c.refused["S3.GetObject"]["Oops"] = false },
		"S3.ListBuckets has a paginator that no suite takes past a first page":                                    func(c *coverage) { c.paged["S3.ListBuckets"] = false },
		"no suite uses the waiter S3.GetObject object_exists":                                                     func(c *coverage) { c.waited["S3.GetObject object_exists"] = false },
		"STS.GetCallerIdentity is listed as never refused (its input has no members), but a suite saw it refused": func(c *coverage) { c.refused["STS.GetCallerIdentity"] = map[string]bool{"ValidationError": false} },
		"KMS.ListKeyPolicies is listed as never having a second page (a key has one policy), but a suite saw one": func(c *coverage) { c.paged["KMS.ListKeyPolicies"] = true },
	} {
		c := whole()
		spoil(c)
		if g := c.gaps(ops); len(g) != 1 || g[0] != want {
			t.Errorf("gaps are %q, want %q", g, want)
		}
	}
}
