package crash_test

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/transcribe"
)

// conversation is a visit of n turns as HealthScribe writes transcripts.
func conversation(n int) []byte {
	type object = map[string]any
	var segments []object
	for i := range n {
		who, text := "CLINICIAN_0", fmt.Sprintf("How long have you had the headache, is it %d days?", i+1)
		if i%2 == 1 {
			who, text = "PATIENT_0", fmt.Sprintf("It is worse since Monday and I take ibuprofen %d milligrams twice a day.", 200*i)
		}
		segments = append(segments, object{"SegmentId": fmt.Sprintf("seg-%04d", i), "Content": text, "BeginAudioTime": float64(i), "EndAudioTime": float64(i) + 0.9, "ParticipantDetails": object{"ParticipantRole": who}})
	}
	b, err := json.Marshal(object{"Conversation": object{"ConversationId": "visit", "LanguageCode": "en-US", "TranscriptSegments": segments}})
	if err != nil {
		panic(err) // it is made here
	}
	return b
}

// visits are the jobs of Transcribe's medical scribe.
func (s *site) visits() []work {
	ctx, c := s.t.Context(), transcribe.NewClient(s.g.Client())
	var calm int // objects of an undisturbed job
	return []work{{
		name:    "transcribe medical scribe",
		prepare: func(int) { s.put("visit.json", conversation(400)) },
		start: func(n int) string {
			name := fmt.Sprint("visit", n)
			if _, err := c.StartMedicalScribeJob(ctx, &transcribe.StartMedicalScribeJobInput{MedicalScribeJobName: name, Media: &transcribe.Media{MediaFileUri: "s3://jobs/visit.json"}, OutputBucketName: "jobs", DataAccessRoleArn: s.role,
				Settings: &transcribe.MedicalScribeSettings{ShowSpeakerLabels: aws.Ptr(true), MaxSpeakerLabels: aws.Ptr(int32(2))}}); err != nil {
				s.t.Fatal(err)
			}
			return name
		},
		state: func(id string) string {
			d, err := c.GetMedicalScribeJob(ctx, &transcribe.GetMedicalScribeJobInput{MedicalScribeJobName: id})
			if err != nil {
				return err.Error()
			}
			return stateOf(d.MedicalScribeJob.MedicalScribeJobStatus, d.MedicalScribeJob.FailureReason, nil)
		},
		check: func(n int, id string) {
			d, err := c.GetMedicalScribeJob(ctx, &transcribe.GetMedicalScribeJobInput{MedicalScribeJobName: id})
			if err != nil {
				s.t.Fatal(err)
			}
			_, note, _ := strings.Cut(d.MedicalScribeJob.MedicalScribeOutput.ClinicalDocumentUri, "/jobs/")
			objects := s.objects(note[:strings.LastIndexByte(note, '/')+1])
			var doc struct{ ClinicalDocumentation struct{ Sections []any } }
			if err := json.Unmarshal(objects[note], &doc); err != nil || len(doc.ClinicalDocumentation.Sections) == 0 {
				s.t.Errorf("visit %d: the note has %d sections, %v", n, len(doc.ClinicalDocumentation.Sections), err)
			}
			if n == 0 {
				calm = len(objects)
			}
			if len(objects) != calm || calm < 2 {
				s.t.Errorf("visit %d: %d objects, an undisturbed visit has %d", n, len(objects), calm)
			}
		},
	}}
}
