package leak

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/events"
	"github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/test/galen"
)

const bucket = "ward"

// site is a running server with everything around it that hears of calls.
type site struct {
	t        *testing.T
	g        *galen.Server
	ctx      context.Context
	admin    string
	role     string
	traces   *sink
	events   *sink
	nurse    *client.HTTP // may do everything, and sent the marks
	stranger *client.HTTP // may do nothing
	fhir     string       // data store ids
	images   string
	setID    string
}

// sink is an HTTP server that keeps what it is sent.
type sink struct {
	*httptest.Server
	mu  sync.Mutex
	got [][]byte
}

func newSink(t *testing.T) *sink {
	k := &sink{}
	k.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender tries again
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.got = append(k.got, b)
	}))
	t.Cleanup(k.Close)
	return k
}

func (k *sink) all() [][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([][]byte(nil), k.got...)
}

func must[T any](t *testing.T) func(T, error) T {
	return func(out T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func open(t *testing.T) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, ctx: t.Context(), admin: l.Addr().String(), traces: newSink(t), events: newSink(t)}
	l.Close()
	s.g = galen.Start(t, "--admin-addr", s.admin, "--otlp", s.traces.URL, "--allow-host", "127.0.0.1", "--log-level", "debug")
	s.nurse, s.stranger = s.user("nurse", allowAll), s.user("stranger", "")
	s.role = s.newRole()
	must[*s3.CreateBucketOutput](t)(s3.NewClient(s.nurse).CreateBucket(s.ctx, &s3.CreateBucketInput{Bucket: bucket}))
	rules := events.NewClient(s.g.Client())
	// What a caller puts onto a bus himself goes where rules send it; everything that Galen itself tells goes to the sink.
	must[*events.PutRuleOutput](t)(rules.PutRule(s.ctx, &events.PutRuleInput{Name: "all", EventPattern: `{"source":[{"prefix":"aws."},{"prefix":"galen"}]}`}))
	must[*events.PutTargetsOutput](t)(rules.PutTargets(s.ctx, &events.PutTargetsInput{Rule: "all", Targets: []events.Target{{Id: "sink", Arn: s.events.URL + "/in"}}}))
	return s
}

const allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

func (s *site) user(name, policy string) *client.HTTP {
	s.t.Helper()
	c := iam.NewClient(s.g.Client())
	must[*iam.CreateUserOutput](s.t)(c.CreateUser(s.ctx, &iam.CreateUserInput{UserName: name}))
	if policy != "" {
		must[*iam.PutUserPolicyOutput](s.t)(c.PutUserPolicy(s.ctx, &iam.PutUserPolicyInput{UserName: name, PolicyName: "own", PolicyDocument: policy}))
	}
	k := must[*iam.CreateAccessKeyOutput](s.t)(c.CreateAccessKey(s.ctx, &iam.CreateAccessKeyInput{UserName: name})).AccessKey
	return &client.HTTP{Base: s.g.URL, Region: galen.Region, Credentials: sigv4.Credentials{AccessKeyID: k.AccessKeyId, SecretAccessKey: k.SecretAccessKey}, Attempts: 1}
}

func (s *site) newRole() string {
	s.t.Helper()
	c := iam.NewClient(s.g.Client())
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["healthlake.amazonaws.com","medical-imaging.amazonaws.com","omics.amazonaws.com","transcribe.amazonaws.com","comprehendmedical.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`
	arn := must[*iam.CreateRoleOutput](s.t)(c.CreateRole(s.ctx, &iam.CreateRoleInput{RoleName: "jobs", AssumeRolePolicyDocument: trust})).Role.Arn
	must[*iam.PutRolePolicyOutput](s.t)(c.PutRolePolicy(s.ctx, &iam.PutRolePolicyInput{RoleName: "jobs", PolicyName: "all", PolicyDocument: allowAll}))
	return arn
}

func (s *site) put(key string, body []byte) string {
	s.t.Helper()
	must[*s3.PutObjectOutput](s.t)(s3.NewClient(s.nurse).PutObject(s.ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(body), Metadata: map[string]string{"note": mark("metadata")}, Tagging: "patient=" + mark("objecttag")}))
	return "s3://" + bucket + "/" + key
}

// send makes a request of a standard's route; what it answers is the caller's own.
func (s *site) send(h *client.HTTP, service, method, path, contentType, body string) (int, []byte) {
	s.t.Helper()
	header := map[string]string{}
	if contentType != "" {
		header["Content-Type"] = contentType
	}
	status, b, err := h.Send(s.ctx, service, method, path, header, strings.NewReader(body), 64<<20)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
	}
	return status, b
}

// wait polls until done says so; a job that failed is as good here as one that succeeded.
func (s *site) wait(what string, done func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("never ended: %s", what)
		}
	}
}

// ended tells the states in which jobs and stores stay.
func ended(state any) bool {
	u := strings.ToUpper(fmt.Sprint(state))
	for _, open := range []string{"SUBMITTED", "QUEUED", "IN_PROGRESS", "RUNNING", "CREATING", "PENDING", "UPDATING", "COPYING"} {
		if u == open {
			return false
		}
	}
	return true
}
