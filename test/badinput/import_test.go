package badinput

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/url"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/test/galen"
	"github.com/galen-health/galen/test/sample"
)

// jobs makes what imports need: a role that each service may assume, a key, a bucket.
type jobs struct {
	t         *testing.T
	g         *galen.Server
	role, key string
}

func newJobs(t *testing.T, g *galen.Server) *jobs {
	t.Helper()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["healthlake.amazonaws.com","omics.amazonaws.com","medical-imaging.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`
	j := &jobs{t: t, g: g, role: "arn:aws:iam::" + galen.Account + ":role/import"}
	iam := func(form url.Values) {
		form.Set("Version", "2010-05-08")
		call{service: "iam", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, body: form.Encode()}.send(t, g).accepted(t, form.Get("Action"))
	}
	iam(url.Values{"Action": {"CreateRole"}, "RoleName": {"import"}, "AssumeRolePolicyDocument": {trust}})
	iam(url.Values{"Action": {"PutRolePolicy"}, "RoleName": {"import"}, "PolicyName": {"all"}, "PolicyDocument": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`}})
	var made struct{ KeyMetadata struct{ Arn string } }
	a := call{service: "kms", header: target("TrentService.CreateKey", "1.1"), body: "{}"}.send(t, g).accepted(t, "a key")
	if err := json.Unmarshal([]byte(a.body), &made); err != nil {
		t.Fatal(err)
	}
	j.key = made.KeyMetadata.Arn
	j.s3("PUT", "/imports", "").accepted(t, "a bucket")
	return j
}

func (j *jobs) s3(method, path, body string) answer {
	return call{service: "s3", method: method, path: path, body: body}.send(j.t, j.g)
}

func (j *jobs) put(key, body string) { j.s3("PUT", "/imports/"+key, body).accepted(j.t, key) }

// recordJob imports what lies below a prefix into a FHIR store, and returns the job's properties when it is over.
func (j *jobs) recordJob(store, prefix string) map[string]any {
	j.t.Helper()
	lake := func(op, body string) answer {
		return call{service: "healthlake", header: target("HealthLake."+op, "1.0"), body: body}.send(j.t, j.g).accepted(j.t, op)
	}
	id := lake("StartFHIRImportJob", fmt.Sprintf(`{"DatastoreId":%q,"DataAccessRoleArn":%q,"ClientToken":%q,"InputDataConfig":{"S3Uri":"s3://imports/%s"},"JobOutputDataConfig":{"S3Configuration":{"S3Uri":"s3://imports/out/","KmsKeyId":%q}}}`,
		store, j.role, "t"+strings.Trim(prefix, "/"), prefix, j.key)).field(j.t, "JobId")
	var p struct{ ImportJobProperties map[string]any }
	until(j.t, "the FHIR import is over", func() bool {
		if err := json.Unmarshal([]byte(lake("DescribeFHIRImportJob", fmt.Sprintf(`{"DatastoreId":%q,"JobId":%q}`, store, id)).body), &p); err != nil {
			j.t.Fatal(err)
		}
		s := fmt.Sprint(p.ImportJobProperties["JobStatus"])
		return strings.HasPrefix(s, "COMPLETED") || s == "FAILED"
	})
	return p.ImportJobProperties
}

// TestImportsOfBadRecords: bombs and files that are not what they say are counted as the customer's errors, beside what is good.
func TestImportsOfBadRecords(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	j := newJobs(t, g)
	store := fhirStore(t, g)
	good := `{"resourceType":"Patient","id":"good","gender":"male"}` + "\n"
	j.put("records/good.ndjson", good)
	j.put("records/bomb.ndjson.gz", zeros(300<<20))
	j.put("records/lie.ndjson", string(sample.Gzip([]byte(good)))) // gzip under a plain name
	j.put("records/half.ndjson.gz", string(sample.Gzip([]byte(strings.Repeat(good, 1000))))[:40])
	j.put("records/image.ndjson", string(sample.Slice(1, "LIE")))
	j.put("records/deep.ndjson", `{"resourceType":"Patient","extension":`+strings.Repeat(`[{"extension":`, 50_000)+"\n")
	j.put("records/one-long-line.ndjson", `{"resourceType":"Patient","name":[{"family":"`+strings.Repeat("x", 40<<20)+`"}]}`+"\n")
	j.put("records/nul.ndjson", strings.Repeat("\x00", 10_000)+"\n")
	j.put("records/..%2f..%2fetc%2fpasswd.ndjson", "root:x:0:0\n")
	j.put("records/"+strings.Repeat("n", 900)+".ndjson", "not json\n")
	p := j.recordJob(store, "records/")
	report, _ := p["JobProgressReport"].(map[string]any)
	if s := p["JobStatus"]; s != "COMPLETED_WITH_ERRORS" {
		t.Errorf("the job is %v: %v %v", s, p["Message"], report)
	}
	if n := fmt.Sprint(report["TotalNumberOfResourcesWithCustomerError"]); n == "0" || n == "<nil>" {
		t.Errorf("no resource has a customer's error: %v", report)
	}
	if a := (call{service: "healthlake", method: "GET", path: "/datastore/" + store + "/r4/Patient/good"}).send(t, g); a.status != 200 {
		t.Errorf("the good one beside them: %d %s", a.status, a.body)
	}
	count := call{service: "healthlake", method: "GET", path: "/datastore/" + store + "/r4/Patient?_summary=count"}
	if a := count.send(t, g); !strings.Contains(a.body, `"total":1`) {
		t.Errorf("patients: %s", a.body)
	}

	// Sources that go while the job reads them: what it says it imported is what is there.
	for n := range 40 {
		var lines strings.Builder
		for i := range 50 {
			fmt.Fprintf(&lines, "{\"resourceType\":\"Patient\",\"id\":\"r%d-%d\"}\n", n, i)
		}
		j.put(fmt.Sprintf("racing/%02d.ndjson", n), lines.String())
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for n := 39; n >= 0; n -= 2 {
			j.s3("DELETE", fmt.Sprintf("/imports/racing/%02d.ndjson", n), "")
		}
	}()
	p = j.recordJob(store, "racing/")
	<-gone
	report, _ = p["JobProgressReport"].(map[string]any)
	imported := 0
	if _, err := fmt.Sscan(fmt.Sprint(report["TotalNumberOfResourcesImported"]), &imported); err != nil || imported < 20*50 || imported%50 != 0 {
		t.Errorf("the job that lost its sources is %v: %v %v", p["JobStatus"], p["Message"], report)
	}
	if a := count.send(t, g); !strings.Contains(a.body, fmt.Sprintf(`"total":%d`, imported+1)) {
		t.Errorf("the job says %d resources, the store %s", imported, a.body)
	}
	sound(t, g)
}

// bgzf is a block of the format (SAMv1 §4.1) whose payload is deflated zeros, and which says this size and CRC of it.
func bgzf(inflated int, says uint32) string {
	var deflated bytes.Buffer
	w, err := flate.NewWriter(&deflated, flate.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	if _, err := w.Write(make([]byte, inflated)); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	b := []byte{0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, 'B', 'C', 2, 0}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(b)+2+deflated.Len()+8-1))
	b = append(b, deflated.Bytes()...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(make([]byte, inflated)))
	return string(binary.LittleEndian.AppendUint32(b, says))
}

// TestImportsOfBadReads: each bad source fails by itself with a message, and leaves no read set.
func TestImportsOfBadReads(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	j := newJobs(t, g)
	store := omicsCall("POST", "/sequencestore", `{"name":"bad"}`).send(t, g).accepted(t, "a sequence store").field(t, "id")
	type source struct{ name, kind, body string }
	sources := []source{
		{"good.fastq.gz", "FASTQ", string(sample.Gzip(sample.FASTQ(100)))},
		{"bomb.fastq.gz", "FASTQ", zeros(300 << 20)},
		{"half.fastq.gz", "FASTQ", string(sample.Gzip(sample.FASTQ(10_000)))[:1000]},
		{"plain.fastq", "FASTQ", "@r1\nACGT\n+\nII\n"},
		{"one-line.fastq", "FASTQ", "@" + strings.Repeat("A", 32<<20)},
		{"lie.bam", "BAM", string(sample.Gzip(sample.FASTQ(100)))},
		{"lie-too.fastq.gz", "FASTQ", string(sample.Slice(1, "LIE"))},
		{"bomb.bam", "BAM", bgzf(60<<20, 60<<20)},
		{"size.bam", "BAM", bgzf(1000, 0xffffffff)},
		{"half.bam", "BAM", bgzf(1000, 1000)[:30]},
		{"text.cram", "CRAM", "CRAM\x03\x01 and nothing of it"},
		{"huge.cram", "CRAM", "CRAM\x03\x01" + strings.Repeat("\xff", 1000)},
		{"empty.fastq.gz", "FASTQ", ""},
	}
	var list []map[string]any
	for _, s := range sources {
		j.put("reads/"+s.name, s.body)
		item := map[string]any{"sourceFiles": map[string]string{"source1": "s3://imports/reads/" + s.name}, "sourceFileType": s.kind, "subjectId": "s", "sampleId": "t", "name": s.name}
		list = append(list, item)
	}
	list = append(list, map[string]any{"sourceFiles": map[string]string{"source1": "s3://imports/reads/../../../etc/passwd"}, "sourceFileType": "FASTQ", "subjectId": "s", "sampleId": "t", "name": "path"},
		map[string]any{"sourceFiles": map[string]string{"source1": "s3://imports/reads/deleted.fastq.gz"}, "sourceFileType": "FASTQ", "subjectId": "s", "sampleId": "t", "name": "deleted"})
	b, err := json.Marshal(map[string]any{"roleArn": j.role, "sources": list})
	if err != nil {
		t.Fatal(err)
	}
	job := omicsCall("POST", "/sequencestore/"+store+"/importjob", string(b)).send(t, g).accepted(t, "an import").field(t, "id")
	var p struct {
		Status  string
		Sources []struct{ Name, Status, StatusMessage, ReadSetID string }
	}
	until(t, "the import of reads is over", func() bool {
		a := omicsCall("GET", "/sequencestore/"+store+"/importjob/"+job, "").send(t, g).accepted(t, "the job")
		if err := json.Unmarshal([]byte(a.body), &p); err != nil {
			t.Fatal(err)
		}
		return strings.HasPrefix(p.Status, "COMPLETED") || p.Status == "FAILED"
	})
	for _, s := range p.Sources {
		want := "FAILED"
		if s.Name == "good.fastq.gz" {
			want = "FINISHED"
		}
		if s.Status != want || want == "FAILED" && s.StatusMessage == "" {
			t.Errorf("%s is %s: %q, want %s", s.Name, s.Status, s.StatusMessage, want)
		}
	}
	a := omicsCall("POST", "/sequencestore/"+store+"/readsets", `{"filter":{"status":"ACTIVE"}}`).send(t, g).accepted(t, "the read sets")
	if n := strings.Count(a.body, `"sequenceStoreId"`); n != 1 {
		t.Errorf("%d read sets, want the good one: %s", n, a.body)
	}
	sound(t, g)
}

// deflatedDICOM is a Part 10 file in Deflated Explicit VR Little Endian (PS3.5 §A.5) whose data set inflates to this many zeros.
func deflatedDICOM(n int) string {
	const syntax, class = "1.2.840.10008.1.2.1.99", "1.2.840.10008.5.1.4.1.1.2"
	out := bytes.NewBuffer(dicom.AppendMeta(nil, class, "2.25.1", syntax))
	w, err := flate.NewWriter(out, flate.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	for chunk := make([]byte, 1<<20); n > 0; n -= len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.String()
}

// TestImportsOfBadImages: by STOW-RS and by an import job.
func TestImportsOfBadImages(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	j := newJobs(t, g)
	store := imagingStore(t, g)
	good := sample.Slice(1, "GOOD")
	set := func(tag dicom.Tag, v int64) func(*dicom.Dataset) {
		return func(d *dicom.Dataset) { d.SetInts(tag, dicom.US, v) }
	}
	text := func(tag dicom.Tag, v string) func(*dicom.Dataset) {
		return func(d *dicom.Dataset) { d.SetStrings(tag, v) }
	}
	bad := map[string]string{
		"junk":               "this is no DICOM",
		"half":               string(good[:len(good)/2]),
		"half-a-header":      string(good[:140]),
		"deflate-bomb":       deflatedDICOM(300 << 20),
		"no-uid":             string(sample.Slice(7, "GOOD", func(d *dicom.Dataset) { d.Delete(dicom.TagSOPInstanceUID) })),
		"uid-with-path":      string(sample.Slice(8, "GOOD", text(dicom.TagStudyInstanceUID, "../../etc/passwd"))),
		"element-past-end":   string(sample.Slice(9, "GOOD")[:600]) + "\x10\x00\x20\x00LO\xff\xff",
		"length-4-GiB":       string(sample.Slice(9, "GOOD")[:600]) + "\xe0\x7f\x10\x00OW\x00\x00\xfe\xff\xff\xff",
		"sequences-in-depth": string(dicom.AppendMeta(nil, "1.2.840.10008.5.1.4.1.1.2", "2.25.2", dicom.ExplicitVRLittleEndian)) + strings.Repeat("\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff", 20_000),
	}
	// What says something of its pixels that cannot be is kept as it came, with a warning: it is the modality's record. Nobody gets frames of it.
	doubtful := map[string]string{
		"65535-rows":      string(sample.Slice(2, "GOOD", set(dicom.TagRows, 65535), set(dicom.TagColumns, 65535))),
		"no-rows":         string(sample.Slice(3, "GOOD", set(dicom.TagRows, 0))),
		"many-frames":     string(sample.Slice(4, "GOOD", text(dicom.Tag(0x00280008), "2147483647"))),
		"negative-frames": string(sample.Slice(5, "GOOD", text(dicom.Tag(0x00280008), "-1"))),
		"three-bits":      string(sample.Slice(6, "GOOD", set(dicom.TagBitsAllocated, 3))),
	}
	for name, body := range doubtful {
		if a := stowCall(t, store, []byte(body)).send(t, g); a.status != 202 || !strings.Contains(a.body, "00081196") {
			t.Errorf("STOW of %s: %d %.300s", name, a.status, a.body)
		}
		n := strings.Index(body, sample.Series+".")
		uid := strings.TrimRight(body[n:n+len(sample.Series)+2], "\x00 ")
		path := "/datastore/" + store + "/studies/" + sample.Study + "/series/" + sample.Series + "/instances/" + uid
		if a := (call{service: "medical-imaging", method: "GET", path: path + "/frames/1"}).send(t, g); a.status < 400 || a.status > 499 {
			t.Errorf("a frame of %s: %d %.300s", name, a.status, a.body)
		}
		a := call{service: "medical-imaging", method: "GET", path: path, header: map[string]string{"Accept": `multipart/related; type="application/dicom"; transfer-syntax=*`}}.send(t, g)
		if a.status != 200 || !strings.Contains(a.body, body[len(body)-2*sample.Side*sample.Side:]) {
			t.Errorf("%s comes back as %d, %d bytes", name, a.status, len(a.body))
		}
	}
	for name, body := range bad {
		a := stowCall(t, store, []byte(body)).send(t, g)
		if a.status != 409 && a.status != 400 || !strings.Contains(a.header.Get("Content-Type"), "dicom+json") || a.status == 409 && !strings.Contains(a.body, "00081198") {
			t.Errorf("STOW of %s: %d %s %.300s", name, a.status, a.header.Get("Content-Type"), a.body)
		}
		if a.header.Get("X-Amzn-Requestid") == "" {
			t.Errorf("STOW of %s has no request id", name)
		}
		j.put("images/"+name+".dcm", body)
	}
	if a := stowCall(t, store, good, []byte(bad["junk"])).send(t, g); a.status != 202 || !strings.Contains(a.body, "00081198") || !strings.Contains(a.body, "00081199") {
		t.Errorf("STOW of one good and one bad: %d %.300s", a.status, a.body)
	}
	other := stowCall(t, store, good)
	other.body = other.body[:len(other.body)-10] // the last boundary is not whole
	if a := other.send(t, g); a.status < 400 || a.status > 499 {
		t.Errorf("a multipart without its end: %d %.300s", a.status, a.body)
	}

	j.put("images/good.dcm", string(sample.Slice(10, "GOOD")))
	job := call{service: "medical-imaging", path: "/startDICOMImportJob/datastore/" + store, header: map[string]string{"Content-Type": "application/json"},
		body: fmt.Sprintf(`{"dataAccessRoleArn":%q,"clientToken":"t","inputS3Uri":"s3://imports/images/","outputS3Uri":"s3://imports/images-out/"}`, j.role)}.send(t, g).accepted(t, "an import").field(t, "jobId")
	var p struct {
		JobProperties struct{ JobStatus, OutputS3Uri, Message string }
	}
	until(t, "the import of images is over", func() bool {
		a := call{service: "medical-imaging", method: "GET", path: "/getDICOMImportJob/datastore/" + store + "/job/" + job}.send(t, g).accepted(t, "the job")
		if err := json.Unmarshal([]byte(a.body), &p); err != nil {
			t.Fatal(err)
		}
		return p.JobProperties.JobStatus == "COMPLETED" || p.JobProperties.JobStatus == "FAILED"
	})
	manifest := j.s3("GET", "/imports/"+strings.TrimPrefix(p.JobProperties.OutputS3Uri, "s3://imports/")+"job-output-manifest.json", "")
	if !strings.Contains(manifest.body, fmt.Sprintf(`"numberOfFilesWithCustomerError": %d`, len(bad))) || !strings.Contains(manifest.body, `"numberOfImportedFiles": 1`) {
		t.Errorf("the job is %+v: %s", p.JobProperties, manifest.body)
	}
	a := call{service: "medical-imaging", method: "GET", path: "/datastore/" + store + "/instances"}.send(t, g)
	if n := strings.Count(a.body, `"00080018"`); n != 2+len(doubtful) {
		t.Errorf("%d instances are found, want the two good ones and %d doubtful: %d %.500s", n, len(doubtful), a.status, a.body)
	}
	sound(t, g)
}
