package transcript_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/clinical/transcript"
	"github.com/galen-health/galen/test/testdata"
)

const healthScribe = `{"Conversation":{"ConversationId":"c1","LanguageCode":"en-US","TranscriptSegments":[
 {"SegmentId":"a","Content":"Any fever?","ParticipantDetails":{"ParticipantRole":"CLINICIAN_0"},"BeginAudioTime":0.5,"EndAudioTime":1.5},
 {"SegmentId":"b","Content":"Müde, chest pain for two days.","ParticipantDetails":{"ParticipantRole":"PATIENT_0"},"BeginAudioTime":2,"EndAudioTime":4}]}}`

const transcribe = `{"jobName":"x","results":{"transcripts":[{"transcript":"…"}],"audio_segments":[
 {"id":0,"transcript":"How are you? Any pain?","start_time":"0.0","end_time":"1.0","speaker_label":"spk_1"},
 {"id":1,"transcript":"My knee hurts.","start_time":"1.5","end_time":"2.0","speaker_label":"spk_0"}]}}`

func TestForms(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"HealthScribe":       {healthScribe, "a/CLINICIAN_0 b/PATIENT_0"},
		"Transcribe":         {transcribe, "segment-0/CLINICIAN_0 segment-1/PATIENT_0"},
		"dialogue":           {"Doctor: hello\nand more\nPatient: hi there\n", "segment-0/CLINICIAN segment-1/PATIENT"},
		"roles apart":        {"[doctor]\nhi\n[patient] ho", "segment-0/CLINICIAN segment-1/PATIENT"},
		"dialogue, brackets": {"[doctor] hi , brian\n[patient] hi\n[doctor] bye", "segment-0/CLINICIAN segment-1/PATIENT segment-2/CLINICIAN"},
	} {
		got, err := transcript.Parse([]byte(c.in))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var all []string
		for _, s := range got.TranscriptSegments {
			all = append(all, s.SegmentId+"/"+s.ParticipantDetails.ParticipantRole)
		}
		if s := strings.Join(all, " "); s != c.want {
			t.Errorf("%s: %s, want %s", name, s, c.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, in := range map[string]string{
		"empty": "", "prose": "The patient is well.\nShe goes home.", "other JSON": `{"a":1}`, "no segments": `{"Conversation":{"TranscriptSegments":[]}}`, "cut": healthScribe[:50],
		"not UTF-8": "Doctor: \xff\nPatient: x", "twice": strings.Replace(healthScribe, `"b"`, `"a"`, 1), "backwards": strings.Replace(healthScribe, `"EndAudioTime":4`, `"EndAudioTime":1`, 1),
		"list": "Note: a\nPlan: b",
	} {
		if c, err := transcript.Parse([]byte(in)); err == nil {
			t.Errorf("%s was read as %+v", name, c)
		}
	}
	if _, err := transcript.Parse([]byte("hello")); !errors.Is(err, transcript.ErrNotTranscript) {
		t.Errorf("error = %v", err)
	}
}

// Spans count characters and end inclusively.
func TestInsights(t *testing.T) {
	c, err := transcript.Parse([]byte(healthScribe))
	if err != nil {
		t.Fatal(err)
	}
	c.AddInsights()
	found := map[string]bool{}
	check := func(s transcript.Span) {
		for _, seg := range c.TranscriptSegments {
			if seg.SegmentId == s.SegmentId {
				if r := []rune(seg.Content); string(r[s.BeginCharacterOffset:s.EndCharacterOffset+1]) != s.Content {
					t.Errorf("%+v is not in %q", s, seg.Content)
				}
				found[s.Content] = true
				return
			}
		}
		t.Errorf("%+v is of no segment", s)
	}
	for _, in := range c.ClinicalInsights {
		check(in.Spans[0])
		for _, a := range in.Attributes {
			check(a.Spans[0])
		}
	}
	if !found["chest pain"] || !found["fever"] || !found["for two days"] {
		t.Errorf("found %v", found)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{healthScribe, transcribe, "Doctor: hi\nPatient: ho", "[doctor] a\n[patient]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := transcript.Parse(b)
		if err != nil {
			return
		}
		for _, s := range c.TranscriptSegments {
			if s.SegmentId == "" || !strings.HasPrefix(s.ParticipantDetails.ParticipantRole, "CLINICIAN") && !strings.HasPrefix(s.ParticipantDetails.ParticipantRole, "PATIENT") {
				t.Fatalf("segment %+v", s)
			}
		}
		out, err := json.Marshal(transcript.Document{Conversation: *c})
		if err != nil {
			t.Fatal(err)
		}
		if again, err := transcript.Parse(out); err != nil || len(again.TranscriptSegments) != len(c.TranscriptSegments) {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}

// The answer settles what the question asks for: a feature of its own, because neither segment says it alone.
func TestAnswersSettleQuestions(t *testing.T) {
	c, err := transcript.Parse([]byte("Doctor: You have asthma. Any fever or chills?\nPatient: Uh, no.\nDoctor: Do you smoke?\nPatient: Yeah, a pack a day.\nDoctor: Did your mother have diabetes?\nPatient: No.\nDoctor: So you have gout. All right?\nPatient: No, wait."))
	if err != nil {
		t.Fatal(err)
	}
	c.AddInsights()
	got := map[string]bool{}
	for _, in := range c.ClinicalInsights {
		negated := false
		for _, tr := range in.Traits {
			negated = negated || tr.Name == "NEGATION"
		}
		got[in.Spans[0].Content] = negated
	}
	for what, want := range map[string]bool{"asthma": false, "fever": true, "chills": true, "smoke": false, "diabetes": false, "gout": false} {
		if n, ok := got[what]; !ok || n != want {
			t.Errorf("%s: negated %v (found %v), want %v", what, n, ok, want)
		}
	}
	for reply, want := range map[string][2]bool{"No.": {false, true}, "um , no": {false, true}, "Not really": {false, true}, "mm-hmm": {true, false}, "Yes, I do": {true, false}, "about five weeks": {false, false},
		"nothing at all": {false, true}, "north": {false, false}, "": {false, false}, "well , yeah": {true, false}, "I don’t": {false, true}} {
		if yes, no := transcript.Answer(reply); yes != want[0] || no != want[1] {
			t.Errorf("Answer(%q) = %v, %v, want %v", reply, yes, no, want)
		}
	}
}

func TestItems(t *testing.T) {
	s := transcript.Segment{BeginAudioTime: 1, EndAudioTime: 3, Content: "Take metformin, é!", SegmentId: "s"}
	items := transcript.ItemsOf(&s, 0.87654, []transcript.Heard{{Begin: 5, End: 14, Words: "met from in"}})
	var got []string
	last := s.BeginAudioTime
	for _, it := range items {
		got = append(got, it.Alternatives[0].Content)
		if it.BeginAudioTime < last || it.EndAudioTime < it.BeginAudioTime || it.EndAudioTime > s.EndAudioTime {
			t.Errorf("%+v after %v", it, last)
		}
		last = it.BeginAudioTime
	}
	if g := strings.Join(got, "|"); g != "Take|metformin|,|é|!" {
		t.Errorf("items %s", g)
	}
	if a := items[1].Alternatives; len(a) != 2 || a[1].Content != "met from in" || a[0].Confidence != 0.8765 || items[2].Type != "PUNCTUATION" {
		t.Errorf("items %+v", items)
	}
}

// Turns of people that are labelled: how often their role is told from their words alone.
func TestGuessedRolesOnPublicDialogues(t *testing.T) {
	f, err := os.Open(filepath.Join(testdata.Dir(t, "conversation"), "aci-bench/data/challenge_data/clinicalnlp_taskC_test2.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	right, words, n := 0, 0, 0
	for _, r := range rows[1:] {
		c, err := transcript.Parse([]byte(r[2]))
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, s := range c.TranscriptSegments {
			want = append(want, s.ParticipantDetails.ParticipantRole)
		}
		c.GuessRoles()
		for i, s := range c.TranscriptSegments {
			n++
			size := len(strings.Fields(s.Content))
			words += size
			if strings.HasPrefix(s.ParticipantDetails.ParticipantRole, want[i]) {
				right += size
			}
		}
	}
	t.Logf("%d turns: %.3f of the words have the right role", n, float64(right)/float64(words))
	if n < 1000 || float64(right)/float64(words) < 0.85 {
		t.Errorf("%.3f of the words of %d turns have the right role, want 0.85", float64(right)/float64(words), n)
	}
}
