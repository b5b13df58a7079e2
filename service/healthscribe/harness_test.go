package healthscribe_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/speech"
	"github.com/galen-health/galen/service/healthscribe"
	"github.com/galen-health/galen/test/testbed"
)

const role = "arn:aws:iam::000000000000:role/scribe"

// lab is the service over real engines.
type lab struct {
	*healthscribe.Service
	*testbed.Engines
	t  *testing.T
	s3 *testbed.Objects
}

func newLab(t *testing.T, recogniser speech.Recognizer) *lab {
	t.Helper()
	return labIn(t, t.TempDir(), testbed.NewObjects(), recogniser)
}

// labIn opens a lab over a folder that may have been used before.
func labIn(t *testing.T, dir string, o *testbed.Objects, recogniser speech.Recognizer) *lab {
	t.Helper()
	l := &lab{Engines: testbed.Open(t, dir, func(c *job.Config) { c.Backoff = func(int) time.Duration { return time.Millisecond } }), t: t, s3: o}
	var err error
	l.Service, err = healthscribe.New(l.Ctx, healthscribe.Config{Records: l.Records, Jobs: l.Jobs, Guard: testbed.KeyPolicy{}, Roles: testbed.Roles("transcribe.amazonaws.com"), S3: o, Speech: recogniser,
		Account: testbed.Account, Region: testbed.Region})
	if err != nil {
		t.Fatal(err)
	}
	l.Run()
	return l
}

// start starts a job over s3://in/medium and fails the test when that is refused.
func (l *lab) start(name, medium string, edit ...func(*api.StartMedicalScribeJobInput)) {
	l.t.Helper()
	if _, err := l.StartMedicalScribeJob(l.Ctx, request(name, medium, edit...)); err != nil {
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

// ended waits for a job's end.
func (l *lab) ended(name string) (j *api.MedicalScribeJob) {
	l.t.Helper()
	l.Await("job "+name+" ends", func() bool {
		out, err := l.GetMedicalScribeJob(l.Ctx, &api.GetMedicalScribeJobInput{MedicalScribeJobName: name})
		if err != nil {
			l.t.Fatal(err)
		}
		j = out.MedicalScribeJob
		return j.MedicalScribeJobStatus == api.MedicalScribeJobStatusCompleted || j.MedicalScribeJobStatus == api.MedicalScribeJobStatusFailed
	})
	return j
}

// read decodes an artifact by its URI.
func (l *lab) read(uri string, v any) {
	l.t.Helper()
	if err := json.Unmarshal(l.s3.Get(strings.TrimPrefix(uri, "s3://")), v); err != nil {
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
	var out []string
	for _, e := range l.Events() {
		var d struct{ MedicalScribeJobName, MedicalScribeJobStatus string }
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			l.t.Fatal(err)
		}
		if e.Source == "aws.transcribe" && e.DetailType == "MedicalScribe Job State Change" {
			out = append(out, d.MedicalScribeJobStatus)
		}
	}
	return strings.Join(out, " ")
}
