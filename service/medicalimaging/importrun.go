package medicalimaging

import (
	"context"
	"runtime"
	"sync"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/s3files"
)

// An import goes in rounds: some files are prepared at once, placed in one batch for each of their studies, and then the checkpoint says what
// became of them. A crash repeats at most one round; what is there already, byte for byte, is found and left as it is.
const (
	roundFiles = 64
	roundBytes = 256 << 20
)

// importState is the checkpoint.
type importState struct {
	Files   []s3files.File
	Next    int
	Results []fileResult
	Sets    map[string]*setResult
	Order   []string // of the sets
}

// fileResult is what became of a file: a place, or an error.
type fileResult struct {
	Set      string    `json:",omitempty"`
	Version  int64     `json:",omitempty"`
	Primary  bool      `json:",omitempty"`
	Warnings []warning `json:",omitempty"`
	Type     string    `json:",omitempty"` // exception
	Message  string    `json:",omitempty"`
}

type setResult struct{ Instances int }

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
	d, err := s.active(ctx, j.Store)
	if err != nil {
		return err
	}
	asRole, err := s.cfg.Roles.As(ctx, j.Role, servicePrincipal, "medical-imaging-"+j.ID)
	if err != nil {
		return err
	}
	st := importState{Sets: map[string]*setResult{}}
	if found, err := r.Checkpoint(&st); err != nil {
		return err
	} else if !found {
		if st.Files, err = s3files.List(asRole, s.cfg.S3, j.Input, most); err != nil {
			return err
		}
	}
	for st.Next < len(st.Files) {
		if err := s.importRound(ctx, asRole, d, j, &st); err != nil {
			return err
		}
		if err := r.Save(ctx, &st); err != nil {
			return err
		}
		r.Progress(int64(st.Next), int64(len(st.Files)), "files")
	}
	if err := s.report(asRole, j, &st); err != nil {
		return err
	}
	_, err = s.changeImport(ctx, j.ID, func(tx record.Tx, j *importJob) error {
		j.Status, j.Ended = api.JobStatusCompleted, tx.Time()
		if err := s.importEvent(tx, "Import Job Completed", j); err != nil {
			return err
		}
		return r.Finish(tx)
	})
	return err
}

// importRound imports the next files.
func (s *Service) importRound(ctx, asRole context.Context, d *datastore, j *importJob, st *importState) error {
	bucket, _, err := s3files.Parse(j.Input)
	if err != nil {
		return err
	}
	end, size := st.Next, int64(0)
	for end < len(st.Files) && end-st.Next < roundFiles && (end == st.Next || size+st.Files[end].Size <= roundBytes) {
		size += st.Files[end].Size
		end++
	}
	files := st.Files[st.Next:end]
	ready := make([]*prepared, len(files))
	results := make([]fileResult, len(files))
	fatal := make([]error, len(files))
	work := make(chan int)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range work {
				p, err := s.fetch(ctx, asRole, d, bucket, files[i])
				switch {
				case err == nil:
					ready[i] = p
				case retry(ctx, err):
					fatal[i] = err
				default:
					results[i] = failed(err)
				}
			}
		})
	}
	for i := range files {
		work <- i
	}
	close(work)
	wg.Wait()
	for _, err := range fatal {
		if err != nil {
			return err
		}
	}
	var list []*prepared
	var at []int
	for i, p := range ready {
		if p != nil {
			list, at = append(list, p), append(at, i)
		}
	}
	places, err := s.commit(ctx, d, list)
	if err != nil {
		return err
	}
	for k, o := range places {
		results[at[k]] = fileResult{Set: o.Set, Version: o.Version, Primary: o.Primary, Warnings: list[k].Warnings}
		if st.Sets[o.Set] == nil {
			st.Sets[o.Set] = &setResult{}
			st.Order = append(st.Order, o.Set)
		}
		st.Sets[o.Set].Instances++
	}
	st.Results = append(st.Results, results...)
	st.Next = end
	return nil
}

// fetch reads a file from S3 and prepares it.
func (s *Service) fetch(ctx, asRole context.Context, d *datastore, bucket string, f s3files.File) (*prepared, error) {
	if f.Size > maxObject {
		return nil, errs.New(errs.Invalid, "the file has %d bytes, the most is %d", f.Size, int64(maxObject))
	}
	body, err := s3files.Open(asRole, s.cfg.S3, bucket, f, 0)
	if err != nil {
		return nil, err
	}
	defer body.Close() //nolint:errcheck // only read
	o, done, err := s.gather(ctx, d, body)
	if err != nil {
		return nil, err
	}
	defer done()
	return s.prepare(ctx, d, o)
}

// retry tells failures of the moment, which end the attempt, from those of the file.
func retry(ctx context.Context, err error) bool {
	switch errs.CodeOf(err) {
	case errs.Unavailable, errs.Timeout, errs.Throttled, errs.Internal:
		return true
	}
	return ctx.Err() != nil
}

func failed(err error) fileResult {
	e := errs.As(err)
	name := map[errs.Code]string{errs.Invalid: "ValidationException", errs.TooLarge: "ValidationException", errs.NotFound: "ResourceNotFoundException",
		errs.Denied: "AccessDeniedException", errs.Conflict: "ConflictException"}[e.Code]
	if name == "" {
		name = "InternalServerException"
	}
	return fileResult{Type: name, Message: e.Message}
}
