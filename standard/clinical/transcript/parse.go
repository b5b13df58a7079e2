package transcript

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of a conversation.
const (
	MaxBytes    = 32 << 20
	MaxSegments = 50_000
	MaxContent  = 100_000 // characters of one segment
)

// ErrNotTranscript is returned for bytes of none of the known forms.
var ErrNotTranscript = errors.New("transcript: neither a HealthScribe or Transcribe JSON transcript nor a dialogue with a role before each turn")

// Parse reads a transcript of any of the known forms.
func Parse(b []byte) (*Conversation, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("transcript: larger than %d bytes", MaxBytes)
	}
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("transcript: not valid UTF-8")
	}
	b = []byte(strings.TrimPrefix(string(b), "\ufeff"))
	s := strings.TrimSpace(string(b))
	var c *Conversation
	var err error
	if strings.HasPrefix(s, "{") {
		c, err = parseJSON(b)
	} else {
		c, err = parseDialogue(s)
	}
	if err != nil {
		return nil, err
	}
	return c, c.check()
}

func parseJSON(b []byte) (*Conversation, error) {
	var probe struct {
		Conversation *Conversation
		Results      *transcribeResults `json:"results"`
	}
	if err := json.Unmarshal(b, &probe); err != nil {
		return nil, fmt.Errorf("transcript: %w", err)
	}
	switch {
	case probe.Conversation != nil && len(probe.Conversation.TranscriptSegments) > 0:
		return probe.Conversation, nil
	case probe.Results != nil:
		return probe.Results.conversation()
	}
	return nil, ErrNotTranscript
}

// transcribeResults is the part of Amazon Transcribe's output that is needed here.
type transcribeResults struct {
	AudioSegments []struct {
		Transcript   string `json:"transcript"`
		Start        string `json:"start_time"`
		End          string `json:"end_time"`
		SpeakerLabel string `json:"speaker_label"`
		ChannelLabel string `json:"channel_label"`
	} `json:"audio_segments"`
}

func (r *transcribeResults) conversation() (*Conversation, error) {
	if len(r.AudioSegments) == 0 {
		return nil, fmt.Errorf("transcript: the Transcribe output has no results.audio_segments")
	}
	c := &Conversation{}
	for _, a := range r.AudioSegments {
		begin, err1 := strconv.ParseFloat(a.Start, 64)
		end, err2 := strconv.ParseFloat(a.End, 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("transcript: an audio segment has no times")
		}
		speaker := a.SpeakerLabel
		if speaker == "" {
			speaker = a.ChannelLabel
		}
		c.TranscriptSegments = append(c.TranscriptSegments, Segment{BeginAudioTime: begin, EndAudioTime: end, Content: a.Transcript, ParticipantDetails: Participant{speaker}})
	}
	c.tellRoles()
	return c, nil
}

// turn matches the role before a turn.
var turn = regexp.MustCompile(`(?i)^\s*(?:\[([a-z][a-z _-]{0,24}\d?)\]|([a-z][a-z _.-]{0,24}\d?)\s*:)\s*(.*)$`)

var roleWords = map[string]string{"doctor": Clinician, "clinician": Clinician, "physician": Clinician, "provider": Clinician, "nurse": Clinician, "dr": Clinician, "therapist": Clinician,
	"patient": Patient, "guest_family": Patient, "patient_guest": Patient, "guest_clinician": Clinician, "doc": Clinician, "d": Clinician, "p": Patient, "pt": Patient, "guest": Patient, "family": Patient, "client": Patient, "parent": Patient, "mother": Patient}

func parseDialogue(s string) (*Conversation, error) {
	c := &Conversation{}
	labelled, unlabelled := 0, 0
	pending := "" // a role on a line of its own: what it says follows
	for _, line := range strings.Split(s, "\n") {
		line = strings.TrimRight(line, "\r \t")
		if line == "" {
			continue
		}
		if m := turn.FindStringSubmatch(line); m != nil {
			label := strings.ToLower(strings.TrimSpace(m[1] + m[2]))
			if role, ok := roleWords[strings.TrimRight(label, " 0123456789")]; ok {
				labelled++
				pending = role
				if m[3] != "" {
					pending = ""
					c.TranscriptSegments = append(c.TranscriptSegments, Segment{Content: m[3], ParticipantDetails: Participant{role}})
				}
				continue
			}
		}
		if pending != "" {
			c.TranscriptSegments = append(c.TranscriptSegments, Segment{Content: strings.TrimSpace(line), ParticipantDetails: Participant{pending}})
			pending = ""
			continue
		}
		if unlabelled++; len(c.TranscriptSegments) == 0 { // an opening without a role
			c.TranscriptSegments = append(c.TranscriptSegments, Segment{Content: strings.TrimSpace(line)})
			continue
		}
		last := &c.TranscriptSegments[len(c.TranscriptSegments)-1]
		last.Content += " " + strings.TrimSpace(line)
	}
	if labelled < 2 || len(c.TranscriptSegments) == 0 {
		return nil, ErrNotTranscript
	}
	if first := &c.TranscriptSegments[0]; first.ParticipantDetails.ParticipantRole == "" {
		if labelled < 4 || unlabelled > labelled {
			return nil, ErrNotTranscript
		}
		first.ParticipantDetails.ParticipantRole = Clinician
		if len(c.TranscriptSegments) > 1 && IsClinician(c.TranscriptSegments[1].ParticipantDetails.ParticipantRole) {
			first.ParticipantDetails.ParticipantRole = Patient
		}
	}
	return c, nil
}

// check bounds a conversation and completes ids and roles.
func (c *Conversation) check() error {
	if len(c.TranscriptSegments) > MaxSegments {
		return fmt.Errorf("transcript: more than %d segments", MaxSegments)
	}
	seen := map[string]bool{}
	for i := range c.TranscriptSegments {
		s := &c.TranscriptSegments[i]
		if utf8.RuneCountInString(s.Content) > MaxContent {
			return fmt.Errorf("transcript: segment %d has more than %d characters", i, MaxContent)
		}
		if s.EndAudioTime < s.BeginAudioTime || s.BeginAudioTime < 0 {
			return fmt.Errorf("transcript: segment %d ends before it begins", i)
		}
		if s.SegmentId == "" {
			s.SegmentId = "segment-" + strconv.Itoa(i)
		}
		if seen[s.SegmentId] {
			return fmt.Errorf("transcript: segment id of segment %d is used twice", i)
		}
		seen[s.SegmentId] = true
	}
	c.tellRoles()
	return nil
}

// tellRoles gives clinician and patient roles to speakers that have other labels: who asks more, and speaks of prescribing and examining, is the
// clinician.
func (c *Conversation) tellRoles() {
	score := map[string]int{}
	var order []string
	known := true
	for _, s := range c.TranscriptSegments {
		r := s.ParticipantDetails.ParticipantRole
		if strings.HasPrefix(r, Clinician) || strings.HasPrefix(r, Patient) {
			continue
		}
		known = false
		if _, ok := score[r]; !ok {
			order = append(order, r)
		}
		low := " " + strings.ToLower(s.Content) + " "
		score[r] += 2*strings.Count(low, "?") + 1
		for _, w := range []string{" any ", " your ", " let me ", " exam", " prescri", " we'll ", " going to order ", " follow up ", " do you ", " have you "} {
			score[r] += 2 * strings.Count(low, w)
		}
		for _, w := range []string{" i ", " my ", " i've ", " hurts "} {
			score[r] -= strings.Count(low, w)
		}
	}
	if known {
		return
	}
	best := order[0]
	for _, r := range order {
		if score[r] > score[best] {
			best = r
		}
	}
	names := map[string]string{}
	patients := 0
	for _, r := range order {
		if r == best {
			names[r] = Clinician + "_0"
			continue
		}
		names[r] = Patient + "_" + strconv.Itoa(patients)
		patients++
	}
	for i := range c.TranscriptSegments {
		p := &c.TranscriptSegments[i].ParticipantDetails
		if n, ok := names[p.ParticipantRole]; ok {
			p.ParticipantRole = n
		}
	}
}
