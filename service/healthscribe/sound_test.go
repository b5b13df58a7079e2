package healthscribe_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	api "github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/speech"
	"github.com/galen-health/galen/standard/audio"
	"github.com/galen-health/galen/test/testbed"
)

// script is a recogniser that hears what the test wrote down: by the first sample of a channel.
type script struct {
	heard   map[int16][]speech.Utterance
	missing bool
}

func (s script) Ready() error {
	if s.missing {
		return errs.New(errs.Unavailable, "the speech recogniser is not installed: run fetch.sh")
	}
	return nil
}

func (s script) Recognize(_ context.Context, samples []int16, progress func(int, int)) ([]speech.Utterance, error) {
	progress(len(samples), len(samples))
	return s.heard[samples[0]], nil
}

func wav(t testing.TB, rate int, channels ...[]int16) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := audio.WriteWAV(&b, rate, channels...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func channel(first int16) []int16 { return append([]int16{first}, make([]int16, audio.Rate*20)...) }

func TestTwoChannelsAreTwoSpeakers(t *testing.T) {
	l := newLab(t, script{heard: map[int16][]speech.Utterance{
		1: {{Begin: 0.5, End: 2, Text: "Any chest pain?", Confidence: 0.9}, {Begin: 5, End: 8, Text: "I will start you on metformin 500 milligrams daily.", Confidence: 0.8,
			Repairs: []speech.Repair{{Begin: 20, End: 29, Heard: "met from in"}}}},
		2: {{Begin: 2.5, End: 3, Text: "No.", Confidence: 0.7}},
	}})
	l.s3.Put("in/visit.wav", wav(t, audio.Rate, channel(1), channel(2)))
	l.start("stereo", "visit.wav", channels)
	c, n := l.artifacts(l.ended("stereo"))
	var got []string
	for _, s := range c.TranscriptSegments {
		got = append(got, s.SegmentId+" "+s.ParticipantDetails.ParticipantRole+" "+s.Content)
	}
	want := "segment-0 CLINICIAN_0 Any chest pain?|segment-1 PATIENT_0 No.|segment-2 CLINICIAN_0 I will start you on metformin 500 milligrams daily."
	if strings.Join(got, "|") != want {
		t.Errorf("segments %s", strings.Join(got, "|"))
	}
	last := 0.0
	alternatives := ""
	for _, it := range c.TranscriptItems {
		if it.BeginAudioTime < last {
			t.Errorf("item %+v after %v", it, last)
		}
		last = it.BeginAudioTime
		if len(it.Alternatives) > 1 {
			alternatives += it.Alternatives[0].Content + "=" + it.Alternatives[1].Content
		}
	}
	if alternatives != "metformin=met from in" || len(c.TranscriptItems) < 12 {
		t.Errorf("%d items, alternatives %q", len(c.TranscriptItems), alternatives)
	}
	if !strings.Contains(n.Text(), "denies chest pain") {
		t.Errorf("note:\n%s", n.Text())
	}
	l.s3.Put("in/mono.wav", wav(t, audio.Rate, channel(1)))
	l.start("mono", "mono.wav")
	c, _ = l.artifacts(l.ended("mono"))
	if r := c.TranscriptSegments[0].ParticipantDetails.ParticipantRole; r != "CLINICIAN_0" {
		t.Errorf("who asks is %s", r)
	}
}

// slow is a recogniser that never comes to an end by itself.
type slow struct {
	script
	begun chan struct{}
}

func (s slow) Recognize(ctx context.Context, _ []int16, _ func(int, int)) ([]speech.Utterance, error) {
	close(s.begun)
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// A server that stops in the middle of a recording finishes it when it runs again.
func TestGoesOnAfterARestart(t *testing.T) {
	dir, begun := t.TempDir(), make(chan struct{})
	o := testbed.NewObjects()
	o.Put("in/visit.wav", wav(t, audio.Rate, channel(1)))
	l := labIn(t, dir, o, slow{begun: begun})
	l.start("long", "visit.wav")
	<-begun
	l.Stop()
	if len(o.Writes()) > 0 {
		t.Errorf("%d artifacts of a recording that nobody heard", len(o.Writes()))
	}
	l = labIn(t, dir, o, script{heard: map[int16][]speech.Utterance{1: {{Begin: 1, End: 3, Text: "I have had chest pain for two days.", Confidence: 0.9}}}})
	c, n := l.artifacts(l.ended("long"))
	if len(c.TranscriptSegments) != 1 || !strings.Contains(n.Text(), "chest pain") {
		t.Errorf("%d segments; note:\n%s", len(c.TranscriptSegments), n.Text())
	}
	l.told("QUEUED IN_PROGRESS COMPLETED")
}

func TestRecordingsThatCannotBeUsed(t *testing.T) {
	l := newLab(t, script{})
	l.s3.Put("in/narrow.wav", wav(t, 8000, channel(1)))
	l.s3.Put("in/mono.wav", wav(t, audio.Rate, channel(1)))
	whole := wav(t, audio.Rate, channel(1))
	l.s3.Put("in/cut.wav", whole[:len(whole)/2])
	for name, c := range map[string]struct {
		medium, want string
		edit         func(*api.StartMedicalScribeJobInput)
	}{
		"narrow": {"narrow.wav", "8000 samples a second", nil}, "silent": {"mono.wav", "No speech", nil}, "cut": {"cut.wav", "cut short", nil}, "one-channel": {"mono.wav", "two channels", channels},
	} {
		edit := c.edit
		if edit == nil {
			edit = func(*api.StartMedicalScribeJobInput) {}
		}
		l.start(name, c.medium, edit)
		if j := l.ended(name); j.MedicalScribeJobStatus != api.MedicalScribeJobStatusFailed || !strings.Contains(j.FailureReason, c.want) {
			t.Errorf("%s: %s %q, want a failure about %q", name, j.MedicalScribeJobStatus, j.FailureReason, c.want)
		}
	}
	l = newLab(t, script{missing: true})
	l.s3.Put("in/mono.wav", whole)
	l.start("none", "mono.wav")
	if j := l.ended("none"); j.MedicalScribeJobStatus != api.MedicalScribeJobStatusFailed || !strings.Contains(j.FailureReason, "fetch.sh") {
		t.Errorf("without a recogniser: %s %q", j.MedicalScribeJobStatus, j.FailureReason)
	}
}

// A spoken visit on two channels, through the real recogniser.
func TestSpokenVisit(t *testing.T) {
	m := speech.NewMoonshine(speech.Dir(), 0)
	if err := m.Ready(); err != nil {
		t.Skip(errs.As(err).Message)
	}
	flite, err := exec.LookPath("flite")
	if err != nil {
		t.Skip("flite is not installed")
	}
	say := func(voice, text string) []int16 {
		file := filepath.Join(t.TempDir(), "said.wav")
		if out, err := exec.Command(flite, "-voice", voice, "-t", text, "-o", file).CombinedOutput(); err != nil {
			t.Fatalf("flite: %v: %s", err, out)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := audio.ReadWAV(bytes.NewReader(b), audio.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return c.Channels[0]
	}
	var clinician, patient []int16
	for _, turn := range []struct {
		doctor bool
		text   string
	}{{true, "What brings you in today?"}, {false, "I have had chest pain for two days."}, {true, "Do you have a fever?"}, {false, "No, I do not have a fever."},
		{true, "Your blood pressure is high today. I will see you again in two weeks."}} {
		x := append(say(map[bool]string{true: "rms", false: "slt"}[turn.doctor], turn.text), make([]int16, audio.Rate)...)
		quiet := make([]int16, len(x))
		if turn.doctor {
			clinician, patient = append(clinician, x...), append(patient, quiet...)
		} else {
			clinician, patient = append(clinician, quiet...), append(patient, x...)
		}
	}
	l := newLab(t, m)
	l.s3.Put("in/visit.wav", wav(t, audio.Rate, clinician, patient))
	l.start("spoken", "visit.wav", channels)
	c, n := l.artifacts(l.ended("spoken"))
	for _, s := range c.TranscriptSegments {
		t.Logf("%5.1f–%5.1f %-11s %s", s.BeginAudioTime, s.EndAudioTime, s.ParticipantDetails.ParticipantRole, s.Content)
	}
	if !strings.Contains(strings.ToLower(n.Text()), "chest pain for two days") {
		t.Errorf("the complaint is not in the note:\n%s", n.Text())
	}
	if c.TranscriptSegments[0].ParticipantDetails.ParticipantRole != "CLINICIAN_0" || c.TranscriptSegments[1].ParticipantDetails.ParticipantRole != "PATIENT_0" {
		t.Errorf("roles %s, %s", c.TranscriptSegments[0].ParticipantDetails.ParticipantRole, c.TranscriptSegments[1].ParticipantDetails.ParticipantRole)
	}
}
