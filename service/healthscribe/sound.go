package healthscribe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/speech"
	"github.com/galen-health/galen/standard/audio"
	"github.com/galen-health/galen/standard/clinical/transcript"
)

// listen makes segments with times and roles of a recording. With roles each channel is one speaker; without, the channels are mixed and each utterance is given to
// the clinician when it asks, instructs or examines, else to the patient.
func (s *Service) listen(ctx context.Context, wav io.Reader, roles []string) (*transcript.Conversation, error) {
	if s.cfg.Speech == nil {
		return nil, errs.New(errs.Unsupported, "this server has no speech recogniser: give a transcript")
	}
	if err := s.cfg.Speech.Ready(); err != nil { // waiting brings no recogniser
		return nil, errs.New(errs.Unsupported, "%s", errs.As(err).Message)
	}
	clip, err := audio.ReadWAV(wav, audio.Limits{})
	switch {
	case errors.Is(err, audio.ErrNotWave), errors.Is(err, audio.ErrUnsupported), errors.Is(err, audio.ErrTooLong), errors.Is(err, audio.ErrDamaged):
		return nil, errs.Wrap(errs.Invalid, err, "The media file cannot be read: it must be a whole WAV file of at most two hours.")
	case err != nil:
		return nil, err
	}
	if roles != nil && len(clip.Channels) != len(roles) {
		return nil, errs.New(errs.Invalid, "ChannelIdentification needs a recording of %d channels, this one has %d", len(roles), len(clip.Channels))
	}
	if roles == nil {
		clip.Channels = [][]int16{mix(clip.Channels)}
	}
	type heard struct {
		speech.Utterance
		role string
	}
	var all []heard
	for i, ch := range clip.Channels {
		utterances, err := s.cfg.Speech.Recognize(ctx, ch, nil)
		if err != nil {
			return nil, err
		}
		for _, u := range utterances {
			role := guess(u.Text)
			if roles != nil {
				role = roles[i]
			}
			all = append(all, heard{u, role})
		}
	}
	if len(all) == 0 {
		return nil, errs.New(errs.Invalid, "no speech was found in the recording")
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Begin < all[j].Begin })
	c := &transcript.Conversation{}
	for i, u := range all {
		c.TranscriptSegments = append(c.TranscriptSegments, transcript.Segment{SegmentId: fmt.Sprintf("seg-%04d", i+1), BeginAudioTime: u.Begin, EndAudioTime: u.End, Content: u.Text,
			ParticipantDetails: transcript.Participant{ParticipantRole: u.role}})
		c.TranscriptItems = append(c.TranscriptItems, items(u.Utterance)...)
	}
	return c, nil
}

func mix(channels [][]int16) []int16 {
	if len(channels) == 1 {
		return channels[0]
	}
	out := make([]int16, len(channels[0]))
	for i := range out {
		sum := 0
		for _, c := range channels {
			sum += int(c[i])
		}
		out[i] = int16(sum / len(channels))
	}
	return out
}

// clinicianly are words that begin what clinicians say; a question is theirs more often than not.
var clinicianly = []string{"any ", "do you", "have you", "are you", "how ", "what ", "when ", "where ", "let me", "i would like", "i'm going to", "we will", "your ", "good morning", "take a deep", "i see that"}

func guess(text string) string {
	t := strings.ToLower(strings.TrimSpace(text))
	if strings.HasSuffix(t, "?") {
		return transcript.Clinician + "_0"
	}
	for _, w := range clinicianly {
		if strings.HasPrefix(t, w) {
			return transcript.Clinician + "_0"
		}
	}
	return transcript.Patient + "_0"
}

// items share an utterance's time among its words by their length: the recogniser gives no times of words.
func items(u speech.Utterance) []transcript.Item {
	words := strings.Fields(u.Text)
	total := 0
	for _, w := range words {
		total += len(w) + 1
	}
	var out []transcript.Item
	at, per := u.Begin, (u.End-u.Begin)/float64(max(total, 1))
	for _, w := range words {
		end := at + per*float64(len(w)+1)
		bare := strings.TrimRight(w, ".,?!;:")
		if bare != "" {
			out = append(out, transcript.Item{Alternatives: []transcript.Alternative{{Confidence: u.Confidence, Content: bare}}, BeginAudioTime: at, EndAudioTime: end, Type: "PRONUNCIATION"})
		}
		if mark := w[len(bare):]; mark != "" {
			out = append(out, transcript.Item{Alternatives: []transcript.Alternative{{Content: mark}}, BeginAudioTime: end, EndAudioTime: end, Type: "PUNCTUATION"})
		}
		at = end
	}
	return out
}
