package s3_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/blobtest"
	"github.com/galen-health/galen/platform/blob/files"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/service/s3"
	"github.com/galen-health/galen/test/testbed"
)

const childEnv = "GALEN_TEST_S3_CHILD"

// TestMain turns the test binary into the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// engines opens the service in a folder.
func engines(dir string) (*s3.Service, *files.Store, func() error, error) {
	ring, err := keyring.Open(dir+"/keys", nil, keyring.Config{})
	if err != nil {
		return nil, nil, nil, err
	}
	var records record.Store
	if records, err = pebble.Open(dir+"/records", ring, pebble.Options{}); err != nil {
		return nil, nil, nil, err
	}
	blobs, err := files.Open(dir+"/blobs", ring)
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := s3.New(context.Background(), s3.Config{Account: account, Region: "us-east-1", Keys: ring, Grace: time.Nanosecond}, records, blobs, nil, authz.New(testbed.Users{}, account, "us-east-1"))
	return s, blobs, func() error { return errors.Join(records.Close(), blobs.Close(), ring.Close()) }, err
}

// child puts, deletes and cleans for ever, four writers on keys of their own, and says what was acknowledged: "put key seed size", "delete key".
func child(dir string) {
	s, _, _, err := engines(dir)
	fail := func(err error) {
		if err != nil {
			fmt.Println("fail", err)
			os.Exit(1)
		}
	}
	fail(err)
	_, err = s.CreateBucket(root(), &api.CreateBucketInput{Bucket: "kill"})
	if err != nil && errs.As(err).Name != "BucketAlreadyOwnedByYou" {
		fail(err)
	}
	for g := range 4 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d/%d", g, rand.IntN(8))
				switch {
				case i%5 == 4:
					fmt.Println("try", key)
					_, err := s.DeleteObject(root(), &api.DeleteObjectInput{Bucket: "kill", Key: key})
					fail(err)
					fmt.Println("delete", key)
				case i%7 == 6:
					_, err := s.Clean(context.Background())
					fail(err)
				default:
					seed, size := rand.Uint64N(1000), rand.IntN(30_000)
					fmt.Println("try", key, seed, size)
					_, err := s.PutObject(root(), &api.PutObjectInput{Bucket: "kill", Key: key, Body: strings.NewReader(string(blobtest.Bytes(seed, size)))})
					fail(err)
					fmt.Println("put", key, seed, size)
				}
			}
		}()
	}
	select {}
}

// A process killed at any moment: each key has what was acknowledged last, or what was being written then. GALEN_CRASH_KILLS sets the number of kills (10).
func TestKill9(t *testing.T) {
	kills := 10
	if n, err := strconv.Atoi(os.Getenv("GALEN_CRASH_KILLS")); err == nil {
		kills = n
	} else if testing.Short() {
		kills = 3
	}
	dir := t.TempDir()
	type state struct{ acked, tried string } // "" = absent, else "seed size"
	want := map[string]state{}
	acknowledged := 0
	for range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		ok(t, err)
		ok(t, cmd.Start())
		kill := time.AfterFunc(time.Duration(100+rand.IntN(300))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			f := strings.SplitN(lines.Text(), " ", 3)
			if f[0] == "fail" {
				t.Error(lines.Text())
			}
			if len(f) < 2 {
				continue
			}
			value := ""
			if len(f) == 3 {
				value = f[2]
			}
			st := want[f[1]]
			if f[0] == "try" {
				st.tried = value
			} else {
				acknowledged++
				st = state{value, value}
			}
			want[f[1]] = st
		}
		_ = cmd.Wait()
		kill.Stop()

		s, blobs, closeAll, err := engines(dir)
		ok(t, err)
		w := &world{Service: s, t: t}
		for key, st := range want {
			_, got, err := w.read(&api.GetObjectInput{Bucket: "kill", Key: key})
			is := func(v string) bool {
				if v == "" {
					return err != nil && errs.As(err).Name == "NoSuchKey"
				}
				var seed uint64
				var size int
				_, serr := fmt.Sscan(v, &seed, &size)
				return serr == nil && err == nil && got == string(blobtest.Bytes(seed, size))
			}
			switch {
			case is(st.acked):
				want[key] = state{st.acked, st.acked}
			case is(st.tried):
				want[key] = state{st.tried, st.tried}
			default:
				t.Errorf("%s has %d bytes, %v; acknowledged %q, tried %q", key, len(got), err, st.acked, st.tried)
			}
		}
		if _, err := s.Verify(t.Context(), func(err error) { t.Error(err) }); err != nil {
			t.Error(err)
		}
		if _, _, err := blobs.Verify(t.Context(), func(err error) { t.Error(err) }); err != nil {
			t.Error(err)
		}
		if _, err := blobs.Sweep(t.Context(), farFuture, func(id blob.ID) (bool, error) { return s.Keeps(t.Context(), id) }); err != nil {
			t.Error(err)
		}
		if _, err := s.Verify(t.Context(), func(err error) { t.Errorf("after the sweep: %v", err) }); err != nil {
			t.Error(err)
		}
		ok(t, closeAll())
		if t.Failed() {
			return
		}
	}
	if acknowledged == 0 {
		t.Error("nothing was acknowledged: the test proved nothing")
	}
	t.Logf("%d kills, %d acknowledged changes, 0 lost", kills, acknowledged)
}
