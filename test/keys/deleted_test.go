package keys

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/test/galen"
)

// The waiting time of a key's deletion ends while the server is down. Nothing that was under it is read from then on, by nobody; the rest works: verification and backup
// find all whole, and what is left of the stores can be deleted.
func TestDeletedKey(t *testing.T) {
	dir := t.TempDir()
	g := galen.New(t, dir)
	g.Run()
	c := kms.NewClient(g.Client())
	k := must[*kms.CreateKeyOutput](t)(c.CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata
	s := build(t, g, k.Arn)
	ways := s.ways()
	demand(t, ways, "before", true)
	sealed := must[[]byte](t)(encrypt(c, k.Arn, nil))
	must[*kms.ScheduleKeyDeletionOutput](t)(c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: k.KeyId, PendingWindowInDays: aws.Ptr(int32(7))}))
	g.Stop()
	dated(t, dir, 8, func(r *keyring.Ring) error {
		deleted, _, err := r.Tick()
		if err == nil && len(deleted) != 1 {
			t.Errorf("%d keys are deleted", len(deleted))
		}
		return err
	})
	g.Run()
	demand(t, ways, "after its deletion", false)
	_, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed})
	if err == nil {
		t.Error("a deleted key opens")
	}
	_, err = c.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: k.KeyId})
	refusedAs(t, "cancelling its deletion", err, "NotFoundException")
	place := filepath.Join(t.TempDir(), "backup")
	if out, err := g.Exec("admin", "backup", place); err != nil {
		t.Fatalf("backup: %v %s", err, out)
	}
	if out, err := g.Exec("verify", "--online"); err != nil || !strings.Contains(out, "all is whole") {
		t.Errorf("verify: %v %s", err, out)
	}
	s.deleteAll(false)
	g.Stop()
	if out, err := g.Exec("verify", "--data-dir", dir); err != nil || !strings.Contains(out, "all is whole") {
		t.Errorf("verify: %v %s", err, out)
	}
}
