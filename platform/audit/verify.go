package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	checkpoint "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"

	"github.com/galen-health/galen/platform/audit/journal"
	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
)

// Report is what a verification found.
type Report struct {
	Origin string
	Size   uint64 // entries under the newest checkpoint
	Root   []byte
	// Dropped is the number of the entries that retention dropped, all from before Before. Their hashes are checked with the rest.
	Dropped uint64
	Before  time.Time
	// Waiting entries are in the journal and not in the tree: the server runs, or was killed.
	Waiting int
}

// Verify checks a log's folder offline, by files alone: the checkpoint's signature, every entry against the tree, every tile, and the root.
// verifier is the log's public key ("" = the one in the folder, which whoever can replace the folder can replace too: keep a copy elsewhere).
// since is a checkpoint that was kept earlier (nil = none): the log must continue it, so entries that were cut off or rewritten together
// with the checkpoint are found as well. errs.Corrupt says what is wrong.
func Verify(ctx context.Context, dir, verifier string, since []byte) (Report, error) {
	r, err := verify(ctx, dir, verifier, since)
	if err != nil {
		return r, err
	}
	r.Waiting, err = waiting(dir, r.Size)
	return r, err
}

// VerifyTree is Verify for a log that is being written: its journal, whose end is not whole while an entry is written to it, is left out.
func VerifyTree(ctx context.Context, dir string) (Report, error) { return verify(ctx, dir, "", nil) }

func verify(ctx context.Context, dir, verifier string, since []byte) (Report, error) {
	if verifier == "" {
		var err error
		if verifier, err = Verifier(dir); err != nil {
			return Report{}, errs.Wrap(errs.Corrupt, err, "the audit log in %s has no %s", dir, verifierFile)
		}
	}
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return Report{}, errs.Wrap(errs.Corrupt, err, "the public key of the audit log is malformed")
	}
	files := client.FileFetcher{Root: filepath.Join(dir, logFolder)}
	raw, err := files.ReadCheckpoint(ctx)
	if err != nil {
		return Report{}, errs.Wrap(errs.Corrupt, err, "the audit log in %s has no checkpoint", dir)
	}
	cp, err := signed(raw, v)
	if err != nil {
		return Report{}, err
	}
	r := Report{Origin: cp.Origin, Size: cp.Size, Root: cp.Hash}
	c, err := readHorizon(dir, v)
	if err != nil {
		return r, err
	}
	if c.First > cp.Size {
		return r, errs.New(errs.Corrupt, "retention dropped %d entries of the audit log, and its checkpoint has only %d: entries were cut off", c.First, cp.Size)
	}
	r.Dropped, r.Before = c.First, c.Before
	if err := check(ctx, files, cp, &c); err != nil {
		return r, errs.Wrap(errs.Corrupt, err, "the audit log does not match its checkpoint of %d entries: entries were altered, removed or damaged", cp.Size)
	}
	if err := wholeVerifier(dir, v); err != nil {
		return r, err
	}
	signer, err := os.ReadFile(filepath.Join(dir, signerFile))
	if err == nil {
		_, err = parseSigner(signer)
	}
	if err != nil {
		return r, errs.Wrap(errs.Corrupt, err, "the signing key of the audit log cannot be read")
	}
	st, there, err := readState(dir)
	if err == nil && !there {
		err = errs.New(errs.Corrupt, "the audit log in %s has lost the state of its tree", dir)
	}
	if err == nil {
		err = st.follows(ctx, files, cp)
	}
	if err == nil && st.Size > cp.Size { // a kill came between the entries and the checkpoint over them: the next start signs the state
		if err = check(ctx, files, &checkpoint.Checkpoint{Size: st.Size, Hash: st.Root}, &c); err != nil {
			err = errs.Wrap(errs.Corrupt, err, "the audit log does not match its state of %d entries, %d of them not under a checkpoint yet: entries were altered, removed or damaged", st.Size, st.Size-cp.Size)
		}
	}
	if err == nil {
		err = leftovers(dir, st.Size)
	}
	if err != nil {
		return r, err
	}
	if since != nil {
		return r, continues(ctx, files, v, since, cp)
	}
	return r, nil
}

// waiting counts the entries of the journal that the checkpoint does not cover. Their MACs are checked when the log is opened, with its key.
func waiting(dir string, size uint64) (int, error) {
	folder := filepath.Join(dir, journalFolder)
	if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
		return 0, nil // a log that was never opened since there are journals
	}
	s, err := journal.Read(readOnly{folder}, nil, size)
	if err != nil {
		return 0, err
	}
	if s.Discarded > 0 {
		return 0, errs.New(errs.Corrupt, "the journal of the audit log ends in %d bytes that are no entry: a crash while it was written, whose call was never answered, or damage; the next start drops them", s.Discarded)
	}
	if s.Damaged > 0 {
		return 0, errs.New(errs.Corrupt, "%d bytes of the journal of the audit log are damaged; the entries in them are in the tree, and the next start removes the file", s.Damaged)
	}
	return len(s.Waiting), nil
}

// readOnly is a folder that is read while its server may hold it.
type readOnly struct{ dir string }

func (r readOnly) List(string) ([]string, error) {
	entries, err := os.ReadDir(r.dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (r readOnly) Open(name string) (disk.File, error) { return os.Open(filepath.Join(r.dir, name)) }

// tree recomputes a log's tiles from its entries: level 0 holds leaf hashes, level n+1 the roots of full tiles of level n (C2SP tlog-tiles).
type tree struct {
	files  client.FileFetcher
	root   *compact.Range
	levels []level
}

type level struct {
	tile   uint64 // index of the tile being filled
	hashes [][]byte
}

// check compares every entry, tile and the root with the checkpoint. Before the horizon the leaves stand for the entries, which are there as long as their removal is not over.
func check(ctx context.Context, files client.FileFetcher, cp *checkpoint.Checkpoint, c *horizon) error {
	t := tree{files: files, root: (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)}
	for at := uint64(0); at < cp.Size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if at < c.First {
			if err := t.dropped(ctx, at, cp.Size); err != nil {
				return err
			}
			if at += bundleSize; at == c.First && !c.same(t.root.Hashes()) {
				return errors.New("the note of what retention dropped does not belong to this log")
			}
			continue
		}
		b, err := client.GetEntryBundle(ctx, files.ReadEntryBundle, at/layout.EntryBundleWidth, cp.Size)
		if err != nil {
			return fmt.Errorf("entries from %d: %w", at, err)
		}
		n := min(layout.EntryBundleWidth, cp.Size-at)
		if uint64(len(b.Entries)) < n {
			return fmt.Errorf("entries from %d: %d are there, %d belong there", at, len(b.Entries), n)
		}
		if have := len(b.Entries); uint64(have) > n && have != layout.EntryBundleWidth { // a full bundle may have taken the place of the one of this checkpoint
			return fmt.Errorf("entries from %d: %d are there, only %d belong there", at, have, n)
		}
		for _, e := range b.Entries[:n] {
			h := rfc6962.DefaultHasher.HashLeaf(e)
			if err := t.root.Append(h, nil); err != nil {
				return err
			}
			if err := t.add(ctx, 0, h); err != nil {
				return err
			}
		}
		at += n
	}
	for l := range t.levels {
		if err := t.compare(ctx, l); err != nil {
			return err
		}
	}
	root := rfc6962.DefaultHasher.EmptyRoot()
	if cp.Size > 0 {
		var err error
		if root, err = t.root.GetRootHash(nil); err != nil {
			return err
		}
	}
	if !bytes.Equal(root, cp.Hash) {
		return errors.New("the root differs")
	}
	return nil
}

// dropped takes the leaves of a bundle that retention dropped, or was about to.
func (t *tree) dropped(ctx context.Context, first, size uint64) error {
	list, err := hashes(ctx, t.files, first, bundleSize, size)
	if err != nil {
		return fmt.Errorf("leaves from %d: %w", first, err)
	}
	if raw, err := t.files.ReadEntryBundle(ctx, first/bundleSize, 0); err == nil {
		var b api.EntryBundle
		if err := b.UnmarshalText(raw); err != nil || len(b.Entries) != bundleSize {
			return fmt.Errorf("entries from %d, which retention drops, are damaged", first)
		}
		for i, e := range b.Entries {
			if !bytes.Equal(rfc6962.DefaultHasher.HashLeaf(e), list[i]) {
				return fmt.Errorf("entry %d, which retention drops, is damaged", first+uint64(i))
			}
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, h := range list {
		if err := t.root.Append(h, nil); err != nil {
			return err
		}
		if err := t.add(ctx, 0, h); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) add(ctx context.Context, l int, h []byte) error {
	if l == len(t.levels) {
		t.levels = append(t.levels, level{})
	}
	t.levels[l].hashes = append(t.levels[l].hashes, h)
	if len(t.levels[l].hashes) < layout.TileWidth {
		return nil
	}
	if err := t.compare(ctx, l); err != nil {
		return err
	}
	up := t.levels[l].hashes
	for len(up) > 1 {
		for i := 0; i < len(up); i += 2 {
			up[i/2] = rfc6962.DefaultHasher.HashChildren(up[i], up[i+1])
		}
		up = up[:len(up)/2]
	}
	t.levels[l] = level{tile: t.levels[l].tile + 1}
	return t.add(ctx, l+1, up[0])
}

// compare holds the tile being filled against its file.
func (t *tree) compare(ctx context.Context, l int) error {
	lv := &t.levels[l]
	if len(lv.hashes) == 0 {
		return nil
	}
	file, err := t.files.ReadTile(ctx, uint64(l), lv.tile, uint8(len(lv.hashes)%layout.TileWidth))
	if err != nil {
		return fmt.Errorf("tile %d of level %d: %w", lv.tile, l, err)
	}
	if !bytes.HasPrefix(file, bytes.Join(lv.hashes, nil)) {
		return fmt.Errorf("tile %d of level %d differs", lv.tile, l)
	}
	return nil
}

func continues(ctx context.Context, files client.FileFetcher, v note.Verifier, since []byte, now *checkpoint.Checkpoint) error {
	old, _, _, err := checkpoint.ParseCheckpoint(since, v.Name(), v)
	if err != nil {
		return errs.Wrap(errs.Invalid, err, "the earlier checkpoint is not one of this log")
	}
	broken := errs.New(errs.Corrupt, "the audit log does not continue the earlier checkpoint of %d entries: its history was replaced", old.Size)
	if old.Size > now.Size {
		return errs.New(errs.Corrupt, "the audit log has %d entries, an earlier checkpoint has %d: entries were cut off", now.Size, old.Size)
	}
	if old.Size == 0 || old.Size == now.Size {
		if old.Size == now.Size && string(old.Hash) != string(now.Hash) {
			return broken
		}
		return nil
	}
	b, err := client.NewProofBuilder(ctx, now.Size, files.ReadTile)
	if err != nil {
		return errs.Wrap(errs.Corrupt, err, "the tree of the audit log cannot be read")
	}
	p, err := b.ConsistencyProof(ctx, old.Size, now.Size)
	if err != nil {
		return errs.Wrap(errs.Corrupt, err, "the tree of the audit log cannot be read")
	}
	if proof.VerifyConsistency(rfc6962.DefaultHasher, old.Size, now.Size, p, old.Hash, now.Hash) != nil {
		return broken
	}
	return nil
}

// Checkpoint returns the newest published checkpoint: keep it elsewhere to prove later that nothing before it was changed.
func Checkpoint(dir string) ([]byte, error) {
	return os.ReadFile(filepath.Join(dir, logFolder, "checkpoint"))
}

// Read calls fn for each entry under the newest checkpoint that retention has not dropped, oldest first. Entries are compared with their leaves, the tree above them with nothing: that is Verify.
func Read(ctx context.Context, dir string, fn func(index uint64, e *Entry) error) error {
	files := client.FileFetcher{Root: filepath.Join(dir, logFolder)}
	raw, err := files.ReadCheckpoint(ctx)
	if err != nil {
		return errs.Wrap(errs.Corrupt, err, "the audit log in %s has no checkpoint", dir)
	}
	var cp checkpoint.Checkpoint
	if _, err := cp.Unmarshal(raw); err != nil {
		return errs.Wrap(errs.Corrupt, err, "the checkpoint of the audit log cannot be read")
	}
	at := uint64(0)
	if _, err := os.Stat(filepath.Join(dir, retentionFile)); err == nil {
		o, err := openLog(ctx, dir)
		if err != nil {
			return err
		}
		c, err := readHorizon(dir, o.key)
		if err != nil {
			return err
		}
		at = c.First
	}
	for at < cp.Size {
		bodies, err := leaves(ctx, files, at/bundleSize, cp.Size)
		if err != nil {
			return err
		}
		for _, b := range bodies {
			var e Entry
			if err := json.Unmarshal(b, &e); err != nil {
				return errs.Wrap(errs.Corrupt, err, "entry %d of the audit log cannot be read", at)
			}
			if err := fn(at, &e); err != nil {
				return err
			}
			at++
		}
	}
	return nil
}
