package keys

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/backup"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/sealed"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/test/galen"
)

// learner is a key ring that remembers every data key that it opens.
type learner struct {
	key.Ring
	ring *keyring.Ring
	mu   *sync.Mutex
	keys map[string]string // raw bytes → what it is
	what string
}

func (l learner) Open(ctx context.Context, wrapped []byte, context map[string]string) (key.DataKey, error) {
	dk, err := l.Ring.Open(ctx, wrapped, context)
	if err == nil {
		l.mu.Lock()
		l.keys[string(dk.Plain)] = fmt.Sprintf("a data key of %s (%v)", l.what, context)
		l.mu.Unlock()
	}
	return dk, err
}

// Regardless and Sealed make it a ring that backups are read with.
func (l learner) Regardless() key.Ring    { return l }
func (l learner) Sealed() ([]byte, error) { return l.ring.Sealed() }

// materials are the KMS keys of a ring's file, as docs/formats/keys.md says how to open it.
func materials(t *testing.T, file string, root []byte) (out [][]byte) {
	t.Helper()
	b := must[[]byte](t)(os.ReadFile(file))
	k := must[[]byte](t)(hkdf.Key(sha256.New, root, nil, "galen key ring seal", 32))
	gcm := must[cipher.AEAD](t)(cipher.NewGCM(must[cipher.Block](t)(aes.NewCipher(k))))
	plain := must[[]byte](t)(gcm.Open(nil, b[34:46], b[46:], b[:46]))
	var ring struct {
		Keys []struct {
			Versions []struct{ Material []byte }
		}
	}
	if err := json.Unmarshal(plain, &ring); err != nil {
		t.Fatal(err)
	}
	for _, k := range ring.Keys {
		for _, v := range k.Versions {
			out = append(out, v.Material)
		}
	}
	return append(out, k)
}

// Every key of a server that has data of all kinds is learnt – the root key, the KMS keys, the data keys of its bodies, records, logs and backup, and keys that the API
// gave out – and none of them is in a file of its data folder, in a copy made while it ran, in its backup or in what it printed.
func TestNoKeyInTheClear(t *testing.T) {
	if os.Getenv("GALEN_TEST_RECORDS") == "postgres" {
		t.Skip("keys of records are learnt in the data folder")
	}
	dir, place := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	g := galen.New(t, dir, "--log-level", "debug")
	g.Run()
	c := kms.NewClient(g.Client())
	k := must[*kms.CreateKeyOutput](t)(c.CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata
	s := build(t, g, k.Arn)
	if _, ok := s.query(); !ok {
		t.Fatal("the query failed")
	}
	must[*kms.RotateKeyOnDemandOutput](t)(c.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: k.KeyId}))
	given := must[*kms.GenerateDataKeyOutput](t)(c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: k.KeyId, KeySpec: "AES_256"})).Plaintext
	random := must[*kms.GenerateRandomOutput](t)(c.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: new(int32(32))})).Plaintext
	if out, err := g.Exec("admin", "backup", place); err != nil {
		t.Fatalf("backup: %v %s", err, out)
	}
	if limits := string(must[[]byte](t)(os.ReadFile(fmt.Sprintf("/proc/%d/limits", g.Pid())))); !strings.Contains(strings.Join(strings.Fields(limits), " "), "Max core file size 1 ") && !strings.Contains(strings.Join(strings.Fields(limits), " "), "Max core file size 0 ") {
		t.Errorf("the server may leave core files:\n%s", limits)
	}
	running := filepath.Join(t.TempDir(), "running")
	if err := copyTree(dir, running); err != nil {
		t.Fatal(err)
	}
	log := g.Log()
	g.Stop()

	root := rootKey(t, dir)
	keys := map[string]string{string(root): "the root key", string(given): "a data key of GenerateDataKey", string(random): "random bytes of GenerateRandom", galen.SecretAccessKey: "the root user's secret access key"}
	for _, m := range materials(t, filepath.Join(dir, "keys", "ring.a"), root) {
		keys[string(m)] = "a KMS key"
	}
	kmsKeys := len(keys) - 4
	learn(t, dir, place, root, keys)
	if kmsKeys < 4 || len(keys) < kmsKeys+20 {
		t.Errorf("only %d keys are learnt, %d of them KMS keys", len(keys), kmsKeys)
	}

	files, size := 0, 0
	for _, top := range []string{dir, running, place} {
		if err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files, size = files+1, size+len(b)
			for _, what := range inside(b, keys) {
				if what == "the root key" && filepath.Base(path) == "root.key" {
					continue
				}
				t.Errorf("%s holds %s", path, what)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, what := range inside([]byte(log), keys) {
		t.Errorf("the log holds %s", what)
	}
	if what := inside(append([]byte("x"), base64.StdEncoding.EncodeToString(root)...), keys); len(what) != 1 {
		t.Errorf("the search finds %v where the root key is", what)
	}
	t.Logf("%d keys, %d of them KMS keys, were looked for in %d files with %d bytes and %d bytes of log", len(keys), kmsKeys, files, size, len(log))
}

// learn opens all that is under data keys: bodies, records, the log's signer, the backup.
func learn(t *testing.T, dir, place string, root []byte, keys map[string]string) {
	t.Helper()
	ring := must[*keyring.Ring](t)(keyring.Open(filepath.Join(dir, "keys"), nil, keyring.Config{Account: galen.Account, Region: galen.Region}))
	defer ring.Close() //nolint:errcheck // only read
	var mu sync.Mutex
	as := func(what string) learner { return learner{ring.Regardless(), ring, &mu, keys, what} }

	blobs := backup.ReadFolder(filepath.Join(dir, "blobs"))
	if err := blobs.List(ctx, "", func(name string) error {
		if id := blob.ID(filepath.Base(name)); sealed.IsID(id) {
			src, err := blobs.Open(ctx, name)
			if err != nil {
				return err
			}
			r, err := sealed.NewReader(ctx, as("a body"), src, id)
			if err != nil {
				return err
			}
			return r.Close()
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	records := filepath.Join(t.TempDir(), "records")
	if err := os.CopyFS(records, os.DirFS(filepath.Join(dir, "records"))); err != nil {
		t.Fatal(err)
	}
	store := must[*pebble.Store](t)(pebble.Open(records, as("records"), pebble.Options{}))
	if err := store.Export(ctx, as("records"), &exported{}); err != nil {
		t.Fatal(err)
	}
	logs := filepath.Join(t.TempDir(), "audit")
	if err := os.CopyFS(logs, os.DirFS(filepath.Join(dir, "audit"))); err != nil {
		t.Fatal(err)
	}
	l := must[*audit.Merkle](t)(audit.Open(ctx, audit.Config{Dir: logs, Origin: "galen/" + galen.Account + "/audit", Ring: as("the audit log"), Store: store}))
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	from := backup.ReadFolder(place)
	point, older, _, err := backup.Choose(ctx, from, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	must[*backup.Backup](t)(backup.Open(ctx, from, as("the backup"), point, older, time.Time{}))
}

// inside names the keys that are in some bytes: as they are, in base64 of either alphabet, in hexadecimal.
func inside(b []byte, keys map[string]string) (found []string) {
	for k, what := range keys {
		raw := []byte(k)
		for _, form := range []string{k, base64.RawStdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw), hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw))} {
			if bytes.Contains(b, []byte(form)) {
				found = append(found, what)
				break
			}
		}
	}
	return found
}

// copyTree copies what lies still long enough to be copied.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, rel)), 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
}
