package postgres_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/test/galen"
)

// TestThreeServers: three `galen serve` on one database, one key folder and one S3 take FHIR writes, objects, events and import jobs under kill -9 at random, of
// PostgreSQL and of the S3 too. What was acknowledged by one is there on all, once, and every index tells of it; every event comes, again only under the same id; every
// job ends once; galen verify finds nothing.
func TestThreeServers(t *testing.T) {
	t.Run("galen as S3", func(t *testing.T) {
		g := galen.New(t, t.TempDir(), "--services", "s3", "--log-level", "error")
		g.Run()
		n := 7
		if os.Getenv("GALEN_POSTGRES_KILLS") != "" {
			n = kills()
		}
		newTrio(t, g, g.URL).survive(n)
	})
	t.Run("versitygw", func(t *testing.T) {
		if os.Getenv("GALEN_POSTGRES_KILLS") == "" {
			t.Skip("GALEN_POSTGRES_KILLS runs it on another S3 too")
		}
		v := galen.StartVersity(t)
		newTrio(t, v, v.URL).survive(max(6, kills()/4))
	})
}

// survive kills so many processes under load, and then looks at everything.
func (r *trio) survive(total int) {
	l := r.begin()
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	crashes, vaults := 0, 0
	for n := range total {
		for want, end := l.count()+10+rng.IntN(40), time.Now().Add(30*time.Second); l.count() < want && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		switch n % 7 {
		case 2:
			crashes++
			r.pg.Crash()
			time.Sleep(rand.N(500 * time.Millisecond)) // calls meet its absence
			if err := r.pg.Run(); err != nil {
				r.t.Fatal(err)
			}
		case 5:
			vaults++
			r.vault.Kill()
			time.Sleep(rand.N(500 * time.Millisecond))
			r.vault.Run()
		default:
			g := r.servers[rng.IntN(len(r.servers))]
			g.Kill()
			g.Run()
		}
	}
	l.end()
	lost := l.lost()
	l.ended()
	heard := l.heard()
	r.verify()
	r.t.Logf("3 servers on one PostgreSQL and one S3: %d kills of servers, %d of PostgreSQL, %d of the S3; acknowledged: %d FHIR writes, %d objects, %d events put, %d import jobs, %d calls refused; %d lost; %s; each job ended once; galen verify whole",
		total-crashes-vaults, crashes, vaults, len(l.patients), len(l.objects), len(l.events), len(l.jobs), l.refused, lost, heard)
	if l.count() < 20*total || len(l.jobs) < 2 {
		r.t.Errorf("%d writes and %d jobs prove little", l.count(), len(l.jobs))
	}
}

// lost looks for what was acknowledged, on every server and by every index.
func (l *load) lost() (lost int) {
	ctx := l.t.Context()
	miss := func(format string, args ...any) {
		lost++
		l.t.Errorf(format, args...)
	}
	for name, id := range l.patients {
		for i, g := range l.servers {
			if status, b, err := l.send(ctx, g.Client(), "GET", "Patient/"+id, nil); err != nil || status != 200 || !strings.Contains(string(b), name) {
				miss("server %d does not have %s: %d %v %.200s", i, name, status, err, b)
			}
		}
		if n := l.found(l.t, "urn:n|"+name); n != 1 {
			miss("a search finds %s %d times", name, n)
		}
	}
	listed := map[string]bool{}
	for token := ""; ; {
		out, err := s3.NewClient(l.servers[0].Client()).ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: "load/", ContinuationToken: token})
		if err != nil {
			l.t.Fatal(err)
		}
		for _, o := range out.Contents {
			listed[o.Key] = true
			if _, ok := l.objects[o.Key]; !ok { // it was made, but the answer was lost
				if _, err := l.body(0, o.Key); err != nil {
					miss("object %s is half there: %v", o.Key, err)
				}
			}
		}
		if token = out.NextContinuationToken; token == "" {
			break
		}
	}
	for key, want := range l.objects {
		if !listed[key] {
			miss("the list does not have %s", key)
		}
		for i := range l.servers {
			if got, err := l.body(i, key); err != nil || got != want {
				miss("server %d does not have %s as it was put: %v", i, key, err)
			}
		}
	}
	return lost
}

// found asks a server's index for a Patient's identifier.
func (r *trio) found(t *testing.T, identifier string) int {
	t.Helper()
	status, b, err := r.send(t.Context(), r.once(), "GET", "Patient?_count=100&identifier="+url.QueryEscape(identifier), nil)
	if err != nil || status != 200 {
		t.Fatalf("search: %d %v %.200s", status, err, b)
	}
	return strings.Count(string(b), `"resourceType":"Patient"`)
}

// ended waits for the jobs and looks at what they made.
func (l *load) ended() {
	ctx := l.t.Context()
	for _, j := range l.jobs {
		l.await(fmt.Sprintf("job %d", j.n), 2*time.Minute, func() bool {
			state, err := l.state(ctx, j)
			if err != nil || state != "" && state != "COMPLETED" {
				l.t.Fatalf("job %d is %s, %v", j.n, state, err)
			}
			return state != ""
		})
		if j.dicm {
			l.scanned(j)
			continue
		}
		if n := l.found(l.t, fmt.Sprintf("urn:job:%d|", j.n)); n != jobFiles*jobLines {
			l.t.Errorf("job %d: %d resources are found, want %d", j.n, n, jobFiles*jobLines)
		}
		for i := range jobFiles * jobLines {
			var p struct{ Meta struct{ VersionID string } }
			if _, b, err := l.send(ctx, l.once(), "GET", fmt.Sprintf("Patient/j%d-%d", j.n, i), nil); err != nil || json.Unmarshal(b, &p) != nil || p.Meta.VersionID != "1" {
				l.t.Errorf("job %d: resource %d has version %q, %v", j.n, i, p.Meta.VersionID, err)
			}
		}
	}
}

// scanned looks at an imported series.
func (l *load) scanned(j *importing) {
	found, err := medicalimaging.NewClient(l.once()).SearchImageSets(l.t.Context(), &medicalimaging.SearchImageSetsInput{DatastoreId: l.images, SearchCriteria: &medicalimaging.SearchCriteria{Filters: []medicalimaging.SearchFilter{{
		Operator: medicalimaging.OperatorEqual, Values: []medicalimaging.SearchByAttributeValue{{DICOMStudyInstanceUID: study(j.n)}}}}}})
	if err != nil {
		l.t.Fatal(err)
	}
	if len(found.ImageSetsMetadataSummaries) != 1 {
		l.t.Errorf("job %d: %d image sets, want 1", j.n, len(found.ImageSetsMetadataSummaries))
		return
	}
	if set := found.ImageSetsMetadataSummaries[0]; *set.Version != 1 || *set.DICOMTags.DICOMNumberOfStudyRelatedInstances != jobSlice {
		l.t.Errorf("job %d: the image set has version %d and %d instances", j.n, *set.Version, *set.DICOMTags.DICOMNumberOfStudyRelatedInstances)
	}
}

// heard waits until every event has come that must: those that were put, one for each object, and one for each end of a job.
func (l *load) heard() string {
	missing := ""
	want := func(what, id string) {
		if ids := l.ear.of(what); len(ids) == 0 || id != "" && ids[0] != id {
			missing = fmt.Sprintf("%s came as %q, want %s", what, ids, id)
		}
	}
	for end := time.Now().Add(90 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		missing = ""
		for n, id := range l.events {
			want("load|said|"+n+"|", id)
		}
		for key := range l.objects {
			want("aws.s3|Object Created|"+key+"|", "")
		}
		for _, j := range l.jobs {
			if j.dicm {
				want("aws.medical-imaging|Import Job Completed|"+j.id+"|", "")
			} else {
				want("aws.healthlake|Import Job Completed|"+j.id+"|", "")
			}
		}
		if missing == "" || time.Now().After(end) {
			break
		}
	}
	if missing != "" {
		l.t.Errorf("an event is missing: %s", missing)
	}
	distinct, again, twice := l.ear.count()
	for _, what := range twice {
		l.t.Errorf("%s came under the ids %q", what, l.ear.of(what))
	}
	return fmt.Sprintf("%d events heard, 0 missing, %d again under the same id, %d under two", distinct, again, len(twice))
}
