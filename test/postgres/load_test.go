package postgres_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/events"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/test/sample"
)

// load writes to all servers at once and keeps what they acknowledged.
type load struct {
	*trio
	stop chan struct{}
	work sync.WaitGroup

	mu       sync.Mutex
	patients map[string]string   // id by name
	objects  map[string][32]byte // sum of the body by key
	events   map[string]string   // event id by what it says
	jobs     []*importing
	refused  int
}

// importing is an import job.
type importing struct {
	n    int
	dicm bool
	id   string
}

// What a job imports.
const (
	jobFiles = 3
	jobLines = 30
	jobSlice = 6
)

// begin starts the writers.
func (r *trio) begin() *load {
	l := &load{trio: r, stop: make(chan struct{}), patients: map[string]string{}, objects: map[string][32]byte{}, events: map[string]string{}}
	for w := range 3 {
		l.goOn(func(n int) error { return l.patient(fmt.Sprintf("p%d-%d", w, n)) })
		l.goOn(func(n int) error { return l.object(fmt.Sprintf("load/%d/%d", w, n), w == 0 && n%8 == 0) })
	}
	l.goOn(func(n int) error { return l.event(fmt.Sprint("e", n)) })
	l.goOn(func(n int) error { return l.job(n) })
	return l
}

// goOn calls fn until the load ends.
func (l *load) goOn(fn func(n int) error) {
	l.work.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-l.stop:
				return
			default:
			}
			if err := fn(n); err != nil {
				l.mu.Lock()
				l.refused++
				l.mu.Unlock()
				time.Sleep(20 * time.Millisecond)
			}
		}
	})
}

// end stops the writers and returns when the last one has.
func (l *load) end() {
	close(l.stop)
	l.work.Wait()
}

// count is how much was acknowledged.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.patients) + len(l.objects) + len(l.events)
}

// limit bounds a call: longer than any server may take to answer.
const limit = time.Minute

func (l *load) patient(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	status, b, err := l.send(ctx, l.once(), "POST", "Patient", bytes.NewReader(fmt.Appendf(nil, `{"resourceType":"Patient","identifier":[{"system":"urn:n","value":"%s"}]}`, name)))
	var made struct{ ID string }
	switch {
	case err != nil:
		return err
	case status != 201:
		return fmt.Errorf("%d", status)
	}
	if err := json.Unmarshal(b, &made); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.patients[name] = made.ID
	return nil
}

// object puts an object; a large one is more than one part at the S3.
func (l *load) object(key string, large bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	b := make([]byte, rand.IntN(100<<10))
	if large {
		b = make([]byte, 9<<20)
	}
	for i := range b {
		b[i] = byte(i) ^ key[len(key)-1-i%len(key)]
	}
	if _, err := s3.NewClient(l.once()).PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(b), ContentLength: aws.Ptr(int64(len(b)))}); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.objects[key] = sha256.Sum256(b)
	return nil
}

func (l *load) event(n string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := events.NewClient(l.once()).PutEvents(ctx, &events.PutEventsInput{Entries: []events.PutEventsRequestEntry{{Source: "load", DetailType: "said", Detail: fmt.Sprintf(`{"n":%q}`, n)}}})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events[n] = out.Entries[0].EventId
	return nil
}

// job prepares and starts an import, of FHIR and of DICOM in turn; every call is made again until it is acknowledged: the start with the same token, so there is
// one job.
func (l *load) job(n int) error {
	j := &importing{n: n, dicm: n%2 == 1}
	in, out := fmt.Sprintf("in/%d/", n), fmt.Sprintf("s3://%s/out/%d/", bucket, n)
	put := func(name string, b []byte) {
		l.untilDone(func(ctx context.Context) error {
			_, err := s3.NewClient(l.once()).PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: in + name, Body: bytes.NewReader(b), ContentLength: aws.Ptr(int64(len(b)))})
			return err
		})
	}
	if j.dicm {
		for i := range jobSlice {
			put(fmt.Sprint(i, ".dcm"), sample.Slice(i+1, "P", func(d *dicom.Dataset) {
				d.SetStrings(dicom.TagStudyInstanceUID, study(n))
				d.SetStrings(dicom.TagSeriesInstanceUID, study(n)+".1")
				d.SetStrings(dicom.TagSOPInstanceUID, fmt.Sprintf("%s.1.%d", study(n), i+1))
			}))
		}
		l.untilDone(func(ctx context.Context) error {
			made, err := medicalimaging.NewClient(l.once()).StartDICOMImportJob(ctx, &medicalimaging.StartDICOMImportJobInput{DatastoreId: l.images, DataAccessRoleArn: l.role, ClientToken: fmt.Sprint("j", n), InputS3Uri: "s3://" + bucket + "/" + in, OutputS3Uri: out})
			if err == nil {
				j.id = made.JobId
			}
			return err
		})
	} else {
		for f := range jobFiles {
			var b bytes.Buffer
			for i := range jobLines {
				fmt.Fprintf(&b, `{"resourceType":"Patient","id":"j%d-%d","identifier":[{"system":"urn:job:%d","value":"%d"}]}`+"\n", n, f*jobLines+i, n, i)
			}
			put(fmt.Sprint(f, ".ndjson"), b.Bytes())
		}
		l.untilDone(func(ctx context.Context) error {
			made, err := healthlake.NewClient(l.once()).StartFHIRImportJob(ctx, &healthlake.StartFHIRImportJobInput{DatastoreId: l.fhir, DataAccessRoleArn: l.role, ClientToken: fmt.Sprint("j", n), InputDataConfig: &healthlake.InputDataConfig{S3Uri: "s3://" + bucket + "/" + in},
				JobOutputDataConfig: &healthlake.OutputDataConfig{S3Configuration: &healthlake.S3Configuration{S3Uri: out, KmsKeyId: l.key}}})
			if err == nil {
				j.id = made.JobId
			}
			return err
		})
	}
	l.mu.Lock()
	l.jobs = append(l.jobs, j)
	l.mu.Unlock()
	l.untilDone(func(ctx context.Context) error { // one at a time, unless its server died
		state, err := l.state(ctx, j)
		if err == nil && state == "" {
			select {
			case <-l.stop:
			case <-time.After(100 * time.Millisecond):
				return errAgain
			}
		}
		return nil
	})
	return nil
}

var errAgain = fmt.Errorf("again")

func study(n int) string { return fmt.Sprintf("%s.7%d", sample.Study, n) }

// untilDone calls fn until it succeeds.
func (l *load) untilDone(fn func(context.Context) error) {
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		err := fn(ctx)
		cancel()
		if err == nil {
			return
		}
	}
	l.t.Error("a call was refused for five minutes")
}

// state is "" while a job runs.
func (r *trio) state(ctx context.Context, j *importing) (string, error) {
	var state string
	if j.dicm {
		d, err := medicalimaging.NewClient(r.once()).GetDICOMImportJob(ctx, &medicalimaging.GetDICOMImportJobInput{DatastoreId: r.images, JobId: j.id})
		if err != nil {
			return "", err
		}
		state = string(d.JobProperties.JobStatus)
	} else {
		d, err := healthlake.NewClient(r.once()).DescribeFHIRImportJob(ctx, &healthlake.DescribeFHIRImportJobInput{DatastoreId: r.fhir, JobId: j.id})
		if err != nil {
			return "", err
		}
		state = string(d.ImportJobProperties.JobStatus)
	}
	if state == "SUBMITTED" || state == "IN_PROGRESS" {
		return "", nil
	}
	return state, nil
}

// body reads an object from a server and returns its sum.
func (r *trio) body(i int, key string) (sum [32]byte, err error) {
	out, err := s3.NewClient(r.servers[i].Client()).GetObject(r.t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		return sum, err
	}
	defer out.Body.Close() //nolint:errcheck // read
	h := sha256.New()
	_, err = io.Copy(h, out.Body)
	return [32]byte(h.Sum(nil)), err
}
