package ingest

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/sniff"
)

// ledger remembers on the server what was taken: one object a content hash. It holds ids and hashes, never content or file names.
type ledger struct {
	objects s3.Service
	bucket  string
}

// entry is one object of the ledger.
type entry struct {
	Kind  sniff.Kind `json:"kind"`
	Where string     `json:"where"`
	Time  time.Time  `json:"time"`
}

func openLedger(ctx context.Context, objects s3.Service, bucket string) (*ledger, error) {
	if _, err := objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}); err != nil && errs.As(err).Name != "BucketAlreadyOwnedByYou" {
		return nil, err
	}
	return &ledger{objects, bucket}, nil
}

func (l *ledger) find(ctx context.Context, key string) (*entry, error) {
	out, err := l.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: l.bucket, Key: "ledger/" + key})
	if errs.Is(err, errs.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	b, err := io.ReadAll(io.LimitReader(out.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	e := new(entry)
	return e, json.Unmarshal(b, e)
}

func (l *ledger) write(ctx context.Context, it Item, where string) error {
	b, err := json.Marshal(entry{Kind: it.Kind, Where: where, Time: time.Now().UTC()})
	if err != nil {
		return err
	}
	_, err = l.objects.PutObject(ctx, &s3.PutObjectInput{Bucket: l.bucket, Key: "ledger/" + it.Key(), Body: strings.NewReader(string(b))})
	return err
}
