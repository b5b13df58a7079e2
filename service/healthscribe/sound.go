package healthscribe

import (
	"context"
	"errors"
	"io"
	"sort"
	"strconv"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/speech"
	"github.com/galen-health/galen/standard/audio"
	"github.com/galen-health/galen/standard/clinical/transcript"
)

// narrow is the sample rate below which speech has lost what the recogniser needs; the contract asks for 16 kHz or more.
const narrow = 16000

func isWave(head []byte) bool {
	return len(head) == 12 && string(head[:4]) == "RIFF" && string(head[8:]) == "WAVE"
}

// listen makes segments with times and roles of a recording. With ChannelIdentification each channel is one speaker; else the channels are mixed and
// roles are told from what is said, because voices are not told apart here.
func (s *Service) listen(ctx context.Context, r job.Run, j *scribeJob, wav io.Reader) (*transcript.Conversation, error) {
	if s.cfg.Speech == nil {
		return nil, errs.New(errs.Unsupported, "this server has no speech recogniser: give a transcript")
	}
	if err := s.cfg.Speech.Ready(); err != nil { // waiting brings no recogniser
		return nil, errs.New(errs.Unsupported, "%s", errs.As(err).Message)
	}
	clip, err := audio.ReadWAV(wav, audio.Limits{})
	if err != nil {
		return nil, unread(err)
	}
	if clip.SourceRate < narrow {
		return nil, errs.New(errs.Invalid, "The recording has %d samples a second; 16000 or more are needed.", clip.SourceRate)
	}
	roles := channelRoles(j)
	if roles != nil && len(clip.Channels) != 2 {
		return nil, errs.New(errs.Invalid, "ChannelIdentification needs a recording of two channels; this one has one.")
	}
	if roles == nil {
		clip.Channels = [][]int16{mix(clip.Channels)}
	}
	c := &transcript.Conversation{}
	seconds := int64(clip.Seconds())
	for ch, samples := range clip.Channels {
		heard, err := s.cfg.Speech.Recognize(ctx, samples, func(done, _ int) {
			r.Progress(int64(ch)*seconds+int64(done/speech.Rate), int64(len(clip.Channels))*seconds, "seconds")
		})
		if err != nil {
			return nil, err
		}
		role := ""
		if roles != nil {
			role = roles[ch]
		}
		add(c, heard, role)
	}
	if len(c.TranscriptSegments) == 0 {
		return nil, errs.New(errs.Invalid, "No speech was found in the recording.")
	}
	settle(c)
	if roles == nil {
		c.GuessRoles()
	}
	return c, nil
}

// unread is a fault of the file in words for people.
func unread(err error) error {
	for _, known := range []error{audio.ErrNotWave, audio.ErrUnsupported, audio.ErrTooLong, audio.ErrDamaged} {
		if errors.Is(err, known) {
			return errs.New(errs.Invalid, "The media file cannot be read: %s. Give a whole WAV file of at most two hours.", err)
		}
	}
	return err
}

func mix(channels [][]int16) []int16 {
	out := channels[0]
	for _, c := range channels[1:] {
		for i, v := range c {
			out[i] = int16((int32(out[i]) + int32(v)) / 2)
		}
	}
	return out
}

// add appends utterances as segments, with their items.
func add(c *transcript.Conversation, heard []speech.Utterance, role string) {
	for _, u := range heard {
		s := transcript.Segment{BeginAudioTime: u.Begin, EndAudioTime: u.End, Content: u.Text, ParticipantDetails: transcript.Participant{ParticipantRole: role}}
		var repaired []transcript.Heard
		for _, r := range u.Repairs {
			repaired = append(repaired, transcript.Heard{Begin: r.Begin, End: r.End, Words: r.Heard})
		}
		c.TranscriptItems = append(c.TranscriptItems, transcript.ItemsOf(&s, u.Confidence, repaired)...)
		c.TranscriptSegments = append(c.TranscriptSegments, s)
	}
}

// settle puts segments and items of both channels into the order of time and numbers the segments.
func settle(c *transcript.Conversation) {
	sort.SliceStable(c.TranscriptSegments, func(i, k int) bool {
		return c.TranscriptSegments[i].BeginAudioTime < c.TranscriptSegments[k].BeginAudioTime
	})
	sort.SliceStable(c.TranscriptItems, func(i, k int) bool {
		return c.TranscriptItems[i].BeginAudioTime < c.TranscriptItems[k].BeginAudioTime
	})
	for i := range c.TranscriptSegments {
		c.TranscriptSegments[i].SegmentId = "segment-" + strconv.Itoa(i)
	}
}

// channelRoles are the speakers of the channels in their order; nil when the channels are not one speaker each.
func channelRoles(j *scribeJob) []string {
	if !aws.Val(j.Input.Settings.ChannelIdentification) {
		return nil
	}
	out := make([]string, 2)
	numbers := map[api.MedicalScribeParticipantRole]int{}
	defs := append([]api.MedicalScribeChannelDefinition(nil), j.Input.ChannelDefinitions...)
	sort.Slice(defs, func(i, k int) bool { return defs[i].ChannelId < defs[k].ChannelId })
	for i, d := range defs[:min(2, len(defs))] {
		out[i] = string(d.ParticipantRole) + "_" + strconv.Itoa(numbers[d.ParticipantRole])
		numbers[d.ParticipantRole]++
	}
	return out
}
