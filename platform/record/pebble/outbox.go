package pebble

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/record"
)

func encodeMessage(at int64, space record.Space, m *record.Message) []byte {
	b := binary.AppendVarint(make([]byte, 0, 24+len(space)+len(m.Topic)+len(m.Body)), at)
	b = binary.AppendUvarint(b, uint64(len(space)))
	b = append(b, space...)
	b = binary.AppendUvarint(b, uint64(len(m.Topic)))
	b = append(b, m.Topic...)
	return append(b, m.Body...)
}

func decodeMessage(k, v []byte) (record.Message, error) {
	r := &reader{s: string(v)}
	m := record.Message{Time: time.UnixMicro(r.varint()).UTC(), Space: record.Space(r.bytes(r.uvarint())), Topic: r.bytes(r.uvarint())}
	m.Body = []byte(r.s)
	if r.bad || len(k) != 9 {
		return m, corrupt("a message of the outbox cannot be read")
	}
	m.Seq = binary.BigEndian.Uint64(k[1:])
	return m, nil
}

// Outbox implements record.Store. Messages show only when their commit is on the disk: nothing is announced that a power cut could undo.
func (s *Store) Outbox(_ context.Context, after uint64, limit int) ([]record.Message, error) {
	done, err := s.use()
	if err != nil {
		return nil, err
	}
	defer done()
	durable := s.durable.Load()
	if after >= durable {
		return nil, nil
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: outboxKey(after + 1), UpperBound: outboxKey(durable + 1)})
	if err != nil {
		return nil, storeError(err)
	}
	defer it.Close() //nolint:errcheck // Error has told it
	var out []record.Message
	for ok := it.First(); ok && len(out) < limit; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return nil, storeError(err)
		}
		m, err := decodeMessage(it.Key(), v)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, storeError(it.Error())
}

// Trim implements record.Store. It need not be durable: what comes back after a crash is delivered again.
func (s *Store) Trim(_ context.Context, upTo uint64) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	return storeError(s.db.DeleteRange([]byte{tableOutbox}, outboxKey(min(upTo, s.durable.Load())+1), pebble.NoSync))
}

// announce tells that messages up to seq are durable.
func (s *Store) announce(seq uint64) {
	for {
		have := s.durable.Load()
		if have >= seq || s.durable.CompareAndSwap(have, seq) {
			break
		}
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
