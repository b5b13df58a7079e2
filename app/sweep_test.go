package app

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	s3api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// TestKeepers holds every served package that stores blobs to speaking for them: without Keeps the sweep would delete what it stored.
func TestKeepers(t *testing.T) {
	a := open(t)
	stores := map[string]bool{}
	sources, err := filepath.Glob("../service/*/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no services: %v", err)
	}
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, im := range f.Imports {
			if strings.HasPrefix(strings.Trim(im.Path.Value, `"`), "github.com/galen-health/galen/platform/blob") {
				stores["github.com/galen-health/galen/service/"+filepath.Base(filepath.Dir(name))] = true
			}
		}
	}
	kept := 0
	for _, r := range a.services {
		v := reflect.TypeOf(r.Service)
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if !stores[v.PkgPath()] {
			continue
		}
		if _, ok := r.Service.(blob.Keeper); !ok {
			t.Errorf("%s stores blobs and has no Keeps: the sweep would delete them", v.PkgPath())
		}
		kept++
	}
	if kept == 0 {
		t.Error("no service stores blobs: this test looks at the wrong thing")
	}
}

// TestSweep: an old blob that nobody names goes, a young one and an object's body stay.
func TestSweep(t *testing.T) {
	a := open(t)
	ctx := call.With(t.Context(), &call.Call{Principal: call.Principal{Kind: call.Root, ARN: "arn:aws:iam::000000000000:root", Account: "000000000000"}})
	e := a.engines
	put := func() blob.Info {
		t.Helper()
		in, err := e.blobs.Put(ctx, key.Ref{}, strings.NewReader("nobody's"))
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	old, young := put(), put()
	keepers := (&services{registrations: a.services}).keepers()
	for _, k := range keepers {
		if o, ok := k.(s3api.Service); ok {
			if _, err := o.CreateBucket(ctx, &s3api.CreateBucketInput{Bucket: "swept"}); err != nil {
				t.Fatal(err)
			}
			if _, err := o.PutObject(ctx, &s3api.PutObjectInput{Bucket: "swept", Key: "k", Body: strings.NewReader("somebody's")}); err != nil {
				t.Fatal(err)
			}
			defer func() {
				out, err := o.GetObject(ctx, &s3api.GetObjectInput{Bucket: "swept", Key: "k"})
				if err != nil {
					t.Fatalf("the sweep took an object's body: %v", err)
				}
				out.Body.Close()
			}()
		}
	}
	files, err := filepath.Glob(filepath.Join(a.cfg.DataDir, "blobs", "??", "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%d blobs, %v", len(files), err)
	}
	for _, f := range files {
		if filepath.Base(f) != string(young.ID) {
			if err := os.Chtimes(f, time.Time{}, time.Now().Add(-2*sweepGrace)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := e.deleteUnnamed(ctx, keepers); err != nil {
		t.Fatal(err)
	}
	if _, err := e.blobs.Stat(ctx, old.ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("an old blob that nobody names: %v", err)
	}
	if _, err := e.blobs.Stat(ctx, young.ID); err != nil {
		t.Errorf("a young blob: %v", err)
	}
}
