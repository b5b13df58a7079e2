package note

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/clinical/rouge"
	"github.com/galen-health/galen/standard/clinical/transcript"
	"github.com/galen-health/galen/test/testdata"
)

func parse(t testing.TB, s string) *transcript.Conversation {
	t.Helper()
	c, err := transcript.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRewrite(t *testing.T) {
	for _, c := range []struct {
		in        string
		clinician bool
		p         Person
		want      string
	}{
		{"uh , i , i have had , um , chest pain for two days .", false, Unknown, "The patient has had, chest pain for two days."},
		{"I don't smoke, and my wife doesn't either.", false, He, "He does not smoke, and his wife doesn't either."},
		{"yeah i take lisinopril every morning", false, She, "She takes lisinopril every morning."},
		{"i do n't have any allergies", false, They, "They don't have any allergies."},
		{"So, your blood pressure is 150 over 90 today, okay?", true, He, "His blood pressure is 150 over 90 today."},
		{"i want to start you on metformin 500 mg .", true, She, "I want to start her on metformin 500 mg."},
		{"You have a torn meniscus.", true, Unknown, "The patient has a torn meniscus."},
		{"mon- , i monitor it regularly", false, He, "He monitors it regularly."},
		{"the x-ray is normal", true, He, "The x-ray is normal."},
		{"okay . all right .", true, He, ""},
		{"um , yeah", false, He, ""},
	} {
		if got := rewrite(c.in, c.clinician, c.p); got != c.want {
			t.Errorf("rewrite(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestAnswerSettlesTheQuestion(t *testing.T) {
	for _, c := range []struct{ question, reply, want string }{
		{"any chest pain ?", "no .", "He denies chest pain."},
		{"nausea , vomiting or diarrhea ?", "no, none of that", "He denies nausea, vomiting or diarrhea."},
		{"have you had a fever ?", "uh , yes .", "He reports fever."},
		{"do you smoke ?", "not really .", "He does not smoke."},
		{"do you smoke ?", "yes , a pack a day", "He smokes."},
		{"how long has that been going on for ?", "yes", ""},
		{"any fever ?", "about five weeks", ""},
		{"did your mother have diabetes ?", "yes", ""},
	} {
		if got := answer(c.question, c.reply, He); got != c.want {
			t.Errorf("%q %q = %q, want %q", c.question, c.reply, got, c.want)
		}
	}
}

const visit = `[doctor] what brings you in today ?
[patient] i have had chest pain for two days .
[doctor] any fever ?
[patient] no .
[doctor] your blood pressure is 150 over 90 and your heart sounds are normal on exam .
[patient] okay .
[doctor] i will start you on lisinopril ten milligrams daily and see you in two weeks .
[patient] sounds good .`

func TestBuild(t *testing.T) {
	c := parse(t, visit)
	for template, shape := range templates {
		n, err := Build(c, Options{Template: template})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range n.Sections {
			names = append(names, s.SectionName)
		}
		if got, want := strings.Join(names, " "), strings.Join(shape.sections, " "); got != want {
			t.Errorf("%s: sections %s, want %s", template, got, want)
		}
		verify(t, c, n)
		text := n.Text()
		for _, want := range []string{"chest pain for two days", "denies fever", "150 over 90", "lisinopril ten milligrams daily"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in the note:\n%s", template, want, text)
			}
		}
	}
	if _, err := Build(c, Options{Template: "X"}); err == nil {
		t.Error("an unknown template was taken")
	}
	n, err := Build(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]string{}
	for _, s := range n.Sections {
		for _, x := range s.Summary {
			at[x.SummarizedSegment] = s.SectionName
		}
	}
	for text, want := range map[string]string{"The patient has had chest pain for two days.": ChiefComplaint, "I will start the patient on lisinopril ten milligrams daily and see the patient in two weeks.": Plan,
		"The patient's blood pressure is 150 over 90 and the patient's heart sounds are normal on exam.": Physical} {
		if at[text] != want {
			t.Errorf("%q is in %q, want %s (%v)", text, at[text], want, at)
		}
	}
}

// verify holds a note to what the package promises: evidence that exists, and no word that is not in it.
func verify(t testing.TB, c *transcript.Conversation, n *Note) int {
	t.Helper()
	said := map[string]string{}
	for _, s := range c.TranscriptSegments {
		said[s.SegmentId] = s.Content
	}
	count := 0
	for _, s := range n.Sections {
		for _, x := range s.Summary {
			count++
			if len(x.EvidenceLinks) == 0 {
				t.Fatalf("%q has no evidence", x.SummarizedSegment)
			}
			evidence := map[string]bool{}
			for _, e := range x.EvidenceLinks {
				content, ok := said[e.SegmentId]
				if !ok {
					t.Fatalf("evidence %q is no segment", e.SegmentId)
				}
				for _, w := range rouge.Words(content) {
					evidence[w] = true
				}
				for _, w := range rouge.Words(strings.ReplaceAll(content, " n't", "n't")) {
					evidence[w] = true
				}
			}
			for _, w := range rouge.Words(x.SummarizedSegment) {
				if !evidence[w] && !Added[w] {
					t.Fatalf("%q of %q is not in its evidence", w, x.SummarizedSegment)
				}
				if w[0] >= '0' && w[0] <= '9' && !evidence[w] {
					t.Fatalf("the number %q of %q is not in its evidence", w, x.SummarizedSegment)
				}
			}
		}
	}
	return count
}

func rows(t testing.TB, name string) [][]string {
	f, err := os.Open(filepath.Join(testdata.Dir(t, "conversation"), name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return r[1:]
}

// Published systems on this part: retrieval 43.9 / 17.6, GPT-4 51.8 / 22.6 (PMC10482860, table 6).
func TestACIBench(t *testing.T) {
	var dialogues, notes []string
	sentences := 0
	for _, r := range rows(t, "aci-bench/data/challenge_data/clinicalnlp_taskB_test1.csv") {
		dialogues, notes = append(dialogues, r[2]), append(notes, r[3])
		c := parse(t, r[2])
		n, err := Build(c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		sentences += verify(t, c, n)
		for i, s := range SectionsOf(c) {
			switch s {
			case Subjective, Objective, AssessmentAndPlan, VisitFlow:
			default:
				t.Fatalf("segment %d is in section %q", i, s)
			}
		}
	}
	r1, r2, err := Score(table(), dialogues, notes)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ACI-Bench test 1: %d notes, %d sentences, ROUGE-1 %.4f ROUGE-2 %.4f", len(notes), sentences, r1, r2)
	if len(notes) != 40 || r1 < 0.44 || r2 < 0.165 {
		t.Errorf("ROUGE-1 %.4f, ROUGE-2 %.4f of %d notes: want at least 0.44 and 0.165 of 40", r1, r2, len(notes))
	}
}

func TestSameTranscriptSameNote(t *testing.T) {
	c := parse(t, visit)
	var last []byte
	for range 20 {
		n, err := Build(c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		if last != nil && !bytes.Equal(b, last) {
			t.Fatal("two notes of one transcript differ")
		}
		last = b
	}
}

func TestModelRoundTrip(t *testing.T) {
	var b bytes.Buffer
	if err := WriteModel(&b, table()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), model) {
		t.Error("the committed model changes when it is written again")
	}
	for _, cut := range []int{0, 5, 100, len(model) / 2, len(model) - 1} {
		if _, err := ReadModel(bytes.NewReader(model[:cut])); err == nil {
			t.Errorf("%d of %d bytes were read as a model", cut, len(model))
		}
	}
}

func FuzzBuild(f *testing.F) {
	f.Add(visit)
	f.Add("Doctor: any pain, numbness, or 10/10 tingling?\nPatient: No, I'm, I'm'd my-my 500mg.\nDoctor: you you you're")
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1<<13 {
			return
		}
		c, err := transcript.Parse([]byte(s))
		if err != nil {
			return
		}
		n, err := Build(c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, sec := range n.Sections {
			for _, x := range sec.Summary {
				if len(x.EvidenceLinks) == 0 || x.SummarizedSegment == "" {
					t.Fatalf("%+v", x)
				}
			}
		}
		SectionsOf(c)
	})
}

func BenchmarkBuild(b *testing.B) {
	c := parse(b, strings.Repeat(visit+"\n", 20))
	for b.Loop() {
		if _, err := Build(c, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
