package app

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/compatibility.md")

func open(t *testing.T) *App {
	t.Helper()
	a, err := New(context.Background(), Config{DataDir: t.TempDir(), Addr: "127.0.0.1:0", Account: "000000000000", Region: "us-east-1"}, "test", slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// The list that users read is what the binary does.
func TestCompatibilityIsTrue(t *testing.T) {
	got := open(t).Compatibility()
	const path = "../docs/compatibility.md"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("docs/compatibility.md is not what this build offers; review the change, then: go test ./app -run Compatibility -update")
	}
}

func TestImplementedTellsPromotedMethodsApart(t *testing.T) {
	for _, r := range open(t).services {
		n := len(Implemented(r))
		switch r.Contract.Package {
		case "kms", "s3", "healthlake", "iam", "sts":
			if n == 0 {
				t.Errorf("%s seems to implement nothing", r.Contract.ID)
			}
		case "pricing":
			if n != 0 {
				t.Errorf("%s seems to implement %d operations", r.Contract.ID, n)
			}
		}
	}
}
