package cohort

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Turn is one utterance of a visit.
type Turn struct {
	Clinician bool
	Text      string
}

// Conversation is the person's visit as spoken.
func (p *Person) Conversation() []Turn {
	pr := p.problems[p.rng.IntN(len(p.problems))]
	days := []string{"two days", "a week", "three weeks"}[p.rng.IntN(3)]
	complaint := []string{"headaches", "chest tightness", "a cough", "dizziness", "lower back pain"}[p.rng.IntN(5)]
	drug := strings.ToLower(pr.drug)
	turns := []Turn{
		{true, fmt.Sprintf("Good morning %s. What brings you in today?", p.Given)},
		{false, fmt.Sprintf("I have had %s for about %s now.", complaint, days)},
		{true, "I am sorry to hear that. Do you have any fever or shortness of breath?"},
		{false, "No fever, and no shortness of breath."},
		{true, "Have you noticed any nausea?"},
		{false, "Yes, a little nausea in the morning."},
		{true, fmt.Sprintf("I see that you have %s. Are you still taking %s?", spoken(pr.name), drug)},
		{false, fmt.Sprintf("Yes, I take %s every day. I do not smoke.", drug)},
		{true, "Any allergies to medicines?"},
		{false, "I am allergic to penicillin."},
		{true, "Your lungs are clear and your heart sounds are normal. Your blood pressure is one forty over eighty five."},
		{true, fmt.Sprintf("I would like to continue %s, and order a blood test. Please come back in two weeks.", drug)},
		{false, "Thank you, doctor."},
	}
	return turns
}

func spoken(name string) string {
	name = strings.ToLower(name)
	for _, cut := range []string{", unspecified", ", uncomplicated", "unspecified ", " without complications", "(primary) "} {
		name = strings.ReplaceAll(name, cut, "")
	}
	return name
}

// visit writes the conversation as text, and as two-channel speech where a synthesiser (flite) is installed: the clinician on channel 0, the patient on 1.
func (p *Person) visit(write func(name string, b []byte) error) error {
	turns := p.Conversation()
	var b strings.Builder
	for _, t := range turns {
		role := "Patient"
		if t.Clinician {
			role = "Doctor"
		}
		fmt.Fprintf(&b, "%s: %s\n", role, t.Text)
	}
	if err := write(".txt", []byte(b.String())); err != nil {
		return err
	}
	wav, err := p.speak(turns)
	if err != nil || wav == nil {
		return err
	}
	return write(".wav", wav)
}

const speechRate = 16000

// speak returns nil when no synthesiser is installed.
func (p *Person) speak(turns []Turn) ([]byte, error) {
	flite, err := exec.LookPath("flite")
	if err != nil {
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "galen-speech")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	patientVoice := "awb"
	if p.Female {
		patientVoice = "slt"
	}
	var samples bytes.Buffer // two channels, interleaved
	for i, t := range turns {
		voice := patientVoice
		if t.Clinician {
			voice = "rms"
		}
		file := filepath.Join(dir, fmt.Sprintf("%d.wav", i))
		if out, err := exec.Command(flite, "-voice", voice, "-t", t.Text, "-o", file).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("flite: %w: %s", err, bytes.TrimSpace(out))
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		at := bytes.Index(raw, []byte("data"))
		if at < 0 || len(raw) < at+8 {
			return nil, fmt.Errorf("flite wrote no samples for turn %d", i)
		}
		if rate := binary.LittleEndian.Uint32(raw[24:]); rate != speechRate {
			return nil, fmt.Errorf("flite wrote %d Hz, want %d", rate, speechRate)
		}
		for pcm := raw[at+8:]; len(pcm) >= 2; pcm = pcm[2:] {
			frame := [4]byte{}
			ch := 2
			if t.Clinician {
				ch = 0
			}
			copy(frame[ch:], pcm[:2])
			samples.Write(frame[:])
		}
		samples.Write(make([]byte, speechRate/2*4)) // half a second between turns
	}
	return wave(samples.Bytes(), 2), nil
}

func wave(pcm []byte, channels uint16) []byte {
	var b bytes.Buffer
	b.WriteString("RIFF")
	put := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) } // a bytes.Buffer takes every write
	put(uint32(36 + len(pcm)))
	b.WriteString("WAVEfmt ")
	put(uint32(16))
	put([]uint16{1, channels})
	put([]uint32{speechRate, speechRate * uint32(channels) * 2})
	put([]uint16{channels * 2, 16})
	b.WriteString("data")
	put(uint32(len(pcm)))
	b.Write(pcm)
	return b.Bytes()
}
