package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// parses are the names of functions that make sense of bytes.
var parses = regexp.MustCompile(`^(Parse|Decode|Unmarshal|Inflate|Decompress|Sniff|Check|Verify|Read|Scan|Load|Compile|Find|Tokenize|Detect|New(Reader|Decoder|Scanner|Checker|Indexer))`)

// unfuzzed are parsers that need no target of their own, each with its reason.
var unfuzzed = map[string]string{
	"standard/clinical/note.ReadModel":   "a model file whose checksum is pinned; package weights, which reads its bytes, is fuzzed",
	"standard/clinical/tagger.ReadIOB":   "a file of the training, never at run time",
	"aws.Parse":                          "the contracts inside the binary",
	"platform/audit.Verify":              "reads through package journal and the tile reader, which are fuzzed; test/crash and the bit flips hold it",
	"platform/audit.Checkpoint":          "reads a file of the data folder as it is",
	"platform/audit.Read":                "as Verify",
	"platform/blob/s3.Parse":             "the operator's own flag",
	"platform/audit.VerifyTree":          "as Verify",
	"platform/key/keyring.CheckFormat":   "compares eight bytes and a number",
	"platform/key/rootkey.Parse":         "the operator's own file or environment",
	"platform/disk.ReadFile":             "reads bytes without a look at them",
	"platform/key/keyring.ParseRoot":     "the operator's own environment",
	"platform/record/pebble.VerifyFiles": "checks checksums; every bit of every file is flipped in its tests",
	"platform/record/postgres.Check":     "the operator's own flag",
}

// TestEveryParserIsFuzzed: an exported function that makes sense of bytes or text from outside, and can refuse them, is called by a Fuzz target of its package.
func TestEveryParserIsFuzzed(t *testing.T) {
	used := map[string]bool{}
	for _, p := range list(t, "./standard/...", "./aws/...", "./platform/...", "./service/...") {
		targets := fuzzed(t, p.Dir)
		for _, f := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Recv != nil || !parses.MatchString(fn.Name.Name) || !takesBytes(fn.Type) || !mayRefuse(fn.Type) {
					continue
				}
				name := rel(p.ImportPath) + "." + fn.Name.Name
				why, excused := unfuzzed[name]
				used[name] = true
				switch {
				case targets[fn.Name.Name] && excused:
					t.Errorf("%s is fuzzed: take it off the list (%s)", name, why)
				case !targets[fn.Name.Name] && !excused:
					t.Errorf("%s is called by no Fuzz target of its package", name)
				}
			}
		}
	}
	for name := range unfuzzed {
		if !used[name] {
			t.Errorf("%s is on the list and is no parser any more", name)
		}
	}
}

// fuzzed are the names that the Fuzz targets of a folder mention, and what the functions of the test files that they call mention.
func fuzzed(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	mentions := map[string]map[string]bool{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), f, b, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			m := map[string]bool{}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					m[id.Name] = true
				}
				return true
			})
			mentions[fn.Name.Name] = m
		}
	}
	out := map[string]bool{}
	var follow func(name string, depth int)
	follow = func(name string, depth int) {
		for m := range mentions[name] {
			if out[m] || depth > 3 {
				continue
			}
			out[m] = true
			follow(m, depth+1)
		}
	}
	for name := range mentions {
		if strings.HasPrefix(name, "Fuzz") {
			follow(name, 0)
		}
	}
	return out
}

// takesBytes says that a parameter is bytes, text or a stream.
func takesBytes(f *ast.FuncType) bool {
	for _, p := range f.Params.List {
		switch x := p.Type.(type) {
		case *ast.ArrayType:
			if id, ok := x.Elt.(*ast.Ident); ok && x.Len == nil && id.Name == "byte" {
				return true
			}
		case *ast.Ident:
			if x.Name == "string" {
				return true
			}
		case *ast.SelectorExpr:
			if id, ok := x.X.(*ast.Ident); ok && id.Name == "io" && strings.HasPrefix(x.Sel.Name, "Reader") {
				return true
			}
			if x.Sel.Name == "Values" || x.Sel.Name == "Request" || x.Sel.Name == "Header" {
				return true
			}
		case *ast.StarExpr:
			if s, ok := x.X.(*ast.SelectorExpr); ok && s.Sel.Name == "Request" {
				return true
			}
		}
	}
	return false
}

// mayRefuse says that the function answers an error or whether it could.
func mayRefuse(f *ast.FuncType) bool {
	if f.Results == nil {
		return false
	}
	for _, r := range f.Results.List {
		if id, ok := r.Type.(*ast.Ident); ok && (id.Name == "error" || id.Name == "bool") {
			return true
		}
	}
	return false
}
