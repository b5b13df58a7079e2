package files_test

import (
	"context"
	"testing"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/blobtest"
	"github.com/galen-health/galen/platform/blob/files"
	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/key/keyring"
)

func ring(t *testing.T) *keyring.Ring {
	t.Helper()
	r, err := keyring.OpenFS(disktest.NewMem(), nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func keys(t *testing.T, r *keyring.Ring) blobtest.Keys {
	t.Helper()
	k := blobtest.Keys{SetEnabled: func(t *testing.T, arn string, on bool) {
		t.Helper()
		if err := r.SetEnabled(arn, on); err != nil {
			t.Fatal(err)
		}
	}}
	for _, arn := range []*string{&k.First, &k.Second} {
		made, err := r.Create()
		if err != nil {
			t.Fatal(err)
		}
		*arn = made.ARN
	}
	return k
}

func TestStore(t *testing.T) {
	for name, open := range map[string]func(*testing.T) disk.FS{
		"folder": func(t *testing.T) disk.FS {
			d, err := disk.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		"memory": func(*testing.T) disk.FS { return disktest.NewMem() },
	} {
		t.Run(name, func(t *testing.T) {
			blobtest.Suite(t, func(t *testing.T) (blob.Store, blobtest.Keys) {
				r := ring(t)
				s, err := files.OpenFS(open(t), r)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					faults := 0
					if _, _, err := s.Verify(context.Background(), func(error) { faults++ }); err != nil || faults > 0 {
						t.Errorf("%d faults, %v", faults, err)
					}
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				})
				return s, keys(t, r)
			})
		})
	}
}
