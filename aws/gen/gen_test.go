package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/galen-health/galen/aws"
)

// TestGeneratedIsFresh: what is committed is what the models give.
func TestGeneratedIsFresh(t *testing.T) {
	for _, p := range packages {
		s, err := aws.Parse(os.DirFS("../model"), p.model, p.name)
		if err != nil {
			t.Fatal(err)
		}
		g := newGenerator(s, p.model)
		for file, make := range map[string]func() ([]byte, error){"types.go": g.types, "service.go": g.service} {
			want, err := make()
			if err != nil {
				t.Errorf("%s/%s: %v", p.name, file, err)
				continue
			}
			got, err := os.ReadFile(filepath.Join("..", p.name, file))
			if err != nil {
				t.Error(err)
			} else if !bytes.Equal(got, want) {
				t.Errorf("aws/%s/%s is not what aws/model/%s gives: run go generate ./aws/...", p.name, file, p.model)
			}
		}
	}
}

func TestCamel(t *testing.T) {
	for in, want := range map[string]string{"CREATE_FAILED": "CreateFailed", "aws:kms": "AwsKms", "R4": "R4", "en-US": "EnUs", "": "Empty", "HISTORY_AND_PHYSICAL": "HistoryAndPhysical", "pcm": "Pcm"} {
		if got := camel(in); got != want {
			t.Errorf("camel(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestRewriteKeepsAll: a model that is rewritten from itself stays as it is, order and all; of one operation only its shapes remain.
func TestRewriteKeepsAll(t *testing.T) {
	for file := range folders {
		want, err := os.ReadFile(filepath.Join("../model", file))
		if err != nil {
			t.Fatal(err)
		}
		read := func() map[string]*node {
			doc := &node{}
			if err := doc.UnmarshalJSON(want); err != nil {
				t.Fatal(err)
			}
			return map[string]*node{"service-2": doc, "paginators-1": doc, "waiters-2": doc}
		}
		path := filepath.Join(t.TempDir(), file)
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := rewrite(path, read()); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s came out different, %v", file, err)
		}
		if err := os.WriteFile(path, []byte(`{"operations":{"Nothing":{}}}`), 0o644); err != nil {
			t.Fatal(err)
		}
		if rewrite(path, read()) == nil {
			t.Errorf("%s: an operation that is gone was not missed", file)
		}
	}
	path := filepath.Join(t.TempDir(), "kms.json")
	if err := os.WriteFile(path, []byte(`{"operations":{"GenerateRandom":{}}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile("../model/kms.json")
	if err != nil {
		t.Fatal(err)
	}
	doc := &node{}
	if err := doc.UnmarshalJSON(whole); err != nil {
		t.Fatal(err)
	}
	if err := rewrite(path, map[string]*node{"service-2": doc, "paginators-1": {object: true}, "waiters-2": {object: true}}); err != nil {
		t.Fatal(err)
	}
	s, err := aws.Parse(os.DirFS(filepath.Dir(path)), "kms.json", "kms")
	if err != nil || len(s.Operations) != 1 || s.Shapes["GenerateRandomRequest"] == nil || s.Shapes["EncryptRequest"] != nil {
		t.Errorf("%d operations, %d shapes, %v", len(s.Operations), len(s.Shapes), err)
	}
}
