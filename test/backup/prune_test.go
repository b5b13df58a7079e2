package backup_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/s3"
)

// several backs up a server three times; before each, an object of its own comes and the one before goes.
func (g *filled) several(t *testing.T, dest string) {
	t.Helper()
	g.object(t, "of all", content)
	for i := range 3 {
		g.object(t, fmt.Sprint("of/", i), strings.Repeat(content, 100)+fmt.Sprint(i))
		if i > 0 {
			if _, err := s3.NewClient(g.Client()).DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: "kept", Key: fmt.Sprint("of/", i-1)}); err != nil {
				t.Fatal(err)
			}
		}
		g.patient(t, "p", fmt.Sprint("Of ", i))
		must(t, g.rootKey(t), "admin", "backup", dest)
	}
}

// A prune of a folder and of a bucket: a dry run tells and removes nothing; the points that are left are whole and restore; a prune that keeps nothing is refused.
func TestPrune(t *testing.T) {
	v := startVault(t)
	g := fill(t)
	folder := filepath.Join(t.TempDir(), "backup")
	for _, dest := range []string{folder, v.at("pruned")} {
		g.several(t, dest)
		env := g.rootKey(t)
		var dry, done struct {
			Points              []string
			Kept, Chunks, Blobs int
		}
		for _, c := range []struct {
			into any
			more []string
		}{{&dry, []string{"--dry-run"}}, {&done, nil}} {
			if c.more == nil {
				if out := must(t, env, "admin", "check-backup", dest); !strings.Contains(out, "all is whole: 3 points") {
					t.Errorf("%s after a dry run: %s", dest, out)
				}
			}
			out := must(t, env, append([]string{"admin", "prune-backup", dest, "--keep-last", "1", "--json"}, c.more...)...)
			if err := json.Unmarshal([]byte(out), c.into); err != nil {
				t.Fatal(err)
			}
		}
		if fmt.Sprint(dry) != fmt.Sprint(done) || len(done.Points) != 2 || done.Kept != 1 || done.Chunks == 0 {
			t.Errorf("%s: a dry run says %+v, then %+v", dest, dry, done)
		}
		if out := must(t, env, "admin", "check-backup", dest); !strings.Contains(out, "all is whole: 1 points") {
			t.Errorf("%s: %s", dest, out)
		}
		if out := must(t, env, "admin", "prune-backup", dest, "--keep-days", "1"); !strings.Contains(out, "removed 0 points, 0 chunks, 0 blobs, 0 sealed root keys; 1 points are left") {
			t.Errorf("%s: %s", dest, out)
		}
		for _, wrong := range [][]string{{"--keep-last", "0"}, {"--keep-days", "-1"}} {
			if status, out := run(t, env, append([]string{"admin", "prune-backup", dest}, wrong...)...); status == 0 {
				t.Errorf("%v: %s", wrong, out)
			}
		}
		n := g.restore(t, dest)
		if n.family(t, "p") != "Of 2" || n.read(t, "of/2") != strings.Repeat(content, 100)+"2" || n.read(t, "of all") != content || n.read(t, "of/1") != "" {
			t.Errorf("%s: what was restored is another", dest)
		}
		n.Stop()
	}
	if status, out := run(t, append(g.Env(), "GALEN_ROOT_KEY="), "admin", "prune-backup", folder); status != 1 || !strings.Contains(out, "root key") {
		t.Errorf("a prune without a root key: %d %s", status, out)
	}
	empty := t.TempDir()
	if status, out := run(t, g.rootKey(t), "admin", "prune-backup", empty); status != 1 || !strings.Contains(out, "holds no finished backup") {
		t.Errorf("a prune of an empty folder: %d %s", status, out)
	}
	if l, err := os.ReadDir(empty); err != nil || len(l) > 0 {
		t.Errorf("it left %v, %v", l, err)
	}
}

// Prunes that are killed at any moment leave a whole backup, and a prune beside a backup of the same folder is refused, or waits for nothing and harms nothing.
func TestPruneIsKilled(t *testing.T) {
	g := fill(t)
	dest := filepath.Join(t.TempDir(), "backup")
	for round := range 3 {
		g.several(t, dest)
		env := g.rootKey(t)
		for range 2 {
			cut(t, env, time.Duration(150+rand.IntN(150))*time.Millisecond, "admin", "prune-backup", dest, "--keep-last", "2")
			if out := must(t, env, "admin", "check-backup", dest); !strings.Contains(out, "all is whole") {
				t.Errorf("round %d: %s", round, out)
			}
		}
		done := make(chan string)
		go func() { _, out := run(t, env, "admin", "prune-backup", dest); done <- out }()
		status, out := run(t, g.Env(), "admin", "backup", dest)
		if other := <-done; status != 0 && !strings.Contains(out, "is in use by another") || strings.Contains(other, "panic") {
			t.Errorf("a backup beside a prune: %d %s; the prune: %s", status, out, other)
		}
		if out := must(t, env, "admin", "check-backup", dest); !strings.Contains(out, "all is whole") {
			t.Errorf("round %d: %s", round, out)
		}
	}
	n := g.restore(t, dest)
	if n.family(t, "p") != "Of 2" || n.read(t, "of/2") != strings.Repeat(content, 100)+"2" {
		t.Error("what was restored is another")
	}
}
