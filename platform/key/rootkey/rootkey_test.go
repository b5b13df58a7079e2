package rootkey_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/key/rootkey"
)

var ctx = context.Background()

func TestMain(m *testing.M) {
	rootkey.Cheap()
	os.Exit(m.Run())
}

func folder(t *testing.T, dir string) rootkey.Folder {
	t.Helper()
	fresh, opens, err := keyring.Sealing(dir)
	if err != nil {
		t.Fatal(err)
	}
	return rootkey.Folder{Dir: dir, Opens: opens, Fresh: fresh}
}

// opened opens the ring of a folder as a start does.
func opened(t *testing.T, dir string, s rootkey.Source) (*keyring.Ring, []byte, error) {
	t.Helper()
	root, err := s.Open(ctx, folder(t, dir))
	if err != nil {
		return nil, nil, err
	}
	r, err := keyring.Open(dir, root, keyring.Config{})
	if err != nil {
		return nil, nil, err
	}
	return r, root, nil
}

func state(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// refused demands a clear error that changes nothing in the folder.
func refused(t *testing.T, dir string, s rootkey.Source, want string) {
	t.Helper()
	before := state(t, dir)
	_, _, err := opened(t, dir, s)
	if err == nil || !strings.Contains(errs.As(err).Message, want) {
		t.Errorf("%s: %v, want an error that says %q", s, err, want)
	}
	after := state(t, dir)
	delete(before, filepath.Join(dir, "LOCK"))
	delete(after, filepath.Join(dir, "LOCK"))
	if len(before) != len(after) {
		t.Errorf("%s: files came or went", s)
	}
	for path, b := range before {
		if after[path] != b {
			t.Errorf("%s: %s was changed", s, path)
		}
	}
}

const vaultToken = "hvs.test-token"

// transit answers as Vault's Transit engine does, by its HTTP API: encrypt and decrypt of a named key, errors with a list of messages. Vault itself is not to be had
// from a package registry.
type transit struct {
	t      *testing.T
	ring   *keyring.Ring
	arn    string
	status int // answered to everything when not 0
}

func (v *transit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in map[string]string
	if r.Method != http.MethodPost || decode(r, &in) != nil {
		http.Error(w, `{"errors":["unsupported operation"]}`, http.StatusMethodNotAllowed)
		return
	}
	switch {
	case v.status != 0:
		http.Error(w, `{"errors":["Vault is sealed"]}`, v.status)
	case r.Header.Get("X-Vault-Token") != vaultToken:
		http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
	case r.URL.Path == "/v1/transit/encrypt/galen":
		plain, err := base64.StdEncoding.DecodeString(in["plaintext"])
		if err != nil {
			http.Error(w, `{"errors":["failed to base64-decode plaintext"]}`, http.StatusBadRequest)
			return
		}
		sealed, _, err := v.ring.Encrypt(ctx, v.arn, plain, nil)
		if err != nil {
			v.t.Error(err)
		}
		reply(w, map[string]any{"data": map[string]any{"ciphertext": "vault:v1:" + base64.StdEncoding.EncodeToString(sealed), "key_version": 1}})
	case r.URL.Path == "/v1/transit/decrypt/galen":
		sealed, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(in["ciphertext"], "vault:v1:"))
		plain, _, err := v.ring.Decrypt(ctx, sealed, nil)
		if err != nil {
			http.Error(w, `{"errors":["cipher: message authentication failed"]}`, http.StatusBadRequest)
			return
		}
		reply(w, map[string]any{"data": map[string]any{"plaintext": base64.StdEncoding.EncodeToString(plain)}})
	default:
		http.Error(w, `{"errors":["no handler for route"]}`, http.StatusNotFound)
	}
}

func vaultServer(t *testing.T) (*transit, rootkey.Source) {
	t.Helper()
	r, err := keyring.Open(t.TempDir(), bytes.Repeat([]byte{9}, 32), keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	k, err := r.Create()
	if err != nil {
		t.Fatal(err)
	}
	v := &transit{t: t, ring: r, arn: k.ARN}
	s := httptest.NewServer(v)
	t.Cleanup(s.Close)
	t.Setenv("VAULT_TOKEN", vaultToken)
	return v, rootkey.Source("vault:" + s.URL + "/transit/keys/galen")
}

// softToken makes a SoftHSM token with an AES key in it.
func softToken(t *testing.T) rootkey.Source {
	t.Helper()
	const module = "/usr/lib/softhsm/libsofthsm2.so"
	if _, err := os.Stat(module); err != nil {
		t.Skip("no softhsm2: scripts/setup.sh installs it")
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	t.Setenv("GALEN_PKCS11_PIN", "123456")
	if out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "galen", "--so-pin", "12345678", "--pin", "123456").CombinedOutput(); err != nil {
		t.Fatalf("softhsm2-util: %v %s", err, out)
	}
	rootkey.MakeTokenKey(t, module, "galen", "root")
	return rootkey.Source("pkcs11:" + module + "?token=galen&key=root")
}

// Every place of a root key opens the ring again, and the ring moves from each to the next; what it wrapped stays readable, and no root key is on the disk but where its
// owner asked for it.
func TestSourcesAndMoves(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	_, vault := vaultServer(t)
	t.Setenv("GALEN_ROOT_KEY", "")
	t.Setenv("GALEN_ROOT_PASSPHRASE", "correct horse battery staple")
	t.Setenv("OTHER_ROOT", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7, 3}, 16)))
	other := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(other, []byte("another passphrase, longer\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "root")
	sources := []rootkey.Source{"passphrase", rootkey.Source("passphrase-file:" + other), vault, vault, "env:OTHER_ROOT", rootkey.Source("file:" + path), "passphrase"}
	if hsm := "/usr/lib/softhsm/libsofthsm2.so"; exists(hsm) {
		sources = append(sources, softToken(t), "passphrase")
	}
	r, err := keyring.Open(dir, nil, keyring.Config{}) // with its own root.key
	if err != nil {
		t.Fatal(err)
	}
	dk, err := r.DataKey(ctx, key.Ref{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	was := rootkey.Source("")
	for i, s := range sources {
		if err := rootkey.Move(ctx, folder(t, dir), was, s, func(old, next []byte) error { return keyring.Reseal(dir, old, next) }); err != nil {
			t.Fatalf("from %q to %q: %v", was, s, err)
		}
		r, root, err := opened(t, dir, s)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if got, err := r.Open(ctx, dk.Wrapped, nil); err != nil || !bytes.Equal(got.Plain, dk.Plain) {
			t.Errorf("%q: the data key: %v", s, err)
		}
		for name, body := range state(t, dir) {
			for what, secret := range map[string][]byte{"the root key": root, "the data key": dk.Plain} {
				if strings.Contains(body, string(secret)) || strings.Contains(body, base64.StdEncoding.EncodeToString(secret)) {
					t.Errorf("%q: %s has %s in clear", s, name, what)
				}
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if was != s && (was != "passphrase" || i > 1) {
			if _, _, err := opened(t, dir, was); err == nil && was != "" {
				t.Errorf("%q still opens the ring after its move to %q", was, s)
			}
		}
		was = s
	}
	t.Logf("%d moves", len(sources))
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// A root key that is not to be had is said in words that tell what to do, and nothing in the folder changes.
func TestRefusals(t *testing.T) {
	t.Setenv("GALEN_ROOT_KEY", "")
	t.Setenv("GALEN_ROOT_PASSPHRASE", "correct horse battery staple")
	v, vault := vaultServer(t)
	made := func(s rootkey.Source) string {
		dir := filepath.Join(t.TempDir(), "keys")
		r, _, err := opened(t, dir, s)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	a, b := made("passphrase"), made(vault)
	t.Setenv("GALEN_ROOT_PASSPHRASE", "a wrong passphrase")
	refused(t, a, "passphrase", "does not open root.passphrase: give the one that it was sealed with")
	t.Setenv("GALEN_ROOT_PASSPHRASE", "")
	refused(t, a, "passphrase", "set GALEN_ROOT_PASSPHRASE")
	refused(t, a, vault, "move it here with galen admin root-key move")
	refused(t, a, "env:NOT_SET", "is not set")
	t.Setenv("SHORT", "abc")
	refused(t, a, "env:SHORT", "32 bytes in base64")
	t.Setenv("FOREIGN", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{5}, 32)))
	refused(t, a, "env:FOREIGN", "does not open the key ring")
	refused(t, a, "paper:drawer", "names no place of a root key")
	refused(t, b, "vault:https://vault", "is named vault:")
	for status, want := range map[int]string{503: "unseal it", 403: "VAULT_TOKEN", 404: "no such Transit engine", 400: "does not open what its key", 500: "answers 500"} {
		v.status = status
		refused(t, b, vault, want)
	}
	v.status = 0
	t.Setenv("VAULT_TOKEN", "expired")
	refused(t, b, vault, "refuses VAULT_TOKEN")
	t.Setenv("VAULT_TOKEN", "")
	refused(t, b, vault, "VAULT_TOKEN is not set")
	t.Setenv("VAULT_TOKEN", vaultToken)
	refused(t, b, "vault:http://127.0.0.1:1/transit/keys/galen", "cannot be reached")
	if err := os.WriteFile(filepath.Join(b, "root.vault"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, b, vault, "is damaged: restore it")
}

func TestTokenRefusals(t *testing.T) {
	s := softToken(t)
	dir := filepath.Join(t.TempDir(), "keys")
	r, _, err := opened(t, dir, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, rootkey.Source(strings.Replace(string(s), "key=root", "key=gone", 1)), "has 0 AES keys")
	refused(t, dir, rootkey.Source(strings.Replace(string(s), "token=galen", "token=gone", 1)), "has no token")
	refused(t, dir, "pkcs11:/nowhere.so?token=a&key=b", "cannot be loaded")
	t.Setenv("GALEN_PKCS11_PIN", "000000")
	refused(t, dir, s, "refuses the PIN")
	t.Setenv("GALEN_PKCS11_PIN", "")
	refused(t, dir, s, "GALEN_PKCS11_PIN is not set")
}

// A move that is cut off after any of its steps leaves a ring that one of its sources opens, and the move can be made again.
func TestMoveIsCutShort(t *testing.T) {
	t.Setenv("GALEN_ROOT_KEY", "")
	t.Setenv("GALEN_ROOT_PASSPHRASE", "correct horse battery staple")
	other := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(other, []byte("another passphrase, longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	from, to := rootkey.Source("passphrase"), rootkey.Source("passphrase-file:"+other)
	for _, step := range []string{"before the ring", "between its copies", "after the ring"} {
		dir := filepath.Join(t.TempDir(), "keys")
		r, _, err := opened(t, dir, from)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		err = rootkey.Move(ctx, folder(t, dir), from, to, func(old, next []byte) error {
			first, err := os.ReadFile(filepath.Join(dir, "ring.b"))
			if err != nil {
				return err
			}
			if step != "before the ring" {
				if err := keyring.Reseal(dir, old, next); err != nil {
					return err
				}
			}
			if step == "between its copies" {
				if err := os.WriteFile(filepath.Join(dir, "ring.b"), first, 0o600); err != nil {
					return err
				}
			}
			return errs.New(errs.Internal, "cut")
		})
		if err == nil {
			t.Fatal("the move was not cut")
		}
		was := from
		if r, _, err = opened(t, dir, from); err != nil {
			was = to
			r, _, err = opened(t, dir, to)
		}
		if err != nil {
			t.Fatalf("%s: neither opens it: %v", step, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %q opens it", step, was)
	}
}

func decode(r *http.Request, v any) error { return json.NewDecoder(r.Body).Decode(v) }

func reply(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
