package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/galen-health/galen/aws/client"
	s3api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob/s3"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record/postgres"
)

// recordsAt looks at the PostgreSQL that records are to be in.
func recordsAt(ctx context.Context, url string) finding {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if _, err := postgres.Look(ctx, url); err != nil {
		what, do, ok := strings.Cut(errs.As(err).Message, ": ")
		if !ok {
			do = "correct GALEN_RECORDS or --records"
		}
		return finding{fail, "PostgreSQL: " + what, do}
	}
	at, skew, err := postgres.Reach(ctx, url)
	switch {
	case errs.Is(err, errs.Denied):
		return finding{fail, "PostgreSQL: " + errs.As(err).Message, "give the user that right, or let another one be the owner"}
	case err != nil:
		return finding{fail, "PostgreSQL: " + errs.As(err).Message, "check that it runs, its address, its user and password, and pg_hba.conf"}
	case skew.Abs() > smallSkew:
		return finding{warn, fmt.Sprintf("PostgreSQL: %s answers, its clock is %s apart", at, skew.Round(time.Second).Abs()), "set both clocks (NTP)"}
	}
	return finding{ok, "PostgreSQL: " + at + " is reached and fit", ""}
}

// blobsAt looks at the S3 that blobs are to be in.
func blobsAt(ctx context.Context, address string) finding {
	t, err := s3.Parse(address, os.Getenv)
	if err != nil {
		return finding{fail, "S3: " + err.Error(), "correct GALEN_BLOBS or --blobs"}
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	c := s3api.NewClient(&client.HTTP{Base: t.Endpoint, Region: t.Region, Credentials: t.Credentials, Attempts: 1})
	_, err = c.ListObjectsV2(ctx, &s3api.ListObjectsV2Input{Bucket: t.Bucket, Prefix: t.Prefix})
	where := fmt.Sprintf("S3: bucket %s at %s", t.Bucket, t.Endpoint)
	switch e := errs.As(err); {
	case err == nil:
		return finding{ok, where + " is reached and may be listed", ""}
	case e.Name == "NoSuchBucket" || e.Code == errs.NotFound:
		return finding{fail, where + " does not exist", "make the bucket, or correct --blobs"}
	case e.Code == errs.Denied || e.Code == errs.Unauthenticated:
		return finding{fail, where + " refuses the credentials", "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the region, and the bucket's policy"}
	default:
		return finding{fail, where + " does not answer: " + e.Message, "check the endpoint and the network"}
	}
}
