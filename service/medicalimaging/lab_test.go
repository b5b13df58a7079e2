package medicalimaging

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/files"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/standard/htj2k"
	"github.com/galen-health/galen/test/testdata"
)

// lab is a service over the real engines in a temporary folder, with the routes mounted as the edge mounts them.
type lab struct {
	t       testing.TB
	s       *Service
	records record.Store
	blobs   *files.Store
	jobs    *job.Engine
	s3      *objects
	mux     *http.ServeMux
	ctx     context.Context
	store   string
	stop    func()
}

func newLab(t testing.TB) *lab {
	t.Helper()
	return openLab(t, t.TempDir(), &objects{body: map[string][]byte{}})
}

func openLab(t testing.TB, dir string, obj *objects) *lab {
	t.Helper()
	if err := htj2k.Ready(context.Background(), htj2k.HTJ2K); err != nil {
		t.Skip(err)
	}
	keys, err := keyring.Open(dir+"/keys", make([]byte, 32), keyring.Config{Account: "000000000000", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	records, err := pebble.Open(dir+"/records", keys, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := records.Declare(record.OnceKind.Def()); err != nil {
		t.Fatal(err)
	}
	blobs, err := files.Open(dir+"/blobs", keys)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, records: records, blobs: blobs, s3: obj, mux: http.NewServeMux()}
	ctx, cancel := context.WithCancel(context.Background())
	l.ctx = call.With(ctx, &call.Call{Principal: call.Principal{Kind: call.Root, ARN: "arn:aws:iam::000000000000:root"}})
	if l.jobs, err = job.New(records, job.Config{Exclusive: true, Rescan: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	l.s, err = New(l.ctx, Config{Records: records, Blobs: blobs, Jobs: l.jobs, Keys: keys, Guard: guard{}, Roles: l, S3: obj, Account: "000000000000", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { l.jobs.Run(ctx); close(done) }()
	l.stop = sync.OnceFunc(func() {
		stop, end := context.WithTimeout(context.Background(), 20*time.Second)
		defer end()
		_ = l.jobs.Stop(stop)
		cancel()
		<-done
		if err := records.Close(); err != nil {
			t.Error(err)
		}
		_ = blobs.Close()
		_ = keys.Close()
	})
	t.Cleanup(l.stop)
	for _, r := range l.s.Routes() {
		l.mux.HandleFunc(r.Method+" "+r.Pattern, func(w http.ResponseWriter, req *http.Request) {
			if err := r.Handle(w, req); err != nil {
				r.Fail(w, req, err)
			}
		})
	}
	return l
}

// The lab is the roles: what they decide is not this package's.
func (l *lab) Pass(_ context.Context, role, _ string) error {
	if strings.Contains(role, "forbidden") {
		return errs.New(errs.Denied, "not authorized to perform: iam:PassRole")
	}
	return nil
}
func (l *lab) As(ctx context.Context, _, _, _ string) (context.Context, error) { return ctx, nil }

var _ authz.Roles = (*lab)(nil)

// create makes an active data store and remembers it.
func (l *lab) create(in *api.CreateDatastoreInput) string {
	l.t.Helper()
	out, err := l.s.CreateDatastore(l.ctx, in)
	if err != nil {
		l.t.Fatal(err)
	}
	l.await("the store is active", func() bool { return l.status(out.DatastoreId) == api.DatastoreStatusActive })
	l.store = out.DatastoreId
	return l.store
}

func (l *lab) status(id string) api.DatastoreStatus {
	l.t.Helper()
	d, err := l.s.GetDatastore(l.ctx, &api.GetDatastoreInput{DatastoreId: id})
	if err != nil {
		l.t.Fatal(err)
	}
	return d.DatastoreProperties.DatastoreStatus
}

// await waits for work that goes on by itself. The bound is only there to end a test that hangs.
func (l *lab) await(what string, ok func() bool) {
	l.t.Helper()
	for end := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("never: %s", what)
		}
	}
}

// answer of a DICOMweb interaction.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do calls an interaction below the store's root. headers are "Name: value".
func (l *lab) do(method, path string, body []byte, headers ...string) answer {
	l.t.Helper()
	r := httptest.NewRequest(method, "http://galen.test/datastore/"+l.store+path, bytes.NewReader(body)).WithContext(l.ctx)
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	l.mux.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.Bytes()}
}

// want calls an interaction and fails the test on another status.
func (l *lab) want(status int, method, path string, body []byte, headers ...string) answer {
	l.t.Helper()
	a := l.do(method, path, body, headers...)
	if a.status != status {
		l.t.Fatalf("%s %s: status %d, want %d: %.400s", method, path, a.status, status, a.body)
	}
	return a
}

// put stores one file by STOW-RS and returns its answer.
func (l *lab) put(b []byte) answer {
	l.t.Helper()
	return l.do("POST", "/studies", b, "Content-Type: application/dicom")
}

func (l *lab) mustPut(b []byte) {
	l.t.Helper()
	if a := l.put(b); a.status != 200 && a.status != 202 {
		l.t.Fatalf("store: %d %.300s", a.status, a.body)
	}
}

// list decodes an answer of DICOM JSON.
func (a answer) list(t testing.TB) []map[string]attribute {
	t.Helper()
	var out []map[string]attribute
	if err := json.Unmarshal(a.body, &out); err != nil || a.status != 200 {
		t.Fatalf("%d %v: %.300s", a.status, err, a.body)
	}
	return out
}

func (l *lab) sets(filters ...api.SearchFilter) []api.ImageSetsMetadataSummary {
	l.t.Helper()
	out, err := l.s.SearchImageSets(l.ctx, &api.SearchImageSetsInput{DatastoreId: l.store, SearchCriteria: &api.SearchCriteria{Filters: filters}})
	if err != nil {
		l.t.Fatal(err)
	}
	return out.ImageSetsMetadataSummaries
}

// metadata is the metadata JSON of an image set.
func (l *lab) metadata(set, version string) map[string]any {
	l.t.Helper()
	out, err := l.s.GetImageSetMetadata(l.ctx, &api.GetImageSetMetadataInput{DatastoreId: l.store, ImageSetId: set, VersionId: version})
	if err != nil {
		l.t.Fatal(err)
	}
	z, err := gzip.NewReader(out.ImageSetMetadataBlob)
	if err != nil {
		l.t.Fatal(err)
	}
	var doc map[string]any
	if err := json.NewDecoder(z).Decode(&doc); err != nil {
		l.t.Fatal(err)
	}
	return doc
}

// at walks a JSON document.
func at(doc any, path ...string) any {
	for _, p := range path {
		m, _ := doc.(map[string]any)
		if doc = m[p]; p == "*" {
			for _, v := range m {
				doc = v
			}
		}
	}
	return doc
}

// events lists the detail types in the outbox.
func (l *lab) events() []string {
	l.t.Helper()
	var out []string
	msgs, err := l.records.Outbox(l.ctx, 0, 10_000)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, m := range msgs {
		var e struct {
			DetailType string `json:"detail-type"`
		}
		if m.Topic == "event" && json.Unmarshal(m.Body, &e) == nil {
			out = append(out, e.DetailType)
		}
	}
	return out
}

var unzstd, _ = zstd.NewReader(nil)

// sample reads a file of the public test data.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	path := testdata.Dir(t, "imaging/"+name)
	b, err := os.ReadFile(path)
	if err == nil && filepath.Ext(path) == ".zst" {
		b, err = unzstd.DecodeAll(b, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// slice makes a small CT image: 64 by 48, 12 bits, its own pixels for each number.
func slice(study, series string, n int, more func(*dicom.Dataset)) []byte {
	d := &dicom.Dataset{}
	d.SetStrings(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.2")
	d.SetStrings(dicom.TagSOPInstanceUID, fmt.Sprintf("%s.%d", series, n))
	d.SetStrings(dicom.TagStudyInstanceUID, study)
	d.SetStrings(dicom.TagSeriesInstanceUID, series)
	d.SetStrings(dicom.TagPatientID, "P1")
	d.SetStrings(dicom.TagPatientName, "Doe^Jane")
	d.SetStrings(dicom.TagStudyDate, "20260101")
	d.SetStrings(dicom.TagStudyTime, "101500")
	d.SetStrings(dicom.TagAccessionNumber, "A1")
	d.SetStrings(dicom.TagStudyID, "S1")
	d.SetStrings(dicom.TagModality, "CT")
	d.SetStrings(dicom.TagSeriesNumber, "2")
	d.SetStrings(dicom.TagInstanceNumber, fmt.Sprint(n))
	d.SetInts(dicom.TagSamplesPerPixel, dicom.US, 1)
	d.SetStrings(dicom.TagPhotometricInterpretation, "MONOCHROME2")
	d.SetInts(dicom.TagRows, dicom.US, 48)
	d.SetInts(dicom.TagColumns, dicom.US, 64)
	d.SetInts(dicom.TagBitsAllocated, dicom.US, 16)
	d.SetInts(dicom.TagBitsStored, dicom.US, 12)
	d.SetInts(dicom.TagHighBit, dicom.US, 11)
	d.SetInts(dicom.TagPixelRepresentation, dicom.US, 0)
	px := make([]byte, 2*48*64)
	for i := 0; i < len(px); i += 2 {
		v := (i*7 + n*13 + i/128) & 0xFFF
		px[i], px[i+1] = byte(v), byte(v>>8)
	}
	d.Set(dicom.Element{Tag: dicom.TagPixelData, VR: dicom.OW, Value: px})
	if more != nil {
		more(d)
	}
	b := dicom.AppendMeta(nil, d.String(dicom.TagSOPClassUID), d.String(dicom.TagSOPInstanceUID), dicom.ExplicitVRLittleEndian)
	b, err := dicom.AppendDataset(b, d, dicom.ExplicitVRLittleEndian, nil)
	if err != nil {
		panic(err)
	}
	return b
}

// guard is the key policy: it forbids one key.
type guard struct{}

func (guard) MayUse(_ context.Context, u key.Use) (string, error) {
	if u.Key == "forbidden" {
		return "", errs.New(errs.Denied, "not authorized to perform: %s", u.Action)
	}
	return u.Key, nil
}

// objects is S3 as far as the jobs use it.
type objects struct {
	s3.Unimplemented
	mu     sync.Mutex
	body   map[string][]byte // bucket/key
	onPut  func(key string) error
	ranges []string
	dir    string // "" = in memory only; else every object is a file here too, for tests that kill the process
}

// objectsIn keeps objects as files, so that they outlive the process.
func objectsIn(t testing.TB, dir string) *objects {
	o := &objects{body: map[string][]byte{}, dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".tmp") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		key, err := url.PathUnescape(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		o.body[key] = b
	}
	return o
}

func (o *objects) keep(key string, b []byte) error {
	if o.dir == "" {
		return nil
	}
	path := filepath.Join(o.dir, url.PathEscape(key))
	if err := os.WriteFile(path+".tmp", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func etag(b []byte) string { s := md5.Sum(b); return `"` + hex.EncodeToString(s[:]) + `"` }

func (o *objects) ListObjectsV2(_ context.Context, in *s3.ListObjectsV2Input) (*s3.ListObjectsV2Output, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var keys []string
	for k := range o.body {
		if strings.HasPrefix(k, in.Bucket+"/"+in.Prefix) && k > in.Bucket+"/"+in.ContinuationToken {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	out := &s3.ListObjectsV2Output{IsTruncated: aws.Ptr(len(keys) > 3)}
	for _, k := range keys[:min(3, len(keys))] { // small pages, so that paging is used
		key := strings.TrimPrefix(k, in.Bucket+"/")
		out.Contents = append(out.Contents, s3.Object{Key: key, Size: aws.Ptr(int64(len(o.body[k]))), ETag: etag(o.body[k])})
		out.NextContinuationToken = key
	}
	return out, nil
}

func (o *objects) GetObject(_ context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, ok := o.body[in.Bucket+"/"+in.Key]
	if !ok {
		return nil, errs.Named(errs.NotFound, "NoSuchKey", "no such key")
	}
	if in.IfMatch != "" && in.IfMatch != etag(b) {
		return nil, errs.New(errs.Precondition, "changed")
	}
	if in.Range != "" {
		o.ranges = append(o.ranges, in.Range)
		var from int
		if _, err := fmt.Sscanf(in.Range, "bytes=%d-", &from); err != nil {
			return nil, err
		}
		b = b[from:]
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(bytes.NewReader(b))}, nil
}

func (o *objects) PutObject(_ context.Context, in *s3.PutObjectInput) (*s3.PutObjectOutput, error) {
	b, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.onPut != nil {
		if err := o.onPut(in.Key); err != nil {
			return nil, err
		}
	}
	o.body[in.Bucket+"/"+in.Key] = b
	return &s3.PutObjectOutput{}, o.keep(in.Bucket+"/"+in.Key, b)
}

type blobID = blob.ID

func (l *lab) now() time.Time { return time.Now().Add(time.Hour) }
