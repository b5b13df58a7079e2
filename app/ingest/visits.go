package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/sniff"
)

// landVisit makes a transcript and a note of a recorded or written conversation. The job's name is the content's hash, so a visit is never done twice.
func (r *run) landVisit(ctx context.Context, it Item) (string, error) {
	f := it.Files[0]
	role, err := r.role(ctx)
	if err != nil {
		return "", err
	}
	var uri string
	channels := false
	switch {
	case it.Kind == sniff.Audio && !strings.HasPrefix(f.Verdict.Detail, "WAV"):
		return "", left{"the recogniser takes WAV audio only: convert it (16 kHz PCM)"}
	case it.Kind == sniff.Audio:
		uri, err = r.upload(ctx, f, ".wav")
		channels = strings.Contains(f.Verdict.Detail, "2 channels")
	case f.Verdict.Detail == "HealthScribe":
		uri, err = r.upload(ctx, f, ".json")
	case f.Verdict.Detail == "dialogue":
		b, rerr := os.ReadFile(f.Path)
		if rerr != nil {
			return "", rerr
		}
		doc, derr := transcriptOf(string(b), f.Hash)
		if derr != nil {
			return "", derr
		}
		uri, err = r.put(ctx, "in/"+f.Hash+".json", bytes.NewReader(doc))
	default:
		return "", left{"a transcript in " + f.Verdict.Detail + " form is not taken: give a HealthScribe transcript or a dialogue"}
	}
	if err != nil {
		return "", err
	}
	settings := &transcribe.MedicalScribeSettings{ShowSpeakerLabels: aws.Ptr(true), MaxSpeakerLabels: aws.Ptr(int32(2))}
	in := &transcribe.StartMedicalScribeJobInput{MedicalScribeJobName: "ingest-" + f.Hash[:32], Media: &transcribe.Media{MediaFileUri: uri}, OutputBucketName: r.ledger.bucket, DataAccessRoleArn: role, Settings: settings}
	if channels {
		in.Settings = &transcribe.MedicalScribeSettings{ChannelIdentification: aws.Ptr(true)}
		in.ChannelDefinitions = []transcribe.MedicalScribeChannelDefinition{{ChannelId: 0, ParticipantRole: transcribe.MedicalScribeParticipantRoleClinician}, {ChannelId: 1, ParticipantRole: transcribe.MedicalScribeParticipantRolePatient}}
	}
	store, err := r.datastore(ctx)
	if err != nil {
		return "", err
	}
	in.Tags = []transcribe.Tag{{Key: LinkTag, Value: store}, {Key: "galen:patient", Value: sample(strings.TrimSuffix(strings.TrimSuffix(f.Rel, ".txt"), ".wav"))}}
	if _, err := r.scribe.StartMedicalScribeJob(ctx, in); err != nil && !errs.Is(err, errs.Conflict) {
		return "", err
	}
	return "scribe:" + in.MedicalScribeJobName, until(ctx, func() (bool, error) {
		j, err := r.scribe.GetMedicalScribeJob(ctx, &transcribe.GetMedicalScribeJobInput{MedicalScribeJobName: in.MedicalScribeJobName})
		if err != nil {
			return false, err
		}
		if j.MedicalScribeJob.MedicalScribeJobStatus == transcribe.MedicalScribeJobStatusFailed {
			return false, errs.New(errs.Invalid, "%s", j.MedicalScribeJob.FailureReason)
		}
		return j.MedicalScribeJob.MedicalScribeJobStatus == transcribe.MedicalScribeJobStatusCompleted, nil
	})
}

var turn = regexp.MustCompile(`(?i)^\s*[\[(<]?\s*(doctor|dr|physician|clinician|provider|nurse|therapist|patient|pt|guest[a-z_]*|caregiver)(?:\s*[\])>]\s*:?|\s*:)\s*(.*)$`)

// transcriptOf writes a dialogue as the transcript that HealthScribe makes, with times that only tell the order.
func transcriptOf(text, id string) ([]byte, error) {
	type object = map[string]any
	var segments []object
	role := ""
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if m := turn.FindStringSubmatch(line); m != nil {
			role = "CLINICIAN_0"
			switch l := strings.ToLower(m[1]); {
			case l == "patient", l == "pt", strings.HasPrefix(l, "guest"), l == "caregiver":
				role = "PATIENT_0"
			}
			line = strings.TrimSpace(m[2])
		}
		if line == "" || role == "" {
			continue
		}
		n := len(segments)
		segments = append(segments, object{"SegmentId": fmt.Sprintf("seg-%04d", n+1), "Content": line, "BeginAudioTime": float64(n), "EndAudioTime": float64(n) + 0.9, "ParticipantDetails": object{"ParticipantRole": role}})
	}
	if len(segments) == 0 {
		return nil, errs.New(errs.Invalid, "the dialogue has no turns")
	}
	return json.Marshal(object{"Conversation": object{"ConversationId": id[:32], "LanguageCode": "en-US", "TranscriptSegments": segments}})
}
