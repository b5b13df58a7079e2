package ship

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// Source gives entries by their numbers; audit.Merkle is one.
type Source interface {
	Entries(ctx context.Context, from uint64) ([][]byte, error)
}

// sink takes entries; when send returns nil it has them.
type sink interface {
	send(ctx context.Context, first uint64, entries [][]byte) error
	close() error
}

const (
	lookEvery = time.Second
	mostWait  = time.Minute // between attempts at a receiver that takes nothing
)

// Shipper copies a log to one receiver.
type Shipper struct {
	from  Source
	to    sink
	name  string // of the receiver
	state string // file that tells how far it is
	log   *slog.Logger
	next  uint64
}

type position struct {
	To   string `json:"to"`
	Next uint64 `json:"next"`
}

// New makes a shipper to a receiver: file:PATH, syslog+unix:PATH, syslog+tcp://HOST:PORT or syslog+tls://HOST:PORT. dir keeps how far it is.
func New(from Source, dir, to, host string, log *slog.Logger) (*Shipper, error) {
	k, err := newSink(to, host)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	h := sha256.Sum256([]byte(to))
	s := &Shipper{from: from, to: k, name: to, state: filepath.Join(dir, hex.EncodeToString(h[:8])+".json"), log: log}
	b, err := os.ReadFile(s.state)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	var p position
	if err != nil || json.Unmarshal(b, &p) != nil || p.To != to {
		return nil, errs.Wrap(errs.Corrupt, err, "%s, which tells how far the audit log was sent, cannot be read: remove it to send the log again from its beginning", s.state)
	}
	s.next = p.Next
	return s, nil
}

// Next is the number of the first entry that the receiver has not had.
func (s *Shipper) Next() uint64 { return s.next }

// Run ships until ctx ends. A receiver that takes nothing is tried again; that is logged once until it takes again.
func (s *Shipper) Run(ctx context.Context) error {
	defer s.to.close() //nolint:errcheck // what it took is acknowledged or sent again
	wait, told := lookEvery, false
	for ctx.Err() == nil {
		n, err := s.step(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			if !told {
				s.log.Error("the audit log cannot be sent; it stays in the data folder and is sent later", "to", s.name, "error", err.Error())
			}
			told, wait = true, min(2*wait, mostWait)
		case n > 0:
			told, wait = false, lookEvery
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// step ships what one bundle has.
func (s *Shipper) step(ctx context.Context) (int, error) {
	entries, err := s.from.Entries(ctx, s.next)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	if err := s.to.send(ctx, s.next, entries); err != nil {
		return 0, err
	}
	s.next += uint64(len(entries))
	return len(entries), s.keep()
}

// keep writes how far it is. Losing it in a crash sends some again, so it is not synced.
func (s *Shipper) keep() error {
	b, err := json.Marshal(position{s.name, s.next})
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.state+".tmp", b, 0o600); err != nil {
		return err
	}
	return os.Rename(s.state+".tmp", s.state)
}
