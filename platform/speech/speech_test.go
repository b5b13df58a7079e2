package speech_test

import (
	"context"
	"encoding/csv"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/speech"
	"github.com/galen-health/galen/standard/audio"
	"github.com/galen-health/galen/standard/clinical/rouge"
	"github.com/galen-health/galen/test/testdata"
)

func recogniser(t testing.TB) *speech.Moonshine {
	t.Helper()
	m := speech.NewMoonshine(speech.Dir(), 0)
	if err := m.Ready(); err != nil {
		t.Skip(errs.As(err).Message)
	}
	return m
}

// say speaks a text with Flite.
func say(t testing.TB, voice, text string) []int16 {
	t.Helper()
	flite, err := exec.LookPath("flite")
	if err != nil {
		t.Skip("flite is not installed")
	}
	file := filepath.Join(t.TempDir(), "said.wav")
	if out, err := exec.Command(flite, "-voice", voice, "-t", text, "-o", file).CombinedOutput(); err != nil {
		t.Fatalf("flite: %v: %s", err, out)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := audio.ReadWAV(f, audio.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Channels[0]
}

// wer is the word error rate.
func wer(said, heard string) float64 {
	a, b := rouge.Words(said), rouge.Words(heard)
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		d := row[0]
		row[0] = i + 1
		for j := range b {
			c := d
			if a[i] != b[j] {
				c++
			}
			d = row[j+1]
			row[j+1] = min(c, row[j]+1, row[j+1]+1)
		}
	}
	return float64(row[len(b)]) / float64(len(a))
}

func TestRecognisesClearSpeech(t *testing.T) {
	m := recogniser(t)
	for _, voice := range []string{"slt", "rms"} {
		first, second := "The patient has had chest pain for two days.", "She has no fever and her blood pressure is high today."
		pause := make([]int16, speech.Rate)
		samples := append(append(append(append([]int16(nil), pause...), say(t, voice, first)...), pause...), say(t, voice, second)...)
		last := 0
		us, err := m.Recognize(context.Background(), samples, func(done, total int) {
			if done < last || done > total {
				t.Errorf("progress %d of %d after %d", done, total, last)
			}
			last = done
		})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		end := 0.0
		for _, u := range us {
			if u.Begin < end || u.End <= u.Begin || u.End > float64(len(samples))/speech.Rate+0.1 || u.Confidence <= 0 || u.Confidence > 1 {
				t.Errorf("%s: utterance %+v after %.2f", voice, u, end)
			}
			end = u.End
			all = append(all, u.Text)
		}
		e := wer(first+" "+second, strings.Join(all, " "))
		t.Logf("%s: %d utterances, word error rate %.2f: %s", voice, len(us), e, strings.Join(all, " | "))
		if e > 0.30 {
			t.Errorf("%s: word error rate %.2f", voice, e)
		}
		if len(us) < 2 || us[0].Begin > 1.2 || us[0].Begin < 0.5 {
			t.Errorf("%s: %d utterances, the first at %v: the two are a second apart", voice, len(us), us[0].Begin)
		}
	}
}

func TestSilenceAndNoiseAreNotSpeech(t *testing.T) {
	m := recogniser(t)
	hum := make([]int16, 3*speech.Rate)
	for i := range hum {
		hum[i] = int16(300 * math.Sin(float64(i)/50))
	}
	for name, x := range map[string][]int16{"nothing": nil, "silence": make([]int16, 2*speech.Rate), "a hum": hum, "a click": append(make([]int16, speech.Rate), 32000, -32000)} {
		us, err := m.Recognize(context.Background(), x, nil)
		if err != nil || len(us) > 0 {
			t.Errorf("%s: %+v, %v", name, us, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	m := recogniser(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if us, err := m.Recognize(ctx, say(t, "slt", "hello there"), nil); err == nil {
		t.Errorf("a cancelled call gave %v", us)
	}
}

func TestSaysWhatIsMissing(t *testing.T) {
	m := speech.NewMoonshine(t.TempDir(), 1)
	err := m.Ready()
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(errs.As(err).Message, "fetch.sh") {
		t.Errorf("Ready = %v", err)
	}
}

func TestRepair(t *testing.T) {
	for in, want := range map[string]string{
		"I take met from in 500 milligrams twice a day.":      "I take metformin 500 milligrams twice a day.",
		"We started her on listen april 10 milligrams.":       "We started her on lisinopril 10 milligrams.",
		"At her vastate in 40 milligrams at night.":           "Atorvastatin 40 milligrams at night.",
		"Start amlodapine 5 milligrams.":                      "Start amlodipine 5 milligrams.",
		"I take metformin 500 milligrams.":                    "I take metformin 500 milligrams.",
		"I took the train at 5 in the morning with my mother": "I took the train at 5 in the morning with my mother",
		"Give me 5 milligrams.":                               "Give me 5 milligrams.",
	} {
		got, repairs := speech.RepairMedicines(in, nil)
		if got != want || (got != in) != (len(repairs) > 0) {
			t.Errorf("%q became %q, want %q (%+v)", in, got, want, repairs)
		}
		for _, r := range repairs {
			if r.Begin < 0 || r.End > len(got) || r.Begin >= r.End || !strings.Contains(in, r.Heard) {
				t.Errorf("%q: repair %+v", got, r)
			}
		}
	}
	const heard = "I take len vat in if every day."
	if got, _ := speech.RepairMedicines(heard, []string{"lenvatinib"}); got != "I take lenvatinib every day." {
		t.Errorf("with the patient's own list: %q", got)
	}
	if got, _ := speech.RepairMedicines(heard, nil); got != heard {
		t.Errorf("without it: %q", got)
	}
}

// On dialogues that people wrote down, nothing was misheard: what changes is a false repair, or a spelling mistake put right.
func TestRepairLeavesCorrectTextAlone(t *testing.T) {
	f, err := os.Open(filepath.Join(testdata.Dir(t, "conversation"), "aci-bench/data/challenge_data/train.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	turns, changed := 0, 0
	for _, r := range rows[1:] {
		for _, line := range strings.Split(r[2], "\n") {
			turns++
			if got, repairs := speech.RepairMedicines(line, nil); len(repairs) > 0 {
				changed++
				for _, x := range repairs {
					t.Logf("%q became %q", x.Heard, got[x.Begin:x.End])
				}
			}
		}
	}
	t.Logf("%d of %d turns changed", changed, turns)
	if changed*500 > turns {
		t.Errorf("%d of %d turns were changed: more than one in five hundred", changed, turns)
	}
}

func BenchmarkRecognize(b *testing.B) {
	m := recogniser(b)
	x := say(b, "slt", "The patient has had chest pain for two days. She has no fever and her blood pressure is high today.")
	for b.Loop() {
		if _, err := m.Recognize(context.Background(), x, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/(float64(len(x))/speech.Rate), "realtime-factor")
}
