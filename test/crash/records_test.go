package crash_test

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/galen-health/galen/aws/healthlake"
)

// resources in a round's import, in files.
const (
	importFiles = 10
	importLines = 200
)

// records are the jobs of HealthLake: import, and export of all that was imported.
func (s *site) records() []work {
	c := healthlake.NewClient(s.g.Client())
	made, err := c.CreateFHIRDatastore(s.t.Context(), &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4})
	if err != nil {
		s.t.Fatal(err)
	}
	store := made.DatastoreId
	await(s.t, "the FHIR data store", func() bool {
		d, err := c.DescribeFHIRDatastore(s.t.Context(), &healthlake.DescribeFHIRDatastoreInput{DatastoreId: store})
		if err != nil {
			s.t.Fatal(err)
		}
		return d.DatastoreProperties.DatastoreStatus == healthlake.DatastoreStatusActive
	})
	to := func(n int, what string) *healthlake.OutputDataConfig {
		return &healthlake.OutputDataConfig{S3Configuration: &healthlake.S3Configuration{S3Uri: fmt.Sprintf("s3://jobs/%s-out/%d/", what, n), KmsKeyId: s.key}}
	}
	imported := 0 // rounds
	return []work{{
		name: "healthlake import",
		prepare: func(n int) {
			for f := range importFiles {
				var b bytes.Buffer
				for i := range importLines {
					fmt.Fprintf(&b, `{"resourceType":"Patient","id":"r%d-%d","identifier":[{"system":"urn:round:%d","value":"%d"}],"name":[{"family":"F%d"}],"birthDate":"1980-01-01"}`+"\n", n, f*importLines+i, n, f*importLines+i, i)
				}
				s.put(fmt.Sprintf("fhir-in/%d/%d.ndjson", n, f), b.Bytes())
			}
		},
		start: func(n int) string {
			out, err := c.StartFHIRImportJob(s.t.Context(), &healthlake.StartFHIRImportJobInput{DatastoreId: store, DataAccessRoleArn: s.role, ClientToken: fmt.Sprint("import", n),
				InputDataConfig: &healthlake.InputDataConfig{S3Uri: fmt.Sprintf("s3://jobs/fhir-in/%d/", n)}, JobOutputDataConfig: to(n, "fhir")})
			if err != nil {
				s.t.Fatal(err)
			}
			return out.JobId
		},
		state: func(id string) string {
			d, err := c.DescribeFHIRImportJob(s.t.Context(), &healthlake.DescribeFHIRImportJobInput{DatastoreId: store, JobId: id})
			if err != nil {
				return err.Error()
			}
			return stateOf(d.ImportJobProperties.JobStatus, d.ImportJobProperties.Message, nil)
		},
		check: func(n int, id string) {
			imported++
			d, err := c.DescribeFHIRImportJob(s.t.Context(), &healthlake.DescribeFHIRImportJobInput{DatastoreId: store, JobId: id})
			if err != nil {
				s.t.Fatal(err)
			}
			if r := d.ImportJobProperties.JobProgressReport; *r.TotalNumberOfResourcesImported != importFiles*importLines || *r.TotalNumberOfResourcesScanned != importFiles*importLines || *r.TotalNumberOfImportedFiles != importFiles {
				s.t.Errorf("import %d: the report says %d of %d resources in %d files", n, *r.TotalNumberOfResourcesImported, *r.TotalNumberOfResourcesScanned, *r.TotalNumberOfImportedFiles)
			}
			seen := map[string]bool{}
			for _, e := range s.pages(store, fmt.Sprintf("Patient?identifier=urn:round:%d%%7C&_count=100", n)) {
				r := e["resource"].(map[string]any)
				if v := r["meta"].(map[string]any)["versionId"]; v != "1" || seen[r["id"].(string)] {
					s.t.Errorf("import %d: %v has version %v", n, r["id"], v)
				}
				seen[r["id"].(string)] = true
			}
			if len(seen) != importFiles*importLines {
				s.t.Errorf("import %d: %d resources are found, want %d", n, len(seen), importFiles*importLines)
			}
		},
	}, {
		name:    "healthlake export",
		prepare: func(int) {},
		start: func(n int) string {
			out, err := c.StartFHIRExportJob(s.t.Context(), &healthlake.StartFHIRExportJobInput{DatastoreId: store, DataAccessRoleArn: s.role, ClientToken: fmt.Sprint("export", n), OutputDataConfig: to(n, "export")})
			if err != nil {
				s.t.Fatal(err)
			}
			return out.JobId
		},
		state: func(id string) string {
			d, err := c.DescribeFHIRExportJob(s.t.Context(), &healthlake.DescribeFHIRExportJobInput{DatastoreId: store, JobId: id})
			if err != nil {
				return err.Error()
			}
			return stateOf(d.ExportJobProperties.JobStatus, d.ExportJobProperties.Message, nil)
		},
		check: func(n int, _ string) {
			seen, twice := map[string]int{}, 0
			for key, b := range s.objects(fmt.Sprintf("export-out/%d/", n)) {
				if !strings.Contains(key, "Patient") {
					continue
				}
				for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
					_, id, _ := strings.Cut(line, `"id":"`)
					id, _, _ = strings.Cut(id, `"`)
					if seen[id]++; seen[id] > 1 {
						twice++
					}
				}
			}
			if want := imported * importFiles * importLines; len(seen) != want || twice > 0 {
				s.t.Errorf("export %d: %d patients, %d of them twice, want %d", n, len(seen), twice, want)
			}
		},
	}}
}

// pages follows a search to its end.
func (s *site) pages(store, query string) (entries []map[string]any) {
	s.t.Helper()
	for query != "" {
		bundle := s.fhir(store, query)
		list, _ := bundle["entry"].([]any)
		for _, e := range list {
			entries = append(entries, e.(map[string]any))
		}
		query = ""
		links, _ := bundle["link"].([]any)
		for _, l := range links {
			if link := l.(map[string]any); link["relation"] == "next" {
				_, query, _ = strings.Cut(link["url"].(string), "/r4/")
			}
		}
	}
	return entries
}
