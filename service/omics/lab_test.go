package omics

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/files"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/platform/sql"
	"github.com/galen-health/galen/platform/sql/duck"
)

// TestMain is the SQL child when the engine starts this test binary again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sql.ChildArg {
		os.Exit(duck.Main())
	}
	os.Exit(m.Run())
}

// lab is a service over real engines in a folder; only S3, policy and roles are the test's own, because they are other services.
type lab struct {
	t       testing.TB
	s       *Service
	records *pebble.Store
	blobs   *files.Store
	jobs    *job.Engine
	s3      *objects
	ctx     context.Context
	stop    func()
}

const role = "arn:aws:iam::000000000000:role/import"

func newLab(t testing.TB) *lab { return labIn(t, t.TempDir(), &objects{body: map[string][]byte{}}) }

// labIn opens a lab over a folder that may have been used before.
func labIn(t testing.TB, dir string, obj *objects) *lab {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keys, err := keyring.Open(filepath.Join(dir, "keys"), nil, keyring.Config{Account: "000000000000", Region: "us-east-1"})
	check(err)
	records, err := pebble.Open(filepath.Join(dir, "records"), keys, pebble.Options{})
	check(err)
	check(records.Declare(record.OnceKind.Def()))
	blobs, err := files.Open(filepath.Join(dir, "blobs"), keys)
	check(err)
	l := &lab{t: t, records: records, blobs: blobs, s3: obj}
	ctx, cancel := context.WithCancel(context.Background())
	l.ctx = call.With(ctx, &call.Call{Principal: call.Principal{Kind: call.Root, ARN: "arn:aws:iam::000000000000:root"}})
	l.jobs, err = job.New(records, job.Config{Exclusive: true, Rescan: 50 * time.Millisecond})
	check(err)
	l.s, err = New(l.ctx, Config{Records: records, Blobs: blobs, Jobs: l.jobs, Keys: keys, Guard: guard{}, Roles: roles{}, S3: obj, Account: "000000000000", Region: "us-east-1"})
	check(err)
	done := make(chan struct{})
	go func() { l.jobs.Run(ctx); close(done) }()
	l.stop = sync.OnceFunc(func() {
		stop, end := context.WithTimeout(context.Background(), 20*time.Second)
		defer end()
		_ = l.jobs.Stop(stop)
		cancel()
		<-done
		_ = blobs.Close()
		_ = records.Close()
		_ = keys.Close()
	})
	t.Cleanup(l.stop)
	return l
}

type roles struct{}

func (roles) Pass(_ context.Context, role, _ string) error {
	if strings.Contains(role, "forbidden") {
		return errs.New(errs.Denied, "not authorized to perform: iam:PassRole")
	}
	return nil
}

func (roles) As(ctx context.Context, _, _, _ string) (context.Context, error) { return ctx, nil }

// guard is the key policy: it forbids one key.
type guard struct{}

func (guard) MayUse(_ context.Context, u key.Use) (string, error) {
	if strings.HasSuffix(u.Key, "forbidden") {
		return "", errs.New(errs.Denied, "not authorized to perform: %s", u.Action)
	}
	return u.Key, nil
}

// objects is S3 as far as the jobs use it.
type objects struct {
	s3.Unimplemented
	mu    sync.Mutex
	body  map[string][]byte // bucket/key
	onGet func(key string) error
}

func (o *objects) put(key string, body []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.body[key] = body
}

func (o *objects) GetObject(_ context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.onGet != nil {
		if err := o.onGet(in.Key); err != nil {
			return nil, err
		}
	}
	b, ok := o.body[in.Bucket+"/"+in.Key]
	if !ok {
		return nil, errs.Named(errs.NotFound, "NoSuchKey", "no such key")
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(bytes.NewReader(b)), ContentLength: aws.Ptr(int64(len(b)))}, nil
}

func (o *objects) PutObject(_ context.Context, in *s3.PutObjectInput) (*s3.PutObjectOutput, error) {
	b, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	o.put(in.Bucket+"/"+in.Key, b)
	return &s3.PutObjectOutput{}, nil
}

// await waits for work that goes on by itself. The bound is only there to end a test that hangs.
func (l *lab) await(what string, ok func() bool) {
	l.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("never: %s", what)
		}
	}
}

// must unwraps the answer of an operation that has to succeed.
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantCode(t testing.TB, err error, code errs.Code) {
	t.Helper()
	if !errs.Is(err, code) {
		t.Errorf("error %v, want %v", err, code)
	}
}

func (l *lab) sequenceStore() string {
	l.t.Helper()
	return must[*api.CreateSequenceStoreOutput](l.t)(l.s.CreateSequenceStore(l.ctx, &api.CreateSequenceStoreInput{Name: "reads"})).Id
}

// importReads runs an import of these sources to its end.
func (l *lab) importReads(store string, sources ...api.StartReadSetImportJobSourceItem) *api.GetReadSetImportJobOutput {
	l.t.Helper()
	out := must[*api.StartReadSetImportJobOutput](l.t)(l.s.StartReadSetImportJob(l.ctx, &api.StartReadSetImportJobInput{SequenceStoreId: store, RoleArn: role, Sources: sources}))
	return l.importEnd(store, out.Id)
}

func (l *lab) importEnd(store, id string) (j *api.GetReadSetImportJobOutput) {
	l.t.Helper()
	l.await("the import ends", func() bool {
		j = must[*api.GetReadSetImportJobOutput](l.t)(l.s.GetReadSetImportJob(l.ctx, &api.GetReadSetImportJobInput{SequenceStoreId: store, Id: id}))
		return !j.CompletionTime.IsZero()
	})
	return j
}

// readsFrom is a source for an import.
func readsFrom(t api.FileType, name string, keys ...string) api.StartReadSetImportJobSourceItem {
	s := api.StartReadSetImportJobSourceItem{SourceFiles: &api.SourceFiles{Source1: "s3://in/" + keys[0]}, SourceFileType: t, SubjectId: "subject", SampleId: "sample", Name: name}
	if len(keys) > 1 {
		s.SourceFiles.Source2 = "s3://in/" + keys[1]
	}
	return s
}

// reference imports a FASTA file and returns the ARN of the reference.
func (l *lab) reference(name string, text []byte) string {
	l.t.Helper()
	l.s3.put("in/"+name, text)
	stores := must[*api.ListReferenceStoresOutput](l.t)(l.s.ListReferenceStores(l.ctx, &api.ListReferenceStoresInput{})).ReferenceStores
	if len(stores) == 0 {
		must[*api.CreateReferenceStoreOutput](l.t)(l.s.CreateReferenceStore(l.ctx, &api.CreateReferenceStoreInput{Name: "genomes"}))
		stores = must[*api.ListReferenceStoresOutput](l.t)(l.s.ListReferenceStores(l.ctx, &api.ListReferenceStoresInput{})).ReferenceStores
	}
	job := must[*api.StartReferenceImportJobOutput](l.t)(l.s.StartReferenceImportJob(l.ctx, &api.StartReferenceImportJobInput{ReferenceStoreId: stores[0].Id, RoleArn: role,
		Sources: []api.StartReferenceImportJobSourceItem{{SourceFile: "s3://in/" + name, Name: name}}}))
	var j *api.GetReferenceImportJobOutput
	l.await("the reference import ends", func() bool {
		j = must[*api.GetReferenceImportJobOutput](l.t)(l.s.GetReferenceImportJob(l.ctx, &api.GetReferenceImportJobInput{ReferenceStoreId: stores[0].Id, Id: job.Id}))
		return !j.CompletionTime.IsZero()
	})
	if j.Status != api.ReferenceImportJobStatusCompleted {
		l.t.Fatalf("reference import: %+v", j)
	}
	return l.s.referenceARN(stores[0].Id, j.Sources[0].ReferenceId)
}

func (l *lab) metadata(store, id string) *api.GetReadSetMetadataOutput {
	l.t.Helper()
	return must[*api.GetReadSetMetadataOutput](l.t)(l.s.GetReadSetMetadata(l.ctx, &api.GetReadSetMetadataInput{SequenceStoreId: store, Id: id}))
}

// file reads a whole file of a read set.
func (l *lab) file(store, id string, f api.ReadSetFile) []byte {
	l.t.Helper()
	out := must[*api.GetReadSetOutput](l.t)(l.s.GetReadSet(l.ctx, &api.GetReadSetInput{SequenceStoreId: store, Id: id, File: f, PartNumber: 1}))
	b, err := io.ReadAll(out.Payload)
	if err != nil {
		l.t.Fatal(err)
	}
	_ = out.Payload.Close()
	return b
}

// events lists "detail type: status" in the outbox, in order.
func (l *lab) events() []string {
	l.t.Helper()
	var out []string
	for _, m := range must[[]record.Message](l.t)(l.records.Outbox(l.ctx, 0, 10_000)) {
		var e struct {
			DetailType string `json:"detail-type"`
			Detail     struct{ Status string }
		}
		if m.Topic == "event" && json.Unmarshal(m.Body, &e) == nil {
			out = append(out, e.DetailType+": "+e.Detail.Status)
		}
	}
	return out
}

// blobCount counts what is stored.
func (l *lab) blobCount() (n int) {
	l.t.Helper()
	if _, err := l.blobs.Sweep(l.ctx, time.Now().Add(time.Hour), func(blob.ID) (bool, error) { n++; return true, nil }); err != nil {
		l.t.Fatal(err)
	}
	return n
}

func gz(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

func md5of(text string) string { s := md5.Sum([]byte(text)); return hex.EncodeToString(s[:]) }
