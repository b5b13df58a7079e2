package edge

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/client"
	comprehendapi "github.com/galen-health/galen/aws/comprehendmedical"
	healthlakeapi "github.com/galen-health/galen/aws/healthlake"
	kmsapi "github.com/galen-health/galen/aws/kms"
	omicsapi "github.com/galen-health/galen/aws/omics"
	s3api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/sigv4"
	stsapi "github.com/galen-health/galen/aws/sts"
	streamapi "github.com/galen-health/galen/aws/transcribestreaming"
	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
)

const account, region = "000000000000", "us-east-1"

var (
	root  = sigv4.Credentials{AccessKeyID: "AKIAROOT", SecretAccessKey: "root-secret"}
	alice = sigv4.Credentials{AccessKeyID: "AKIAALICE", SecretAccessKey: "alice-secret"} // may read stores, and nothing else
)

// people is a directory of the two.
type people struct{}

func (people) Credential(_ context.Context, id, token string) (authz.Credential, error) {
	switch {
	case id == root.AccessKeyID && token == "":
		return authz.Credential{Secret: root.SecretAccessKey, Principal: call.Principal{Kind: call.Root, ARN: "arn:aws:iam::" + account + ":root", ID: account, Account: account}}, nil
	case id == alice.AccessKeyID && token == "":
		return authz.Credential{Secret: alice.SecretAccessKey, Principal: call.Principal{Kind: call.IAMUser, ARN: "arn:aws:iam::" + account + ":user/alice", ID: "AIDAALICE", Account: account, Name: "alice"}}, nil
	}
	return authz.Credential{}, errs.Named(errs.Unauthenticated, sigv4.ErrUnknownKey, "the access key is not known")
}

func (people) Policies(_ context.Context, p call.Principal) ([]authz.Policy, string, error) {
	if p.Name != "alice" {
		return nil, "", nil
	}
	return []authz.Policy{{Name: "read", Document: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["healthlake:Describe*","healthlake:ReadResource"],"Resource":"*"}]}`}}, "", nil
}

// journal is an audit log that can be made to fail.
type journal struct {
	mu      sync.Mutex
	entries []audit.Entry
	broken  bool
	forget  bool
}

func (j *journal) Append(_ context.Context, e *audit.Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken {
		return errors.New("the disk is full")
	}
	if !j.forget {
		j.entries = append(j.entries, *e)
	}
	return nil
}

func (j *journal) last() audit.Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) == 0 {
		return audit.Entry{}
	}
	return j.entries[len(j.entries)-1]
}

func (j *journal) fail(yes bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.broken = yes
}

// The services below have one operation each, so that each protocol has one; their answers repeat what they were asked.
type (
	lake struct {
		healthlakeapi.Unimplemented
		called int
	}
	keys       struct{ kmsapi.Unimplemented }
	genomes    struct{ omicsapi.Unimplemented }
	objects    struct{ s3api.Unimplemented }
	tokens     struct{ stsapi.Unimplemented }
	language   struct{ comprehendapi.Unimplemented }
	scribe     struct{ streamapi.Unimplemented }
	storeNames = map[string]error
)

// failures are what a data store of that name answers.
var failures = storeNames{
	"missing":   errs.New(errs.NotFound, "no such data store"),
	"taken":     errs.New(errs.Conflict, "there is one"),
	"full":      errs.New(errs.Exhausted, "ten data stores are the most"),
	"busy":      errs.New(errs.Throttled, "slow down"),
	"broken":    errs.Wrap(errs.Corrupt, errors.New("secret cause"), "a record fails its checks"),
	"bug":       errors.New("secret text of an unknown error"),
	"cancelled": context.Canceled,
}

func (l *lake) CreateFHIRDatastore(ctx context.Context, in *healthlakeapi.CreateFHIRDatastoreInput) (*healthlakeapi.CreateFHIRDatastoreOutput, error) {
	l.called++
	if in.DatastoreName == "panic" {
		panic("secret panic")
	}
	if err := failures[in.DatastoreName]; err != nil {
		return nil, err
	}
	return &healthlakeapi.CreateFHIRDatastoreOutput{DatastoreId: strings.Repeat("a", 32), DatastoreArn: call.From(ctx).Principal.ARN, DatastoreStatus: healthlakeapi.DatastoreStatusCreating, DatastoreEndpoint: in.DatastoreName}, nil
}

func (l *lake) DescribeFHIRDatastore(_ context.Context, in *healthlakeapi.DescribeFHIRDatastoreInput) (*healthlakeapi.DescribeFHIRDatastoreOutput, error) {
	return &healthlakeapi.DescribeFHIRDatastoreOutput{DatastoreProperties: &healthlakeapi.DatastoreProperties{DatastoreId: in.DatastoreId, DatastoreArn: "arn:x", DatastoreStatus: healthlakeapi.DatastoreStatusActive, DatastoreTypeVersion: healthlakeapi.FHIRVersionR4, DatastoreEndpoint: "x", CreatedAt: time.Unix(1700000000, 5e8).UTC()}}, nil
}

func (l *lake) UpdateProfileWithAgent(_ context.Context, in *healthlakeapi.UpdateProfileWithAgentInput, stream aws.Stream[aws.None, healthlakeapi.AgentOutputMessageStream, healthlakeapi.UpdateProfileWithAgentOutput]) error {
	if err := stream.Send(&healthlakeapi.AgentOutputMessageStream{TextMessageEvent: &healthlakeapi.TextMessageEvent{Message: in.InputMessage.Body}}); err != nil {
		return err
	}
	return stream.Send(&healthlakeapi.AgentOutputMessageStream{EndOfOutputEvent: &healthlakeapi.EndOfOutputEvent{FinalResponseMessage: "done"}})
}

func (keys) GenerateRandom(_ context.Context, in *kmsapi.GenerateRandomInput) (*kmsapi.GenerateRandomOutput, error) {
	return &kmsapi.GenerateRandomOutput{Plaintext: make([]byte, aws.Val(in.NumberOfBytes))}, nil
}

func (genomes) ListTagsForResource(_ context.Context, in *omicsapi.ListTagsForResourceInput) (*omicsapi.ListTagsForResourceOutput, error) {
	if strings.HasSuffix(in.ResourceArn, "missing") {
		return nil, errs.New(errs.NotFound, "no such run")
	}
	return &omicsapi.ListTagsForResourceOutput{Tags: map[string]string{"arn": in.ResourceArn}}, nil
}

func (objects) PutObject(_ context.Context, in *s3api.PutObjectInput) (*s3api.PutObjectOutput, error) {
	b, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	return &s3api.PutObjectOutput{ETag: `"` + string(b) + `"`}, nil
}

func (objects) GetObject(_ context.Context, in *s3api.GetObjectInput) (*s3api.GetObjectOutput, error) {
	if in.Key == "missing" {
		return nil, errs.Named(errs.NotFound, "NoSuchKey", "The specified key does not exist.")
	}
	body := in.Bucket + " " + in.Key
	return &s3api.GetObjectOutput{Body: io.NopCloser(strings.NewReader(body)), ContentLength: aws.Ptr(int64(len(body)))}, nil
}

func (objects) HeadObject(_ context.Context, in *s3api.HeadObjectInput) (*s3api.HeadObjectOutput, error) {
	if in.Key == "missing" {
		return nil, errs.Named(errs.NotFound, "NoSuchKey", "The specified key does not exist.")
	}
	return &s3api.HeadObjectOutput{ContentLength: aws.Ptr(int64(12345)), Metadata: map[string]string{"a": "b"}}, nil
}

func (tokens) GetCallerIdentity(ctx context.Context, _ *stsapi.GetCallerIdentityInput) (*stsapi.GetCallerIdentityOutput, error) {
	return &stsapi.GetCallerIdentityOutput{Arn: call.From(ctx).Principal.ARN, Account: account}, nil
}

func (language) DetectPHI(_ context.Context, in *comprehendapi.DetectPHIInput) (*comprehendapi.DetectPHIOutput, error) {
	return &comprehendapi.DetectPHIOutput{Entities: []comprehendapi.Entity{{Text: in.Text, Score: aws.Ptr(float32(0.5))}}, ModelVersion: "1"}, nil
}

// StartMedicalScribeStream repeats each audio event as a segment, until the control event ends the session; the word "boom" ends it with an error.
func (scribe) StartMedicalScribeStream(_ context.Context, in *streamapi.StartMedicalScribeStreamInput, stream aws.Stream[streamapi.MedicalScribeInputStream, streamapi.MedicalScribeResultStream, streamapi.StartMedicalScribeStreamOutput]) error {
	if in.SessionId == "00000000-0000-0000-0000-000000000000" {
		return errs.New(errs.Conflict, "the session is over")
	}
	if err := stream.Open(&streamapi.StartMedicalScribeStreamOutput{SessionId: in.SessionId, LanguageCode: in.LanguageCode}); err != nil {
		return err
	}
	for {
		ev, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case ev.SessionControlEvent != nil:
			return nil
		case ev.AudioEvent != nil && string(ev.AudioEvent.AudioChunk) == "boom":
			return errs.New(errs.Conflict, "the session was taken over")
		case ev.AudioEvent != nil:
			seg := &streamapi.MedicalScribeTranscriptSegment{Content: string(ev.AudioEvent.AudioChunk)}
			if err := stream.Send(&streamapi.MedicalScribeResultStream{TranscriptEvent: &streamapi.MedicalScribeTranscriptEvent{TranscriptSegment: seg}}); err != nil {
				return err
			}
		}
	}
}

// harness is an edge with its server and what it left behind.
type harness struct {
	t       testing.TB
	edge    *Edge
	journal *journal
	lake    *lake
	server  *httptest.Server
	logged  *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newHarness(t testing.TB, routes ...httproute.Route) *harness {
	t.Helper()
	h := &harness{t: t, journal: &journal{}, lake: &lake{}, logged: &lockedBuffer{}}
	dir := people{}
	e, err := New(Config{
		Registrations: []Registration{{Contract: healthlakeapi.Contract, Service: h.lake}, {Contract: kmsapi.Contract, Service: keys{}}, {Contract: omicsapi.Contract, Service: genomes{}}, {Contract: s3api.Contract, Service: objects{}},
			{Contract: stsapi.Contract, Service: tokens{}}, {Contract: comprehendapi.Contract, Service: language{}}, {Contract: streamapi.Contract, Service: scribe{}}},
		Routes: routes, Directory: dir, Authorizer: authz.New(dir, account, region), Audit: h.journal, Account: account, Region: region, Hosts: []string{"galen.example"},
		Log: slog.New(slog.NewTextHandler(h.logged, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.edge = e
	h.server = httptest.NewUnstartedServer(e)
	h.server.Config.Protocols = new(http.Protocols)
	h.server.Config.Protocols.SetHTTP1(true)
	h.server.Config.Protocols.SetUnencryptedHTTP2(true)
	h.server.Start()
	t.Cleanup(h.server.Close)
	return h
}

func (h *harness) invoker(c sigv4.Credentials) *client.HTTP {
	return &client.HTTP{Base: h.server.URL, Region: region, Credentials: c}
}

// raw is an answer as it came.
type raw struct {
	status int
	header http.Header
	body   string
}

// send signs and sends a request as it is.
func (h *harness) send(c sigv4.Credentials, service, method, target string, header map[string]string, body string) raw {
	h.t.Helper()
	r, err := http.NewRequest(method, h.server.URL+target, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	if service != "" {
		if err := sigv4.Sign(r, c, service, region, time.Now()); err != nil {
			h.t.Fatal(err)
		}
	}
	return h.do(r)
}

func (h *harness) do(r *http.Request) raw {
	h.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	if resp.Header.Get("X-Amzn-Requestid") == "" {
		h.t.Errorf("%s %s: the answer has no request id", r.Method, r.URL)
	}
	return raw{resp.StatusCode, resp.Header, string(b)}
}

func (r raw) json(t *testing.T) map[string]any {
	t.Helper()
	out := map[string]any{}
	if err := json.Unmarshal([]byte(r.body), &out); err != nil {
		t.Errorf("the body is no JSON: %q", r.body)
	}
	return out
}
