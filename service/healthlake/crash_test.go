package healthlake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/test/testbed"
)

const crashDir = "GALEN_TEST_CRASH_DIR"

// TestCrashChild is the process that TestImportSurvivesKills kills: it goes on with whatever is unfinished.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		t.Skip("only as the child of TestImportSurvivesKills")
	}
	l := labIn(t, dir, testbed.ObjectsIn(t, dir+"/s3"))
	var job struct{ Store, ID string }
	if b, err := os.ReadFile(dir + "/job"); err == nil {
		if err := json.Unmarshal(b, &job); err != nil {
			t.Fatal(err)
		}
		l.store = job.Store
	} else {
		job.Store = l.create()
		job.ID = l.startImport("s3://in/all.ndjson")
		b, _ := json.Marshal(job)
		if err := os.WriteFile(dir+"/job", b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println("CHILD RUNS")
	l.importEnd(job.ID)
	l.Stop()
	fmt.Println("CHILD DONE")
}

// TestImportSurvivesKills kills the importing process again and again (SIGKILL), and then lets it finish: every line is imported once, with
// one version, and reported once.
func TestImportSurvivesKills(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes: not in short mode")
	}
	dir := t.TempDir()
	obj := testbed.ObjectsIn(t, dir+"/s3")
	var b bytes.Buffer
	pad := strings.Repeat("x", 9_000)
	n := 0
	for ; b.Len() < segmentBytes*10; n++ {
		fmt.Fprintf(&b, `{"resourceType":"Patient","id":"p%d","birthDate":"1990","name":[{"family":"f%d"}],"text":{"status":"generated","div":"<div>%s</div>"}}`+"\n", n, n%10, pad)
	}
	obj.Put("in/all.ndjson", b.Bytes())
	kills := 0
	for round := 0; ; round++ {
		if round > 60 {
			t.Fatal("the import never ends")
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestCrashChild$", "-test.v")
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		var err error
		select {
		case err = <-done:
		case <-time.After(time.Duration(150+round*130) * time.Millisecond):
			if kills < 12 {
				if err := cmd.Process.Kill(); err == nil {
					kills++
				} else if !errors.Is(err, os.ErrProcessDone) { // it may have ended just now
					t.Fatal(err)
				}
			}
			err = <-done
		}
		if bytes.Contains(out.Bytes(), []byte("CHILD DONE")) {
			break
		}
		if err == nil || bytes.Contains(out.Bytes(), []byte("--- FAIL")) {
			t.Fatalf("the child failed: %v\n%s", err, out.Bytes())
		}
	}
	t.Logf("killed %d times", kills)

	obj = testbed.ObjectsIn(t, dir+"/s3")
	l := labIn(t, dir, obj)
	var job struct{ Store, ID string }
	j, err := os.ReadFile(dir + "/job")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(j, &job); err != nil {
		t.Fatal(err)
	}
	l.store = job.Store
	p := l.importState(job.ID)
	if p.JobStatus != api.JobStatusCompleted || aws.Val(p.JobProgressReport.TotalNumberOfResourcesImported) != int64(n) {
		t.Errorf("%s: %d imported, want %d", p.JobStatus, aws.Val(p.JobProgressReport.TotalNumberOfResourcesImported), n)
	}
	versions := 0
	v, err := l.Records.View(l.Ctx, space(l.store))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for _, err := range v.History(kindOf("Patient"), "", 0, time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		versions++
	}
	if versions != n {
		t.Errorf("%d versions of %d patients", versions, n)
	}
	found := 0
	for f := range 10 {
		found += int(l.want(200, "GET", fmt.Sprintf("/Patient?family=f%d&_summary=count", f), "").json(t)["total"].(float64))
	}
	if found != n {
		t.Errorf("the index finds %d of %d patients", found, n)
	}
	reported := 0
	for k, body := range obj.All() {
		if strings.Contains(k, "/SUCCESS/") {
			reported += bytes.Count(body, []byte("\n"))
		}
	}
	if reported != n {
		t.Errorf("%d lines reported, want %d", reported, n)
	}
}
