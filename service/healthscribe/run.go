package healthscribe

import (
	"bytes"
	"context"
	"encoding/base64"
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

// Names of the artifacts below the job's name.
const (
	transcriptFile = "transcript.json"
	noteFile       = "summary.json"
)

// Bounds of a medium, after the contract's: two hours of audio, 2 GB.
const (
	maxMedium     = 2 << 30
	maxTranscript = 64 << 20
)

// done is a run's checkpoint: the transcript is written, its note is not.
type done struct {
	TranscriptURI string
	ETag          string
}

// run makes the transcript, then the note. The transcript is what takes long, so it is the checkpoint: a run that goes on reads it from where it was
// written, if it is still the same object.
func (s *Service) run(ctx context.Context, r job.Run) error {
	name, err := jobName(r)
	if err != nil {
		return err
	}
	j, err := s.get(ctx, name)
	if err != nil {
		return err
	}
	if j.Status == api.MedicalScribeJobStatusQueued {
		if j, err = s.change(ctx, name, func(tx record.Tx, j *scribeJob) {
			j.Status, j.Started = api.MedicalScribeJobStatusInProgress, tx.Time()
		}); err != nil {
			return err
		}
	}
	role, err := s.cfg.Roles.As(ctx, j.Input.DataAccessRoleArn, servicePrincipal, "medical-scribe")
	if err != nil {
		return err
	}
	var made done
	c, err := s.transcribed(role, r, j, &made)
	if err != nil {
		return err
	}
	if c == nil {
		if c, err = s.transcribe(role, r, j, &made); err != nil {
			return err
		}
	}
	n, err := note.Build(c, noteOptions(j))
	if err != nil {
		return errs.Wrap(errs.Invalid, err, "the conversation cannot be made into a note")
	}
	uri, _, err := s.write(role, j, noteFile, note.Document{ClinicalDocumentation: *n})
	if err != nil {
		return err
	}
	_, err = s.records.Update(ctx, space, nil, func(tx record.Tx) error {
		now, err := jobs.Change(tx, name, func(now *scribeJob) error {
			now.Status, now.Ended, now.TranscriptURI, now.NoteURI = api.MedicalScribeJobStatusCompleted, tx.Time(), made.TranscriptURI, uri
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

func noteOptions(j *scribeJob) note.Options {
	o := note.Options{}
	if g := j.Input.Settings.ClinicalNoteGenerationSettings; g != nil {
		o.Template = note.Template(g.NoteTemplate)
	}
	if m := j.Input.MedicalScribeContext; m != nil && m.PatientContext != nil {
		o.Pronouns = string(m.PatientContext.Pronouns)
	}
	return o
}

// transcribe makes the transcript with its insights and sections, writes it and saves the checkpoint.
func (s *Service) transcribe(ctx context.Context, r job.Run, j *scribeJob, made *done) (*transcript.Conversation, error) {
	c, err := s.conversation(ctx, r, j)
	if err != nil {
		return nil, err
	}
	name := j.Input.MedicalScribeJobName
	c.ConversationId, c.JobName, c.JobType, c.SessionId, c.LanguageCode = j.ID, name, "ASYNC", "", string(api.MedicalScribeLanguageCodeEnUs)
	c.AddInsights()
	for i, section := range note.SectionsOf(c) {
		c.TranscriptSegments[i].SectionDetails = &transcript.Section{SectionName: section}
	}
	if c.TranscriptItems == nil {
		c.TranscriptItems = []transcript.Item{}
	}
	if made.TranscriptURI, made.ETag, err = s.write(ctx, j, transcriptFile, transcript.Document{Conversation: *c}); err != nil {
		return nil, err
	}
	return c, r.Save(ctx, made)
}

// transcribed reads the transcript of an earlier run; nil when there is none, or another object has taken its place.
func (s *Service) transcribed(ctx context.Context, r job.Run, j *scribeJob, made *done) (*transcript.Conversation, error) {
	ok, err := r.Checkpoint(made)
	if err != nil || !ok {
		return nil, err
	}
	got, err := s.cfg.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: j.Input.OutputBucketName, Key: artifactKey(j, transcriptFile), IfMatch: made.ETag})
	if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Precondition) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer got.Body.Close()
	b, err := limits.ReadAll(got.Body, maxTranscript, "the transcript")
	if err != nil {
		return nil, err
	}
	var d transcript.Document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, nil // not what was written: make it again
	}
	return &d.Conversation, nil
}

// jobName is the name of a run's job: runs have ids of their own, because a name can be used again.
func jobName(r job.Run) (name string, err error) { err = r.Args(&name); return name, err }

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
	name, err := jobName(r)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, name, func(tx record.Tx, j *scribeJob) {
		j.Status, j.Ended, j.Reason = api.MedicalScribeJobStatusFailed, tx.Time(), errs.As(cause).Message
	})
	if absent(err) {
		return nil
	}
	return err
}

// conversation reads the medium: sound through the recogniser, text as it is.
func (s *Service) conversation(ctx context.Context, r job.Run, j *scribeJob) (*transcript.Conversation, error) {
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
	if isWave(head[:n]) {
		return s.listen(ctx, r, j, limits.Bytes(all, maxMedium, "the audio"))
	}
	b, err := limits.ReadAll(all, maxTranscript, "the transcript")
	if err != nil {
		return nil, err
	}
	c, err := transcript.Parse(b)
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "The media file is neither WAV audio nor a transcript of a form that is read here.")
	}
	return c, nil
}

func artifactKey(j *scribeJob, file string) string { return j.Input.MedicalScribeJobName + "/" + file }

// write stores an artifact below the job's name in the output bucket, under the key that the caller named.
func (s *Service) write(ctx context.Context, j *scribeJob, file string, v any) (uri, etag string, err error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", "", errs.Wrap(errs.Internal, err, "an artifact cannot be written")
	}
	in := &s3.PutObjectInput{Bucket: j.Input.OutputBucketName, Key: artifactKey(j, file), Body: bytes.NewReader(b), ContentLength: aws.Ptr(int64(len(b))), ContentType: "application/json"}
	if j.Input.OutputEncryptionKMSKeyId != "" {
		in.ServerSideEncryption, in.SSEKMSKeyId = s3.ServerSideEncryptionAwsKms, j.Input.OutputEncryptionKMSKeyId
		if len(j.Input.KMSEncryptionContext) > 0 {
			ec, err := json.Marshal(j.Input.KMSEncryptionContext)
			if err != nil {
				return "", "", errs.Wrap(errs.Internal, err, "the encryption context cannot be written")
			}
			in.SSEKMSEncryptionContext = base64.StdEncoding.EncodeToString(ec)
		}
	}
	out, err := s.cfg.S3.PutObject(ctx, in)
	if err != nil {
		return "", "", err
	}
	return "s3://" + in.Bucket + "/" + in.Key, out.ETag, nil
}
