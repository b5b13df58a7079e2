package s3_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/blob/files"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/service/s3"
	"github.com/galen-health/galen/test/testbed"
)

// world is the service on real engines in a temporary folder.
type world struct {
	*s3.Service
	t       testing.TB
	ring    *keyring.Ring
	blobs   *files.Store
	records record.Store
	users   testbed.Users
	guard   *guard
}

// guard stands for the kms service: it allows what it is told, and knows aliases and states from the ring.
type guard struct {
	ring *keyring.Ring
	deny map[string]bool // action
	used []key.Use
}

func (g *guard) MayUse(ctx context.Context, u key.Use) (string, error) {
	g.used = append(g.used, u)
	if g.deny[u.Action] {
		return "", errs.New(errs.Denied, "not authorized to perform %s", u.Action)
	}
	k, err := g.ring.Describe(u.Key)
	if err != nil {
		return "", err
	}
	return k.ARN, g.ring.Check(ctx, k.ARN)
}

func open(t testing.TB) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, users: testbed.Users{}}
	var err error
	if w.ring, err = keyring.Open(dir+"/keys", nil, keyring.Config{}); err != nil {
		t.Fatal(err)
	}
	if w.records, err = pebble.Open(dir+"/records", w.ring, pebble.Options{}); err != nil {
		t.Fatal(err)
	}
	if w.blobs, err = files.Open(dir+"/blobs", w.ring); err != nil {
		t.Fatal(err)
	}
	w.guard = &guard{ring: w.ring, deny: map[string]bool{}}
	w.Service, err = s3.New(t.Context(), s3.Config{Account: account, Region: "us-east-1", Keys: w.ring, Grace: time.Nanosecond}, w.records, w.blobs, w.guard, authz.New(w.users, account, "us-east-1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, _, err := w.blobs.Verify(context.Background(), func(err error) { t.Error(err) }); err != nil {
			t.Error(err)
		}
		if err := errors.Join(w.records.Close(), w.blobs.Close(), w.ring.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// root is the context of the account's root; as is a user's.
func root() context.Context { return as(call.Root, "") }

func as(kind call.Kind, name string) context.Context {
	arn := "arn:aws:iam::" + account + ":root"
	if name != "" {
		arn = "arn:aws:iam::" + account + ":user/" + name
	}
	return call.With(context.Background(), &call.Call{RequestID: "r", Time: time.Now(), Principal: call.Principal{Kind: kind, ARN: arn, ID: account, Account: account, Name: name}})
}

func (w *world) bucket(name string) string {
	w.t.Helper()
	if _, err := w.CreateBucket(root(), &api.CreateBucketInput{Bucket: name}); err != nil {
		w.t.Fatal(err)
	}
	return name
}

func (w *world) put(bucket, key, body string) *api.PutObjectOutput {
	w.t.Helper()
	out, err := w.PutObject(root(), &api.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader(body)})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// read gets an object; the error is the operation's or the body's.
func (w *world) read(in *api.GetObjectInput) (*api.GetObjectOutput, string, error) {
	w.t.Helper()
	out, err := w.GetObject(root(), in)
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(out.Body)
	if err := out.Body.Close(); err != nil {
		w.t.Error(err)
	}
	if err == nil && int64(len(b)) != aws.Val(out.ContentLength) {
		w.t.Errorf("content length %d, body %d", aws.Val(out.ContentLength), len(b))
	}
	return out, string(b), err
}

func (w *world) get(bucket, key string) string {
	w.t.Helper()
	_, b, err := w.read(&api.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// named fails unless err has this name in the contract.
func named(t testing.TB, err error, name string) {
	t.Helper()
	if err == nil || errs.As(err).Name != name {
		t.Errorf("error = %v, want %s", err, name)
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
