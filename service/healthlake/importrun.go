package healthlake

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"strconv"
	"sync"
	"time"

	api "github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/s3files"
	"github.com/galen-health/galen/standard/fhir"
)

// An import goes in segments. A segment is some megabytes of lines, from one file or many; its lines are dealt in chunks to workers, each
// chunk one batch of the record store. When all chunks of a segment are durable, its lines of the report are written to S3, and only
// then the checkpoint says where the next begins. A crash repeats at most one segment: resources that are there already with the same
// content get no new version, and its report objects are written again under the same names.
const (
	segmentBytes = 8 << 20
	chunkBytes   = 1 << 20
	chunkLines   = 500
	maxLine      = maxResource
)

// importState is the checkpoint.
type importState struct {
	Files   []s3files.File
	File    int   // the one to go on with
	Offset  int64 // in it
	Line    int64 // lines before Offset
	Bad     bool  // the file had errors before Offset
	Segment int
	Done    progress
}

// chunk is a run of lines of one file, and what became of them.
type chunk struct {
	file             int
	lines            []line
	size             int
	success, failure bytes.Buffer
	imported         int64
	bytes            int64
	customer, server int64
	err              error // nothing of the chunk is stored
}

type line struct {
	number int64
	body   []byte
	long   bool
}

// workers that store chunks: more than processors, since each waits for the disk at the end of its batch.
func workers() int { return 2 * runtime.GOMAXPROCS(0) }

func (s *Service) runImport(ctx context.Context, r job.Run) error {
	j, err := s.changeImport(ctx, r.ID(), func(tx record.Tx, j *importJob) error {
		if j.Status == api.JobStatusInProgress {
			return nil
		}
		j.Status = api.JobStatusInProgress
		return s.importEvent(tx, "Import Job In Progress", j)
	})
	if err != nil {
		return err
	}
	if _, err := s.active(ctx, j.Store); err != nil {
		return err
	}
	asRole, err := s.cfg.Roles.As(ctx, j.Role, servicePrincipal, "healthlake-"+j.ID)
	if err != nil {
		return err
	}
	var st importState
	if found, err := r.Checkpoint(&st); err != nil {
		return err
	} else if !found {
		if st.Files, err = s3files.List(asRole, s.cfg.S3, j.Input, most); err != nil {
			return err
		}
		st.Done.Started = time.Now()
		st.Done.Files = int64(len(st.Files))
	}
	bucket, _, err := s3files.Parse(j.Input)
	if err != nil {
		return err
	}
	src := &lineSource{open: func(f s3files.File, offset int64) (io.ReadCloser, error) {
		return s3files.Open(asRole, s.cfg.S3, bucket, f, offset)
	}, st: &st}
	defer src.close()
	for !src.done() {
		if err := s.importSegment(ctx, asRole, j, src); err != nil {
			return err
		}
		st.Segment++
		st.Done.Updated = time.Now()
		if err := r.Save(ctx, &st); err != nil {
			return err
		}
		if _, err := s.changeImport(ctx, j.ID, func(_ record.Tx, j *importJob) error { j.Progress = st.Done; return nil }); err != nil {
			return err
		}
		r.Progress(int64(st.File), int64(len(st.Files)), "files")
	}
	if err := s.manifest(asRole, j, &st.Done); err != nil {
		return err
	}
	_, err = s.changeImport(ctx, j.ID, func(tx record.Tx, j *importJob) error {
		j.Status, j.Ended, j.Progress = api.JobStatusCompleted, tx.Time(), st.Done
		detail := "Import Job Completed"
		if st.Done.CustomerErrors+st.Done.ServerErrors+st.Done.FilesFailed > 0 {
			j.Status, detail = api.JobStatusCompletedWithErrors, "Import Job Completed With Errors"
		}
		if err := s.importEvent(tx, detail, j); err != nil {
			return err
		}
		return r.Finish(tx)
	})
	return err
}

// importSegment imports the next lines of the source and writes their report.
func (s *Service) importSegment(ctx, asRole context.Context, j *importJob, src *lineSource) error {
	work := make(chan *chunk)
	var chunks []*chunk
	var wg sync.WaitGroup
	for range workers() {
		wg.Go(func() {
			r := new(reader)
			for c := range work {
				s.importChunk(ctx, j, r, c)
			}
		})
	}
	var readErr error
	for total := 0; total < segmentBytes && readErr == nil; {
		var c *chunk
		if c, readErr = src.next(); readErr == nil && c != nil {
			total += c.size
			chunks = append(chunks, c)
			work <- c
		}
		if c == nil {
			break
		}
	}
	close(work)
	wg.Wait()
	if readErr != nil {
		return readErr
	}
	st := src.st
	reports := map[string]*bytes.Buffer{}
	for _, c := range chunks {
		if c.err != nil {
			return c.err
		}
		d := &st.Done
		d.Scanned += int64(len(c.lines))
		d.Imported += c.imported
		d.CustomerErrors += c.customer
		d.ServerErrors += c.server
		d.ScannedBytes += int64(c.size)
		d.ImportedBytes += c.bytes
		name := reportName(j.Input, st.Files[c.file].Key, st.Segment)
		for folder, b := range map[string]*bytes.Buffer{"SUCCESS/": &c.success, "FAILURE/": &c.failure} {
			if b.Len() > 0 {
				if reports[folder+name] == nil {
					reports[folder+name] = new(bytes.Buffer)
				}
				reports[folder+name].Write(b.Bytes())
			}
		}
		if c.customer+c.server > 0 {
			src.bad[c.file] = true
		}
	}
	for name, b := range reports {
		if err := s.write(asRole, j.report(), name, "application/x-ndjson", b.Bytes()); err != nil {
			return err
		}
	}
	src.settle()
	return nil
}

// attempts that a chunk gets when somebody else writes the same resources at the same time.
const attempts = 5

// importChunk stores the valid resources of a chunk in one batch and notes the outcome of each line.
func (s *Service) importChunk(ctx context.Context, j *importJob, r *reader, c *chunk) {
	if len(c.lines) == 0 {
		return
	}
	ready := make([]*prepared, len(c.lines))
	for i, l := range c.lines {
		if l.long {
			c.fail(l.number, errs.New(errs.TooLarge, "the line is longer than %d bytes", maxLine))
			continue
		}
		p, err := r.read(l.body, "", "", level(j.Level))
		if err == nil && !fhir.IsID(p.id) {
			err = fhir.Issues{{Severity: "error", Code: "required", Diagnostics: "Missing required id field in resource json", Expression: p.typ + ".id"}}
		}
		if err != nil {
			c.fail(l.number, err)
			continue
		}
		ready[i] = p
	}
	versions := make([]int64, len(ready))
	created := make([]bool, len(ready))
	var commit record.Commit
	var err error
	for range attempts {
		commit, err = s.records.Update(ctx, space(j.Store), nil, func(tx record.Tx) error {
			for i, p := range ready {
				if p == nil {
					continue
				}
				expect := record.Absent
				cur, err := tx.Get(kindOf(p.typ), p.id)
				switch {
				case err == nil && bytes.Equal(cur.Body, p.body):
					versions[i], created[i] = cur.Version, false
					continue
				case err == nil:
					expect = record.Expect(cur.Version)
				case !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Gone):
					return err
				}
				created[i] = expect == record.Absent
				if versions[i], err = tx.Put(record.Put{Kind: kindOf(p.typ), ID: p.id, Body: p.body, Entries: p.entries, Expect: expect}); err != nil {
					return err
				}
			}
			return nil
		})
		if !errs.Is(err, errs.Conflict) && !errs.Is(err, errs.Precondition) {
			break
		}
	}
	if err != nil {
		c.err = err
		return
	}
	for i, p := range ready {
		if p == nil {
			continue
		}
		c.imported++
		c.bytes += int64(len(c.lines[i].body))
		status := 200
		if created[i] {
			status = 201
		}
		head := `{"resourceType":"` + p.typ + `","id":"` + p.id + `","meta":{"versionId":"` + strconv.FormatInt(versions[i], 10) + `","lastUpdated":"` + fhir.FormatInstant(commit.Time) + `"}}`
		reportLine(&c.success, c.lines[i].number, []byte(head), status)
	}
}

func (c *chunk) fail(number int64, err error) {
	status, body := outcome(err)
	if status >= 500 {
		c.server++
	} else {
		c.customer++
	}
	reportLine(&c.failure, number, body, status)
}
