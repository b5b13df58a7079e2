package operations

import (
	"context"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/test/galen"
)

// upload sends an object over HTTP/1.1 or HTTP/2 whose second half waits for letGo; done gets the answer's status, 0 when the connection broke.
func (p *process) upload(bucket, key string, h2 bool) (letGo chan struct{}, done chan int) {
	p.t.Helper()
	letGo, done = make(chan struct{}), make(chan int, 1)
	body := &slowBody{strings.NewReader("first half, "), letGo, strings.NewReader("second half")}
	r, err := http.NewRequest(http.MethodPut, "http://"+p.Addr+"/"+bucket+"/"+key, io.NopCloser(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.ContentLength = int64(body.first.Len() + body.rest.Len())
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	if err := sigv4.Sign(r, p.client().Credentials, "s3", galen.Region, time.Now()); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		t := &http.Transport{Protocols: new(http.Protocols)}
		t.Protocols.SetHTTP1(!h2)
		t.Protocols.SetUnencryptedHTTP2(h2)
		resp, err := t.RoundTrip(r)
		if err != nil {
			done <- 0
			return
		}
		resp.Body.Close()
		done <- resp.StatusCode
	}()
	p.until("the upload is in progress", func() bool {
		_, m := p.admin("/metrics")
		return strings.Contains(m, "\ngalen_calls_in_progress 1\n")
	})
	return letGo, done
}

// TestDrain: after SIGTERM the server says that it is not ready and takes requests a while; then it takes none, ends those in progress, and ends well. What it
// acknowledged is there at the next start.
func TestDrain(t *testing.T) {
	for name, h2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) { drains(t, h2) })
	}
}

func drains(t *testing.T, h2 bool) {
	dir := t.TempDir()
	p := start(t, dir, "--drain-delay", "2s")
	ctx := context.Background()
	if _, err := s3.NewClient(p.client()).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "drain"}); err != nil {
		t.Fatal(err)
	}
	letGo, done := p.upload("drain", "object", h2)
	p.signal(syscall.SIGTERM)
	p.until("it drains", func() bool { status, body := p.admin("/readyz"); return status == 503 && body == "draining\n" })
	if status, _ := p.admin("/livez"); status != 200 {
		t.Errorf("a server that drains answers %d on /livez", status)
	}
	if _, err := s3.NewClient(p.client()).HeadBucket(ctx, &s3.HeadBucketInput{Bucket: "drain"}); err != nil {
		t.Errorf("within the delay a request fails: %v", err)
	}
	p.until("new connections are refused", func() bool {
		_, err := s3.NewClient(p.client()).HeadBucket(ctx, &s3.HeadBucketInput{Bucket: "drain"})
		return err != nil
	})
	select {
	case status := <-done:
		t.Fatalf("the upload in progress ended with %d before its body did", status)
	default:
	}
	close(letGo)
	if status := <-done; status != 200 {
		t.Fatalf("the upload in progress ended with %d", status)
	}
	if s := p.wait(); s.ExitCode() != 0 {
		t.Fatalf("the server ended with %v", s)
	}

	again := start(t, dir)
	out, err := s3.NewClient(again.client()).GetObject(ctx, &s3.GetObjectInput{Bucket: "drain", Key: "object"})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	if b, err := io.ReadAll(out.Body); err != nil || string(b) != "first half, second half" {
		t.Errorf("the object is %q, %v", b, err)
	}
}

// TestDrainCutsOff: a request that does not end within the limit is cut off, the process still ends by itself, and half an object is not there.
func TestDrainCutsOff(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, "--drain-timeout", "300ms")
	ctx := context.Background()
	if _, err := s3.NewClient(p.client()).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "drain"}); err != nil {
		t.Fatal(err)
	}
	letGo, done := p.upload("drain", "object", false)
	p.signal(syscall.SIGTERM)
	ended := p.wait()
	close(letGo) // only now: the client does not give up while its body is being read
	if ended.ExitCode() != 0 {
		t.Fatalf("the server ended with %v", ended)
	}
	if status := <-done; status == 200 {
		t.Error("half an upload was acknowledged")
	}
	if !strings.Contains(p.log(), `"msg":"requests were cut off: they did not end in time","requests":1`) {
		t.Error("the log does not tell of the request that was cut off")
	}
	again := start(t, dir)
	out, err := s3.NewClient(again.client()).ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: "drain"})
	if err != nil || aws.Val(out.KeyCount) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestSecondSignal: the second SIGTERM ends the process at once, whatever is in progress.
func TestSecondSignal(t *testing.T) {
	p := start(t, t.TempDir(), "--drain-timeout", "10m")
	if _, err := s3.NewClient(p.client()).CreateBucket(context.Background(), &s3.CreateBucketInput{Bucket: "drain"}); err != nil {
		t.Fatal(err)
	}
	letGo, _ := p.upload("drain", "object", false)
	defer close(letGo)
	p.signal(syscall.SIGTERM)
	p.until("it drains", func() bool { status, _ := p.admin("/readyz"); return status == 503 })
	time.Sleep(100 * time.Millisecond) // two signals at the same time are one to the kernel
	p.signal(syscall.SIGTERM)
	if s := p.wait(); s.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("the server ended with %v", s)
	}
}
