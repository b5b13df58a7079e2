package aws_test

import (
	"bufio"
	"os"
	"path/filepath"
	"sort"
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

// check holds what was done against what docs/compatibility.md says is implemented.
func (c *coverage) check(t *testing.T, ops []string) {
	t.Helper()
	isImplemented := map[string]bool{}
	for _, op := range ops {
		isImplemented[op] = true
		if why, ok := unreachable[op]; ok {
			if c.answered[op] {
				t.Errorf("%s is listed as unreachable (%s), but a suite called it", op, why)
			}
			continue
		}
		if !c.answered[op] {
			t.Logf("%s is implemented, and no suite calls it successfully", op)
		}
		c.refusal(t, op)
	}
	for op, did := range c.paged {
		if isImplemented[op] && !did {
			t.Logf("%s has a paginator that no suite takes past a first page", op)
		}
	}
	for w, did := range c.waited {
		if op, _, _ := strings.Cut(w, " "); isImplemented[op] && !did {
			t.Logf("no suite uses the waiter %s", w)
		}
	}
	t.Logf("%d operations implemented, %d of them and others answered", len(ops), len(c.answered))
}

// refusal holds that a wrong input was refused, with a code that the operation's model declares or the service's documentation knows.
func (c *coverage) refusal(t *testing.T, op string) {
	t.Helper()
	service, _, _ := strings.Cut(op, ".")
	good := 0
	for code, declared := range c.refused[op] {
		switch {
		case denials[code]: // says nothing about the input
		case declared || undeclared[service][code]:
			good++
		default:
			t.Logf("%s failed with %s, which neither its model nor the reviewed list knows", op, code)
		}
	}
	if why, ok := neverWrong[op]; ok {
		if good > 0 {
			t.Errorf("%s is listed as never refused (%s), but a suite saw it refused", op, why)
		}
	} else if good == 0 {
		t.Logf("no suite sees %s refuse a wrong input", op)
	}
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
	sort.Strings(out)
	return out
}
