package omics

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/s3files"
)

// maxSource bounds a source file: 976 GiB, as HealthOmics' quota is for read sets.
const maxSource = 976 << 30

// source is a file that is taken in.
type source struct {
	Name string // for people: the last part of its key
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// object is the source that an S3 URI names; it is read with the rights of ctx.
func (s *Service) object(uri string) (source, error) {
	bucket, key, err := s3files.Parse(uri)
	if err == nil && (key == "" || strings.HasSuffix(key, "/")) {
		err = errs.New(errs.Invalid, "the S3 URI names no object")
	}
	if err != nil {
		return source{}, err
	}
	return source{Name: path.Base(key), Open: func(ctx context.Context) (io.ReadCloser, error) {
		out, err := s.cfg.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
		if err != nil {
			return nil, unread(err)
		}
		if n := aws.Val(out.ContentLength); n > maxSource {
			_ = out.Body.Close()
			return nil, errs.New(errs.Invalid, "the source has %d bytes, the most is %d", n, int64(maxSource))
		}
		return steady{out.Body}, nil
	}}, nil
}

// unread says that a source could not be opened, in words for a job's status.
func unread(err error) error {
	switch errs.CodeOf(err) {
	case errs.NotFound, errs.Gone:
		return errs.Wrap(errs.NotFound, err, "the source object does not exist")
	case errs.Denied:
		return errs.Wrap(errs.Denied, err, "the role may not read the source object")
	}
	return err
}

// lasting reports whether a failure is of the source itself, so that trying again would fail alike; others are left to the job engine's retries.
func lasting(err error) bool {
	switch errs.CodeOf(err) {
	case errs.Invalid, errs.NotFound, errs.Denied, errs.Conflict, errs.TooLarge, errs.Unsupported, errs.Exhausted, errs.OutOfRange, errs.Gone:
		return true
	}
	return false
}

// unfit turns a parser's error into one of the caller's input. Errors of the source and of the engines keep their code.
func unfit(err error) error {
	var known *errs.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	for _, parser := range []string{"bgzf: ", "sam: ", "cram: ", "fastq: ", "fasta: ", "vcf: "} {
		if strings.HasPrefix(err.Error(), parser) {
			return errs.Wrap(errs.Invalid, err, "%s", err.Error())
		}
	}
	return err
}

// steady marks the failures of a source, so that a parser's wrapping does not make them look like faults of the file.
type steady struct{ io.ReadCloser }

func (r steady) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	var known *errs.Error
	if err != nil && err != io.EOF && !errors.As(err, &known) {
		err = errs.Wrap(errs.Unavailable, err, "the source could not be read to its end")
	}
	return n, err
}
