package postgres_test

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/events"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/platform/record/postgres/pgtest"
	"github.com/galen-health/galen/test/galen"
)

// vault is the S3 that blobs are in.
type vault interface {
	Run()
	Kill()
}

// trio is three servers on one PostgreSQL, one S3 and one key folder, and who hears of their events.
type trio struct {
	t       *testing.T
	pg      *pgtest.Server
	vault   vault
	servers [3]*galen.Server
	args    []string // of each server and of galen verify
	ear     *ear
	fhir    string // data stores
	images  string
	role    string
	key     string
}

const bucket = "ward"

// newTrio starts everything. at is where the S3 listens.
func newTrio(t *testing.T, v vault, at string) *trio {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", galen.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", galen.SecretAccessKey)
	ctx := t.Context()
	if _, err := s3.NewClient(&client.HTTP{Base: at, Region: galen.Region, Credentials: credentials}).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "blobs"}); err != nil {
		t.Fatal(err)
	}
	r := &trio{t: t, pg: galen.Postgres(t), vault: v, ear: newEar(t)}
	r.args = []string{"--records", r.pg.Database(t), "--keys-dir", filepath.Join(t.TempDir(), "keys"), "--blobs", "s3://blobs/trio?region=us-east-1&endpoint=" + at}
	for i := range r.servers {
		r.servers[i] = galen.New(t, t.TempDir(), append([]string{"--services", "healthlake,medical-imaging,s3,kms,iam,sts,eventbridge", "--allow-host", "127.0.0.1", "--log-level", "error"}, r.args...)...)
		r.servers[i].Run()
	}
	h := r.servers[0].Client()
	must(t)(s3.NewClient(h).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))
	must(t)(s3.NewClient(h).PutBucketNotificationConfiguration(ctx, &s3.PutBucketNotificationConfigurationInput{Bucket: bucket, NotificationConfiguration: &s3.NotificationConfiguration{EventBridgeConfiguration: &s3.EventBridgeConfiguration{}}}))
	rules := events.NewClient(h)
	must(t)(rules.PutRule(ctx, &events.PutRuleInput{Name: "all", EventPattern: `{"source":[{"prefix":""}]}`}))
	must(t)(rules.PutTargets(ctx, &events.PutTargetsInput{Rule: "all", Targets: []events.Target{{Id: "ear", Arn: r.ear.URL + "/in"}}}))
	role, err := iam.NewClient(h).CreateRole(ctx, &iam.CreateRoleInput{RoleName: "jobs", AssumeRolePolicyDocument: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["healthlake.amazonaws.com","medical-imaging.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`})
	must(t)(role, err)
	must(t)(iam.NewClient(h).PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: "jobs", PolicyName: "all", PolicyDocument: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`}))
	k, err := kms.NewClient(h).CreateKey(ctx, &kms.CreateKeyInput{})
	must(t)(k, err)
	lake, err := healthlake.NewClient(h).CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4})
	must(t)(lake, err)
	scans, err := medicalimaging.NewClient(h).CreateDatastore(ctx, &medicalimaging.CreateDatastoreInput{ClientToken: "trio"})
	must(t)(scans, err)
	r.role, r.key, r.fhir, r.images = role.Role.Arn, k.KeyMetadata.Arn, lake.DatastoreId, scans.DatastoreId
	r.await("the data stores", time.Minute, func() bool { // another server than the one that was asked sees them become active
		d, err := healthlake.NewClient(r.servers[1].Client()).DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: r.fhir})
		if err != nil || d.DatastoreProperties.DatastoreStatus != healthlake.DatastoreStatusActive {
			return false
		}
		i, err := medicalimaging.NewClient(r.servers[2].Client()).GetDatastore(ctx, &medicalimaging.GetDatastoreInput{DatastoreId: r.images})
		return err == nil && i.DatastoreProperties.DatastoreStatus == medicalimaging.DatastoreStatusActive
	})
	return r
}

var credentials = sigv4.Credentials{AccessKeyID: galen.AccessKeyID, SecretAccessKey: galen.SecretAccessKey}

// must ends the test on an error; what was answered is of no interest here.
func must(t *testing.T) func(any, error) {
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (r *trio) await(what string, long time.Duration, done func() bool) {
	r.t.Helper()
	for end := time.Now().Add(long); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("%s: not there after %v", what, long)
		}
	}
}

// once is a client of a random server that tries each call once, so that each has one effect at most.
func (r *trio) once() *client.HTTP {
	h := r.servers[rand.IntN(len(r.servers))].Client()
	h.Attempts = 1
	return h
}

// send makes a FHIR call.
func (r *trio) send(ctx context.Context, h *client.HTTP, method, path string, body io.Reader) (int, []byte, error) {
	return h.Send(ctx, "healthlake", method, "/datastore/"+r.fhir+"/r4/"+path, map[string]string{"Content-Type": "application/fhir+json"}, body, 8<<20)
}

// verify stops the servers and holds everything at rest against each other, from each server's folder.
func (r *trio) verify() {
	r.t.Helper()
	for _, g := range r.servers {
		g.Stop()
	}
	for i, g := range r.servers {
		if out, err := exec.Command(galen.Binary(r.t), append([]string{"verify", "--data-dir", g.Dir}, r.args...)...).CombinedOutput(); err != nil {
			r.t.Errorf("galen verify on server %d's folder: %v\n%s", i, err, out)
		}
	}
}

// ear is a webhook that keeps which events came: by what they tell of, each id and how often.
type ear struct {
	*httptest.Server
	mu    sync.Mutex
	heard map[string]map[string]int
	total int
}

// told is what an event tells of: one thing is told of by one event.
func told(body []byte) (id, what string) {
	var e struct {
		ID         string `json:"id"`
		Source     string `json:"source"`
		DetailType string `json:"detail-type"`
		Detail     struct {
			N     string `json:"n"`
			JobID string `json:"jobId"`
			Set   string `json:"imagesetId"`
			At    string `json:"imageSetVersion"`
			Key   struct {
				Key   string `json:"key"`
				Place string `json:"sequencer"`
			} `json:"object"`
		} `json:"detail"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return "", ""
	}
	d := &e.Detail
	if strings.HasPrefix(d.Key.Key, "load/") { // is written once
		d.Key.Place = ""
	}
	return e.ID, strings.Join([]string{e.Source, e.DetailType, d.N + d.JobID + d.Set + d.Key.Key, d.At + d.Key.Place}, "|")
}

func newEar(t *testing.T) *ear {
	e := &ear{heard: map[string]map[string]int{}}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, err := io.ReadAll(q.Body)
		id, what := told(b)
		if err != nil || id == "" { // the sender was killed
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.heard[what] == nil {
			e.heard[what] = map[string]int{}
		}
		e.heard[what][id]++
		e.total++
	}))
	t.Cleanup(e.Close)
	return e
}

// count tells how many events came, and how many came again; and of what more than one event tells.
func (e *ear) count() (distinct, again int, twice []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for what, ids := range e.heard {
		distinct += len(ids)
		if len(ids) > 1 {
			twice = append(twice, what)
		}
	}
	return distinct, e.total - distinct, twice
}

// of returns the ids of the events that tell of a thing.
func (e *ear) of(what string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for id := range e.heard[what] {
		out = append(out, id)
	}
	return out
}
