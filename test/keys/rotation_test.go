package keys

import (
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/test/galen"
)

// dated opens the stopped server's ring by a clock that is some days away from the real one.
func dated(t *testing.T, dir string, days int, fn func(*keyring.Ring) error) {
	t.Helper()
	r := must[*keyring.Ring](t)(keyring.Open(filepath.Join(dir, "keys"), nil, keyring.Config{Account: galen.Account, Region: galen.Region, Now: func() time.Time { return time.Now().AddDate(0, 0, days) }}))
	if err := fn(r); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func rotations(t *testing.T, c *kms.Client, key string) []kms.RotationsListEntry {
	t.Helper()
	var all []kms.RotationsListEntry
	for in := (kms.ListKeyRotationsInput{KeyId: key, Limit: aws.Ptr(int32(2))}); ; {
		out := must[*kms.ListKeyRotationsOutput](t)(c.ListKeyRotations(ctx, &in))
		all = append(all, out.Rotations...)
		if in.Marker = out.NextMarker; !aws.Val(out.Truncated) {
			return all
		}
	}
}

// A key whose rotation is due rotates by itself; its schedule goes on from there, a rotation on demand leaves it, and what older versions sealed still opens, also after
// another start. A disabled key waits.
func TestRotationBySchedule(t *testing.T) {
	dir := t.TempDir()
	g := galen.New(t, dir)
	g.Run()
	c := kms.NewClient(g.Client())
	due := must[*kms.CreateKeyOutput](t)(c.CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata.Arn
	waits := must[*kms.CreateKeyOutput](t)(c.CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata.Arn
	early := must[*kms.CreateKeyOutput](t)(c.CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata.Arn
	sealed := map[string][]byte{}
	for _, k := range []string{due, waits, early} {
		sealed[k] = must[[]byte](t)(encrypt(c, k, nil))
	}
	must[*kms.EnableKeyRotationOutput](t)(c.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: early, RotationPeriodInDays: aws.Ptr(int32(90))}))
	g.Stop()
	dated(t, dir, -100, func(r *keyring.Ring) error { // as if they had rotated for 100 days
		for _, k := range []string{due, waits} {
			if err := r.SetRotation(k, 90); err != nil {
				return err
			}
		}
		return r.SetEnabled(waits, false)
	})

	g = galen.New(t, dir)
	g.Run()
	c = kms.NewClient(g.Client())
	await(t, "the rotation", func() bool { return len(rotations(t, c, due)) == 1 })
	if r := rotations(t, c, due)[0]; r.RotationType != kms.RotationTypeAutomatic || time.Since(r.RotationDate) > time.Hour {
		t.Errorf("the rotation is %+v", r)
	}
	next := func(key string) time.Time {
		t.Helper()
		st := must[*kms.GetKeyRotationStatusOutput](t)(c.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: key}))
		if !aws.Val(st.KeyRotationEnabled) || aws.Val(st.RotationPeriodInDays) != 90 {
			t.Errorf("the status of %s is %+v", key, st)
		}
		return st.NextRotationDate
	}
	in := func(days int) func(time.Time) bool {
		return func(at time.Time) bool {
			d := time.Until(at) - time.Duration(days)*24*time.Hour
			return d.Abs() < 3*time.Hour
		}
	}
	if at := next(due); !in(80)(at) { // 90 days after it was due, ten days ago
		t.Errorf("the next rotation is at %v", at)
	}
	if at := next(early); !in(90)(at) || len(rotations(t, c, early)) != 0 {
		t.Errorf("a key that is not due rotates at %v, or did", at)
	}
	if len(rotations(t, c, waits)) != 0 {
		t.Error("a disabled key rotated")
	}
	before := next(due)
	must[*kms.RotateKeyOnDemandOutput](t)(c.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: due}))
	if at := next(due); !at.Equal(before) {
		t.Errorf("a rotation on demand moved the next one from %v to %v", before, at)
	}
	must[*kms.EnableKeyOutput](t)(c.EnableKey(ctx, &kms.EnableKeyInput{KeyId: waits}))
	must[*kms.ScheduleKeyDeletionOutput](t)(c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: early}))
	if st := must[*kms.GetKeyRotationStatusOutput](t)(c.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: early})); aws.Val(st.KeyRotationEnabled) {
		t.Error("a key that waits for its deletion rotates")
	}
	g.Stop()
	g.Run()
	c = kms.NewClient(g.Client())
	await(t, "the rotation of the key that was enabled", func() bool { return len(rotations(t, c, waits)) == 1 })
	for _, k := range []string{due, waits} {
		out := must[*kms.DecryptOutput](t)(c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed[k]}))
		if string(out.Plaintext) != "a text" {
			t.Errorf("what %s sealed at first is another", k)
		}
	}
	kinds := ""
	for _, r := range rotations(t, c, due) {
		kinds += string(r.RotationType) + " "
	}
	if kinds != "AUTOMATIC ON_DEMAND " {
		t.Errorf("rotations: %s", kinds)
	}
}

// Rotations and what is sealed meanwhile, killed at any moment: what was acknowledged is there, and everything that was sealed opens.
func TestRotationIsKilled(t *testing.T) {
	dir := t.TempDir()
	g := galen.New(t, dir)
	var keys []string
	var mu sync.Mutex
	sealed := map[string][][]byte{}
	acknowledged := map[string]int{}
	for round := range 4 {
		g.Run()
		h := g.Client()
		h.Attempts = 1
		c := kms.NewClient(h)
		for range 2 {
			keys = append(keys, must[*kms.CreateKeyOutput](t)(c.CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata.Arn)
		}
		var wg sync.WaitGroup
		for _, k := range keys[len(keys)-2:] {
			wg.Go(func() {
				for range 25 {
					b, err := encrypt(c, k, nil)
					if err != nil {
						return
					}
					mu.Lock()
					sealed[k] = append(sealed[k], b)
					mu.Unlock()
					if _, err := c.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: k}); err != nil {
						return
					}
					mu.Lock()
					acknowledged[k]++
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Duration(10+rand.IntN(150)) * time.Millisecond)
		g.Kill()
		wg.Wait()
		g.Run()
		c = kms.NewClient(g.Client())
		opened := 0
		for _, k := range keys {
			n := len(rotations(t, c, k))
			if want := acknowledged[k]; n != want && n != want+1 { // the last may have come without its answer
				t.Errorf("round %d: %d rotations of %s, %d acknowledged", round, n, k, want)
			}
			acknowledged[k] = n
			for i, b := range sealed[k] {
				out, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: b})
				if err != nil || string(out.Plaintext) != "a text" {
					t.Errorf("round %d: ciphertext %d of %s: %v", round, i, k, err)
				}
				opened++
			}
		}
		t.Logf("round %d: %d ciphertexts opened", round, opened)
		g.Stop()
	}
}
