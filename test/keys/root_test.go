package keys

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/test/galen"
)

// The root key moves on the real binary, from the folder's file to a passphrase; a start with anything else is refused in words that help, and changes no key; no root
// key and no data key that the API gave out is on the disk.
func TestRootKeyMoves(t *testing.T) {
	dir := t.TempDir()
	g := galen.New(t, dir)
	g.Run()
	keys := kms.NewClient(g.Client())
	k := must[*kms.CreateKeyOutput](t)(keys.CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata
	dk := must[*kms.GenerateDataKeyOutput](t)(keys.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: k.KeyId, KeySpec: "AES_256"}))
	g.Stop()
	text, err := os.ReadFile(filepath.Join(dir, "keys", "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	root, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GALEN_ROOT_PASSPHRASE", "correct horse battery staple")
	if out, err := g.Exec("admin", "root-key", "move", "--data-dir", dir, "--to", "passphrase"); err != nil || !strings.Contains(out, "--root-key 'passphrase'") {
		t.Fatalf("move: %v %s", err, out)
	}
	ring := func() string { return string(must[[]byte](t)(os.ReadFile(filepath.Join(dir, "keys", "ring.a")))) }
	before := ring()
	verify := func(want string, args ...string) {
		t.Helper()
		out, err := g.Exec(append([]string{"verify", "--data-dir", dir}, args...)...)
		if err != nil {
			out += err.Error()
		}
		if !strings.Contains(out, want) {
			t.Errorf("verify %v says %s, want %q", args, out, want)
		}
	}
	verify("root key")
	t.Setenv("GALEN_ROOT_PASSPHRASE", "a wrong passphrase")
	verify("the passphrase does not open root.passphrase", "--root-key", "passphrase")
	if ring() != before {
		t.Error("a refused start changed the ring")
	}
	t.Setenv("GALEN_ROOT_PASSPHRASE", "correct horse battery staple")
	verify("all is whole", "--root-key", "passphrase")
	g = galen.New(t, dir, "--root-key", "passphrase")
	g.Run()
	got := must[*kms.DecryptOutput](t)(kms.NewClient(g.Client()).Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: dk.CiphertextBlob}))
	if !bytes.Equal(got.Plaintext, dk.Plaintext) {
		t.Error("after the move the data key is another")
	}
	g.Stop()
	files := 0
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files++
		for what, secret := range map[string][]byte{"the old root key": root, "the data key": dk.Plaintext} {
			if bytes.Contains(b, secret) || bytes.Contains(b, []byte(base64.StdEncoding.EncodeToString(secret))) {
				t.Errorf("%s holds %s", path, what)
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files looked through", files)
}
