package audit

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	checkpoint "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"

	"github.com/galen-health/galen/platform/errs"
)

// state is what the tree's writer keeps for itself: how many entries are in the tree, and its root. The writer believes it without a look at the tree, so a damaged
// one would be signed into the next checkpoint: it is compared before anything is written.
type state struct {
	Size uint64 `json:"size"`
	Root []byte `json:"root"`
}

func readState(dir string) (s state, there bool, err error) {
	b, err := os.ReadFile(filepath.Join(dir, logFolder, ".state", "treeState"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	err = json.Unmarshal(b, &s)
	if again, merr := json.Marshal(s); err != nil || merr != nil || !bytes.Equal(again, b) { // one way to write it: JSON forgives what a flipped bit makes of a name
		return s, true, errs.Wrap(errs.Corrupt, errors.Join(err, merr), "the state of the audit log's tree is damaged")
	}
	return s, true, nil
}

// follows checks that the writer's state is the checkpoint's tree, or one that continues it: entries come into the tree before the checkpoint says so.
func (s state) follows(ctx context.Context, files client.FileFetcher, cp *checkpoint.Checkpoint) error {
	broken := errs.New(errs.Corrupt, "the state of the audit log's tree (%d entries) is not that of its checkpoint (%d entries)", s.Size, cp.Size)
	switch {
	case s.Size < cp.Size, len(s.Root) != rfc6962.DefaultHasher.Size():
		return broken
	case s.Size == cp.Size:
		if string(s.Root) != string(cp.Hash) {
			return broken
		}
		return nil
	case cp.Size == 0:
		return check(ctx, files, &checkpoint.Checkpoint{Size: s.Size, Hash: s.Root}, &horizon{})
	}
	b, err := client.NewProofBuilder(ctx, s.Size, files.ReadTile)
	if err != nil {
		return errs.Wrap(errs.Corrupt, err, "the tree of the audit log cannot be read")
	}
	p, err := b.ConsistencyProof(ctx, cp.Size, s.Size)
	if err != nil {
		return errs.Wrap(errs.Corrupt, err, "the tree of the audit log cannot be read")
	}
	if proof.VerifyConsistency(rfc6962.DefaultHasher, cp.Size, s.Size, p, cp.Hash, s.Root) != nil {
		return broken
	}
	return nil
}

// sound checks the writer's state before the writer goes on with it. A log that has no checkpoint yet has nothing to compare.
func sound(ctx context.Context, dir string) error {
	files := client.FileFetcher{Root: filepath.Join(dir, logFolder)}
	raw, err := files.ReadCheckpoint(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var cp checkpoint.Checkpoint
	if _, err := cp.Unmarshal(raw); err != nil {
		return errs.Wrap(errs.Corrupt, err, "the checkpoint of the audit log cannot be read")
	}
	s, there, err := readState(dir)
	if err != nil {
		return err
	}
	if !there {
		return errs.New(errs.Corrupt, "the audit log in %s has a checkpoint of %d entries and has lost the state of its tree", dir, cp.Size)
	}
	return s.follows(ctx, files, &cp)
}

// wholeVerifier checks that the folder's public key is written in the one way that it is; hexadecimal and base64 forgive some flipped bits. A folder whose key was
// replaced is found by whoever kept the key.
func wholeVerifier(dir string, v note.Verifier) error {
	b, err := os.ReadFile(filepath.Join(dir, verifierFile))
	if err != nil {
		return errs.Wrap(errs.Corrupt, err, "the audit log in %s has no %s", dir, verifierFile)
	}
	prefix := fmt.Sprintf("%s+%08x+", v.Name(), v.KeyHash())
	key, ok := strings.CutPrefix(string(b), prefix)
	key, end := strings.CutSuffix(key, "\n")
	if raw, err := base64.StdEncoding.Strict().DecodeString(key); !ok || !end || err != nil || base64.StdEncoding.EncodeToString(raw) != key {
		return errs.New(errs.Corrupt, "the public key of the audit log (%s) is damaged, or not the one given", verifierFile)
	}
	return nil
}
