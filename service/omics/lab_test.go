package omics

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"testing"
	"time"

	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/sql"
	"github.com/galen-health/galen/platform/sql/duck"
	"github.com/galen-health/galen/test/testbed"
)

// TestMain is the SQL child when the engine starts this test binary again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sql.ChildArg {
		os.Exit(duck.Main())
	}
	os.Exit(m.Run())
}

// lab is the service over real engines.
type lab struct {
	*testbed.Engines
	t  testing.TB
	s  *Service
	s3 *testbed.Objects
}

const role = "arn:aws:iam::000000000000:role/import"

func newLab(t testing.TB) *lab { return labIn(t, t.TempDir(), testbed.NewObjects()) }

// labIn opens a lab over a folder that may have been used before.
func labIn(t testing.TB, dir string, obj *testbed.Objects) *lab {
	t.Helper()
	l := &lab{Engines: testbed.Open(t, dir), t: t, s3: obj}
	var err error
	l.s, err = New(l.Ctx, Config{Records: l.Records, Blobs: l.Blobs, Jobs: l.Jobs, Keys: l.Keys, Guard: testbed.KeyPolicy{}, Roles: testbed.Roles(servicePrincipal), S3: obj,
		Account: testbed.Account, Region: testbed.Region})
	if err != nil {
		t.Fatal(err)
	}
	l.Run()
	return l
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
	return must[*api.CreateSequenceStoreOutput](l.t)(l.s.CreateSequenceStore(l.Ctx, &api.CreateSequenceStoreInput{Name: "reads"})).Id
}

// importReads runs an import of these sources to its end.
func (l *lab) importReads(store string, sources ...api.StartReadSetImportJobSourceItem) *api.GetReadSetImportJobOutput {
	l.t.Helper()
	out := must[*api.StartReadSetImportJobOutput](l.t)(l.s.StartReadSetImportJob(l.Ctx, &api.StartReadSetImportJobInput{SequenceStoreId: store, RoleArn: role, Sources: sources}))
	return l.importEnd(store, out.Id)
}

func (l *lab) importEnd(store, id string) (j *api.GetReadSetImportJobOutput) {
	l.t.Helper()
	l.Await("the import ends", func() bool {
		j = must[*api.GetReadSetImportJobOutput](l.t)(l.s.GetReadSetImportJob(l.Ctx, &api.GetReadSetImportJobInput{SequenceStoreId: store, Id: id}))
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
	l.s3.Put("in/"+name, text)
	stores := must[*api.ListReferenceStoresOutput](l.t)(l.s.ListReferenceStores(l.Ctx, &api.ListReferenceStoresInput{})).ReferenceStores
	if len(stores) == 0 {
		must[*api.CreateReferenceStoreOutput](l.t)(l.s.CreateReferenceStore(l.Ctx, &api.CreateReferenceStoreInput{Name: "genomes"}))
		stores = must[*api.ListReferenceStoresOutput](l.t)(l.s.ListReferenceStores(l.Ctx, &api.ListReferenceStoresInput{})).ReferenceStores
	}
	job := must[*api.StartReferenceImportJobOutput](l.t)(l.s.StartReferenceImportJob(l.Ctx, &api.StartReferenceImportJobInput{ReferenceStoreId: stores[0].Id, RoleArn: role,
		Sources: []api.StartReferenceImportJobSourceItem{{SourceFile: "s3://in/" + name, Name: name}}}))
	var j *api.GetReferenceImportJobOutput
	l.Await("the reference import ends", func() bool {
		j = must[*api.GetReferenceImportJobOutput](l.t)(l.s.GetReferenceImportJob(l.Ctx, &api.GetReferenceImportJobInput{ReferenceStoreId: stores[0].Id, Id: job.Id}))
		return !j.CompletionTime.IsZero()
	})
	if j.Status != api.ReferenceImportJobStatusCompleted {
		l.t.Fatalf("reference import: %+v", j)
	}
	return l.s.referenceARN(stores[0].Id, j.Sources[0].ReferenceId)
}

func (l *lab) metadata(store, id string) *api.GetReadSetMetadataOutput {
	l.t.Helper()
	return must[*api.GetReadSetMetadataOutput](l.t)(l.s.GetReadSetMetadata(l.Ctx, &api.GetReadSetMetadataInput{SequenceStoreId: store, Id: id}))
}

// file reads a whole file of a read set.
func (l *lab) file(store, id string, f api.ReadSetFile) []byte {
	l.t.Helper()
	out := must[*api.GetReadSetOutput](l.t)(l.s.GetReadSet(l.Ctx, &api.GetReadSetInput{SequenceStoreId: store, Id: id, File: f, PartNumber: 1}))
	b, err := io.ReadAll(out.Payload)
	if err != nil {
		l.t.Fatal(err)
	}
	_ = out.Payload.Close()
	return b
}

// events lists "detail type: status" in the outbox, in order.
func (l *lab) events() (out []string) {
	l.t.Helper()
	for _, e := range l.Events() {
		var d struct{ Status string }
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			l.t.Fatal(err)
		}
		out = append(out, e.DetailType+": "+d.Status)
	}
	return out
}

// blobCount counts what is stored.
func (l *lab) blobCount() (n int) {
	l.t.Helper()
	if _, err := l.Blobs.Sweep(l.Ctx, time.Now().Add(time.Hour), func(blob.ID) (bool, error) { n++; return true, nil }); err != nil {
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
