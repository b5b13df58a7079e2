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
	"sync/atomic"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// Source gives entries by their numbers; audit.Merkle is one.
type Source interface {
	Entries(ctx context.Context, from uint64) ([][]byte, error)
	First() uint64 // the oldest that is kept
}

// sink takes entries; when send returns nil it has them.
type sink interface {
	send(ctx context.Context, first uint64, entries [][]byte) error
	close() error
}

// gatherer is a sink that takes entries together: so many at most, of so many bytes, or fewer after a while.
type gatherer interface {
	gather() (entries, size int, wait time.Duration)
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
	next  uint64        // the first that the receiver has not had
	known atomic.Uint64 // next, for others
	held  [][]byte      // from next on, until they are enough
	size  int           // bytes of them
	since time.Time     // the first of them is held
	saved time.Time     // when the state was last synced
}

type position struct {
	To   string `json:"to"`
	Next uint64 `json:"next"`
}

// New makes a shipper to a receiver: file:PATH, syslog+unix:PATH, syslog+tcp://HOST:PORT, syslog+tls://HOST:PORT or s3://BUCKET/PREFIX?endpoint=URL&every=DURATION. dir keeps how far it is;
// id tells the log from others that are sent to the same place, for which its public key is good.
func New(from Source, dir, to, host, id string, log *slog.Logger) (*Shipper, error) {
	k, err := newSink(to, host, id)
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
	s.known.Store(p.Next)
	return s, nil
}

// Next is the number of the first entry that the receiver has not had.
func (s *Shipper) Next() uint64 { return s.known.Load() }

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

// step ships what one bundle has, or what was gathered.
func (s *Shipper) step(ctx context.Context) (int, error) {
	most, size, wait := 1, 0, time.Duration(0)
	if g, ok := s.to.(gatherer); ok {
		most, size, wait = g.gather()
	}
	if first := s.from.First(); s.next < first && len(s.held) == 0 { // retention was before this receiver
		s.next = first
	}
	for len(s.held) < most && (len(s.held) == 0 || s.size < size) {
		entries, err := s.from.Entries(ctx, s.next+uint64(len(s.held)))
		if err != nil {
			return 0, err
		}
		if len(entries) == 0 {
			break
		}
		if len(s.held) == 0 {
			s.since = time.Now()
		}
		s.held = append(s.held, entries...)
		for _, e := range entries {
			s.size += len(e)
		}
	}
	n := len(s.held)
	if n == 0 || n < most && s.size < size && time.Since(s.since) < wait {
		return 0, nil
	}
	if err := s.to.send(ctx, s.next, s.held); err != nil {
		return 0, err
	}
	s.next += uint64(n)
	s.known.Store(s.next)
	s.held, s.size = nil, 0
	return n, s.keep()
}

// saveEvery is how often the position is made to outlast a power cut; each position outlasts the process.
const saveEvery = time.Second

// keep writes how far it is. What a lost position sends again, it sends from where an earlier batch began.
func (s *Shipper) keep() error {
	b, err := json.Marshal(position{s.name, s.next})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.state+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	sync := time.Since(s.saved) >= saveEvery
	_, err = f.Write(b)
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(s.state+".tmp", s.state); err != nil || !sync {
		return err
	}
	s.saved = time.Now()
	dir, err := os.Open(filepath.Dir(s.state))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
