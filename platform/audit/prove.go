package audit

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"

	checkpoint "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"

	"github.com/galen-health/galen/platform/errs"
)

// Proof shows by itself, with nothing but the log's public key, that an entry is in the log, or that the log continues an earlier checkpoint of itself (RFC 6962
// §2.1.1 and §2.1.2). It is what goes to somebody who does not have the log.
type Proof struct {
	Format     int      `json:"format"`            // 1
	Index      uint64   `json:"index"`             // of the entry, from 0
	Entry      []byte   `json:"entry,omitempty"`   // as it is kept
	Earlier    string   `json:"earlier,omitempty"` // checkpoint that is continued
	Checkpoint string   `json:"checkpoint"`        // signed tree head that the proof leads to
	Hashes     [][]byte `json:"hashes"`
}

// openedLog is a log's files with its newest checkpoint, whose signature is right.
type openedLog struct {
	files client.FileFetcher
	raw   []byte
	head  *checkpoint.Checkpoint
	key   note.Verifier
}

func openLog(ctx context.Context, dir string) (*openedLog, error) {
	text, err := Verifier(dir)
	if err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "the audit log in %s has no %s", dir, verifierFile)
	}
	o := &openedLog{files: client.FileFetcher{Root: filepath.Join(dir, logFolder)}}
	if o.key, err = note.NewVerifier(text); err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "the public key of the audit log is malformed")
	}
	if o.raw, err = o.files.ReadCheckpoint(ctx); err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "the audit log in %s has no checkpoint", dir)
	}
	if o.head, err = signed(o.raw, o.key); err != nil {
		return nil, err
	}
	return o, nil
}

func signed(raw []byte, key note.Verifier) (*checkpoint.Checkpoint, error) {
	cp, _, _, err := checkpoint.ParseCheckpoint(raw, key.Name(), key)
	if err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "the checkpoint is not signed by the key of the audit log")
	}
	if err := strictSignatures(raw); err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "a signature of the audit log's checkpoint is damaged")
	}
	return cp, nil
}

// strictSignatures reads the signatures of a note: the end of one in base64 has bits that most readers pass over.
func strictSignatures(raw []byte) error {
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "— "); ok {
			signature := strings.TrimSuffix(rest[strings.LastIndexByte(rest, ' ')+1:], "\n")
			if _, err := base64.StdEncoding.Strict().DecodeString(signature); err != nil {
				return err
			}
		}
	}
	return nil
}

func unreadable(err error) error {
	return errs.Wrap(errs.Corrupt, err, "the tree of the audit log cannot be read: run galen verify")
}

// Prove proves that the entry with this number is in the log.
func Prove(ctx context.Context, dir string, index uint64) (*Proof, error) {
	o, err := openLog(ctx, dir)
	if err != nil {
		return nil, err
	}
	if index >= o.head.Size {
		return nil, errs.New(errs.NotFound, "the audit log has %d entries under its newest checkpoint; number %d is not one of them (a running server adds new ones within seconds)", o.head.Size, index)
	}
	c, err := readHorizon(dir, o.key)
	if err != nil {
		return nil, err
	}
	if index < c.First {
		return nil, c.dropped(index)
	}
	entries, err := leaves(ctx, o.files, index/bundleSize, o.head.Size)
	if err != nil {
		return nil, err
	}
	builder, err := client.NewProofBuilder(ctx, o.head.Size, o.files.ReadTile)
	if err != nil {
		return nil, unreadable(err)
	}
	hashes, err := builder.InclusionProof(ctx, index)
	if err != nil {
		return nil, unreadable(err)
	}
	return &Proof{Format: 1, Index: index, Entry: entries[index%bundleSize], Checkpoint: string(o.raw), Hashes: hashes}, nil
}

// ProveContinues proves that the log continues an earlier checkpoint of it.
func ProveContinues(ctx context.Context, dir string, earlier []byte) (*Proof, error) {
	o, err := openLog(ctx, dir)
	if err != nil {
		return nil, err
	}
	old, err := signed(earlier, o.key)
	if err != nil {
		return nil, err
	}
	if old.Size > o.head.Size {
		return nil, errs.New(errs.Corrupt, "the audit log has %d entries, an earlier checkpoint has %d: entries were cut off", o.head.Size, old.Size)
	}
	p := &Proof{Format: 1, Earlier: string(earlier), Checkpoint: string(o.raw)}
	if old.Size == 0 || old.Size == o.head.Size {
		return p, nil
	}
	builder, err := client.NewProofBuilder(ctx, o.head.Size, o.files.ReadTile)
	if err != nil {
		return nil, unreadable(err)
	}
	if p.Hashes, err = builder.ConsistencyProof(ctx, old.Size, o.head.Size); err != nil {
		return nil, unreadable(err)
	}
	return p, nil
}

// Check checks a proof against the log's public key (verifier.txt, from where its reader trusts it) and returns the entry, if it is about one.
func (p *Proof) Check(verifier string) (*Entry, error) {
	key, err := note.NewVerifier(verifier)
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "the public key of the audit log is malformed")
	}
	if p.Format != 1 {
		return nil, errs.New(errs.Invalid, "this is no proof of format 1")
	}
	head, err := signed([]byte(p.Checkpoint), key)
	if err != nil {
		return nil, err
	}
	if p.Earlier != "" {
		old, err := signed([]byte(p.Earlier), key)
		if err != nil {
			return nil, err
		}
		if proof.VerifyConsistency(rfc6962.DefaultHasher, old.Size, head.Size, p.Hashes, old.Hash, head.Hash) != nil {
			return nil, errs.New(errs.Corrupt, "the proof does not hold: the log of %d entries does not continue the one of %d", head.Size, old.Size)
		}
		return nil, nil
	}
	if proof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, head.Size, rfc6962.DefaultHasher.HashLeaf(p.Entry), p.Hashes, head.Hash) != nil {
		return nil, errs.New(errs.Corrupt, "the proof does not hold: this entry is not number %d of the log of %d entries", p.Index, head.Size)
	}
	var e Entry
	if err := json.Unmarshal(p.Entry, &e); err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "the entry of the proof cannot be read")
	}
	return &e, nil
}
