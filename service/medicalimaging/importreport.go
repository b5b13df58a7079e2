package medicalimaging

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/galen-health/galen/platform/errs"
)

// reportLine is what the reports say of one file: where its image is, what was found wrong in it, or why it is nowhere.
type reportLine struct {
	File      string           `json:"inputFile"`
	Response  any              `json:"importResponse,omitempty"`
	Exception *reportException `json:"exception,omitempty"`
}

type reportException struct {
	Type    string `json:"exceptionType"`
	Message string `json:"message"`
}

type reportPlace struct {
	Set     string `json:"imageSetId"`
	Primary bool   `json:"isPrimary"`
}

type reportWarned struct {
	Set      string          `json:"imageSetId"`
	Version  int64           `json:"imageSetVersion"`
	Primary  bool            `json:"isPrimary"`
	Warnings []reportWarning `json:"warnings"`
}

type reportWarning struct {
	Code    int    `json:"warning_reason_code"`
	Type    string `json:"type"`
	Message string `json:"message"`
}

// report writes the manifest and the lists of files (developer guide, "Understanding import jobs").
func (s *Service) report(ctx context.Context, j *importJob, st *importState) error {
	var success, failure, warnings bytes.Buffer
	var n manifestCounts
	for i, f := range st.Results {
		l := reportLine{File: st.Files[i].Key}
		to := &success
		switch f.Type {
		case "":
			n.imported++
			l.Response = reportPlace{f.Set, f.Primary}
		case "InternalServerException":
			n.server++
			l.Exception, to = &reportException{f.Type, f.Message}, &failure
		default:
			n.customer++
			l.Exception, to = &reportException{f.Type, f.Message}, &failure
		}
		if err := json.NewEncoder(to).Encode(l); err != nil {
			return errs.Wrap(errs.Internal, err, "the report cannot be written")
		}
		if len(f.Warnings) > 0 {
			w := reportWarned{f.Set, f.Version, f.Primary, nil}
			for _, one := range f.Warnings {
				w.Warnings = append(w.Warnings, reportWarning(one))
			}
			if err := json.NewEncoder(&warnings).Encode(reportLine{File: l.File, Response: w}); err != nil {
				return errs.Wrap(errs.Internal, err, "the report cannot be written")
			}
		}
	}
	for name, b := range map[string]*bytes.Buffer{"SUCCESS/success.ndjson": &success, "FAILURE/failure.ndjson": &failure, "WARNING/warning.ndjson": &warnings} {
		if b.Len() > 0 {
			if err := s.write(ctx, j.Output+name, "application/x-ndjson", b.Bytes()); err != nil {
				return err
			}
		}
	}
	return s.manifest(ctx, j, st, n)
}

// manifestCounts are the files of a job by what became of them.
type manifestCounts struct{ imported, customer, server int }

// manifest writes job-output-manifest.json, the last of a job's files.
func (s *Service) manifest(ctx context.Context, j *importJob, st *importState, n manifestCounts) error {
	type sum struct {
		ID      string `json:"imageSetId"`
		Matched int    `json:"numberOfMatchedSOPInstances"`
	}
	sets := []sum{}
	for _, id := range st.Order {
		sets = append(sets, sum{id, st.Sets[id].Instances})
	}
	doc, err := json.MarshalIndent(map[string]any{"jobSummary": struct {
		ID       string `json:"jobId"`
		Store    string `json:"datastoreId"`
		Input    string `json:"inputS3Uri"`
		Output   string `json:"outputS3Uri"`
		Success  string `json:"successOutputS3Uri"`
		Failure  string `json:"failureOutputS3Uri"`
		Warnings string `json:"warningsOutputS3Uri"`
		Scanned  int    `json:"numberOfScannedFiles"`
		Imported int    `json:"numberOfImportedFiles"`
		Customer int    `json:"numberOfFilesWithCustomerError"`
		Server   int    `json:"numberOfFilesWithServerError"`
		Sets     int    `json:"numberOfGeneratedImageSets"`
		Summary  []sum  `json:"imageSetsSummary"`
	}{j.ID, j.Store, j.Input, j.Output, j.Output + "SUCCESS/", j.Output + "FAILURE/", j.Output + "WARNING/", len(st.Files), n.imported, n.customer, n.server, len(sets), sets}}, "", "  ")
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the manifest cannot be written")
	}
	return s.write(ctx, j.Output+"job-output-manifest.json", "application/json", doc)
}
