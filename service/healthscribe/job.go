package healthscribe

import (
	"context"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// scribeJob is one job. Its name is unique in the account while the job is kept.
type scribeJob struct {
	ID                      string // of this run of the name, also the conversation's id
	Input                   api.StartMedicalScribeJobInput
	Status                  api.MedicalScribeJobStatus
	Reason                  string
	Created, Started, Ended time.Time
	TranscriptURI, NoteURI  string
	Tags                    []api.Tag
}

var jobs = record.Kind[scribeJob]{Name: "healthscribe.job", Indexes: record.Indexes[scribeJob]{
	record.ByToken("status", func(j *scribeJob) string { return string(j.Status) }),
	record.ByString("name", func(j *scribeJob) string { return j.Input.MedicalScribeJobName }),
}}

func (j *scribeJob) output() *api.MedicalScribeJob {
	in := j.Input
	out := &api.MedicalScribeJob{MedicalScribeJobName: in.MedicalScribeJobName, MedicalScribeJobStatus: j.Status, LanguageCode: api.MedicalScribeLanguageCodeEnUs, Media: in.Media,
		StartTime: j.Started, CreationTime: j.Created, CompletionTime: j.Ended, FailureReason: j.Reason, Settings: in.Settings, DataAccessRoleArn: in.DataAccessRoleArn,
		ChannelDefinitions: in.ChannelDefinitions, MedicalScribeContextProvided: aws.Ptr(in.MedicalScribeContext != nil), Tags: j.Tags}
	if j.Status == api.MedicalScribeJobStatusCompleted {
		out.MedicalScribeOutput = &api.MedicalScribeOutput{TranscriptFileUri: j.TranscriptURI, ClinicalDocumentUri: j.NoteURI}
	}
	return out
}

// StartMedicalScribeJob checks the request and queues the job, in one batch with its record.
func (s *Service) StartMedicalScribeJob(ctx context.Context, in *api.StartMedicalScribeJobInput) (*api.StartMedicalScribeJobOutput, error) {
	if err := checkSettings(in); err != nil {
		return nil, err
	}
	if _, _, err := parseURI(in.Media.MediaFileUri); err != nil {
		return nil, err
	}
	if err := s.cfg.Roles.Pass(ctx, in.DataAccessRoleArn, servicePrincipal); err != nil {
		return nil, err
	}
	if in.OutputEncryptionKMSKeyId != "" {
		if _, err := s.cfg.Guard.MayUse(ctx, key.Use{Action: "kms:DescribeKey", Key: in.OutputEncryptionKMSKeyId}); err != nil {
			return nil, err
		}
	}
	j := &scribeJob{ID: event.NewID(), Input: *in, Status: api.MedicalScribeJobStatusQueued, Tags: in.Tags}
	j.Input.Tags = nil
	_, err := s.records.Update(ctx, space, nil, func(tx record.Tx) error {
		j.Created = tx.Time()
		err := jobs.Create(tx, in.MedicalScribeJobName, j)
		if errs.Is(err, errs.Conflict) {
			return errs.New(errs.Conflict, "The requested job name already exists. Use a different job name.")
		}
		if err == nil {
			err = s.cfg.Jobs.Start(tx, jobKind, j.ID, in.MedicalScribeJobName)
		}
		if err == nil {
			err = s.emit(tx, j)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.StartMedicalScribeJobOutput{MedicalScribeJob: j.output()}, nil
}

// checkSettings holds the rules between members that the model does not say.
func checkSettings(in *api.StartMedicalScribeJobInput) error {
	st := in.Settings
	labels, channels := aws.Val(st.ShowSpeakerLabels), aws.Val(st.ChannelIdentification)
	switch {
	case labels == channels:
		return errs.New(errs.Invalid, "exactly one of ShowSpeakerLabels and ChannelIdentification must be true")
	case labels && st.MaxSpeakerLabels == nil:
		return errs.New(errs.Invalid, "ShowSpeakerLabels needs MaxSpeakerLabels")
	case !labels && st.MaxSpeakerLabels != nil:
		return errs.New(errs.Invalid, "MaxSpeakerLabels needs ShowSpeakerLabels")
	case channels && len(in.ChannelDefinitions) != 2:
		return errs.New(errs.Invalid, "ChannelIdentification needs two ChannelDefinitions, one a channel")
	case !channels && len(in.ChannelDefinitions) > 0:
		return errs.New(errs.Invalid, "ChannelDefinitions need ChannelIdentification")
	case in.Media.RedactedMediaFileUri != "":
		return errs.New(errs.Invalid, "RedactedMediaFileUri is not for medical scribe jobs: give MediaFileUri")
	case len(in.KMSEncryptionContext) > 0 && in.OutputEncryptionKMSKeyId == "":
		return errs.New(errs.Invalid, "KMSEncryptionContext needs OutputEncryptionKMSKeyId")
	case st.VocabularyName != "" || st.VocabularyFilterName != "":
		return errs.New(errs.Invalid, "custom vocabularies are not part of this version: leave VocabularyName and VocabularyFilterName out")
	}
	if channels && in.ChannelDefinitions[0].ChannelId == in.ChannelDefinitions[1].ChannelId {
		return errs.New(errs.Invalid, "the two ChannelDefinitions name the same channel")
	}
	return nil
}

func (s *Service) emit(tx record.Tx, j *scribeJob) error {
	return event.Emit(tx, event.Event{Source: "aws.transcribe", DetailType: "MedicalScribe Job State Change", Resources: []string{s.arn(j.Input.MedicalScribeJobName)},
		Detail: event.Detail(map[string]string{"MedicalScribeJobName": j.Input.MedicalScribeJobName, "MedicalScribeJobStatus": string(j.Status)})})
}

// GetMedicalScribeJob describes a job.
func (s *Service) GetMedicalScribeJob(ctx context.Context, in *api.GetMedicalScribeJobInput) (*api.GetMedicalScribeJobOutput, error) {
	j, err := s.get(ctx, in.MedicalScribeJobName)
	if err != nil {
		return nil, err
	}
	return &api.GetMedicalScribeJobOutput{MedicalScribeJob: j.output()}, nil
}

func (s *Service) get(ctx context.Context, name string) (*scribeJob, error) {
	v, err := s.records.View(ctx, space)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	j, _, err := jobs.Get(v, name)
	if absent(err) {
		return nil, noJob()
	}
	return j, err
}

// ListMedicalScribeJobs lists jobs, newest first.
func (s *Service) ListMedicalScribeJobs(ctx context.Context, in *api.ListMedicalScribeJobsInput) (*api.ListMedicalScribeJobsOutput, error) {
	v, err := s.records.View(ctx, space)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	where := record.And{}
	if in.Status != "" {
		where = append(where, record.Match{Index: "status", Value: record.Token("", string(in.Status))})
	}
	if in.JobNameContains != "" {
		where = append(where, record.Contains{Index: "name", Text: in.JobNameContains})
	}
	limit := 5 // the contract's default
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	p, err := v.Query(ctx, record.Query{Kind: jobs.Name, Where: where, Order: []record.Order{{Desc: true}}, Limit: limit, After: record.Cursor(in.NextToken)})
	if errs.Is(err, errs.Invalid) {
		return nil, errs.New(errs.Invalid, "the NextToken is not one of this listing")
	}
	if err != nil {
		return nil, err
	}
	out := &api.ListMedicalScribeJobsOutput{Status: in.Status, NextToken: string(p.Next), MedicalScribeJobSummaries: []api.MedicalScribeJobSummary{}}
	for _, h := range p.Hits {
		j, err := jobs.Decode(h.Body)
		if err != nil {
			return nil, err
		}
		o := j.output()
		out.MedicalScribeJobSummaries = append(out.MedicalScribeJobSummaries, api.MedicalScribeJobSummary{MedicalScribeJobName: o.MedicalScribeJobName, CreationTime: o.CreationTime, StartTime: o.StartTime,
			CompletionTime: o.CompletionTime, LanguageCode: o.LanguageCode, MedicalScribeJobStatus: o.MedicalScribeJobStatus, FailureReason: o.FailureReason})
	}
	return out, nil
}

// DeleteMedicalScribeJob deletes a job that has ended; its artifacts stay in the caller's bucket.
func (s *Service) DeleteMedicalScribeJob(ctx context.Context, in *api.DeleteMedicalScribeJobInput) (*api.DeleteMedicalScribeJobOutput, error) {
	_, err := s.records.Update(ctx, space, nil, func(tx record.Tx) error {
		j, _, err := jobs.Get(tx, in.MedicalScribeJobName)
		switch {
		case absent(err):
			return noJob()
		case err != nil:
			return err
		case j.Ended.IsZero():
			return errs.New(errs.Invalid, "the job is still running: wait until it has ended")
		}
		return tx.Purge(jobs.Name, in.MedicalScribeJobName) // the name can be used again
	})
	return &api.DeleteMedicalScribeJobOutput{}, err
}

// TagResource adds tags to a job, replacing those of the same key.
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	return &api.TagResourceOutput{}, s.retag(ctx, in.ResourceArn, func(tags []api.Tag) ([]api.Tag, error) {
		for _, t := range in.Tags {
			tags = append(without(tags, t.Key), t)
		}
		if len(tags) > 200 {
			return nil, errs.New(errs.Invalid, "a job has at most 200 tags")
		}
		return tags, nil
	})
}

// UntagResource removes tags by key.
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	return &api.UntagResourceOutput{}, s.retag(ctx, in.ResourceArn, func(tags []api.Tag) ([]api.Tag, error) {
		for _, k := range in.TagKeys {
			tags = without(tags, k)
		}
		return tags, nil
	})
}

func without(tags []api.Tag, key string) []api.Tag {
	var out []api.Tag
	for _, t := range tags {
		if t.Key != key {
			out = append(out, t)
		}
	}
	return out
}

func (s *Service) retag(ctx context.Context, arn string, fn func([]api.Tag) ([]api.Tag, error)) error {
	name, err := s.name(arn)
	if err != nil {
		return err
	}
	_, err = s.records.Update(ctx, space, nil, func(tx record.Tx) error {
		_, err := jobs.Change(tx, name, func(j *scribeJob) (err error) { j.Tags, err = fn(j.Tags); return err })
		if absent(err) {
			return noJob()
		}
		return err
	})
	return err
}

// ListTagsForResource lists the tags of a job.
func (s *Service) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	name, err := s.name(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	j, err := s.get(ctx, name)
	if err != nil {
		return nil, err
	}
	return &api.ListTagsForResourceOutput{ResourceArn: in.ResourceArn, Tags: j.Tags}, nil
}

// parseURI reads s3://bucket/key, and the https form that Transcribe takes too.
func parseURI(uri string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(uri, "s3://")
	if !ok {
		if rest, ok = strings.CutPrefix(uri, "https://"); ok {
			_, rest, ok = strings.Cut(rest, "/")
		}
	}
	bucket, key, found := strings.Cut(rest, "/")
	if !ok || !found || bucket == "" || key == "" {
		return "", "", errs.New(errs.Invalid, "MediaFileUri is s3://bucket/key")
	}
	return bucket, key, nil
}
