package gosdk

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/transcribe"
	"github.com/aws/aws-sdk-go-v2/service/transcribe/types"

	"github.com/galen-health/galen/test/galen"
)

// conversation is a transcript of one visit in the service's own form, which a job takes in place of a recording.
func conversation() []byte {
	type segment struct {
		SegmentId, Content           string
		ParticipantDetails           map[string]string
		BeginAudioTime, EndAudioTime float64
	}
	var segments []segment
	for i, turn := range [][2]string{{"CLINICIAN_0", "What brings you in today?"}, {"PATIENT_0", "I have had chest pain for two days."}, {"CLINICIAN_0", "Any fever?"}, {"PATIENT_0", "No."},
		{"CLINICIAN_0", "I will start you on lisinopril ten milligrams and see you in two weeks."}} {
		segments = append(segments, segment{fmt.Sprint("s", i), turn[1], map[string]string{"ParticipantRole": turn[0]}, float64(3 * i), float64(3*i) + 2.5})
	}
	b, err := json.Marshal(map[string]any{"Conversation": map[string]any{"ConversationId": "c1", "LanguageCode": "en-US", "TranscriptSegments": segments}})
	if err != nil {
		panic(err) // it is made of strings and numbers
	}
	return b
}

func TestTranscribe(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	ctx := t.Context()
	seen := newCalls()
	c := transcribe.NewFromConfig(config(g, seen))
	put(t, g, "sdk-scribe", "t.json", conversation())
	role := role(t, g, "transcribe")
	start := func(name string) *transcribe.StartMedicalScribeJobInput {
		return &transcribe.StartMedicalScribeJobInput{MedicalScribeJobName: &name, Media: &types.Media{MediaFileUri: aws.String("s3://sdk-scribe/t.json")}, OutputBucketName: aws.String("sdk-scribe"), DataAccessRoleArn: role,
			Settings: &types.MedicalScribeSettings{ShowSpeakerLabels: aws.Bool(true), MaxSpeakerLabels: aws.Int32(2)}, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}
	}
	must(c.StartMedicalScribeJob(ctx, start("visit-1")))(t)
	must(c.StartMedicalScribeJob(ctx, start("visit-2")))(t)
	name := aws.String("visit-1")
	completed := transcribe.NewMedicalScribeJobCompletedWaiter(c, func(w *transcribe.MedicalScribeJobCompletedWaiterOptions) {
		w.MinDelay, w.MaxDelay = 100*time.Millisecond, time.Second
	})
	out, err := completed.WaitForOutput(ctx, &transcribe.GetMedicalScribeJobInput{MedicalScribeJobName: name}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(*out.MedicalScribeJob.MedicalScribeOutput.ClinicalDocumentUri, "/sdk-scribe/")
	if note := get(t, g, "sdk-scribe", key); !strings.Contains(strings.ToLower(note), "chest pain") {
		t.Errorf("the note has no chest pain: %s", note)
	}
	names := map[string]bool{}
	for pages := transcribe.NewListMedicalScribeJobsPaginator(c, &transcribe.ListMedicalScribeJobsInput{MaxResults: aws.Int32(1)}); pages.HasMorePages(); {
		for _, j := range must(pages.NextPage(ctx))(t).MedicalScribeJobSummaries {
			names[*j.MedicalScribeJobName] = true
		}
	}
	if !names["visit-1"] || !names["visit-2"] {
		t.Errorf("jobs are %v", names)
	}
	arn := aws.String("arn:aws:transcribe:" + galen.Region + ":" + galen.Account + ":medical-scribe-job/visit-1")
	must(c.TagResource(ctx, &transcribe.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{{Key: aws.String("c"), Value: aws.String("d")}}}))(t)
	must(c.UntagResource(ctx, &transcribe.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a"}}))(t)
	if tags := must(c.ListTagsForResource(ctx, &transcribe.ListTagsForResourceInput{ResourceArn: arn}))(t).Tags; len(tags) != 1 || *tags[0].Key != "c" {
		t.Errorf("tags are %v", tags)
	}
	_, err = c.StartMedicalScribeJob(ctx, start("visit-1"))
	refused[*types.ConflictException](t, "a job's name twice", err, 409)
	_, err = c.StartMedicalScribeJob(ctx, start("two words"))
	refused[*types.BadRequestException](t, "a name with a space", err, 400)
	must(c.DeleteMedicalScribeJob(ctx, &transcribe.DeleteMedicalScribeJobInput{MedicalScribeJobName: name}))(t)
	_, err = c.GetMedicalScribeJob(ctx, &transcribe.GetMedicalScribeJobInput{MedicalScribeJobName: name})
	refused[*types.NotFoundException](t, "a deleted job", err, 404)
	seen.all(t, "Transcribe", c)
}
