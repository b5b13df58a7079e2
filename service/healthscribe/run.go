package healthscribe

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/s3"
	api "github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/limits"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/clinical/note"
	"github.com/galen-health/galen/standard/clinical/transcript"
)

const jobKind = "healthscribe.scribe"

// Bounds of a medium, after the contract's: two hours of audio, 2 GB.
const (
	maxMedium     = 2 << 30
	maxTranscript = 64 << 20
)

// run makes transcript and note. It has no checkpoint: a run that dies is made again, and its artifacts are written over.
func (s *Service) run(ctx context.Context, r job.Run) error {
	j, err := s.get(ctx, r.ID())
	if err != nil {
		return err
	}
	if _, err := s.change(ctx, r.ID(), func(tx record.Tx, j *scribeJob) {
		if j.Status == api.MedicalScribeJobStatusQueued {
			j.Status, j.Started = api.MedicalScribeJobStatusInProgress, tx.Time()
		}
	}); err != nil {
		return err
	}
	role, err := s.cfg.Roles.As(ctx, j.Input.DataAccessRoleArn, servicePrincipal, "scribe-"+r.ID())
	if err != nil {
		return err
	}
	c, err := s.conversation(role, j)
	if err != nil {
		return err
	}
	c.ConversationId, c.JobName, c.JobType, c.LanguageCode = r.ID(), r.ID(), "ASYNC", "en-US"
	c.AddInsights()
	o := note.Options{}
	if g := j.Input.Settings.ClinicalNoteGenerationSettings; g != nil {
		o.Template = note.Template(g.NoteTemplate)
	}
	if m := j.Input.MedicalScribeContext; m != nil && m.PatientContext != nil {
		o.Pronouns = string(m.PatientContext.Pronouns)
	}
	n, err := note.Build(c, o)
	if err != nil {
		return errs.Wrap(errs.Invalid, err, "the conversation cannot be made into a note")
	}
	j.TranscriptURI, err = s.write(role, j, "transcript.json", transcript.Document{Conversation: *c})
	if err == nil {
		j.NoteURI, err = s.write(role, j, "summary.json", note.Document{ClinicalDocumentation: *n})
	}
	if err != nil {
		return err
	}
	_, err = s.records.Update(ctx, space, nil, func(tx record.Tx) error {
		now, err := jobs.Change(tx, r.ID(), func(now *scribeJob) error {
			now.Status, now.Ended, now.TranscriptURI, now.NoteURI = api.MedicalScribeJobStatusCompleted, tx.Time(), j.TranscriptURI, j.NoteURI
			return nil
		})
		if err == nil {
			err = s.emit(tx, now)
		}
		if err == nil {
			err = r.Finish(tx)
		}
		return err
	})
	return err
}

// change writes a job's new state with its event.
func (s *Service) change(ctx context.Context, name string, fn func(tx record.Tx, j *scribeJob)) (*scribeJob, error) {
	var out *scribeJob
	_, err := s.records.Update(ctx, space, nil, func(tx record.Tx) (err error) {
		out, err = jobs.Change(tx, name, func(j *scribeJob) error { fn(tx, j); return nil })
		if err == nil {
			err = s.emit(tx, out)
		}
		return err
	})
	return out, err
}

// failed puts the job into its final state with a reason for people.
func (s *Service) failed(ctx context.Context, r job.Run, cause error) error {
	_, err := s.change(ctx, r.ID(), func(tx record.Tx, j *scribeJob) {
		j.Status, j.Ended, j.Reason = api.MedicalScribeJobStatusFailed, tx.Time(), errs.As(cause).Message
	})
	if absent(err) {
		return nil
	}
	return err
}

// conversation reads the medium: sound through the recogniser, text as it is.
func (s *Service) conversation(ctx context.Context, j *scribeJob) (*transcript.Conversation, error) {
	bucket, key, err := parseURI(j.Input.Media.MediaFileUri)
	if err != nil {
		return nil, err
	}
	got, err := s.cfg.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(errs.Invalid, "The data isn't in the S3 location that you specified in MediaFileUri.")
	}
	if err != nil {
		return nil, err
	}
	defer got.Body.Close()
	head := make([]byte, 12)
	n, err := io.ReadFull(got.Body, head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return nil, err
	}
	all := io.MultiReader(bytes.NewReader(head[:n]), got.Body)
	if n == 12 && string(head[:4]) == "RIFF" && string(head[8:]) == "WAVE" {
		return s.listen(ctx, limits.Bytes(all, maxMedium, "the audio"), channelRoles(j))
	}
	b, err := limits.ReadAll(all, maxTranscript, "the transcript")
	if err != nil {
		return nil, err
	}
	c, err := transcript.Parse(b)
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "The media file is neither WAV audio nor a transcript that is known here.")
	}
	return c, nil
}

// channelRoles are the speakers of the channels in their order; nil when speakers are told apart otherwise.
func channelRoles(j *scribeJob) []string {
	if !aws.Val(j.Input.Settings.ChannelIdentification) {
		return nil
	}
	out := make([]string, 2)
	for _, d := range j.Input.ChannelDefinitions {
		if d.ChannelId == 0 || d.ChannelId == 1 {
			out[d.ChannelId] = string(d.ParticipantRole) + "_0"
		}
	}
	return out
}

// write stores an artifact below the job's name in the output bucket, under the key that the caller named.
func (s *Service) write(ctx context.Context, j *scribeJob, name string, v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "an artifact cannot be written")
	}
	in := &s3.PutObjectInput{Bucket: j.Input.OutputBucketName, Key: j.Input.MedicalScribeJobName + "/" + name, Body: bytes.NewReader(b), ContentType: "application/json"}
	if j.Input.OutputEncryptionKMSKeyId != "" {
		in.ServerSideEncryption, in.SSEKMSKeyId = s3.ServerSideEncryptionAwsKms, j.Input.OutputEncryptionKMSKeyId
	}
	if _, err := s.cfg.S3.PutObject(ctx, in); err != nil {
		return "", err
	}
	return "s3://" + in.Bucket + "/" + in.Key, nil
}
