package healthlake

import (
	"bytes"
	"context"
	"encoding/json"
	"path"
	"strconv"
	"strings"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/s3files"
)

// reportName names the report of a file's part in a segment after the file, relative to the input prefix.
func reportName(input, key string, segment int) string {
	_, prefix, _ := s3files.Parse(input)
	rel := strings.TrimPrefix(key, prefix)
	if rel == "" || !strings.HasSuffix(prefix, "/") && prefix != "" {
		rel = path.Base(key)
	}
	return strings.TrimPrefix(rel, "/") + "-" + strconv.Itoa(segment) + ".ndjson"
}

// reportLine writes a line of the SUCCESS or FAILURE files.
func reportLine(b *bytes.Buffer, number int64, blob []byte, status int) {
	b.WriteString(`{"lineId":`)
	b.WriteString(strconv.FormatInt(number, 10))
	b.WriteString(`,"UpdateResourceResponse":{"jsonBlob":`)
	b.Write(blob)
	b.WriteString(`,"statusCode":`)
	b.WriteString(strconv.Itoa(status))
	b.WriteString("}}\n")
}

// manifest writes manifest.json at the end.
func (s *Service) manifest(ctx context.Context, j *importJob, p *progress) error {
	type uri struct {
		URI string `json:"s3Uri"`
	}
	bucket, prefix, err := s3files.Parse(j.Output)
	if err != nil {
		return err
	}
	folder := "s3://" + bucket + "/" + s3files.Join(prefix, j.report().folder)
	b, err := json.MarshalIndent(struct {
		Input  uri `json:"inputDataConfig"`
		Output struct {
			uri
			Key string `json:"encryptionKeyID"`
		} `json:"outputDataConfig"`
		Success struct {
			URI string `json:"successOutputS3Uri"`
		} `json:"successOutput"`
		Failure struct {
			URI string `json:"failureOutputS3Uri"`
		} `json:"failureOutput"`
		Files          int64   `json:"numberOfScannedFiles"`
		FilesImported  int64   `json:"numberOfFilesImported"`
		SizeScanned    float64 `json:"sizeOfScannedFilesInMB"`
		SizeImported   float64 `json:"sizeOfDataImportedSuccessfullyInMB"`
		Scanned        int64   `json:"numberOfResourcesScanned"`
		Imported       int64   `json:"numberOfResourcesImportedSuccessfully"`
		CustomerErrors int64   `json:"numberOfResourcesWithCustomerError"`
		ServerErrors   int64   `json:"numberOfResourcesWithServerError"`
	}{
		Input: uri{j.Input},
		Output: struct {
			uri
			Key string `json:"encryptionKeyID"`
		}{uri{j.Output}, j.OutputKey},
		Success: struct {
			URI string `json:"successOutputS3Uri"`
		}{folder + "SUCCESS/"},
		Failure: struct {
			URI string `json:"failureOutputS3Uri"`
		}{folder + "FAILURE/"},
		Files: p.Files, FilesImported: p.FilesDone, SizeScanned: megabytes(p.ScannedBytes), SizeImported: megabytes(p.ImportedBytes),
		Scanned: p.Scanned, Imported: p.Imported, CustomerErrors: p.CustomerErrors, ServerErrors: p.ServerErrors,
	}, "", "  ")
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the manifest cannot be written")
	}
	return s.write(ctx, j.report(), "manifest.json", "application/json", b)
}
