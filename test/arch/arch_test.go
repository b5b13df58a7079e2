package arch

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/dependencies.txt")

const module = "github.com/galen-health/galen"

// layers is the short allow table: what each layer of ours may import of ours. "" is the package's own layer unit (standard/x, service/x).
var layers = map[string][]string{
	"standard": {"standard"},
	"aws":      {"aws", "platform/errs", "platform/limits"},
	"platform": {"platform", "aws", "standard"},
	"service":  {"platform", "aws", "standard"}, // and its own folder, checked apart
	"console":  {},
	"app":      {"app", "service", "platform", "aws", "standard", "console"},
	"cmd":      {"app", "platform", "aws", "standard"},
	"test":     {"test", "app", "service", "platform", "aws", "standard"},
	"bench":    {"test", "app", "service", "platform", "aws", "standard"},
}

// exceptions are reviewed one by one: importer → imported → why.
var exceptions = map[[2]string]string{}

type pkg struct {
	ImportPath string
	Dir        string
	Name       string
	GoFiles    []string
	CgoFiles   []string

	TestGoFiles, XTestGoFiles []string

	Imports  []string
	Standard bool
	Module   *struct{ Path, Version string }
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Name,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,Imports,Standard,Module"}, args...)...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func rel(importPath string) string { return strings.TrimPrefix(importPath, module+"/") }

func layer(path string) string { l, _, _ := strings.Cut(path, "/"); return l }

// unit is the second level: service/omics, platform/record.
func unit(path string) string {
	parts := strings.SplitN(path, "/", 3)
	if len(parts) < 2 {
		return path
	}
	return parts[0] + "/" + parts[1]
}

func TestImportsGoDownward(t *testing.T) {
	for _, p := range list(t, "./...") {
		from := rel(p.ImportPath)
		allowed, known := layers[layer(from)]
		if !known {
			t.Errorf("%s is in no layer of the table", from)
			continue
		}
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, module+"/") {
				continue
			}
			to := rel(imp)
			if _, ok := exceptions[[2]string{from, to}]; ok || unit(from) == unit(to) && layer(from) == "service" {
				continue
			}
			ok := false
			for _, a := range allowed {
				if to == a || strings.HasPrefix(to, a+"/") {
					ok = true
				}
			}
			if !ok {
				t.Errorf("%s imports %s: %s may import only %v", from, to, layer(from), allowed)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range list(t, "./...") {
		doc := ""
		for _, f := range append(p.GoFiles, p.CgoFiles...) {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if file.Doc != nil && len(file.Doc.Text()) > len(doc) {
				doc = file.Doc.Text()
			}
		}
		if len(p.GoFiles) > 0 && len(doc) < 40 {
			t.Errorf("%s has no package comment that says what it owns", rel(p.ImportPath))
		}
	}
}

// Files read on a screen or two; generated tables are exempt.
func TestFilesStaySmall(t *testing.T) {
	const hard = 500
	for _, p := range list(t, "./...") {
		for _, f := range slices.Concat(p.GoFiles, p.CgoFiles, p.TestGoFiles, p.XTestGoFiles) {
			path := filepath.Join(p.Dir, f)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, b, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(b), "\n"); n > hard && !ast.IsGenerated(file) {
				t.Errorf("%s/%s has %d lines, the bound is %d", rel(p.ImportPath), f, n, hard)
			}
		}
	}
}

// Words of the workplace or unfinished work have no place in the repository.
func TestNoMarkersOfUnfinishedWork(t *testing.T) {
	words := []string{"TO" + "DO", "FIX" + "ME", "XX" + "X"}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && p != root || d.Name() == "node_modules" || d.Name() == "bin" || d.Name() == "data") {
			return fs.SkipDir
		}
		if ext := filepath.Ext(p); ext != ".go" && ext != ".ts" && ext != ".py" && ext != ".sh" || strings.HasSuffix(p, "schema.go") {
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		for _, w := range words {
			for i, l := range strings.Split(string(b), "\n") {
				if strings.Contains(l, w+":") || strings.Contains(l, w+"(") || strings.Contains(l, "// "+w+" ") {
					t.Errorf("%s:%d: %s", p, i+1, w)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The dependencies of the binary are a reviewed file: a new one shows up in a diff, and needs its line in docs/decisions/0002-dependencies.md.
func TestDependenciesAreReviewed(t *testing.T) {
	modules := map[string]bool{}
	for _, p := range list(t, "-deps", "./cmd/galen") {
		if p.Module != nil && p.Module.Path != module {
			modules[fmt.Sprintf("%s %s", p.Module.Path, p.Module.Version)] = true
		}
	}
	var names []string
	for m := range modules {
		names = append(names, m)
	}
	sort.Strings(names)
	got := strings.Join(names, "\n") + "\n"
	path := filepath.Join("..", "..", "docs", "dependencies.txt")
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
		t.Errorf("the binary's modules differ from docs/dependencies.txt; review them, then: go test ./test/arch -update\ngot:\n%s", got)
	}
}
