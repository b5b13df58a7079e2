package crash_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/test/galen"
)

// site is one server with all that jobs need.
type site struct {
	t    *testing.T
	g    *galen.Server
	role string
	key  string
}

const allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, g: galen.New(t, t.TempDir(), "--log-level", "error")}
	s.g.Run()
	if _, err := s3.NewClient(s.g.Client()).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: "jobs"}); err != nil {
		t.Fatal(err)
	}
	who := iam.NewClient(s.g.Client())
	made, err := who.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: "jobs", AssumeRolePolicyDocument: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["healthlake.amazonaws.com","medical-imaging.amazonaws.com","omics.amazonaws.com","transcribe.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`})
	if err != nil {
		t.Fatal(err)
	}
	s.role = made.Role.Arn
	if _, err := who.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: "jobs", PolicyName: "all", PolicyDocument: allowAll}); err != nil {
		t.Fatal(err)
	}
	k, err := kms.NewClient(s.g.Client()).CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	s.key = k.KeyMetadata.Arn
	return s
}

func (s *site) put(key string, b []byte) string {
	s.t.Helper()
	if _, err := s3.NewClient(s.g.Client()).PutObject(s.t.Context(), &s3.PutObjectInput{Bucket: "jobs", Key: key, Body: bytes.NewReader(b), ContentLength: aws.Ptr(int64(len(b)))}); err != nil {
		s.t.Fatal(err)
	}
	return "s3://jobs/" + key
}

// objects are the keys below a prefix and what they hold.
func (s *site) objects(prefix string) map[string][]byte {
	s.t.Helper()
	c, out := s3.NewClient(s.g.Client()), map[string][]byte{}
	for token := ""; ; {
		list, err := c.ListObjectsV2(s.t.Context(), &s3.ListObjectsV2Input{Bucket: "jobs", Prefix: prefix, ContinuationToken: token})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, o := range list.Contents {
			got, err := c.GetObject(s.t.Context(), &s3.GetObjectInput{Bucket: "jobs", Key: o.Key})
			if err != nil {
				s.t.Fatal(err)
			}
			var b bytes.Buffer
			if _, err := b.ReadFrom(got.Body); err != nil {
				s.t.Fatal(err)
			}
			got.Body.Close() //nolint:errcheck // read
			out[o.Key] = b.Bytes()
		}
		if token = list.NextContinuationToken; token == "" {
			return out
		}
	}
}

// fhir asks HealthLake and returns the answer as a tree.
func (s *site) fhir(store, query string) map[string]any {
	s.t.Helper()
	status, b, err := s.g.Client().Send(s.t.Context(), "healthlake", "GET", "/datastore/"+store+"/r4/"+query, nil, nil, 64<<20)
	if err != nil || status != 200 {
		s.t.Fatalf("GET %s: %d %v %.300s", query, status, err, b)
	}
	var tree map[string]any
	if err := json.Unmarshal(b, &tree); err != nil {
		s.t.Fatal(err)
	}
	return tree
}

// work is a kind of job as the crash test drives it. prepare makes what round n needs; start starts the job; state is "" while it runs, "done" when it is, anything
// else is a failure; check holds what is there against what one undisturbed job makes.
type work struct {
	name    string
	prepare func(n int)
	start   func(n int) string
	state   func(id string) string
	check   func(n int, id string)
}

// Each kind of job is killed with its server at random steps, up to three times a job, and goes on each time until it is done: nothing of it is lost, nothing done
// twice. One job of each kind, or $GALEN_CRASH_JOBS.
func TestJobs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	kinds := append(append(s.records(), s.images()...), append(s.genomes(), s.visits()...)...)
	rounds := disktest.Rounds(t, "GALEN_CRASH_JOBS", 1)
	kills, interrupted := map[string]int{}, map[string]int{}
	for _, k := range kinds {
		k.prepare(0) // the calm one, which tells how long a job takes
		began := time.Now()
		id := k.start(0)
		s.finish(k, id)
		took := time.Since(began)
		k.check(0, id)
		for n := 1; n <= rounds && !t.Failed(); n++ {
			k.prepare(n)
			id := k.start(n)
			time.Sleep(rand.N(took * 3 / 4))
			if k.state(id) == "" {
				interrupted[k.name]++
			}
			s.g.Kill()
			kills[k.name]++
			for range rand.IntN(3) { // while it comes up, takes the job up, or goes on with it
				s.g.Launch()
				time.Sleep(rand.N(600*time.Millisecond + took))
				s.g.Kill()
				kills[k.name]++
			}
			s.g.Run()
			s.finish(k, id)
			k.check(n, id)
		}
		if t.Failed() {
			t.Fatalf("%s", k.name)
		}
	}
	s.g.Stop()
	verified(t, s.g)
	for _, k := range kinds {
		t.Logf("%s: %d jobs, %d kills, %d of them for certain while the job ran; 0 lost, 0 done twice", k.name, rounds, kills[k.name], interrupted[k.name])
	}
}

// finish waits for a job's end.
func (s *site) finish(k work, id string) {
	s.t.Helper()
	await(s.t, k.name, func() bool {
		state := k.state(id)
		if state != "" && state != "done" {
			s.t.Fatalf("%s: the job is %s", k.name, state)
		}
		return state == "done"
	})
}

// stateOf reads a job's state.
func stateOf[S ~string](state S, message string, err error) string {
	switch up := strings.ToUpper(string(state)); {
	case err != nil:
		return err.Error()
	case up == "COMPLETED":
		return "done"
	case strings.Contains(up, "FAIL"), strings.Contains(up, "CANCEL"), strings.Contains(up, "ERROR"):
		return fmt.Sprintf("%s: %s", state, message)
	}
	return ""
}
