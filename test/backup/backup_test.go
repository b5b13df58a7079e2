package backup_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/test/galen"
)

const content = "Zyxwvut Pseudonymous"

// filled is a running server with a FHIR data store and a bucket.
type filled struct {
	*galen.Server
	store string
}

func fill(t *testing.T) *filled {
	t.Helper()
	g := &filled{Server: galen.Start(t)}
	ctx, h := t.Context(), g.Client()
	if _, err := s3.NewClient(h).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "kept"}); err != nil {
		t.Fatal(err)
	}
	stores := healthlake.NewClient(h)
	made, err := stores.CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreName: "kept", DatastoreTypeVersion: healthlake.FHIRVersionR4})
	if err != nil {
		t.Fatal(err)
	}
	g.store = made.DatastoreId
	for n := 0; ; n++ {
		d, err := stores.DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: g.store})
		if err != nil {
			t.Fatal(err)
		}
		if d.DatastoreProperties.DatastoreStatus == healthlake.DatastoreStatusActive {
			return g
		}
		if n > 600 {
			t.Fatalf("the data store stays %s", d.DatastoreProperties.DatastoreStatus)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// patient puts a version of a Patient and returns its time.
func (g *filled) patient(t *testing.T, id, family string) time.Time {
	t.Helper()
	status, answer, err := g.Client().Send(t.Context(), "healthlake", "PUT", "/datastore/"+g.store+"/r4/Patient/"+id, map[string]string{"Content-Type": "application/fhir+json"},
		strings.NewReader(fmt.Sprintf(`{"resourceType":"Patient","id":%q,"name":[{"family":%q,"given":[%q]}]}`, id, family, content)), 1<<20)
	if err != nil || status > 201 {
		t.Fatalf("put a Patient: %d %v %s", status, err, answer)
	}
	var p struct {
		Meta struct{ LastUpdated time.Time }
	}
	if status, answer, err = g.Client().Send(t.Context(), "healthlake", "GET", "/datastore/"+g.store+"/r4/Patient/"+id, nil, nil, 1<<20); err != nil || status != 200 || json.Unmarshal(answer, &p) != nil {
		t.Fatalf("get a Patient: %d %v", status, err)
	}
	return p.Meta.LastUpdated
}

// family finds a Patient by a search, which the index answers, and returns its family name; "" for none.
func (g *filled) family(t *testing.T, id string) string {
	t.Helper()
	status, answer, err := g.Client().Send(t.Context(), "healthlake", "GET", "/datastore/"+g.store+"/r4/Patient?given="+strings.ReplaceAll(content, " ", "%20")+"&_id="+id, nil, nil, 1<<20)
	if err != nil || status != 200 {
		t.Fatalf("search: %d %v %s", status, err, answer)
	}
	m := regexp.MustCompile(`"family":\s*"([^"]*)"`).FindSubmatch(answer)
	if m == nil {
		return ""
	}
	return string(m[1])
}

func (g *filled) object(t *testing.T, key, body string) {
	t.Helper()
	if _, err := s3.NewClient(g.Client()).PutObject(t.Context(), &s3.PutObjectInput{Bucket: "kept", Key: key, Body: strings.NewReader(body), ContentLength: aws.Ptr(int64(len(body)))}); err != nil {
		t.Fatal(err)
	}
}

func (g *filled) read(t *testing.T, key string) string {
	t.Helper()
	out, err := s3.NewClient(g.Client()).GetObject(t.Context(), &s3.GetObjectInput{Bucket: "kept", Key: key})
	if err != nil {
		return ""
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// rootKey is the environment of a tool that needs the server's root key.
func (g *filled) rootKey(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(g.Dir, "keys", "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	return append(g.Env(), "GALEN_ROOT_KEY="+strings.TrimSpace(string(b)))
}

// on is an environment with the records of a folder where they are, or shall be.
func on(t *testing.T, env []string, dir string) []string {
	t.Helper()
	return append(slices.Clone(env), galen.RecordsEnv(t, dir)...)
}

// run runs the binary; both outputs come together, and hold no content.
func run(t *testing.T, env []string, args ...string) (status int, out string) {
	t.Helper()
	cmd := exec.Command(galen.Binary(t), args...)
	cmd.Env = env
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte(content)) {
		t.Errorf("%v prints content", args)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

func must(t *testing.T, env []string, args ...string) string {
	t.Helper()
	status, out := run(t, env, args...)
	if status != 0 {
		t.Fatalf("galen %s: %d %s", strings.Join(args, " "), status, out)
	}
	return out
}

// restore restores to a new folder, verifies it and serves it.
func (g *filled) restore(t *testing.T, dest string, more ...string) *filled {
	t.Helper()
	dir, key := filepath.Join(t.TempDir(), "new"), g.rootKey(t)
	env := on(t, key, dir)
	must(t, env, append([]string{"admin", "restore", dest, "--data-dir", dir}, more...)...)
	if out := must(t, env, "verify", "--data-dir", dir); !strings.Contains(out, "all is whole") {
		t.Error(out)
	}
	t.Setenv("GALEN_ROOT_KEY", strings.TrimPrefix(key[len(key)-1], "GALEN_ROOT_KEY="))
	n := &filled{Server: galen.New(t, dir), store: g.store}
	n.Run()
	return n
}

var looked = regexp.MustCompile(`all is whole: (\d+) records, (\d+) blobs, (\d+) keys`)

// A backup under load, restored on an empty machine, is equal by verification and by counting; a second copies what is new only; a restore to a second gives its state.
func TestBackup(t *testing.T) {
	g := fill(t)
	dest := filepath.Join(t.TempDir(), "backup")
	g.object(t, "first", content+" 1")
	g.patient(t, "p", "One")
	var stop atomic.Bool
	var wg sync.WaitGroup
	var put [2]int
	for i := range put {
		wg.Go(func() {
			for ; !stop.Load() && !t.Failed(); put[i]++ {
				g.object(t, fmt.Sprintf("load/%d/%d", i, put[i]), content)
				g.patient(t, fmt.Sprintf("load-%d-%d", i, put[i]), content)
			}
		})
	}
	for n := range 3 {
		out := must(t, g.Env(), "admin", "backup", dest)
		if !strings.Contains(out, "new: ") {
			t.Errorf("backup %d: %s", n, out)
		}
	}
	stop.Store(true)
	wg.Wait()

	g.patient(t, "p", "Two")
	at := g.patient(t, "q", "Two")
	time.Sleep(time.Until(at.Truncate(time.Second).Add(time.Second + 10*time.Millisecond))) // the next commits are of another second
	g.patient(t, "p", "Three")
	g.patient(t, "r", "Three")
	g.object(t, "last", content+" 2")
	out := must(t, g.Env(), "admin", "backup", dest, "--json")
	var rep struct {
		Count    struct{ Blobs int }
		NewBlobs int
	}
	if err := json.Unmarshal([]byte(out), &rep); err != nil || rep.Count.Blobs < put[0]+put[1] || rep.NewBlobs >= rep.Count.Blobs {
		t.Errorf("the last backup: %+v, %v", rep, err)
	}
	if out := must(t, g.rootKey(t), "admin", "check-backup", dest); !strings.Contains(out, "all is whole: 4 points") {
		t.Error(out)
	}
	if out := must(t, g.Env(), "verify", "--online"); !looked.MatchString(out) {
		t.Error(out)
	}

	n := g.restore(t, dest)
	if n.family(t, "p") != "Three" || n.family(t, "q") != "Two" || n.read(t, "first") != content+" 1" || n.read(t, "last") != content+" 2" {
		t.Error("the newest state did not come back")
	}
	for i, of := range put {
		for k := range of {
			if n.read(t, fmt.Sprintf("load/%d/%d", i, k)) != content || n.family(t, fmt.Sprintf("load-%d-%d", i, k)) != content {
				t.Fatalf("what was stored under load is missing: %d %d", i, k)
			}
		}
	}
	n.Stop()
	past := g.restore(t, dest, "--at", at.UTC().Truncate(time.Second).Format(time.RFC3339))
	if past.family(t, "p") != "Two" || past.family(t, "q") != "Two" || past.family(t, "r") != "" || past.read(t, "last") != "" || past.read(t, "first") == "" {
		t.Errorf("the state of %s: p %q, q %q, r %q", at, past.family(t, "p"), past.family(t, "q"), past.family(t, "r"))
	}
	past.Stop()

	g.Stop() // counted when both stand still
	last := must(t, g.rootKey(t), "admin", "backup", dest, "--data-dir", g.Dir)
	dir := filepath.Join(t.TempDir(), "same")
	must(t, on(t, g.rootKey(t), dir), "admin", "restore", dest, "--data-dir", dir)
	a, b := looked.FindString(must(t, g.rootKey(t), "verify", "--data-dir", g.Dir)), looked.FindString(must(t, on(t, g.rootKey(t), dir), "verify", "--data-dir", dir))
	if a == "" || a != b {
		t.Errorf("%q was restored as %q; %s", a, b, last)
	}
}

// A backup or a restore that is killed is gone on with; half a restore never starts; a restore overwrites nothing.
func TestKilled(t *testing.T) {
	g := fill(t)
	dest := filepath.Join(t.TempDir(), "backup")
	for i := range 60 {
		g.object(t, fmt.Sprint(i), strings.Repeat(content, 1000))
	}
	g.patient(t, "p", "One")
	g.Stop()
	env := g.rootKey(t)
	kill := func(env []string, after time.Duration, args ...string) {
		cmd := exec.Command(galen.Binary(t), args...)
		cmd.Env = env
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	}
	for i := range 4 {
		kill(env, time.Duration(100+150*i)*time.Millisecond, "admin", "backup", dest, "--data-dir", g.Dir)
	}
	must(t, env, "admin", "backup", dest, "--data-dir", g.Dir)
	must(t, env, "admin", "check-backup", dest)
	dir := filepath.Join(t.TempDir(), "new")
	env = on(t, env, dir)
	half := 0
	for i := range 6 {
		kill(env, time.Duration(30+60*i)*time.Millisecond, "admin", "restore", dest, "--data-dir", dir)
		if _, err := os.Stat(filepath.Join(dir, "RESTORING")); err == nil {
			half++
			for _, c := range [][]string{{"serve", "--data-dir", dir, "--addr", "127.0.0.1:0"}, {"verify", "--data-dir", dir}} {
				if status, out := run(t, env, c...); status != 1 || !strings.Contains(out, "was cut off: run it again") {
					t.Errorf("%s on half a restore: %d %s", c[0], status, out)
				}
			}
		}
	}
	if half == 0 {
		t.Log("no restore was cut off in its middle here")
	}
	if _, err := os.Stat(filepath.Join(dir, "keys")); err != nil || half > 0 {
		status, out := run(t, env, "admin", "restore", dest, "--data-dir", dir)
		if status != 0 && !strings.Contains(out, "is not empty") {
			t.Fatal(out)
		}
	}
	must(t, env, "verify", "--data-dir", dir)
	if status, out := run(t, env, "admin", "restore", dest, "--data-dir", dir); status != 1 || !strings.Contains(out, "a restore never overwrites") {
		t.Errorf("a restore over data: %d %s", status, out)
	}
	env = on(t, env, filepath.Join(t.TempDir(), "another"))
	if status, out := run(t, append(env, "GALEN_ROOT_KEY="+strings.Repeat("A", 43)+"="), "admin", "restore", dest, "--data-dir", filepath.Join(t.TempDir(), "x")); status != 1 || !strings.Contains(out, "the root key does not open") {
		t.Errorf("a restore with another root key: %d %s", status, out)
	}
	if status, out := run(t, on(t, g.Env(), "another"), "admin", "restore", dest, "--data-dir", filepath.Join(t.TempDir(), "x")); status != 1 || !strings.Contains(out, "the root key of the server that made the backup is needed") {
		t.Errorf("a restore without a root key: %d %s", status, out)
	}
}

// A root key under a passphrase comes back with the backup; a wrong one opens nothing, and begins nothing.
func TestSealedRootKey(t *testing.T) {
	t.Setenv("GALEN_ROOT_PASSPHRASE", "the first passphrase of the test")
	g := galen.Start(t, "--root-key", "passphrase")
	ctx := t.Context()
	if _, err := s3.NewClient(g.Client()).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "kept"}); err != nil {
		t.Fatal(err)
	}
	before := &filled{Server: g}
	before.object(t, "one", content)
	dest := filepath.Join(t.TempDir(), "backup")
	must(t, g.Env(), "admin", "backup", dest)
	dir := filepath.Join(t.TempDir(), "new")
	env := func(pass string) []string { return append(on(t, g.Env(), dir), "GALEN_ROOT_PASSPHRASE="+pass) }
	for _, bad := range []struct{ source, pass, want string }{
		{"passphrase", "another passphrase of the test", "passphrase"},
		{"", "", "--root-key"},
		{"nonsense:x", "", "names no place of a root key"},
		{"pkcs11:/nowhere.so?token=a&key=b", "", "carries no root key"},
	} {
		status, out := run(t, env(bad.pass), "admin", "restore", dest, "--data-dir", dir, "--root-key", bad.source)
		if status != 1 || !strings.Contains(out, bad.want) {
			t.Errorf("%q with %q: %d %s", bad.source, bad.pass, status, out)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Fatalf("%q has begun a restore", bad.source)
		}
	}
	if out := must(t, g.Env(), "admin", "check-backup", dest, "--root-key", "passphrase"); !strings.Contains(out, "all is whole") {
		t.Error(out)
	}
	must(t, on(t, g.Env(), dir), "admin", "restore", dest, "--data-dir", dir, "--root-key", "passphrase")
	if out := must(t, on(t, g.Env(), dir), "verify", "--data-dir", dir, "--root-key", "passphrase"); !strings.Contains(out, "all is whole") {
		t.Error(out)
	}
	n := &filled{Server: galen.New(t, dir, "--root-key", "passphrase")}
	n.Run()
	if got := n.read(t, "one"); got != content {
		t.Errorf("the object is %q", got)
	}
	files, err := filepath.Glob(filepath.Join(dest, "roots", "*", "root.passphrase"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out := run(t, g.Env(), "admin", "check-backup", dest, "--root-key", "passphrase"); status != 1 || !strings.Contains(out, "damaged") {
		t.Errorf("a damaged root key: %d %s", status, out)
	}
}
