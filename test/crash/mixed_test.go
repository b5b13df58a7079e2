package crash_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/textproto"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/blob/blobtest"
	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/test/galen"
	"github.com/galen-health/galen/test/sample"
)

// load is the mixed load on one server. Each writer writes one kind of thing in numbered steps, so that what must be there after a kill follows from the last
// step that was acknowledged and the last that was tried.
type load struct {
	g       *galen.Server
	fhir    string // data store of HealthLake
	images  string // data store of HealthImaging
	writers []writer
	acked   atomic.Int64
	growth  int // bytes by which objects differ in size
}

// writer makes step n, and checks after a restart that the world is as it says: acked steps are there, step tried is whole or absent. It returns the step that is
// there.
type writer struct {
	name  string
	write func(ctx context.Context, n int) error
	check func(t *testing.T, acked, tried int) int
	acked int
	tried int
}

const birthday = "1900-01-01"

func day(n int) string {
	d, _ := time.Parse(time.DateOnly, birthday) // it is one
	return d.AddDate(0, 0, n).Format(time.DateOnly)
}

// send makes a call of an open standard; anything but the wanted status is an error.
func (l *load) send(ctx context.Context, service, method, path, contentType string, body []byte, want ...int) ([]byte, error) {
	header := map[string]string{}
	if contentType != "" {
		header["Content-Type"] = contentType
	}
	status, answer, err := l.g.Client().Send(ctx, service, method, path, header, bytes.NewReader(body), 1<<20)
	if err != nil {
		return nil, err
	}
	for _, w := range want {
		if status == w {
			return answer, nil
		}
	}
	return answer, errs.New(errs.Internal, "%s %s: %d %.200s", method, path, status, answer)
}

func newLoad(t *testing.T, g *galen.Server) *load {
	t.Helper()
	l := &load{g: g, growth: 40_000}
	ctx := t.Context()
	if _, err := s3.NewClient(g.Client()).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "mixed"}); err != nil {
		t.Fatal(err)
	}
	lake, err := healthlake.NewClient(g.Client()).CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4})
	if err != nil {
		t.Fatal(err)
	}
	imaging := medicalimaging.NewClient(g.Client())
	store, err := imaging.CreateDatastore(ctx, &medicalimaging.CreateDatastoreInput{ClientToken: "mixed"})
	if err != nil {
		t.Fatal(err)
	}
	l.fhir, l.images = lake.DatastoreId, store.DatastoreId
	await(t, "the data stores", func() bool {
		a, err := healthlake.NewClient(g.Client()).DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: l.fhir})
		if err != nil {
			t.Fatal(err)
		}
		b, err := imaging.GetDatastore(ctx, &medicalimaging.GetDatastoreInput{DatastoreId: l.images})
		if err != nil {
			t.Fatal(err)
		}
		return a.DatastoreProperties.DatastoreStatus == healthlake.DatastoreStatusActive && b.DatastoreProperties.DatastoreStatus == medicalimaging.DatastoreStatusActive
	})
	for w := range 2 {
		l.writers = append(l.writers, l.patient(w), l.object(w))
	}
	l.writers = append(l.writers, l.instance(), l.key())
	return l
}

// await waits until done, for two minutes at the most.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not done after two minutes", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// patient changes one FHIR resource: its version, its body and two indexes say the same number.
func (l *load) patient(w int) writer {
	root := "/datastore/" + l.fhir + "/r4"
	return writer{name: fmt.Sprintf("patient %d", w),
		write: func(ctx context.Context, n int) error {
			body := fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","identifier":[{"system":"urn:n","value":"p%d-%d"}],"birthDate":"%s"}`, w, w, n, day(n))
			_, err := l.send(ctx, "healthlake", "PUT", fmt.Sprintf("%s/Patient/p%d", root, w), "application/fhir+json", []byte(body), 200, 201)
			return err
		},
		check: func(t *testing.T, acked, tried int) int {
			if tried == 0 {
				return 0
			}
			b, err := l.send(t.Context(), "healthlake", "GET", fmt.Sprintf("%s/Patient/p%d", root, w), "", nil, 200, 404)
			if err != nil {
				t.Fatal(err)
			}
			there := 0
			for n := acked; n <= tried; n++ {
				if strings.Contains(string(b), fmt.Sprintf(`"p%d-%d"`, w, n)) && strings.Contains(string(b), day(n)) && strings.Contains(string(b), fmt.Sprintf(`"versionId":"%d"`, n)) {
					there = n
				}
			}
			if there == 0 && acked > 0 {
				t.Errorf("patient %d: step %d was acknowledged, %d tried; there is %.300s", w, acked, tried, b)
			}
			for n := max(1, there-1); n <= there+1; n++ {
				for _, by := range []string{"birthdate=" + day(n), fmt.Sprintf("identifier=urn:n%%7Cp%d-%d", w, n)} {
					b, err := l.send(t.Context(), "healthlake", "GET", root+"/Patient?"+by, "", nil, 200)
					if found := strings.Contains(string(b), fmt.Sprintf(`"id":"p%d"`, w)); err != nil || found != (n == there) {
						t.Errorf("patient %d at step %d: a search by %s finds it: %v, %v", w, there, by, found, err)
					}
				}
			}
			return there
		}}
}

// object makes S3 objects and deletes those of five steps before.
func (l *load) object(w int) writer {
	name := func(n int) string { return fmt.Sprintf("w%d/%06d", w, n) }
	body := func(n int) []byte { return blobtest.Bytes(uint64(w*7919+n), 1000+n%7*l.growth) }
	return writer{name: fmt.Sprintf("objects %d", w),
		write: func(ctx context.Context, n int) error {
			c := s3.NewClient(l.g.Client())
			if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: "mixed", Key: name(n), Body: bytes.NewReader(body(n)), ContentLength: aws.Ptr(int64(len(body(n))))}); err != nil {
				return err
			}
			if n > 5 {
				_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: "mixed", Key: name(n - 5)})
				return err
			}
			return nil
		},
		check: func(t *testing.T, acked, tried int) int {
			c := s3.NewClient(l.g.Client())
			get := func(n int) ([]byte, bool) {
				out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: "mixed", Key: name(n)})
				if errs.Is(err, errs.NotFound) {
					return nil, false
				}
				if err != nil {
					t.Fatalf("object %s: %v", name(n), err)
				}
				defer out.Body.Close() //nolint:errcheck // only read
				b, err := io.ReadAll(out.Body)
				if err != nil {
					t.Errorf("object %s: %v", name(n), err)
				}
				return b, true
			}
			listed := map[string]bool{}
			list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: "mixed", Prefix: fmt.Sprintf("w%d/", w)})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range list.Contents {
				listed[o.Key] = true
			}
			for n := max(1, acked-6); n <= tried; n++ {
				b, is := get(n)
				switch {
				case n <= acked-5 && is:
					t.Errorf("object %s is there although its deletion was acknowledged", name(n))
				case n > acked-5+(tried-acked) && n <= acked && !is:
					t.Errorf("object %s was acknowledged and is gone", name(n))
				case is && !bytes.Equal(b, body(n)):
					t.Errorf("object %s has %d other bytes", name(n), len(b))
				}
				if listed[name(n)] != is {
					t.Errorf("object %s: listed %v, there %v", name(n), listed[name(n)], is)
				}
			}
			return acked // a step of two calls is made again from its start
		}}
}

// instance stores DICOM instances.
func (l *load) instance() writer {
	root := "/datastore/" + l.images + "/studies"
	uid := func(n int) string { return fmt.Sprintf("%s.%d", sample.Series, n) }
	return writer{name: "instances",
		write: func(ctx context.Context, n int) error {
			var b bytes.Buffer
			w := multipart.NewWriter(&b)
			p, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/dicom"}})
			if err != nil {
				return err
			}
			if _, err := p.Write(sample.Slice(n%30+1, "p", func(d *dicom.Dataset) { d.SetStrings(dicom.TagSOPInstanceUID, uid(n)) })); err != nil {
				return err
			}
			if err := w.Close(); err != nil {
				return err
			}
			_, err = l.send(ctx, "medical-imaging", "POST", root, `multipart/related; type="application/dicom"; boundary=`+w.Boundary(), b.Bytes(), 200)
			return err
		},
		check: func(t *testing.T, acked, tried int) int {
			there := acked
			for n := max(1, acked-3); n <= tried; n++ {
				b, err := l.send(t.Context(), "medical-imaging", "GET", fmt.Sprintf("%s/%s/series/%s/instances?SOPInstanceUID=%s", root, sample.Study, sample.Series, uid(n)), "", nil, 200, 204, 404)
				if err != nil {
					t.Error(err)
				}
				found := strings.Count(string(b), `"`+uid(n)+`"`)
				if n <= acked && found == 0 || found > 1 {
					t.Errorf("instance %d of %d acknowledged is found %d times: %.300s", n, acked, found, b)
				}
				if n > acked && found > 0 {
					there = n
				}
			}
			return there
		}}
}

// key makes KMS keys and encrypts with each.
func (l *load) key() writer {
	type made struct {
		id   string
		text []byte
	}
	var mu sync.Mutex
	keys := map[int]made{}
	return writer{name: "keys",
		write: func(ctx context.Context, n int) error {
			c := kms.NewClient(l.g.Client())
			k, err := c.CreateKey(ctx, &kms.CreateKeyInput{})
			if err != nil {
				return err
			}
			out, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: k.KeyMetadata.KeyId, Plaintext: fmt.Appendf(nil, "step %d", n)})
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			keys[n] = made{k.KeyMetadata.KeyId, out.CiphertextBlob}
			return nil
		},
		check: func(t *testing.T, acked, _ int) int {
			c := kms.NewClient(l.g.Client())
			for n := max(1, acked-3); n <= acked; n++ {
				out, err := c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: keys[n].text})
				if err != nil || string(out.Plaintext) != fmt.Sprintf("step %d", n) {
					t.Errorf("key %d of %d acknowledged: %v", n, acked, err)
				}
			}
			return acked
		}}
}

// run lets all writers write until the server dies.
func (l *load) run(ctx context.Context, t *testing.T) {
	var wg sync.WaitGroup
	for i := range l.writers {
		w := &l.writers[i]
		wg.Go(func() {
			for ctx.Err() == nil {
				w.tried = w.acked + 1
				if err := w.write(ctx, w.tried); err != nil {
					var e *errs.Error // a broken answer of the dying server is none of ours
					if ctx.Err() == nil && errors.As(err, &e) && e.Code != errs.Unavailable {
						t.Errorf("%s, step %d: %v", w.name, w.tried, err)
					}
					return
				}
				w.acked = w.tried
				l.acked.Add(1)
			}
		})
	}
	wg.Wait()
}

// The whole binary is killed with SIGKILL at any moment of mixed load, again and again: what it acknowledged is there, nothing is half there, indexes agree with
// records, the audit log has an entry of every call that was answered, and galen verify finds all whole. 3 kills, or $GALEN_CRASH_LOOPS.
func TestMixedLoad(t *testing.T) {
	t.Parallel()
	g := galen.New(t, t.TempDir(), "--log-level", "error")
	g.Run()
	l := newLoad(t, g)
	kills := disktest.Rounds(t, "GALEN_CRASH_LOOPS", 3)
	for n := range kills {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(time.Duration(50+rand.IntN(1500))*time.Millisecond, func() { g.Kill(); cancel() })
		l.run(ctx, t)
		<-ctx.Done()
		timer.Stop()
		cancel()
		if n%25 == 24 || n == kills-1 {
			verified(t, g)
		}
		g.Run()
		for i := range l.writers {
			w := &l.writers[i]
			w.acked = w.check(t, w.acked, w.tried)
		}
		if t.Failed() {
			t.Fatalf("after kill %d", n+1)
		}
	}
	g.Stop()
	verified(t, g)
	entries := 0
	if err := audit.Read(t.Context(), filepath.Join(g.Dir, "audit"), func(_ uint64, e *audit.Entry) error {
		if !e.ReadOnly && e.Error == "" {
			entries++
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if int64(entries) < l.acked.Load() || l.acked.Load() == 0 {
		t.Errorf("%d acknowledged steps, %d entries of writes in the audit log", l.acked.Load(), entries)
	}
	for i := range l.writers {
		w := &l.writers[i]
		t.Logf("%s: %d steps", w.name, w.acked)
		if w.acked == 0 && kills >= 20 { // a few short lives may end before an image is stored
			t.Errorf("%s: no step was acknowledged", w.name)
		}
	}
	t.Logf("%d kills, %d acknowledged steps, 0 lost, 0 half there; %d audited writes", kills, l.acked.Load(), entries)
}

// verified runs galen verify over a stopped server's folder.
func verified(t *testing.T, g *galen.Server) {
	t.Helper()
	if out, err := g.Exec("verify", "--data-dir", g.Dir); err != nil {
		t.Errorf("galen verify: %v\n%s", err, out)
	}
}
