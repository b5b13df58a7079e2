package healthscribe_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/s3"
	api "github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/clinical/note"
	"github.com/galen-health/galen/standard/clinical/transcript"
)

const visit = `[doctor] what brings you in today ?
[patient] i have had chest pain for two days .
[doctor] any fever ?
[patient] no .
[doctor] your blood pressure is 150 over 90 and your heart sounds are normal on exam .
[patient] okay .
[doctor] i will start you on lisinopril ten milligrams daily and see you in two weeks .
[patient] sounds good .`

// artifacts reads a completed job's files and holds them to each other: each piece of evidence and each insight is of a segment.
func (l *lab) artifacts(j *api.MedicalScribeJob) (*transcript.Conversation, *note.Note) {
	l.t.Helper()
	if j.MedicalScribeJobStatus != api.MedicalScribeJobStatusCompleted {
		l.t.Fatalf("the job failed: %s", j.FailureReason)
	}
	var d transcript.Document
	var n note.Document
	l.read(j.MedicalScribeOutput.TranscriptFileUri, &d)
	l.read(j.MedicalScribeOutput.ClinicalDocumentUri, &n)
	c := &d.Conversation
	segments := map[string]string{}
	for _, s := range c.TranscriptSegments {
		if s.SectionDetails == nil || s.SectionDetails.SectionName == "" || s.ParticipantDetails.ParticipantRole == "" {
			l.t.Errorf("segment %+v has no section or role", s)
		}
		segments[s.SegmentId] = s.Content
	}
	for _, in := range c.ClinicalInsights {
		for _, s := range in.Spans {
			r := []rune(segments[s.SegmentId])
			if s.EndCharacterOffset >= len(r) || string(r[s.BeginCharacterOffset:s.EndCharacterOffset+1]) != s.Content {
				l.t.Errorf("insight %+v is not in its segment", s)
			}
		}
	}
	for _, sec := range n.ClinicalDocumentation.Sections {
		for _, s := range sec.Summary {
			if len(s.EvidenceLinks) == 0 {
				l.t.Errorf("%q has no evidence", s.SummarizedSegment)
			}
			for _, e := range s.EvidenceLinks {
				if _, ok := segments[e.SegmentId]; !ok {
					l.t.Errorf("evidence %q is no segment", e.SegmentId)
				}
			}
		}
	}
	return c, &n.ClinicalDocumentation
}

func TestJobOverAWrittenConversation(t *testing.T) {
	l := newLab(t, nil)
	l.s3.Put("in/visit.txt", []byte(visit))
	l.start("visit-1", "visit.txt", func(in *api.StartMedicalScribeJobInput) {
		in.Settings.ClinicalNoteGenerationSettings = &api.ClinicalNoteGenerationSettings{NoteTemplate: api.MedicalScribeNoteTemplatePhysicalSoap}
		in.MedicalScribeContext = &api.MedicalScribeContext{PatientContext: &api.MedicalScribePatientContext{Pronouns: api.PronounsSheHer}}
	})
	j := l.ended("visit-1")
	c, n := l.artifacts(j)
	if c.JobName != "visit-1" || c.JobType != "ASYNC" || c.LanguageCode != "en-US" || c.ConversationId == "" || len(c.TranscriptSegments) != 8 || len(c.ClinicalInsights) < 5 {
		t.Errorf("conversation %q of job %q with %d segments and %d insights", c.ConversationId, c.JobName, len(c.TranscriptSegments), len(c.ClinicalInsights))
	}
	var names []string
	for _, s := range n.Sections {
		names = append(names, s.SectionName)
	}
	if got := strings.Join(names, " "); got != "SUBJECTIVE OBJECTIVE ASSESSMENT PLAN" {
		t.Errorf("sections %s", got)
	}
	text := n.Text()
	for _, want := range []string{"She denies fever.", "chest pain for two days", "150 over 90", "lisinopril ten milligrams"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the note:\n%s", want, text)
		}
	}
	if !aws.Val(j.MedicalScribeContextProvided) || j.StartTime.Before(j.CreationTime) || j.CompletionTime.Before(j.StartTime) || j.LanguageCode != "en-US" {
		t.Errorf("job %+v", j)
	}
	l.told("QUEUED IN_PROGRESS COMPLETED")
}

func TestNamesListsTagsDeletion(t *testing.T) {
	l := newLab(t, nil)
	l.s3.Put("in/visit.txt", []byte(visit))
	for _, name := range []string{"a-1", "b-1", "b-2"} {
		l.start(name, "visit.txt", func(in *api.StartMedicalScribeJobInput) { in.Tags = []api.Tag{{Key: "ward", Value: "7"}} })
		l.ended(name)
	}
	if _, err := l.StartMedicalScribeJob(l.Ctx, request("a-1", "visit.txt")); !errs.Is(err, errs.Conflict) {
		t.Errorf("a taken name: %v", err)
	}
	list := func(in *api.ListMedicalScribeJobsInput) string {
		var names []string
		for {
			out, err := l.ListMedicalScribeJobs(l.Ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range out.MedicalScribeJobSummaries {
				names = append(names, s.MedicalScribeJobName)
			}
			if in.NextToken = out.NextToken; in.NextToken == "" {
				return strings.Join(names, " ")
			}
		}
	}
	for want, in := range map[string]*api.ListMedicalScribeJobsInput{
		"b-2 b-1 a-1": {MaxResults: aws.Ptr(int32(1))}, "b-2 b-1": {JobNameContains: "b-"}, "": {Status: api.MedicalScribeJobStatusFailed}, "a-1": {Status: api.MedicalScribeJobStatusCompleted, JobNameContains: "a"},
	} {
		if got := list(in); got != want {
			t.Errorf("listed %q, want %q", got, want)
		}
	}
	if _, err := l.ListMedicalScribeJobs(l.Ctx, &api.ListMedicalScribeJobsInput{NextToken: "nonsense"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a foreign token: %v", err)
	}
	arn := "arn:aws:transcribe:us-east-1:000000000000:medical-scribe-job/a-1"
	if _, err := l.TagResource(l.Ctx, &api.TagResourceInput{ResourceArn: arn, Tags: []api.Tag{{Key: "x", Value: "y"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.UntagResource(l.Ctx, &api.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"ward"}}); err != nil {
		t.Fatal(err)
	}
	tags, err := l.ListTagsForResource(l.Ctx, &api.ListTagsForResourceInput{ResourceArn: arn})
	if err != nil || len(tags.Tags) != 1 || tags.Tags[0].Key != "x" {
		t.Errorf("tags %+v, %v", tags, err)
	}
	if _, err := l.DeleteMedicalScribeJob(l.Ctx, &api.DeleteMedicalScribeJobInput{MedicalScribeJobName: "a-1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.GetMedicalScribeJob(l.Ctx, &api.GetMedicalScribeJobInput{MedicalScribeJobName: "a-1"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("a deleted job: %v", err)
	}
	if l.s3.Get("out/a-1/summary.json") == nil {
		t.Error("the artifacts went with the job")
	}
	l.start("a-1", "visit.txt") // a name can be used again
	l.artifacts(l.ended("a-1"))
}

func TestRequestRules(t *testing.T) {
	l := newLab(t, nil)
	for name, c := range map[string]struct {
		edit func(*api.StartMedicalScribeJobInput)
		want errs.Code
	}{
		"neither":      {func(in *api.StartMedicalScribeJobInput) { in.Settings = &api.MedicalScribeSettings{} }, errs.Invalid},
		"both":         {func(in *api.StartMedicalScribeJobInput) { in.Settings.ChannelIdentification = aws.Ptr(true) }, errs.Invalid},
		"no maximum":   {func(in *api.StartMedicalScribeJobInput) { in.Settings.MaxSpeakerLabels = nil }, errs.Invalid},
		"no channels":  {func(in *api.StartMedicalScribeJobInput) { channels(in); in.ChannelDefinitions = nil }, errs.Invalid},
		"one channel":  {func(in *api.StartMedicalScribeJobInput) { channels(in); in.ChannelDefinitions[1].ChannelId = 1 }, errs.Invalid},
		"labels":       {func(in *api.StartMedicalScribeJobInput) { channels(in); in.Settings = request("", "").Settings }, errs.Invalid},
		"a vocabulary": {func(in *api.StartMedicalScribeJobInput) { in.Settings.VocabularyName = "v" }, errs.Invalid},
		"redacted":     {func(in *api.StartMedicalScribeJobInput) { in.Media.RedactedMediaFileUri = "s3://in/x" }, errs.Invalid},
		"no key":       {func(in *api.StartMedicalScribeJobInput) { in.Media.MediaFileUri = "s3://in" }, errs.Invalid},
		"no KMS key":   {func(in *api.StartMedicalScribeJobInput) { in.KMSEncryptionContext = map[string]string{"a": "b"} }, errs.Invalid},
		"role":         {func(in *api.StartMedicalScribeJobInput) { in.DataAccessRoleArn = role + "-forbidden" }, errs.Denied},
		"key":          {func(in *api.StartMedicalScribeJobInput) { in.OutputEncryptionKMSKeyId = "forbidden" }, errs.Denied},
	} {
		if _, err := l.StartMedicalScribeJob(l.Ctx, request("x", "m", c.edit)); !errs.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if got := l.states(); got != "" {
		t.Errorf("refused requests left events %s", got)
	}
}

func TestArtifactsUnderTheCallersKey(t *testing.T) {
	l := newLab(t, nil)
	l.s3.Put("in/visit.txt", []byte(visit))
	l.start("sealed", "visit.txt", func(in *api.StartMedicalScribeJobInput) {
		in.OutputEncryptionKMSKeyId, in.KMSEncryptionContext = "alias/notes", map[string]string{"ward": "7"}
	})
	l.artifacts(l.ended("sealed"))
	for _, k := range []string{"out/sealed/transcript.json", "out/sealed/summary.json"} {
		p := l.s3.Writes()[k]
		if p.ServerSideEncryption != s3.ServerSideEncryptionAwsKms || p.SSEKMSKeyId != "alias/notes" {
			t.Fatalf("%s was written as %+v", k, p)
		}
		if ec, _ := base64.StdEncoding.DecodeString(p.SSEKMSEncryptionContext); string(ec) != `{"ward":"7"}` {
			t.Errorf("%s: encryption context %s", k, ec)
		}
	}
}

// A run that is cut off between its two artifacts goes on from the transcript: the medium is not read again.
func TestGoesOnFromTheTranscript(t *testing.T) {
	l := newLab(t, nil)
	l.s3.Put("in/visit.txt", []byte(visit))
	failed := false
	l.s3.OnPut = func(in *s3.PutObjectInput) error {
		if in.Key != "cut/summary.json" || failed {
			return nil
		}
		failed = true
		return errs.New(errs.Unavailable, "try again")
	}
	l.start("cut", "visit.txt")
	c, _ := l.artifacts(l.ended("cut"))
	if n := len(l.s3.Reads("in/visit.txt")); n != 1 || !failed {
		t.Errorf("the medium was read %d times", n)
	}
	if n := len(l.s3.Reads("out/cut/transcript.json")); n != 1 || c.ConversationId == "" {
		t.Errorf("the transcript was read %d times", n)
	}
	l.told("QUEUED IN_PROGRESS COMPLETED")
}

func TestFailuresSayWhy(t *testing.T) {
	l := newLab(t, nil)
	l.s3.Put("in/junk", []byte("not a conversation at all"))
	l.s3.Put("in/empty", nil)
	l.s3.Put("in/half.wav", []byte("RIFF\x00\x00\x00\x00WAVE"))
	for medium, want := range map[string]string{"absent": "isn't in the S3 location", "junk": "neither WAV audio nor a transcript", "empty": "neither WAV audio nor a transcript", "half.wav": "no speech recogniser"} {
		l.start("f-"+medium, medium)
		j := l.ended("f-" + medium)
		if j.MedicalScribeJobStatus != api.MedicalScribeJobStatusFailed || !strings.Contains(j.FailureReason, want) || j.MedicalScribeOutput != nil {
			t.Errorf("%s: %s %q, want a failure about %q", medium, j.MedicalScribeJobStatus, j.FailureReason, want)
		}
		if strings.Contains(j.FailureReason, "conversation at all") {
			t.Errorf("%s: the reason holds content: %q", medium, j.FailureReason)
		}
	}
	if len(l.s3.Writes()) > 0 {
		t.Errorf("failed jobs wrote %d artifacts", len(l.s3.Writes()))
	}
}
