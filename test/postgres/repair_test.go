package postgres_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/test/galen"
)

// An index that was damaged in the database is found by galen verify, told of by a dry run, and made anew; a search finds what it should again. A lost version is told
// of, and stays a fault.
func TestVerifyRepair(t *testing.T) {
	pg := galen.Postgres(t)
	url := pg.Database(t)
	g := galen.New(t, t.TempDir(), "--records", url, "--services", "healthlake")
	g.Run()
	lake, err := healthlake.NewClient(g.Client()).CreateFHIRDatastore(t.Context(), &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4})
	must(t)(lake, err)
	r := &trio{t: t, servers: [3]*galen.Server{g, g, g}, fhir: lake.DatastoreId}
	r.await("the data store", time.Minute, func() bool {
		d, err := healthlake.NewClient(g.Client()).DescribeFHIRDatastore(t.Context(), &healthlake.DescribeFHIRDatastoreInput{DatastoreId: r.fhir})
		return err == nil && d.DatastoreProperties.DatastoreStatus == healthlake.DatastoreStatusActive
	})
	for _, family := range []string{"First", "Second"} {
		status, b, err := r.send(t.Context(), g.Client(), "PUT", "Patient/p", strings.NewReader(`{"resourceType":"Patient","id":"p","identifier":[{"system":"urn:n","value":"1"}],"name":[{"family":"`+family+`"}]}`))
		if err != nil || status > 201 {
			t.Fatalf("%d %v %s", status, err, b)
		}
	}
	g.Stop()
	verify := func(want int, says string, args ...string) {
		t.Helper()
		cmd := exec.Command(galen.Binary(t), append([]string{"verify", "--data-dir", g.Dir, "--records", url}, args...)...)
		cmd.Env = os.Environ()
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want || !strings.Contains(string(out), says) {
			t.Errorf("verify %v: %v %s; want %q", args, err, out, says)
		}
	}
	verify(0, "all is whole")
	pg.Exec(t, url, `DELETE FROM galen.posting`)
	verify(1, "the index has 0 entries of it")
	verify(1, "would make anew: records: space", "--repair", "--dry-run")
	verify(1, "the index has 0 entries of it")
	verify(0, "made anew: records: space", "--repair")
	verify(0, "all is whole")
	g.Run()
	if n := r.found(t, "urn:n|1"); n != 1 {
		t.Errorf("after the repair a search finds %d", n)
	}
	g.Stop()
	pg.Exec(t, url, `DELETE FROM galen.version v USING galen.record r WHERE v.space = r.space AND v.kind = r.kind AND v.pid = r.pid AND v.version = r.version AND r.version = 2`)
	verify(1, "its newest version 2 is missing", "--repair")
}
