package keyring_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
)

var ctx = context.Background()

// clock is a settable time.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func open(t *testing.T, dir string, root []byte) (*keyring.Ring, *clock) {
	t.Helper()
	c := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	r, err := keyring.Open(dir, root, keyring.Config{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return r, c
}

func reopen(t *testing.T, r *keyring.Ring, dir string) *keyring.Ring {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again, _ := open(t, dir, nil)
	return again
}

func create(t *testing.T, r *keyring.Ring) string {
	t.Helper()
	k, err := r.Create()
	if err != nil {
		t.Fatal(err)
	}
	return k.ARN
}

func dataKey(t *testing.T, r *keyring.Ring, name string, enc map[string]string) key.DataKey {
	t.Helper()
	dk, err := r.DataKey(ctx, key.Ref{Key: name, Context: enc})
	if err != nil {
		t.Fatal(err)
	}
	return dk
}

// opens fails the test unless the wrapped key opens to what it was.
func opens(t *testing.T, r *keyring.Ring, dk key.DataKey, enc map[string]string) {
	t.Helper()
	got, err := r.Open(ctx, dk.Wrapped, enc)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Plain, dk.Plain) || got.KeyARN != dk.KeyARN {
		t.Fatal("another key came back")
	}
}

func refused(t *testing.T, err error, code errs.Code) {
	t.Helper()
	if !errs.Is(err, code) {
		t.Fatalf("error = %v, want %v", err, code)
	}
}

func TestDataKeysOpenAfterRestart(t *testing.T) {
	dir := t.TempDir()
	r, _ := open(t, dir, nil)
	arn := create(t, r)
	enc := map[string]string{"store": "1", "tenant": "x"}
	dk := dataKey(t, r, arn, enc)
	own := dataKey(t, r, "", nil)
	r = reopen(t, r, dir)
	opens(t, r, dk, enc)
	opens(t, r, own, nil)
	opens(t, r, own, map[string]string{})
}

func TestAnotherContextOpensNothing(t *testing.T) {
	r, _ := open(t, t.TempDir(), nil)
	dk := dataKey(t, r, "", map[string]string{"ab": "c", "d": ""})
	for _, enc := range []map[string]string{nil, {"a": "bc", "d": ""}, {"ab": "c"}, {"ab": "c", "d": "", "e": ""}, {"ab": "cd"}} {
		_, err := r.Open(ctx, dk.Wrapped, enc)
		refused(t, err, errs.Invalid)
	}
}

func TestEveryFlippedBitOfACiphertextIsRefused(t *testing.T) {
	r, _ := open(t, t.TempDir(), nil)
	dk := dataKey(t, r, "", nil)
	for i := range len(dk.Wrapped) * 8 {
		b := bytes.Clone(dk.Wrapped)
		b[i/8] ^= 1 << (i % 8)
		_, err := r.Open(ctx, b, nil)
		refused(t, err, errs.Invalid)
	}
	for n := range dk.Wrapped {
		_, err := r.Open(ctx, dk.Wrapped[:n], nil)
		refused(t, err, errs.Invalid)
	}
}

func TestStatesHoldAtOnce(t *testing.T) {
	dir := t.TempDir()
	r, c := open(t, dir, nil)
	arn := create(t, r)
	dk := dataKey(t, r, arn, nil)
	use := func(code errs.Code) {
		t.Helper()
		_, err := r.Open(ctx, dk.Wrapped, nil)
		refused(t, err, code)
		_, err = r.DataKey(ctx, key.Ref{Key: arn})
		refused(t, err, code)
		refused(t, r.Check(ctx, arn), code)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.SetEnabled(arn, false))
	use(errs.Conflict)
	must(r.SetEnabled(arn, true))
	opens(t, r, dk, nil)
	_, err := r.ScheduleDeletion(arn, 7)
	must(err)
	use(errs.Conflict)
	refused(t, r.SetEnabled(arn, true), errs.Conflict)
	must(r.CancelDeletion(arn))
	use(errs.Conflict) // it comes back disabled
	must(r.SetEnabled(arn, true))
	opens(t, r, dk, nil)
	_, err = r.ScheduleDeletion(arn, 7)
	must(err)
	c.t = c.t.AddDate(0, 0, 7)
	use(errs.NotFound) // due, although nothing has swept it yet
	refused(t, r.CancelDeletion(arn), errs.NotFound)
	deleted, _, err := r.Tick()
	must(err)
	if len(deleted) != 1 || deleted[0].ARN != arn {
		t.Fatalf("deleted %v", deleted)
	}
	use(errs.NotFound)
	r = reopen(t, r, dir)
	use(errs.NotFound)
}

func TestRotationKeepsOldCiphertexts(t *testing.T) {
	dir := t.TempDir()
	r, c := open(t, dir, nil)
	arn := create(t, r)
	first := dataKey(t, r, arn, nil)
	if err := r.Rotate(arn); err != nil {
		t.Fatal(err)
	}
	second := dataKey(t, r, arn, nil)
	if bytes.Equal(first.Wrapped[17:21], second.Wrapped[17:21]) {
		t.Error("the version did not change")
	}
	moved, err := r.Rewrap(ctx, first.Wrapped, nil, key.Ref{Context: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(moved[17:21], second.Wrapped[17:21]) {
		t.Error("the rewrapped key is not under the current version")
	}
	opens(t, r, key.DataKey{Plain: first.Plain, Wrapped: moved, KeyARN: arn}, map[string]string{"a": "b"})
	if err := r.SetRotation(arn, 90); err != nil {
		t.Fatal(err)
	}
	c.t = c.t.AddDate(0, 0, 90)
	if _, rotated, err := r.Tick(); err != nil || len(rotated) != 1 {
		t.Fatalf("rotated %v, %v", rotated, err)
	}
	if _, rotated, err := r.Tick(); err != nil || len(rotated) != 0 {
		t.Fatalf("rotated again: %v, %v", rotated, err)
	}
	r = reopen(t, r, dir)
	opens(t, r, first, nil)
	opens(t, r, second, nil)
	k, err := r.Describe(arn)
	if err != nil || len(k.Versions) != 3 {
		t.Fatalf("%+v, %v", k, err)
	}
}

func TestOwnedKeysAreShreddedAndNotListed(t *testing.T) {
	dir := t.TempDir()
	r, _ := open(t, dir, nil)
	arn, err := r.CreateOwned(ctx, "healthlake/1")
	if err != nil {
		t.Fatal(err)
	}
	dk := dataKey(t, r, arn, nil)
	if l := r.List(); len(l) != 0 {
		t.Errorf("listed: %v", l)
	}
	_, err = r.Describe(arn)
	refused(t, err, errs.NotFound)
	if err := r.DestroyOwned(ctx, arn); err != nil {
		t.Fatal(err)
	}
	if err := r.DestroyOwned(ctx, arn); err != nil {
		t.Errorf("again: %v", err)
	}
	_, err = r.Open(ctx, dk.Wrapped, nil)
	refused(t, err, errs.NotFound)
	r = reopen(t, r, dir)
	_, err = r.Open(ctx, dk.Wrapped, nil)
	refused(t, err, errs.NotFound)
	refused(t, r.DestroyOwned(ctx, create(t, r)), errs.Conflict)
	refused(t, r.DestroyOwned(ctx, ""), errs.Conflict)
}

func TestNamesOfKeys(t *testing.T) {
	dir := t.TempDir()
	r, _ := open(t, dir, nil)
	k, err := r.Create()
	if err != nil {
		t.Fatal(err)
	}
	other := create(t, r)
	if err := r.SetAlias("alias/a/b", k.ARN, true); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{k.ID, k.ARN, "alias/a/b", "arn:aws:kms:us-east-1:000000000000:alias/a/b"} {
		if d := dataKey(t, r, name, nil); d.KeyARN != k.ARN {
			t.Errorf("%s is %s", name, d.KeyARN)
		}
	}
	for _, name := range []string{"alias/", "alias/x", "key/" + k.ID + "x", "arn:aws:kms:us-east-1:111111111111:key/" + k.ID, "arn:aws:kms:eu-west-1:000000000000:alias/a/b", "nope"} {
		_, err := r.DataKey(ctx, key.Ref{Key: name})
		refused(t, err, errs.NotFound)
	}
	refused(t, r.SetAlias("alias/a/b", other, true), errs.Conflict)
	refused(t, r.SetAlias("alias/x", other, false), errs.NotFound)
	if err := r.SetAlias("alias/a/b", other, false); err != nil {
		t.Fatal(err)
	}
	r = reopen(t, r, dir)
	if d := dataKey(t, r, "alias/a/b", nil); d.KeyARN != other {
		t.Errorf("the alias names %s", d.KeyARN)
	}
	if err := r.DeleteAlias("alias/a/b"); err != nil {
		t.Fatal(err)
	}
	refused(t, r.DeleteAlias("alias/a/b"), errs.NotFound)
}
