package healthscribe_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/s3"
	api "github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/platform/speech"
	"github.com/galen-health/galen/service/healthscribe"
)

const role = "arn:aws:iam::000000000000:role/scribe"

// lab is the service over real records and jobs; the bucket, the roles and the key policy are the test's.
type lab struct {
	*healthscribe.Service
	t       *testing.T
	ctx     context.Context
	records record.Store
	s3      *objects
	stop    func() // as a server stops; the data stays
}

func newLab(t *testing.T, recogniser speech.Recognizer) *lab {
	t.Helper()
	return labIn(t, t.TempDir(), &objects{body: map[string][]byte{}, reads: map[string]int{}, put: map[string]*s3.PutObjectInput{}, fail: map[string]error{}}, recogniser)
}

func labIn(t *testing.T, dir string, o *objects, recogniser speech.Recognizer) *lab {
	t.Helper()
	keys, err := keyring.Open(dir+"/keys", make([]byte, 32), keyring.Config{Account: "000000000000", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	records, err := pebble.Open(dir+"/records", keys, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := job.New(records, job.Config{Exclusive: true, Rescan: 20 * time.Millisecond, Backoff: func(int) time.Duration { return time.Millisecond }})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, records: records, s3: o}
	ctx, cancel := context.WithCancel(context.Background())
	l.ctx = ctx
	l.Service, err = healthscribe.New(ctx, healthscribe.Config{Records: records, Jobs: jobs, Guard: l, Roles: l, S3: l.s3, Speech: recogniser, Account: "000000000000", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { jobs.Run(ctx); close(done) }()
	l.stop = sync.OnceFunc(func() {
		stop, end := context.WithTimeout(context.Background(), 20*time.Second)
		defer end()
		_ = jobs.Stop(stop)
		cancel()
		<-done
		if err := records.Close(); err != nil {
			t.Error(err)
		}
		_ = keys.Close()
	})
	t.Cleanup(l.stop)
	return l
}

func (l *lab) Pass(_ context.Context, arn, service string) error {
	if strings.Contains(arn, "forbidden") || service != "transcribe.amazonaws.com" {
		return errs.New(errs.Denied, "not authorized to perform: iam:PassRole")
	}
	return nil
}
func (l *lab) As(ctx context.Context, _, _, _ string) (context.Context, error) { return ctx, nil }

func (l *lab) MayUse(_ context.Context, u key.Use) (string, error) {
	if strings.Contains(u.Key, "forbidden") {
		return "", errs.New(errs.Denied, "not authorized to perform: %s", u.Action)
	}
	return u.Key, nil
}

// start starts a job over s3://in/medium and fails the test when that is refused.
func (l *lab) start(name, medium string, edit ...func(*api.StartMedicalScribeJobInput)) {
	l.t.Helper()
	if _, err := l.StartMedicalScribeJob(l.ctx, request(name, medium, edit...)); err != nil {
		l.t.Fatal(err)
	}
}

func request(name, medium string, edit ...func(*api.StartMedicalScribeJobInput)) *api.StartMedicalScribeJobInput {
	in := &api.StartMedicalScribeJobInput{MedicalScribeJobName: name, Media: &api.Media{MediaFileUri: "s3://in/" + medium}, OutputBucketName: "out", DataAccessRoleArn: role,
		Settings: &api.MedicalScribeSettings{ShowSpeakerLabels: aws.Ptr(true), MaxSpeakerLabels: aws.Ptr(int32(2))}}
	for _, e := range edit {
		e(in)
	}
	return in
}

func channels(in *api.StartMedicalScribeJobInput) {
	in.Settings = &api.MedicalScribeSettings{ChannelIdentification: aws.Ptr(true)}
	in.ChannelDefinitions = []api.MedicalScribeChannelDefinition{{ChannelId: 1, ParticipantRole: api.MedicalScribeParticipantRolePatient}, {ChannelId: 0, ParticipantRole: api.MedicalScribeParticipantRoleClinician}}
}

// ended waits for a job's end. The bound is only there to end a test that hangs.
func (l *lab) ended(name string) *api.MedicalScribeJob {
	l.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		out, err := l.GetMedicalScribeJob(l.ctx, &api.GetMedicalScribeJobInput{MedicalScribeJobName: name})
		if err != nil {
			l.t.Fatal(err)
		}
		switch out.MedicalScribeJob.MedicalScribeJobStatus {
		case api.MedicalScribeJobStatusCompleted, api.MedicalScribeJobStatusFailed:
			return out.MedicalScribeJob
		}
		if time.Now().After(end) {
			l.t.Fatalf("job %s does not end", name)
		}
	}
}

// read decodes an artifact by its URI.
func (l *lab) read(uri string, v any) {
	l.t.Helper()
	if err := json.Unmarshal(l.s3.get(strings.TrimPrefix(uri, "s3://")), v); err != nil {
		l.t.Fatalf("%s: %v", uri, err)
	}
}

// told waits until events have told of these states: they leave when their batch is durable, a moment after it can be read.
func (l *lab) told(want string) {
	l.t.Helper()
	for end := time.Now().Add(time.Minute); l.states() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("events told of %q, want %q", l.states(), want)
		}
	}
}

// states lists the states that events told of.
func (l *lab) states() string {
	l.t.Helper()
	msgs, err := l.records.Outbox(l.ctx, 0, 10_000)
	if err != nil {
		l.t.Fatal(err)
	}
	var out []string
	for _, m := range msgs {
		var e struct {
			Source     string
			DetailType string `json:"detail-type"`
			Detail     struct{ MedicalScribeJobName, MedicalScribeJobStatus string }
		}
		if m.Topic == "event" && json.Unmarshal(m.Body, &e) == nil && e.Source == "aws.transcribe" && e.DetailType == "MedicalScribe Job State Change" {
			out = append(out, e.Detail.MedicalScribeJobStatus)
		}
	}
	return strings.Join(out, " ")
}

// objects is S3 as far as the jobs use it.
type objects struct {
	s3.Unimplemented
	mu    sync.Mutex
	body  map[string][]byte // bucket/key
	reads map[string]int
	put   map[string]*s3.PutObjectInput
	fail  map[string]error // the next write of a key fails so
}

func (o *objects) get(key string) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.body[key]
}

func etag(b []byte) string { s := md5.Sum(b); return `"` + hex.EncodeToString(s[:]) + `"` }

func (o *objects) GetObject(_ context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := in.Bucket + "/" + in.Key
	o.reads[k]++
	b, ok := o.body[k]
	if !ok {
		return nil, errs.Named(errs.NotFound, "NoSuchKey", "The specified key does not exist.")
	}
	if in.IfMatch != "" && in.IfMatch != etag(b) {
		return nil, errs.New(errs.Precondition, "At least one of the pre-conditions you specified did not hold")
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(bytes.NewReader(b)), ETag: etag(b)}, nil
}

func (o *objects) PutObject(_ context.Context, in *s3.PutObjectInput) (*s3.PutObjectOutput, error) {
	b, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	k := in.Bucket + "/" + in.Key
	if err := o.fail[k]; err != nil {
		delete(o.fail, k)
		return nil, err
	}
	o.body[k], o.put[k] = b, in
	return &s3.PutObjectOutput{ETag: etag(b)}, nil
}
