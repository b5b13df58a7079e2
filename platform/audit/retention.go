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
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// MinRetention is the least time that entries are kept: LookupEvents answers for as long.
const MinRetention = 90 * 24 * time.Hour

const retentionFile = "retention"

// A horizon is where the log's entries begin: those before it were dropped by retention, their hashes are in the tree for ever. It stands in a signed note, written before the first of them
// goes, so what the operator's rule dropped is told from what somebody removed.
type horizon struct {
	First  uint64    // number of the first entry that is kept; full bundles only are dropped
	Before time.Time // all that was dropped is older
	Nodes  [][]byte  // the compact range of the leaves before First (RFC 6962): the next one goes on from it, a check compares with it
}

// title is the first line of the note. It is no checkpoint's, so that neither is taken for the other.
func (c *horizon) title(origin string) string { return origin + " retention" }

func (c *horizon) text(origin string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%d\n%s\n", c.title(origin), c.First, c.Before.UTC().Format(time.RFC3339Nano))
	for _, n := range c.Nodes {
		b.WriteString(base64.StdEncoding.EncodeToString(n) + "\n")
	}
	return b.String()
}

// readHorizon reads the note of a log's folder; the zero horizon when there is none.
func readHorizon(dir string, key note.Verifier) (c horizon, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, retentionFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	c, err = parseHorizon(raw, key)
	if err != nil {
		return c, errs.Wrap(errs.Corrupt, err, "the note of what retention dropped from the audit log (%s) is damaged or was not signed by the log", retentionFile)
	}
	return c, nil
}

// parseHorizon takes the one way to write it.
func parseHorizon(raw []byte, key note.Verifier) (c horizon, err error) {
	n, err := note.Open(raw, note.VerifierList(key))
	if err != nil {
		return c, err
	}
	if err := strictSignatures(raw); err != nil {
		return c, err
	}
	lines := strings.Split(strings.TrimSuffix(n.Text, "\n"), "\n")
	if len(lines) < 4 || len(lines) > 3+64 {
		return c, errors.New("it has too few lines, or too many")
	}
	if c.First, err = strconv.ParseUint(lines[1], 10, 64); err != nil {
		return c, err
	}
	if c.Before, err = time.Parse(time.RFC3339Nano, lines[2]); err != nil {
		return c, err
	}
	for _, l := range lines[3:] {
		h, err := base64.StdEncoding.DecodeString(l)
		if err != nil || len(h) != rfc6962.DefaultHasher.Size() {
			return c, errors.Join(errors.New("a hash is malformed"), err)
		}
		c.Nodes = append(c.Nodes, h)
	}
	if c.First == 0 || c.First%bundleSize != 0 || len(c.Nodes) != len(compact.RangeNodes(0, c.First, nil)) || c.text(key.Name()) != n.Text {
		return horizon{}, errors.New("it is not as it was written")
	}
	return c, nil
}

// dropped is the error for an entry that is not kept any more.
func (c *horizon) dropped(n uint64) error {
	return errs.New(errs.Gone, "entry %d of the audit log was dropped by retention, as were all from before %s; its hash is still in the tree", n, c.Before.Format(time.RFC3339))
}

func (m *Merkle) openHorizon() error {
	text, err := Verifier(m.cfg.Dir)
	if err != nil {
		return err
	}
	key, err := note.NewVerifier(text)
	if err != nil {
		return errs.Wrap(errs.Corrupt, err, "the public key of the audit log is malformed")
	}
	c, err := readHorizon(m.cfg.Dir, key)
	if err != nil {
		return err
	}
	m.horizon.Store(&c)
	return nil
}

// First is the number of the first entry that is kept.
func (m *Merkle) First() uint64 { return m.horizon.Load().First }

// Retain drops entries older than before, whole bundles from the oldest on, and none from the number most on (what receivers have not had). Their hashes stay: every proof and checkpoint
// holds as it did. The drop is an entry of the log itself before it happens. One at a time.
func (m *Merkle) Retain(ctx context.Context, before time.Time, most uint64) (dropped uint64, err error) {
	if f := m.failed.Load(); f != nil {
		return 0, f
	}
	old := m.horizon.Load()
	if err := m.remove(ctx, old); err != nil { // of a run before that did not end
		return 0, err
	}
	size, err := m.reader.IntegratedSize(ctx)
	if err != nil {
		return 0, err
	}
	if m.index != nil {
		m.index.mu.Lock()
		most = min(most, m.index.Next*bundleSize)
		m.index.mu.Unlock()
	}
	next := &horizon{First: old.First, Before: before.UTC()}
	tree, err := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewRange(0, old.First, old.Nodes)
	if err != nil {
		return 0, errs.Wrap(errs.Corrupt, err, "the note of what retention dropped does not make a tree")
	}
	for ; next.First+bundleSize <= min(size, most); next.First += bundleSize {
		bodies, err := leaves(ctx, m.reader, next.First/bundleSize, size)
		if err != nil {
			return 0, err
		}
		older, err := allBefore(bodies, before)
		if err != nil {
			return 0, err
		}
		if !older {
			break
		}
		for _, b := range bodies {
			if err := tree.Append(rfc6962.DefaultHasher.HashLeaf(b), nil); err != nil {
				return 0, err
			}
		}
	}
	if next.First == old.First {
		return 0, nil
	}
	next.Nodes = tree.Hashes()
	told := Entry{Source: "galen.amazonaws.com", Name: "DropAuditEntries", Kind: "AWSService", Principal: "galen.amazonaws.com", Parameters: map[string]string{
		"firstKept": strconv.FormatUint(next.First, 10), "dropped": strconv.FormatUint(next.First-old.First, 10), "before": next.Before.Format(time.RFC3339)}}
	if err := m.Append(ctx, &told); err != nil {
		return 0, err
	}
	raw, err := note.Sign(&note.Note{Text: next.text(m.signer.Name())}, m.signer)
	if err != nil {
		return 0, errs.Wrap(errs.Internal, err, "the note of what retention drops cannot be signed")
	}
	if err := replace(m.cfg.Dir, retentionFile, raw); err != nil {
		return 0, errs.Wrap(errs.Unavailable, err, "the note of what retention drops cannot be written")
	}
	m.horizon.Store(next)
	return next.First - old.First, m.remove(ctx, next)
}

func allBefore(bodies [][]byte, before time.Time) (bool, error) {
	for _, b := range bodies {
		var e struct {
			Time time.Time `json:"eventTime"`
		}
		if err := json.Unmarshal(b, &e); err != nil {
			return false, errs.Wrap(errs.Corrupt, err, "an entry of the audit log cannot be read")
		}
		if !e.Time.Before(before) {
			return false, nil
		}
	}
	return true, nil
}

// remove takes away what is before the horizon. What a run before this one left is found at the first time.
func (m *Merkle) remove(ctx context.Context, c *horizon) error {
	for n := m.removed; n < c.First/bundleSize; n++ {
		path := filepath.Join(m.cfg.Dir, logFolder, layout.EntriesPath(n, 0))
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if m.index != nil { // first: the file tells whether it was done
			if err := m.index.forget(ctx, n); err != nil {
				return err
			}
		}
		if err := errors.Join(os.RemoveAll(path+".p"), os.Remove(path)); err != nil {
			return errs.Wrap(errs.Unavailable, err, "what retention dropped cannot be removed")
		}
	}
	m.removed = c.First / bundleSize
	return nil
}

// forget drops what a bundle can be found by.
func (x *index) forget(ctx context.Context, n uint64) error {
	_, err := x.store.Update(ctx, x.space, nil, func(tx record.Tx) error {
		_, err := tx.Delete(bundles.Name, fmt.Sprintf("%020d", n), record.Any)
		if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Gone) {
			return nil
		}
		return err
	})
	return err
}

// hashes are the leaf hashes of a bundle that was dropped. What is above them proves them.
func hashes(ctx context.Context, from source, first, n, size uint64) ([][]byte, error) {
	list, err := client.FetchLeafHashes(ctx, from.ReadTile, first, n, size)
	if err == nil && uint64(len(list)) < n {
		err = fmt.Errorf("leaf %d is missing", first+uint64(len(list)))
	}
	return list, err
}

// same compares the tree before it with the note.
func (c *horizon) same(nodes [][]byte) bool {
	return bytes.Equal(bytes.Join(c.Nodes, nil), bytes.Join(nodes, nil))
}
