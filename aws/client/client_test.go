package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/platform/errs"
)

var credentials = sigv4.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}

type secrets struct{}

func (secrets) Secret(context.Context, string, string) (string, any, error) {
	return "secret", nil, nil
}

// server answers in turn, after it checked the signature; it counts what came.
func server(t *testing.T, answers ...func(w http.ResponseWriter, body string)) (*HTTP, *int) {
	t.Helper()
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		signed, err := sigv4.Verify(r, time.Now(), secrets{})
		if err != nil {
			t.Errorf("request %d: %v", n, err)
			return
		}
		b, err := io.ReadAll(signed.Body)
		if err != nil {
			t.Errorf("request %d: %v", n, err)
		}
		a := answers[min(n, len(answers)-1)]
		n++
		a(w, string(b))
	}))
	t.Cleanup(s.Close)
	return &HTTP{Base: s.URL, Region: "us-east-1", Credentials: credentials}, &n
}

func busy(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusServiceUnavailable) }

func TestInvokeTriesAgain(t *testing.T) {
	h, n := server(t, busy, busy, func(w http.ResponseWriter, body string) {
		if body != `{"DatastoreTypeVersion":"R4"}` {
			t.Errorf("the third time the body was %q", body)
		}
		_, _ = io.WriteString(w, `{"DatastoreId":"x"}`) // the client's reading is what is tested
	})
	out, err := healthlake.NewClient(h).CreateFHIRDatastore(context.Background(), &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4})
	if err != nil || out.DatastoreId != "x" || *n != 3 {
		t.Errorf("%+v, %v after %d", out, err, *n)
	}
}

// TestStreamIsSentOnce: a body that cannot be read again is not tried again.
func TestStreamIsSentOnce(t *testing.T) {
	h, n := server(t, busy)
	_, err := s3.NewClient(h).PutObject(context.Background(), &s3.PutObjectInput{Bucket: "b", Key: "k", Body: io.MultiReader(strings.NewReader("once"))})
	if !errs.Is(err, errs.Unavailable) || *n != 1 {
		t.Errorf("%v after %d", err, *n)
	}
}

func TestFailureIsNamed(t *testing.T) {
	h, n := server(t, func(w http.ResponseWriter, _ string) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"__type":"com.amazonaws.healthlake#ResourceNotFoundException","Message":"gone"}`) // as above
	})
	_, err := healthlake.NewClient(h).DescribeFHIRDatastore(context.Background(), &healthlake.DescribeFHIRDatastoreInput{DatastoreId: "x"})
	var e *errs.Error
	if !errors.As(err, &e) || e.Code != errs.NotFound || e.Name != "ResourceNotFoundException" || e.Message != "gone" || *n != 1 {
		t.Errorf("%v after %d", err, *n)
	}
}

func TestEnds(t *testing.T) {
	h, _ := server(t, busy)
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
	defer cancel()
	if _, err := healthlake.NewClient(h).ListFHIRDatastores(ctx, &healthlake.ListFHIRDatastoresInput{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a cancelled call: %v", err)
	}
	h.Base = "http://127.0.0.1:1"
	if _, err := healthlake.NewClient(h).ListFHIRDatastores(context.Background(), &healthlake.ListFHIRDatastoresInput{}); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "galen serve") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestSend(t *testing.T) {
	h, _ := server(t, func(w http.ResponseWriter, body string) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "echo "+body) // as above
	})
	status, answer, err := h.Send(context.Background(), "healthlake", "POST", "/datastore/x/r4/Patient", map[string]string{"Content-Type": "application/fhir+json"}, strings.NewReader("{}"), 7)
	if status != http.StatusTeapot || string(answer) != "echo {}" || err != nil {
		t.Errorf("%d %q %v", status, answer, err)
	}
	if _, _, err = h.Send(context.Background(), "healthlake", "POST", "/", nil, strings.NewReader("{}"), 6); err == nil {
		t.Error("an answer over its bound came whole")
	}
}

// S3 answers CompleteMultipartUpload with status 200 before it knows, and tells a failure in the body.
func TestFailureWithStatus200(t *testing.T) {
	h, _ := server(t, func(w http.ResponseWriter, _ string) {
		_, _ = io.WriteString(w, `<?xml version="1.0"?>`+"\n"+`<Error><Code>InternalError</Code><Message>try again</Message></Error>`) // as above
	})
	_, err := s3.NewClient(h).CompleteMultipartUpload(context.Background(), &s3.CompleteMultipartUploadInput{Bucket: "b", Key: "k", UploadId: "u"})
	if e := errs.As(err); err == nil || e.Code != errs.Internal || e.Name != "InternalError" {
		t.Errorf("%v", err)
	}
}

// A body that is tried again is sent whole again, not what the first time left of it.
func TestBodyIsSentWholeAgain(t *testing.T) {
	h, n := server(t, busy, busy, func(w http.ResponseWriter, body string) {
		if body != "whole body" {
			t.Errorf("the third time the body was %q", body)
		}
		w.Header().Set("ETag", `"x"`)
	})
	if _, err := s3.NewClient(h).PutObject(context.Background(), &s3.PutObjectInput{Bucket: "b", Key: "k", Body: strings.NewReader("whole body"), ContentLength: aws.Ptr(int64(10))}); err != nil || *n != 3 {
		t.Errorf("%v after %d", err, *n)
	}
}
