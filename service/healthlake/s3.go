package healthlake

import (
	"bytes"
	"context"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/s3files"
)

// most bounds an import, as HealthLake's quota did.
var most = s3files.Most{Files: 10_000}

// report is where a job writes: its folder below the URI that the caller gave, under the caller's key.
type report struct{ output, kmsKey, folder string }

// write puts one object of a job's report.
func (s *Service) write(ctx context.Context, to report, name, contentType string, body []byte) error {
	bucket, prefix, err := s3files.Parse(to.output)
	if err != nil {
		return err
	}
	_, err = s.cfg.S3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: s3files.Join(prefix, to.folder) + name, Body: bytes.NewReader(body), ContentLength: aws.Ptr(int64(len(body))), ContentType: contentType,
		ServerSideEncryption: s3.ServerSideEncryptionAwsKms, SSEKMSKeyId: to.kmsKey,
	})
	return err
}
