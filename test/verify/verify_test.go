// Package verify_test holds `galen verify` to its word: what the server acknowledged is whole, and one damaged byte anywhere at rest is found.
package verify_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/test/galen"
)

// content is what the object and the resource say; verification must never print it.
const content = "Zyxwvut Pseudonymous"

// fill puts an object and a FHIR resource into a running server.
func fill(t *testing.T, g *galen.Server) {
	t.Helper()
	ctx, h := t.Context(), g.Client()
	objects := s3.NewClient(h)
	if _, err := objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "verified"}); err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte(content+"\n"), 10_000)
	if _, err := objects.PutObject(ctx, &s3.PutObjectInput{Bucket: "verified", Key: content, Body: bytes.NewReader(body), ContentLength: aws.Ptr(int64(len(body)))}); err != nil {
		t.Fatal(err)
	}
	stores := healthlake.NewClient(h)
	made, err := stores.CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreName: "verified", DatastoreTypeVersion: healthlake.FHIRVersionR4})
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		d, err := stores.DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: made.DatastoreId})
		if err != nil {
			t.Fatal(err)
		}
		if d.DatastoreProperties.DatastoreStatus == healthlake.DatastoreStatusActive {
			break
		}
		if n > 600 {
			t.Fatalf("the data store stays %s", d.DatastoreProperties.DatastoreStatus)
		}
		time.Sleep(100 * time.Millisecond)
	}
	for i, text := range []string{"first", "second"} { // two versions
		patient := fmt.Sprintf(`{"resourceType":"Patient","id":"p1","name":[{"family":%q,"given":[%q]}],"birthDate":"1970-01-02"}`, content, text)
		status, answer, err := h.Send(ctx, "healthlake", "PUT", "/datastore/"+made.DatastoreId+"/r4/Patient/p1", map[string]string{"Content-Type": "application/fhir+json"}, strings.NewReader(patient), 1<<20)
		if err != nil || status != 201-i {
			t.Fatalf("put a Patient: %d %v %s", status, err, answer)
		}
	}
}

// verify runs galen verify and returns its exit status and its output, both kinds apart.
func verify(t *testing.T, dir string) (status int, out, errOut string) {
	t.Helper()
	cmd := exec.Command(galen.Binary(t), "verify", "--data-dir", dir)
	cmd.Env = append(os.Environ(), galen.RecordsEnv(t, dir)...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if strings.Contains(o.String()+e.String(), content) {
		t.Errorf("verification prints content:\n%s%s", o.String(), e.String())
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// flip changes one byte of a file, counted from its end when negative, and returns what undoes it.
func flip(t *testing.T, name string, at int) (undo func()) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	whole := bytes.Clone(b)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// find returns the files below a folder whose path matches, the largest first.
func find(t *testing.T, dir, pattern string) (names []string) {
	t.Helper()
	re, size := regexp.MustCompile(pattern), int64(-1)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !re.MatchString(filepath.ToSlash(path)) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Size() > size {
			size, names = info.Size(), append([]string{path}, names...)
		} else {
			names = append(names, path)
		}
		return nil
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("no file %s in %s: %v", pattern, dir, err)
	}
	return names
}

func TestVerify(t *testing.T) {
	g := galen.Start(t)
	fill(t, g)
	if status, _, errOut := verify(t, g.Dir); status != 1 || !strings.Contains(errOut, "stop galen serve first") {
		t.Errorf("beside a running server: status %d, %s", status, errOut)
	}
	g.Stop()
	whole := func(when string) {
		t.Helper()
		status, out, errOut := verify(t, g.Dir)
		if status != 0 || !regexp.MustCompile(`(?m)^all is whole: [1-9]\d* records, [1-9]\d* blobs, [1-9]\d* keys, [1-9]\d* audit entries$`).MatchString(out) {
			t.Fatalf("%s: status %d\n%s%s", when, status, out, errOut)
		}
	}
	whole("after a graceful stop")

	object := find(t, filepath.Join(g.Dir, "blobs"), `/[0-9a-f]{32}$`)[0]
	for _, c := range []struct{ what, file, line string }{
		{"a blob", object, `^blobs: .*` + filepath.Base(object) + `.* → `},
		{"an audit entry", find(t, filepath.Join(g.Dir, "audit"), `/tile/entries/`)[0], `^audit: .* → keep this folder as evidence`},
		{"one copy of the key ring", find(t, filepath.Join(g.Dir, "keys"), `/ring\.`)[0], `^keys: .* → made good from the other copy`},
	} {
		undo := flip(t, c.file, -1)
		status, out, errOut := verify(t, g.Dir)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if status != 1 || len(lines) != 1 || !regexp.MustCompile(c.line).MatchString(lines[0]) {
			t.Errorf("a flipped byte in %s: status %d, want one line like %q\n%s%s", c.what, status, c.line, out, errOut)
		}
		if !strings.HasPrefix(c.line, "^keys") { // that copy has been made good already, and what it was before is out of date now
			undo()
		}
		whole("after " + c.what + " was put back")
	}

	aside := filepath.Join(t.TempDir(), "blob")
	for _, way := range [][2]string{{object, aside}, {aside, object}} {
		if err := os.Rename(way[0], way[1]); err != nil {
			t.Fatal(err)
		}
		if way[1] != aside {
			continue
		}
		if status, out, errOut := verify(t, g.Dir); status != 1 || strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "s3: ") || !strings.Contains(out, filepath.Base(object)) {
			t.Errorf("a blob that is gone: status %d\n%s%s", status, out, errOut)
		}
	}
	whole("after the blob was put back")

	if !inFolder() {
		return
	}
	undo := flip(t, find(t, filepath.Join(g.Dir, "records"), `\.sst$`)[0], 100)
	if status, out, _ := verify(t, g.Dir); status != 1 || !strings.Contains(out, "records: ") {
		t.Errorf("a flipped byte in a table file of the records: status %d\n%s", status, out)
	}
	undo()
	whole("after the table file was put back")

	undo = flip(t, filepath.Join(g.Dir, "records", "KEY"), -1)
	if status, out, _ := verify(t, g.Dir); status != 1 || !strings.Contains(out, "records: ") {
		t.Errorf("a flipped byte in the key file of the records: status %d\n%s", status, out)
	}
	undo()
	whole("after the key file was put back")

	g.Run() // what verification did must not have harmed anything
	readBack(t, g)
	g.Kill()
	whole("after a crash")
}

// inFolder says that the records are in the data folder; elsewhere its files are another's.
func inFolder() bool { return os.Getenv("GALEN_TEST_RECORDS") == "" }

// readBack reads the object back.
func readBack(t *testing.T, g *galen.Server) {
	t.Helper()
	out, err := s3.NewClient(g.Client()).GetObject(t.Context(), &s3.GetObjectInput{Bucket: "verified", Key: content})
	if err != nil {
		t.Fatal(err)
	}
	out.Body.Close()
}

func TestNoData(t *testing.T) {
	dir := t.TempDir()
	status, _, errOut := verify(t, dir)
	if left, err := os.ReadDir(dir); status != 1 || !strings.Contains(errOut, "holds no data of Galen") || err != nil || len(left) > 0 {
		t.Errorf("an empty folder: status %d, %s; left %v", status, errOut, left)
	}
}
