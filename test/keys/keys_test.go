package keys

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/test/galen"
)

var ctx = context.Background()

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Data under a customer's key is read, so that whatever is cached is cached; then the key is disabled, enabled, scheduled for deletion and brought back. Every read
// follows at once.
func TestKeyStateHoldsAtOnce(t *testing.T) {
	g := galen.Start(t)
	h := g.Client()
	h.Attempts = 1
	keys, objects, lake, images := kms.NewClient(h), s3.NewClient(h), healthlake.NewClient(h), medicalimaging.NewClient(h)
	k := must[*kms.CreateKeyOutput](t)(keys.CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata
	must[*s3.CreateBucketOutput](t)(objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "sealed"}))
	must[*s3.PutObjectOutput](t)(objects.PutObject(ctx, &s3.PutObjectInput{Bucket: "sealed", Key: "a", Body: strings.NewReader("a text"), ServerSideEncryption: "aws:kms", SSEKMSKeyId: k.Arn}))
	made := must[*healthlake.CreateFHIRDatastoreOutput](t)(lake.CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4,
		SseConfiguration: &healthlake.SseConfiguration{KmsEncryptionConfig: &healthlake.KmsEncryptionConfig{CmkType: healthlake.CmkTypeCustomerManagedKmsKey, KmsKeyId: k.Arn}}}))
	pictures := must[*medicalimaging.CreateDatastoreOutput](t)(images.CreateDatastore(ctx, &medicalimaging.CreateDatastoreInput{DatastoreName: "sealed", ClientToken: "t", KmsKeyArn: k.Arn}))
	fhir := func(method, path, body string) (int, string) {
		status, b, err := h.Send(ctx, "healthlake", method, "/datastore/"+made.DatastoreId+"/r4/"+path, map[string]string{"Content-Type": "application/fhir+json"}, strings.NewReader(body), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return status, string(b)
	}
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		d := must[*healthlake.DescribeFHIRDatastoreOutput](t)(lake.DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: made.DatastoreId}))
		p := must[*medicalimaging.GetDatastoreOutput](t)(images.GetDatastore(ctx, &medicalimaging.GetDatastoreInput{DatastoreId: pictures.DatastoreId}))
		if d.DatastoreProperties.DatastoreStatus == healthlake.DatastoreStatusActive && p.DatastoreProperties.DatastoreStatus == medicalimaging.DatastoreStatusActive {
			break
		}
		if time.Now().After(until) {
			t.Fatal("the stores do not become active")
		}
	}
	if status, b := fhir("PUT", "Patient/p", `{"resourceType":"Patient","id":"p","gender":"female"}`); status != 201 {
		t.Fatalf("PUT: %d %s", status, b)
	}
	reads := map[string]func() bool{
		"s3": func() bool {
			out, err := objects.GetObject(ctx, &s3.GetObjectInput{Bucket: "sealed", Key: "a"})
			if err != nil {
				return false
			}
			defer out.Body.Close() //nolint:errcheck // only read
			b, err := io.ReadAll(out.Body)
			return err == nil && string(b) == "a text"
		},
		"healthlake read": func() bool {
			status, b := fhir("GET", "Patient/p", "")
			return status == 200 && strings.Contains(b, "female")
		},
		"healthlake search": func() bool {
			status, b := fhir("GET", "Patient?gender=female", "")
			return status == 200 && strings.Contains(b, `"p"`)
		},
		"imaging": func() bool {
			_, err := images.SearchImageSets(ctx, &medicalimaging.SearchImageSetsInput{DatastoreId: pictures.DatastoreId})
			return err == nil
		},
	}
	demand := func(when string, want bool) {
		t.Helper()
		for what, read := range reads {
			for range 2 {
				if got := read(); got != want {
					t.Errorf("%s: %s: readable is %v, want %v", when, what, got, want)
				}
			}
		}
	}
	demand("enabled", true)
	must[*kms.DisableKeyOutput](t)(keys.DisableKey(ctx, &kms.DisableKeyInput{KeyId: k.KeyId}))
	demand("disabled", false)
	must[*kms.EnableKeyOutput](t)(keys.EnableKey(ctx, &kms.EnableKeyInput{KeyId: k.KeyId}))
	demand("enabled again", true)
	must[*kms.RotateKeyOnDemandOutput](t)(keys.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: k.KeyId}))
	demand("rotated", true)
	must[*kms.ScheduleKeyDeletionOutput](t)(keys.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: k.KeyId}))
	demand("pending deletion", false)
	must[*kms.CancelKeyDeletionOutput](t)(keys.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: k.KeyId}))
	demand("its deletion cancelled, and disabled", false)
	must[*kms.EnableKeyOutput](t)(keys.EnableKey(ctx, &kms.EnableKeyInput{KeyId: k.KeyId}))
	demand("brought back", true)
}

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
