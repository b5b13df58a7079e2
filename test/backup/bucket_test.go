package backup_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/test/galen"
)

// vault is another server, whose S3 has the backups or the blobs of one that is tested.
type vault struct {
	*galen.Server
	t *testing.T
}

// startVault starts it, and gives this process and those that it starts the credentials for it.
func startVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{galen.Start(t), t}
	t.Setenv("AWS_ACCESS_KEY_ID", galen.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", galen.SecretAccessKey)
	if _, err := s3.NewClient(v.Client()).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: "vault"}); err != nil {
		t.Fatal(err)
	}
	return v
}

// at is a place in it.
func (v *vault) at(prefix string) string {
	return fmt.Sprintf("s3://vault/%s?endpoint=%s&region=%s", prefix, v.URL, galen.Region)
}

// names are the objects below a prefix.
func (v *vault) names(prefix string) (names []string) {
	v.t.Helper()
	for in := (s3.ListObjectsV2Input{Bucket: "vault", Prefix: prefix}); ; {
		out, err := s3.NewClient(v.Client()).ListObjectsV2(v.t.Context(), &in)
		if err != nil {
			v.t.Fatal(err)
		}
		for _, o := range out.Contents {
			names = append(names, o.Key)
		}
		if in.ContinuationToken = out.NextContinuationToken; in.ContinuationToken == "" {
			return names
		}
	}
}

// change replaces an object by what fn makes of it; nil removes it.
func (v *vault) change(name string, fn func([]byte) []byte) {
	v.t.Helper()
	c := s3.NewClient(v.Client())
	out, err := c.GetObject(v.t.Context(), &s3.GetObjectInput{Bucket: "vault", Key: name})
	if err != nil {
		v.t.Fatal(err)
	}
	b, err := io.ReadAll(out.Body)
	if err = errors.Join(err, out.Body.Close()); err != nil {
		v.t.Fatal(err)
	}
	if b = fn(b); b == nil {
		_, err = c.DeleteObject(v.t.Context(), &s3.DeleteObjectInput{Bucket: "vault", Key: name})
	} else {
		_, err = c.PutObject(v.t.Context(), &s3.PutObjectInput{Bucket: "vault", Key: name, Body: strings.NewReader(string(b))})
	}
	if err != nil {
		v.t.Fatal(err)
	}
}

// cut starts the binary and kills it after a while.
func cut(t *testing.T, env []string, after time.Duration, args ...string) {
	t.Helper()
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

// A backup in another server's bucket: by a running server and by the tool, what is new only, killed in its middle and gone on with, checked, restored, also to a time;
// a damaged and a missing object are found, and the next backup heals what it still has.
func TestBackupInABucket(t *testing.T) {
	v := startVault(t)
	g := fill(t)
	dest := v.at("backups/daily")
	for i := range 20 {
		g.object(t, fmt.Sprint("of/", i), strings.Repeat(content, 2000)+fmt.Sprint(i))
	}
	g.patient(t, "p", "One")
	var rep struct{ NewBlobs, Written, NewBytes int64 }
	backup := func(args ...string) {
		t.Helper()
		if err := json.Unmarshal([]byte(must(t, g.rootKey(t), append([]string{"admin", "backup", dest, "--json"}, args...)...)), &rep); err != nil {
			t.Fatal(err)
		}
	}
	backup()
	if rep.NewBlobs < 20 || rep.NewBytes < 20*2000*int64(len(content)) {
		t.Errorf("the first backup: %+v", rep)
	}
	first := g.patient(t, "p", "Two")
	g.object(t, "last", content)
	time.Sleep(time.Until(first.Truncate(time.Second).Add(time.Second + 10*time.Millisecond)))
	g.patient(t, "p", "Three")
	backup()
	if rep.NewBlobs != 1 {
		t.Errorf("the second backup: %+v", rep)
	}
	env := g.rootKey(t)
	check := func(want string) {
		t.Helper()
		if _, out := run(t, env, "admin", "check-backup", dest); !strings.Contains(out, want) {
			t.Errorf("check-backup: %s, want %q", out, want)
		}
	}
	check("all is whole: 2 points")
	if names := v.names("backups/daily/leases/"); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
	for _, n := range v.names("") {
		if !strings.HasPrefix(n, "backups/daily/") {
			t.Errorf("%s was written outside of the prefix", n)
		}
	}
	n := g.restore(t, dest)
	if n.family(t, "p") != "Three" || n.read(t, "last") != content || n.read(t, "of/7") != strings.Repeat(content, 2000)+"7" {
		t.Error("the newest state did not come back")
	}
	n.Stop()
	past := g.restore(t, dest, "--at", first.UTC().Truncate(time.Second).Format(time.RFC3339))
	if past.family(t, "p") != "Two" {
		t.Errorf("the state of %s: %q", first, past.family(t, "p"))
	}
	past.Stop()

	for i := range 30 {
		g.object(t, fmt.Sprint("more/", i), strings.Repeat(content, 5000)+fmt.Sprint(i))
	}
	g.Stop()
	for i := range 4 {
		cut(t, env, time.Duration(250+150*i)*time.Millisecond, "admin", "backup", dest, "--data-dir", g.Dir)
		check("all is whole: ")
	}
	backup("--data-dir", g.Dir)
	check("all is whole: ")
	t.Logf("after four cuts %d blobs were new", rep.NewBlobs)
	dir := filepath.Join(t.TempDir(), "new")
	env = on(t, env, dir)
	for i := range 3 {
		cut(t, env, time.Duration(100+200*i)*time.Millisecond, "admin", "restore", dest, "--data-dir", dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "RESTORING")); err == nil || !exists(filepath.Join(dir, "keys")) {
		must(t, env, "admin", "restore", dest, "--data-dir", dir)
	}
	if out := must(t, env, "verify", "--data-dir", dir); !strings.Contains(out, "all is whole") {
		t.Error(out)
	}

	blobs, chunks := v.names("backups/daily/blobs/"), v.names("backups/daily/chunks/")
	v.change(blobs[len(blobs)/2], func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	check("is damaged")
	var chunk []byte
	v.change(chunks[len(chunks)/2], func(b []byte) []byte { chunk = b; return nil }) // it may be the one that names blobs: then those are not looked at
	check("is missing")
	x := filepath.Join(t.TempDir(), "x")
	if status, out := run(t, on(t, env, x), "admin", "restore", dest, "--data-dir", x); status != 1 || !strings.Contains(out, "is missing") && !strings.Contains(out, "is damaged") {
		t.Errorf("a restore of what is damaged: %d %s", status, out)
	}
	v.change(blobs[len(blobs)/2], func([]byte) []byte { return nil }) // as check-backup says
	backup("--data-dir", g.Dir)
	// The chunk may be of an older point only, of what the server holds no more: it comes back from a copy.
	if _, err := s3.NewClient(v.Client()).PutObject(t.Context(), &s3.PutObjectInput{Bucket: "vault", Key: chunks[len(chunks)/2], Body: strings.NewReader(string(chunk))}); err != nil {
		t.Fatal(err)
	}
	check("all is whole")

	v.Stop()
	if status, out := run(t, env, "admin", "check-backup", strings.Replace(dest, "?", "?timeout=1s&", 1)); status != 1 || strings.Contains(out, "all is whole") {
		t.Errorf("a backup that cannot be reached: %d %s", status, out)
	}
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// Of a server whose blobs are in a bucket and whose keys are in a folder of their own: a backup, and a restore to another bucket prefix and another folder of keys. What
// is another's is refused.
func TestBlobsInABucket(t *testing.T) {
	v := startVault(t)
	keys := filepath.Join(t.TempDir(), "keys")
	t.Setenv("GALEN_BLOBS", v.at("blobs/one"))
	t.Setenv("GALEN_KEYS_DIR", keys)
	g := fill(t)
	for i := range 12 {
		g.object(t, fmt.Sprint(i), strings.Repeat(content, 100)+fmt.Sprint(i))
	}
	g.patient(t, "p", "One")
	dest := filepath.Join(t.TempDir(), "backup")
	if out := must(t, g.Env(), "admin", "backup", dest); !strings.Contains(out, " 12 blobs") {
		t.Error(out)
	}
	g.Stop()
	key, err := os.ReadFile(filepath.Join(keys, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GALEN_ROOT_KEY", strings.TrimSpace(string(key)))
	if out := must(t, on(t, os.Environ(), g.Dir), "admin", "backup", dest, "--data-dir", g.Dir); !strings.Contains(out, "0 blobs of 0 bytes") {
		t.Error(out)
	}
	if out := must(t, os.Environ(), "admin", "check-backup", dest); !strings.Contains(out, "all is whole") {
		t.Error(out)
	}

	dir := filepath.Join(t.TempDir(), "new")
	restore := func(blobs, keys string) (int, string) {
		t.Helper()
		return run(t, on(t, os.Environ(), dir), "admin", "restore", dest, "--data-dir", dir, "--blobs", blobs, "--keys-dir", keys)
	}
	second, others := filepath.Join(t.TempDir(), "second", "keys"), filepath.Join(t.TempDir(), "others")
	other := galen.New(t, t.TempDir(), "--blobs", v.at("blobs/other"), "--keys-dir", others)
	t.Setenv("GALEN_ROOT_KEY", "")
	other.Run()
	other.Stop()
	t.Setenv("GALEN_ROOT_KEY", strings.TrimSpace(string(key)))
	if status, out := restore(v.at("blobs/two"), others); status != 1 || !strings.Contains(out, "has a key ring: a restore never overwrites") || exists(dir) {
		t.Errorf("a restore to another's keys: %d %s", status, out)
	}
	if status, out := restore(v.at("blobs/other"), second); status != 1 || !strings.Contains(out, "another") {
		t.Errorf("a restore to another's blobs: %d %s", status, out)
	}
	if n := v.names("blobs/other/"); len(n) != 1 {
		t.Errorf("it wrote there: %v", n)
	}
	if status, out := restore(v.at("blobs/three"), second); status != 0 {
		t.Fatal(out)
	}
	if exists(filepath.Join(dir, "keys")) || exists(filepath.Join(dir, "blobs")) || !exists(filepath.Join(second, "ring.b")) {
		t.Error("keys or blobs are in the data folder")
	}
	t.Setenv("GALEN_BLOBS", "")
	if status, out := run(t, on(t, os.Environ(), dir), "verify", "--data-dir", dir, "--keys-dir", second); status != 1 || !strings.Contains(out, "start with --blobs") {
		t.Errorf("without --blobs: %d %s", status, out)
	}
	t.Setenv("GALEN_BLOBS", v.at("blobs/three"))
	t.Setenv("GALEN_KEYS_DIR", second)
	if out := must(t, on(t, os.Environ(), dir), "verify", "--data-dir", dir); !strings.Contains(out, "all is whole") || !strings.Contains(out, " 12 blobs") {
		t.Error(out)
	}
	n := &filled{Server: galen.New(t, dir), store: g.store}
	n.Run()
	if n.family(t, "p") != "One" || n.read(t, "7") != strings.Repeat(content, 100)+"7" {
		t.Error("what was restored is another")
	}
}
