package aws_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/galen-health/galen/test/galen"
)

// result is the last line of a suite in test/clients.
type result struct {
	Suite    string
	Passed   int
	Answered []string                   // operations that succeeded
	Refused  map[string]map[string]bool // operation → error code → whether botocore's model declares it
	Paged    map[string]bool            // operation that botocore has a paginator for → whether it went past a first page
	Waited   map[string]bool            // operation and waiter → whether it waited
}

func parse(t *testing.T, out string) result {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var r result
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatalf("the suite's last line is no result: %v\n%s", err, out)
	}
	if r.Passed == 0 {
		t.Errorf("suite %s passed no test", r.Suite)
	}
	return r
}

// suites of boto3, in test/clients.
var suites = []string{"s3.py", "buckets.py", "keys.py", "companions.py", "identity.py", "access.py", "records.py", "fhir.py", "imaging.py", "genomics.py", "language.py"}

// TestBoto3 runs each suite on a server of its own and then holds what they called against what the binary says it implements.
func TestBoto3(t *testing.T) {
	all, ran := newCoverage(), 0
	for _, suite := range suites {
		t.Run(strings.TrimSuffix(suite, ".py"), func(t *testing.T) {
			g := galen.Start(t, "--allow-host", "127.0.0.1") // webhooks of the suites live there
			r := parse(t, g.Python(suite))
			t.Logf("%s: %d tests, %d operations", suite, r.Passed, len(r.Answered))
			all.add(r)
			ran++
		})
	}
	if ran < len(suites) {
		return // a suite that failed, was skipped or not chosen has called less than it would
	}
	ops := implemented(t)
	for _, gap := range all.gaps(ops) {
		t.Error(gap)
	}
	t.Logf("%d operations implemented, %d of them called by boto3", len(ops), len(ops)-len(unreachable))
}

// TestBoto3OnPostgres runs the suites that are mostly records on PostgreSQL. GALEN_TEST_RECORDS=postgres runs all of this package there.
func TestBoto3OnPostgres(t *testing.T) {
	for _, suite := range []string{"buckets.py", "keys.py", "companions.py", "identity.py", "records.py"} {
		t.Run(strings.TrimSuffix(suite, ".py"), func(t *testing.T) {
			g := galen.Start(t, "--allow-host", "127.0.0.1", "--records", galen.Postgres(t).Database(t))
			r := parse(t, g.Python(suite))
			t.Logf("%s on PostgreSQL: %d tests, %d operations", suite, r.Passed, len(r.Answered))
		})
	}
}

func TestJavaScript(t *testing.T) {
	g := galen.Start(t)
	if r := parse(t, g.Node("suite.js")); r.Passed != 14 {
		t.Errorf("%d of 14 tests passed", r.Passed)
	}
}
