package linker

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/platform/errs"
)

// visit links a clinical note: the note as a Composition, its files as a DocumentReference, and a Provenance that says which software made it of what.
func (l *Linker) visit(ctx context.Context, detail json.RawMessage) error {
	var d struct {
		Name   string `json:"MedicalScribeJobName"`
		Status string `json:"MedicalScribeJobStatus"`
	}
	if err := json.Unmarshal(detail, &d); err != nil || d.Name == "" {
		return errs.New(errs.Invalid, "the event names no job")
	}
	if d.Status != "COMPLETED" {
		return nil
	}
	out, err := l.scribe.GetMedicalScribeJob(ctx, &transcribe.GetMedicalScribeJobInput{MedicalScribeJobName: d.Name})
	if err != nil {
		return err
	}
	job := out.MedicalScribeJob
	store, patient := "", ""
	for _, t := range job.Tags {
		switch t.Key {
		case Tag:
			store = t.Value
		case "galen:patient":
			patient = t.Value
		}
	}
	if store == "" || job.MedicalScribeOutput == nil {
		return nil
	}
	subject, err := l.subject(ctx, store, patient)
	if err != nil {
		return err
	}
	note, err := l.note(ctx, job.MedicalScribeOutput.ClinicalDocumentUri)
	if err != nil {
		return err
	}
	date := job.CompletionTime.UTC().Format("2006-01-02T15:04:05Z")
	device, doc, comp := "galen-scribe", shortID("visit", d.Name), shortID("note", d.Name)
	kind := coded("http://loinc.org", "11488-4", "Consult note")
	files := object{"resourceType": "DocumentReference", "id": doc, "status": "current", "docStatus": "preliminary", "type": kind, "date": date, "content": []object{
		{"attachment": object{"url": job.MedicalScribeOutput.ClinicalDocumentUri, "title": "clinical note with evidence links", "contentType": "application/json"}},
		{"attachment": object{"url": job.MedicalScribeOutput.TranscriptFileUri, "title": "transcript", "contentType": "application/json"}}}}
	composition := object{"resourceType": "Composition", "id": comp, "status": "preliminary", "type": kind, "date": date, "title": "Visit note, a draft for the clinician's review", "author": []object{{"reference": "Device/" + device}}, "section": note}
	if subject != nil {
		files["subject"], composition["subject"] = subject, subject
	}
	for _, r := range []object{
		{"resourceType": "Device", "id": device, "status": "active", "deviceName": []object{{"name": "Galen HealthScribe", "type": "user-friendly-name"}}},
		files, composition,
		{"resourceType": "Provenance", "id": shortID("provenance", d.Name), "target": []object{{"reference": "Composition/" + comp}, {"reference": "DocumentReference/" + doc}}, "recorded": date,
			"agent":  []object{{"type": coded("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "assembler", "Assembler"), "who": object{"reference": "Device/" + device}}},
			"entity": []object{{"role": "source", "what": object{"reference": "DocumentReference/" + doc}}}},
	} {
		if err := l.put(ctx, store, r); err != nil {
			return err
		}
	}
	return nil
}

// note reads the sections of a note from S3 as Composition sections.
func (l *Linker) note(ctx context.Context, uri string) ([]object, error) {
	rest := strings.TrimPrefix(uri, "s3://")
	if i := strings.Index(rest, "://"); i >= 0 { // https://host/bucket/key
		rest = rest[i+3:]
		_, rest, _ = strings.Cut(rest, "/")
	}
	bucket, key, ok := strings.Cut(rest, "/")
	if !ok {
		return nil, errs.New(errs.Invalid, "the note's address cannot be read")
	}
	got, err := l.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		return nil, err
	}
	defer got.Body.Close()
	var doc struct {
		ClinicalDocumentation struct {
			Sections []struct {
				SectionName string
				Summary     []struct{ SummarizedSegment string }
			}
		}
	}
	if err := json.NewDecoder(io.LimitReader(got.Body, 32<<20)).Decode(&doc); err != nil {
		return nil, errs.New(errs.Invalid, "the note cannot be read")
	}
	var out []object
	for _, s := range doc.ClinicalDocumentation.Sections {
		if len(s.Summary) == 0 {
			continue
		}
		var b strings.Builder
		for _, line := range s.Summary {
			fmt.Fprintf(&b, "<li>%s</li>", html.EscapeString(line.SummarizedSegment))
		}
		out = append(out, object{"title": strings.ReplaceAll(s.SectionName, "_", " "), "text": object{"status": "generated", "div": `<div xmlns="http://www.w3.org/1999/xhtml"><ul>` + b.String() + "</ul></div>"}})
	}
	return out, nil
}
