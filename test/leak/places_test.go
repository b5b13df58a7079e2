package leak

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/athena"
	"github.com/galen-health/galen/aws/comprehendmedical"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/test/sample"
)

type object = map[string]any

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it is made here
	}
	return string(b)
}

// patient is a FHIR patient whose every value is marked; more members make it wrong.
func patient(where string, more object) string {
	p := object{"resourceType": "Patient", "id": "p1", "identifier": []object{{"system": "urn:mrn", "value": mark(where + "mrn")}}, "name": []object{{"family": mark(where + "family"), "given": []string{mark(where + "given")}}},
		"text": object{"status": "generated", "div": `<div xmlns="http://www.w3.org/1999/xhtml">` + mark(where+"note") + `</div>`}, "address": []object{{"city": mark(where + "city"), "line": []string{mark(where + "street")}}},
		"telecom": []object{{"system": "phone", "value": mark(where + "phone")}}}
	for k, v := range more {
		p[k] = v
	}
	return text(p)
}

// records is HealthLake: right and wrong resources by every interaction, searches, bundles, imports and an export.
func (s *site) records() {
	c := healthlake.NewClient(s.nurse)
	s.fhir = must[*healthlake.CreateFHIRDatastoreOutput](s.t)(c.CreateFHIRDatastore(s.ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4, DatastoreName: "records", Tags: []healthlake.Tag{{Key: "who", Value: mark("tag")}}})).DatastoreId
	s.wait("the data store", func() bool {
		return ended(must[*healthlake.DescribeFHIRDatastoreOutput](s.t)(c.DescribeFHIRDatastore(s.ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: s.fhir})).DatastoreProperties.DatastoreStatus)
	})
	base := "/datastore/" + s.fhir + "/r4"
	const fhir = "application/fhir+json"
	do := func(method, path, body string, want int) {
		s.t.Helper()
		if status, b := s.send(s.nurse, "healthlake", method, base+path, fhir, body); want != 0 && status != want {
			s.t.Errorf("%s %s: %d, want %d: %.300s", method, path, status, want, b)
		}
	}
	do("PUT", "/Patient/p1", patient("put", nil), 201)
	do("PUT", "/Patient/p1", patient("again", nil), 200)
	do("POST", "/Patient", patient("post", object{"id": "x"}), 201)
	do("POST", "/Observation", text(object{"resourceType": "Observation", "status": "final", "code": object{"text": mark("code")}, "subject": object{"reference": "Patient/p1"}, "valueString": mark("value"), "note": []object{{"text": mark("annotation")}}}), 201)
	for _, wrong := range []string{patient("unknown", object{mark("member"): 1}), patient("type", object{"birthDate": mark("date")}), patient("enum", object{"gender": mark("gender")}), patient("half", nil)[:90], "{" + mark("junk"), patient("deep", object{"contact": strings.Repeat("[", 200)}),
		`{"resourceType":"` + mark("type") + `"}`, patient("ref", object{"managingOrganization": object{"reference": mark("reference")}}), patient("dup", nil)[:len(patient("dup", nil))-1] + `,"id":"` + mark("twice") + `"}`} {
		do("POST", "/Patient", wrong, 0)
		do("PUT", "/Patient/p2", wrong, 0)
	}
	m := url.QueryEscape(mark("query"))
	for _, q := range []string{"?name=" + m, "?identifier=urn:mrn|" + m, "?family:exact=" + m, "?" + m + "=1", "?birthdate=" + m, "?_sort=" + m, "?_include=" + m, "?_count=" + m, "?_has:Observation:patient:code=" + m, "?general-practitioner.name=" + m, "?name:" + m + "=1", "?_filter=" + m, "?_lastUpdated=" + m, "?page=" + m, "?_elements=" + m} {
		do("GET", "/Patient"+q, "", 0)
		s.send(s.nurse, "healthlake", "POST", base+"/Patient/_search", "application/x-www-form-urlencoded", q[1:])
	}
	do("GET", "/Patient?family="+mark("againfamily"), "", 200)
	do("GET", "/"+mark("Type")+"/1", "", 0)
	do("GET", "/Patient/"+mark("id")+"~", "", 404)
	do("GET", "/Patient/p1/_history/"+mark("version"), "", 0)
	do("GET", "/Patient/p1/_history", "", 200)
	do("PATCH", "/Patient/p1", `[{"op":"replace","path":"/`+mark("path")+`","value":"`+mark("patch")+`"}]`, 0)
	do("POST", "/$"+mark("operation"), patient("op", nil), 0)
	for _, kind := range []string{"batch", "transaction"} {
		do("POST", "", text(object{"resourceType": "Bundle", "type": kind, "entry": []object{{"resource": json.RawMessage(patient("bundle", object{"gender": mark("bad")})), "request": object{"method": "POST", "url": "Patient"}},
			{"resource": json.RawMessage(patient("good", nil)), "request": object{"method": "POST", "url": "Patient", "ifNoneExist": "identifier=" + mark("exist")}}, {"request": object{"method": mark("METHOD"), "url": mark("url")}}}}), 0)
	}
	lines := patient("line", nil) + "\n" + patient("bad", object{"gender": mark("gender")}) + "\n{" + mark("nojson") + "\n"
	s.put("in/patients.ndjson", []byte(strings.ReplaceAll(lines, `"id":"p1"`, `"id":"p9"`)))
	key := must[*kms.CreateKeyOutput](s.t)(kms.NewClient(s.nurse).CreateKey(s.ctx, &kms.CreateKeyInput{Description: mark("keydescription"), Tags: []kms.Tag{{TagKey: "a", TagValue: mark("keytag")}}})).KeyMetadata.Arn
	out := &healthlake.OutputDataConfig{S3Configuration: &healthlake.S3Configuration{S3Uri: "s3://" + bucket + "/out/", KmsKeyId: key}}
	job := must[*healthlake.StartFHIRImportJobOutput](s.t)(c.StartFHIRImportJob(s.ctx, &healthlake.StartFHIRImportJobInput{DatastoreId: s.fhir, DataAccessRoleArn: s.role, JobName: "job", ClientToken: mark("token"), InputDataConfig: &healthlake.InputDataConfig{S3Uri: "s3://" + bucket + "/in/"}, JobOutputDataConfig: out})).JobId
	s.wait("the import", func() bool {
		return ended(must[*healthlake.DescribeFHIRImportJobOutput](s.t)(c.DescribeFHIRImportJob(s.ctx, &healthlake.DescribeFHIRImportJobInput{DatastoreId: s.fhir, JobId: job})).ImportJobProperties.JobStatus)
	})
	job = must[*healthlake.StartFHIRExportJobOutput](s.t)(c.StartFHIRExportJob(s.ctx, &healthlake.StartFHIRExportJobInput{DatastoreId: s.fhir, DataAccessRoleArn: s.role, ClientToken: mark("token2"), JobName: "job", OutputDataConfig: out})).JobId
	s.wait("the export", func() bool {
		return ended(must[*healthlake.DescribeFHIRExportJobOutput](s.t)(c.DescribeFHIRExportJob(s.ctx, &healthlake.DescribeFHIRExportJobInput{DatastoreId: s.fhir, JobId: job})).ExportJobProperties.JobStatus)
	})
}

// pictures is HealthImaging: instances by import and STOW, whole and broken, searches and changed metadata.
func (s *site) pictures() {
	c := medicalimaging.NewClient(s.nurse)
	s.images = must[*medicalimaging.CreateDatastoreOutput](s.t)(c.CreateDatastore(s.ctx, &medicalimaging.CreateDatastoreInput{DatastoreName: "images", ClientToken: mark("token"), Tags: map[string]string{"who": mark("imagetag")}})).DatastoreId
	s.wait("the data store", func() bool {
		return ended(must[*medicalimaging.GetDatastoreOutput](s.t)(c.GetDatastore(s.ctx, &medicalimaging.GetDatastoreInput{DatastoreId: s.images})).DatastoreProperties.DatastoreStatus)
	})
	marked := func(d *dicom.Dataset) {
		for t, v := range map[dicom.Tag]string{dicom.TagPatientName: mark("dcm") + "^" + mark("given"), dicom.TagAccessionNumber: mark("acc"), dicom.TagStudyID: mark("study")} {
			d.SetStrings(t, v)
		}
		d.SetStrings(dicom.Tag(0x00081030), mark("studydescription"))
		d.SetStrings(dicom.Tag(0x00104000), mark("patientcomments"))
		d.SetStrings(dicom.Tag(0x00080080), mark("institution"))
	}
	whole := sample.Slice(1, mark("patientid"), marked)
	s.put("dcm/1.dcm", whole)
	s.put("dcm/half.dcm", sample.Slice(2, mark("patientid"), marked)[:900])
	s.put("dcm/wrong.dcm", sample.Slice(3, mark("patientid"), marked, func(d *dicom.Dataset) { d.SetStrings(dicom.TagStudyInstanceUID, mark("uid")) }))
	s.put("dcm/junk.dcm", []byte(mark("junk")))
	job := must[*medicalimaging.StartDICOMImportJobOutput](s.t)(c.StartDICOMImportJob(s.ctx, &medicalimaging.StartDICOMImportJobInput{DatastoreId: s.images, DataAccessRoleArn: s.role, ClientToken: mark("token"), JobName: "job", InputS3Uri: "s3://" + bucket + "/dcm/", OutputS3Uri: "s3://" + bucket + "/dcmout/"})).JobId
	s.wait("the import", func() bool {
		return ended(must[*medicalimaging.GetDICOMImportJobOutput](s.t)(c.GetDICOMImportJob(s.ctx, &medicalimaging.GetDICOMImportJobInput{DatastoreId: s.images, JobId: job})).JobProperties.JobStatus)
	})
	search := &medicalimaging.SearchImageSetsInput{DatastoreId: s.images, SearchCriteria: &medicalimaging.SearchCriteria{Filters: []medicalimaging.SearchFilter{{Operator: medicalimaging.OperatorEqual, Values: []medicalimaging.SearchByAttributeValue{{DICOMPatientId: mark("patientid")}}}}}}
	found := must[*medicalimaging.SearchImageSetsOutput](s.t)(c.SearchImageSets(s.ctx, search)).ImageSetsMetadataSummaries
	if len(found) == 0 {
		s.t.Fatal("no image set was imported")
	}
	s.setID = found[0].ImageSetId
	for _, doc := range []string{`{"SchemaVersion":1.1,"Patient":{"DICOM":{"PatientName":"` + mark("renamed") + `"}}}`, `{"SchemaVersion":1.1,"Patient":{"DICOM":{"` + mark("Keyword") + `":"x"}}}`, `{"SchemaVersion":1.1,"Study":{"DICOM":{"StudyDate":"` + mark("date") + `"}}}`, "{" + mark("nojson")} {
		in := &medicalimaging.UpdateImageSetMetadataInput{DatastoreId: s.images, ImageSetId: s.setID, LatestVersionId: found[0].DICOMTags.DICOMStudyId, UpdateImageSetMetadataUpdates: &medicalimaging.MetadataUpdates{DICOMUpdates: &medicalimaging.DICOMUpdates{UpdatableAttributes: []byte(doc)}}}
		for _, version := range []string{"1", "2"} {
			in.LatestVersionId = version
			_, _ = c.UpdateImageSetMetadata(s.ctx, in) // one of the versions is right, three of the documents are wrong
		}
	}
	base := "/datastore/" + s.images
	stow := func(parts ...[]byte) string {
		var b strings.Builder
		for _, p := range parts {
			b.WriteString("--b\r\nContent-Type: application/dicom\r\n\r\n")
			b.Write(p)
			b.WriteString("\r\n")
		}
		return b.String() + "--b--\r\n"
	}
	for _, body := range []string{stow(sample.Slice(7, mark("stow"), marked), []byte(mark("junk")), whole[:700]), mark("nothing"), stow()[:4]} {
		s.send(s.nurse, "medical-imaging", "POST", base+"/studies", `multipart/related; type="application/dicom"; boundary=b`, body)
	}
	m := mark("query")
	for _, q := range []string{"?PatientName=" + m, "?PatientID=" + mark("patientid"), "?00100010=" + m + "*", "?" + m + "=1", "?StudyDate=" + m, "?includefield=" + m, "?limit=" + m, "?fuzzymatching=" + m} {
		for _, level := range []string{"/studies", "/series", "/instances"} {
			s.send(s.nurse, "medical-imaging", "GET", base+level+q, "", "")
		}
	}
	for _, p := range []string{"/studies/" + m, "/studies/" + m + "/metadata", "/studies/" + sample.Study + "/series/" + m + "/metadata", "/studies/" + sample.Study + "/series/" + sample.Series + "/instances/" + m + "/frames/1"} {
		s.send(s.nurse, "medical-imaging", "GET", base+p, "", "")
	}
}

// genomes is HealthOmics and Athena: reads and variants whose names are marked, whole and broken, and SQL.
func (s *site) genomes() {
	c := omics.NewClient(s.nurse)
	tags := map[string]string{"who": mark("omicstag")}
	s.put("ref.fa", []byte(strings.Replace(string(sample.FASTA()), ">sample1", ">sample1 "+mark("fasta"), 1)))
	reads := strings.ReplaceAll(string(sample.FASTQ(50)), "@r", "@"+mark("read")+".")
	s.put("reads.fastq.gz", sample.Gzip([]byte(reads)))
	s.put("broken.fastq.gz", sample.Gzip([]byte(reads[:len(reads)-30]+"\n"+mark("end"))))
	s.put("junk.fastq.gz", []byte(mark("junk")))
	vcf := strings.Replace(strings.Replace(string(sample.VCF(20)), "\tS1\n", "\t"+mark("sample")+"\n", 1), "##INFO", "##note="+mark("vcfheader")+"\n##INFO", 1)
	s.put("v.vcf.gz", sample.Gzip([]byte(vcf)))
	s.put("broken.vcf.gz", sample.Gzip([]byte(vcf+"sample1\t"+mark("position")+"\trs\tA\tC\t.\t.\t.\tGT\t0/1\n")))
	refs := must[*omics.CreateReferenceStoreOutput](s.t)(c.CreateReferenceStore(s.ctx, &omics.CreateReferenceStoreInput{Name: mark("refstore"), Description: mark("description"), Tags: tags})).Id
	job := must[*omics.StartReferenceImportJobOutput](s.t)(c.StartReferenceImportJob(s.ctx, &omics.StartReferenceImportJobInput{ReferenceStoreId: refs, RoleArn: s.role, Sources: []omics.StartReferenceImportJobSourceItem{{SourceFile: "s3://" + bucket + "/ref.fa", Name: mark("reference"), Description: mark("description"), Tags: tags}}})).Id
	var ref string
	s.wait("the reference", func() bool {
		j := must[*omics.GetReferenceImportJobOutput](s.t)(c.GetReferenceImportJob(s.ctx, &omics.GetReferenceImportJobInput{ReferenceStoreId: refs, Id: job}))
		ref = "arn:aws:omics:us-east-1:000000000000:referenceStore/" + refs + "/reference/" + j.Sources[0].ReferenceId
		return ended(j.Status)
	})
	seqs := must[*omics.CreateSequenceStoreOutput](s.t)(c.CreateSequenceStore(s.ctx, &omics.CreateSequenceStoreInput{Name: mark("seqstore"), Description: mark("description"), Tags: tags, ClientToken: mark("token")})).Id
	var sources []omics.StartReadSetImportJobSourceItem
	for _, key := range []string{"reads", "broken", "junk", "absent"} {
		sources = append(sources, omics.StartReadSetImportJobSourceItem{SourceFiles: &omics.SourceFiles{Source1: "s3://" + bucket + "/" + key + ".fastq.gz"}, SourceFileType: omics.FileTypeFastq, SubjectId: mark("subject"), SampleId: mark("sampleid"), GeneratedFrom: mark("from"), Name: mark("readset"), Description: mark("description"), Tags: tags})
	}
	s.wait("the sequence store", func() bool {
		return ended(must[*omics.GetSequenceStoreOutput](s.t)(c.GetSequenceStore(s.ctx, &omics.GetSequenceStoreInput{Id: seqs})).Status)
	})
	job = must[*omics.StartReadSetImportJobOutput](s.t)(c.StartReadSetImportJob(s.ctx, &omics.StartReadSetImportJobInput{SequenceStoreId: seqs, RoleArn: s.role, Sources: sources})).Id
	s.wait("the reads", func() bool {
		return ended(must[*omics.GetReadSetImportJobOutput](s.t)(c.GetReadSetImportJob(s.ctx, &omics.GetReadSetImportJobInput{SequenceStoreId: seqs, Id: job})).Status)
	})
	if l := must[*omics.ListReadSetsOutput](s.t)(c.ListReadSets(s.ctx, &omics.ListReadSetsInput{SequenceStoreId: seqs, Filter: &omics.ReadSetFilter{SampleId: mark("sampleid"), Status: omics.ReadSetStatusActive}})).ReadSets; len(l) != 1 {
		s.t.Errorf("%d read sets became active", len(l))
	}
	must[*omics.CreateVariantStoreOutput](s.t)(c.CreateVariantStore(s.ctx, &omics.CreateVariantStoreInput{Name: "variants", Description: mark("description"), Tags: tags, Reference: &omics.ReferenceItem{ReferenceArn: ref}}))
	s.wait("the variant store", func() bool {
		return ended(must[*omics.GetVariantStoreOutput](s.t)(c.GetVariantStore(s.ctx, &omics.GetVariantStoreInput{Name: "variants"})).Status)
	})
	for _, key := range []string{"v", "broken"} {
		job := must[*omics.StartVariantImportJobOutput](s.t)(c.StartVariantImportJob(s.ctx, &omics.StartVariantImportJobInput{DestinationName: "variants", RoleArn: s.role, Items: []omics.VariantImportItemSource{{Source: "s3://" + bucket + "/" + key + ".vcf.gz"}}})).JobId
		s.wait("the variants", func() bool {
			return ended(must[*omics.GetVariantImportJobOutput](s.t)(c.GetVariantImportJob(s.ctx, &omics.GetVariantImportJobInput{JobId: job})).Status)
		})
	}
	q := athena.NewClient(s.nurse)
	for _, sql := range []string{"SELECT '" + mark("literal") + "' AS x", "SELECT " + mark("column") + " FROM nowhere", "SELECT '" + mark("unclosed"), "SELECT CAST('" + mark("cast") + "' AS INTEGER)", "SELECT error('" + mark("error") + "')", "COPY (SELECT '" + mark("copy") + "') TO '/tmp/x'"} {
		out, err := q.StartQueryExecution(s.ctx, &athena.StartQueryExecutionInput{QueryString: sql, ResultConfiguration: &athena.ResultConfiguration{OutputLocation: "s3://" + bucket + "/sql/"}})
		if err != nil {
			continue // refused before it ran
		}
		s.wait(sql, func() bool {
			return ended(must[*athena.GetQueryExecutionOutput](s.t)(q.GetQueryExecution(s.ctx, &athena.GetQueryExecutionInput{QueryExecutionId: out.QueryExecutionId})).QueryExecution.Status.State)
		})
		_, _ = q.GetQueryResults(s.ctx, &athena.GetQueryResultsInput{QueryExecutionId: out.QueryExecutionId}) // one of them succeeded
	}
}

// language is Comprehend Medical and HealthScribe: free text and transcripts, whole and broken.
func (s *site) language() {
	c := comprehendmedical.NewClient(s.nurse)
	note := "Mrs " + mark("surname") + " takes lisinopril 10 mg daily for hypertension, MRN " + mark("mrn") + "."
	must[*comprehendmedical.DetectEntitiesV2Output](s.t)(c.DetectEntitiesV2(s.ctx, &comprehendmedical.DetectEntitiesV2Input{Text: note}))
	must[*comprehendmedical.DetectPHIOutput](s.t)(c.DetectPHI(s.ctx, &comprehendmedical.DetectPHIInput{Text: note}))
	_, _ = c.InferICD10CM(s.ctx, &comprehendmedical.InferICD10CMInput{Text: note})                               // where the tables are installed
	_, _ = c.InferRxNorm(s.ctx, &comprehendmedical.InferRxNormInput{Text: note})                                 // likewise
	_, _ = c.DetectEntitiesV2(s.ctx, &comprehendmedical.DetectEntitiesV2Input{Text: strings.Repeat(note, 1000)}) // too long
	var segments []object
	for i, turn := range []string{"What brings you in today, " + mark("surname") + "?", "I have had chest pain since " + mark("since") + ".", "I will start you on lisinopril ten milligrams."} {
		segments = append(segments, object{"SegmentId": fmt.Sprint("s", i), "Content": turn, "ParticipantDetails": object{"ParticipantRole": []string{"CLINICIAN_0", "PATIENT_0"}[i%2]}, "BeginAudioTime": i, "EndAudioTime": i + 1})
	}
	doc := text(object{"Conversation": object{"ConversationId": "c1", "LanguageCode": "en-US", "TranscriptSegments": segments}})
	s.put("visit.json", []byte(doc))
	s.put("half.json", []byte(doc[:200]))
	s.put("visit.wav", []byte("RIFF\x00\x00\x00\x00WAVEfmt "+mark("wav")))
	t := transcribe.NewClient(s.nurse)
	for i, key := range []string{"visit.json", "half.json", "visit.wav"} {
		name := fmt.Sprint("visit-", i)
		if _, err := t.StartMedicalScribeJob(s.ctx, &transcribe.StartMedicalScribeJobInput{MedicalScribeJobName: name, Media: &transcribe.Media{MediaFileUri: "s3://" + bucket + "/" + key}, OutputBucketName: bucket, DataAccessRoleArn: s.role,
			Settings: &transcribe.MedicalScribeSettings{ShowSpeakerLabels: aws.Ptr(true), MaxSpeakerLabels: aws.Ptr(int32(2))}, Tags: []transcribe.Tag{{Key: "who", Value: mark("scribetag")}}}); err != nil {
			continue // what is no recording may be refused at once
		}
		s.wait(name, func() bool {
			return ended(must[*transcribe.GetMedicalScribeJobOutput](s.t)(t.GetMedicalScribeJob(s.ctx, &transcribe.GetMedicalScribeJobInput{MedicalScribeJobName: name})).MedicalScribeJob.MedicalScribeJobStatus)
		})
	}
}
