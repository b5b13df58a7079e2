package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

// kindVerifier checks one kind in one space.
type kindVerifier struct {
	*verifier
	sp    *space // without aead when its key cannot be used
	no    uint16
	def   *record.KindDef // nil when nobody declared the kind
	where string

	heads, found, versions, postings int64 // found = heads that the directory leads to
}

func (k *kindVerifier) say(format string, args ...any) {
	k.fault(k.where + ": " + fmt.Sprintf(format, args...))
}

func (k *kindVerifier) table(table byte) (from, to []byte) {
	from = appendKind(nil, table, k.sp.id, k.no)
	return from, next(from)
}

// run checks the tables one after the other. What a damaged table file hides of one does not hide the others.
func (k *kindVerifier) run() error {
	for _, check := range []func() error{k.checkHeads, k.checkVersions, k.checkHistory, k.checkDirectory, k.checkPostings} {
		if err := k.note(k.where, check()); err != nil {
			return err
		}
	}
	k.records += k.heads
	if k.sp.aead == nil {
		k.unreadable += k.heads
	}
	return nil
}

// keeps reports whether old versions are kept: known only of declared kinds.
func (k *kindVerifier) keeps() bool { return k.def != nil && !k.def.Volatile }

func (k *kindVerifier) checkHeads() error {
	from, to := k.table(tableHead)
	return k.each(from, to, func(key, val []byte) error {
		if len(key) != kindSize+8 {
			k.say("a head has a malformed key")
			return nil
		}
		k.heads++
		pid := binary.BigEndian.Uint64(key[kindSize:])
		h, err := decodeHead(val)
		if err != nil {
			k.say("record %d: its head cannot be read", pid)
			return nil
		}
		return k.note(fmt.Sprintf("%s, record %d", k.where, pid), k.checkRecord(pid, h))
	})
}

// checkRecord checks what a head says.
func (k *kindVerifier) checkRecord(pid uint64, h *head) error {
	if k.seq > 0 && (h.commit > k.seq || pid > k.pid) {
		k.say("record %d: it is newer than the store's counters", pid)
	}
	switch dir, err := find(k.snap, k.sp.id, k.no, h.id); {
	case err != nil:
		return err
	case dir == nil || dir.pid != pid:
		k.say("record %d: the directory does not lead to it", pid)
	default:
		k.found++
		if dir.version != h.version || dir.deleted != h.deleted {
			k.say("record %d: the directory tells of another version", pid)
		}
	}
	if !slices.IsSortedFunc(h.entries, compare) {
		k.say("record %d: its index entries are not in order", pid)
	}
	for _, p := range allPostings(h) {
		key := binary.BigEndian.AppendUint64(append(indexPrefix(k.sp.id, k.no, p.index), short(p.value)...), pid)
		switch _, closer, err := k.snap.Get(key); {
		case err == nil:
			k.postings++
			if err := closer.Close(); err != nil {
				return storeError(err)
			}
		case errors.Is(err, pebble.ErrNotFound):
			k.say("record %d: its entry in index %s is missing", pid, k.index(p.index))
		default:
			return storeError(err)
		}
	}
	val, err := getFrom(k.snap, versionKey(k.sp.id, k.no, pid, h.version))
	if err != nil {
		return err
	}
	if val == nil {
		k.say("record %d: its newest version, %d, is missing", pid, h.version)
		return nil
	}
	st, err := decodeVersion(val)
	if err != nil {
		return err
	}
	if st.time != h.time || st.commit != h.commit || st.deleted != h.deleted || st.id != h.id {
		k.say("record %d: its head does not agree with its newest version", pid)
	}
	if h.deleted {
		if len(h.entries) > 0 {
			k.say("record %d: it is deleted and still has index entries", pid)
		}
		return nil
	}
	if k.sp.aead == nil || k.def == nil {
		return nil
	}
	body, err := seal.Open(k.sp.aead, st.sealed, seal.Place(k.sp.id, k.no, h.id, h.version))
	if err != nil {
		return nil //nolint:nilerr // checkVersions tells
	}
	entries, err := k.def.Entries(h.id, body)
	if err != nil {
		k.say("record %d: its index entries cannot be computed from its body", pid)
		return nil
	}
	if want, ok := k.known(entries); !ok || !slices.Equal(want, h.entries) {
		k.say("record %d: its index entries are not those of its body", pid)
	}
	return nil
}

// allPostings is every posting that a head calls for.
func allPostings(h *head) []posting {
	out := h.postings()
	if !h.deleted {
		out = append(out, posting{indexTime, record.Value(timeValue(h.time))})
	}
	return out
}

// known numbers entries as a Put does, without giving new numbers; ok is false when an index has none.
func (k *kindVerifier) known(entries []record.Entry) (out []posting, ok bool) {
	for _, e := range entries {
		if n, err := k.s.number(e.Index, false); err != nil || n == 0 {
			return nil, false
		}
	}
	out, err := k.s.entryPostings(entries)
	return out, err == nil
}

func (k *kindVerifier) index(no uint16) string {
	switch no {
	case indexLive:
		return "of live records"
	case indexTime:
		return "of commit times"
	}
	return k.s.name(no)
}

// checkVersions opens every version, and counts those of each record.
func (k *kindVerifier) checkVersions() error {
	var pid uint64
	var h *head
	var count int64
	end := func() {
		if h != nil && k.keeps() && count != h.version {
			k.say("record %d: %d of its %d versions are there", pid, count, h.version)
		}
	}
	from, to := k.table(tableVersion)
	err := k.each(from, to, func(key, val []byte) error {
		if len(key) != kindSize+16 {
			k.say("a version has a malformed key")
			return nil
		}
		k.versions++
		version := versionOf(key)
		if p := binary.BigEndian.Uint64(key[kindSize:]); p != pid {
			end()
			pid, h, count = p, nil, 0
			b, err := getFrom(k.snap, headKey(k.sp.id, k.no, pid))
			if err != nil {
				return err
			}
			if b == nil {
				k.say("record %d: it has versions and no head", pid)
			} else if h, err = decodeHead(b); err != nil {
				h = nil // checkHeads told
			}
		}
		if h == nil {
			return nil
		}
		if count++; version > h.version {
			k.say("record %d: version %d is newer than its head", pid, version)
		}
		st, err := decodeVersion(val)
		switch {
		case err != nil:
			k.say("record %d, version %d: it cannot be read", pid, version)
		case st.id != h.id:
			k.say("record %d, version %d: it has the id of another record", pid, version)
		case !st.deleted && k.sp.aead != nil:
			if _, err := seal.Open(k.sp.aead, st.sealed, seal.Place(k.sp.id, k.no, h.id, version)); err != nil {
				k.say("record %d, version %d: its body does not open", pid, version)
			}
		}
		return nil
	})
	if err == nil {
		end()
	}
	return err
}

// checkHistory follows every entry to its version; in kinds that keep their versions each has one.
func (k *kindVerifier) checkHistory() error {
	var count int64
	from, to := k.table(tableHistory)
	err := k.each(from, to, func(key, val []byte) error {
		count++
		if len(key) != kindSize+12 || len(val) != 16 {
			k.say("an entry of the history is malformed")
			return nil
		}
		pid, version := binary.BigEndian.Uint64(val), int64(binary.BigEndian.Uint64(val[8:]))
		b, err := getFrom(k.snap, versionKey(k.sp.id, k.no, pid, version))
		switch {
		case err != nil:
			return err
		case b == nil:
			k.say("record %d: the history names version %d, which is missing", pid, version)
		case len(b) < 16 || !bytes.Equal(b[8:16], key[kindSize:kindSize+8]):
			k.say("record %d: the history gives version %d to another commit", pid, version)
		}
		return nil
	})
	if err == nil && k.keeps() && count != k.versions {
		k.say("the history has %d entries for %d versions", count, k.versions)
	}
	return err
}

// checkDirectory looks for entries that lead to no record. Each head has been looked up, so it is enough to count when all is well.
func (k *kindVerifier) checkDirectory() error {
	from, to := k.table(tableDir)
	count, err := k.count(from, to)
	if err != nil || count == k.found {
		return err
	}
	return k.each(from, to, func(key, val []byte) error {
		dir, err := decodeEntry(val)
		if err != nil {
			k.say("an entry of the directory is malformed")
			return nil
		}
		b, err := getFrom(k.snap, headKey(k.sp.id, k.no, dir.pid))
		if err != nil {
			return err
		}
		if h, err := decodeHead(b); b == nil || err == nil && h.id != string(key[kindSize:]) {
			k.say("record %d: the directory names it by an id that it does not have", dir.pid)
		}
		return nil
	})
}

// checkPostings looks for postings that no head has; it counts first, as checkDirectory.
func (k *kindVerifier) checkPostings() error {
	from, to := k.table(tablePosting)
	count, err := k.count(from, to)
	if err != nil || count == k.postings {
		return err
	}
	return k.each(from, to, func(key, _ []byte) error {
		const fixed = kindSize + 2
		if len(key) < fixed+8 {
			k.say("an index entry is malformed")
			return nil
		}
		index, text, pid := binary.BigEndian.Uint16(key[kindSize:]), string(key[fixed:len(key)-8]), pidAt(key)
		b, err := getFrom(k.snap, headKey(k.sp.id, k.no, pid))
		if err != nil {
			return err
		}
		h, err := decodeHead(b)
		if b != nil && err != nil {
			return nil // checkHeads told
		}
		if b == nil || !slices.ContainsFunc(allPostings(h), func(p posting) bool {
			return p.index == index && short(p.value) == text
		}) {
			k.say("record %d: index %s has an entry that the record does not have", pid, k.index(index))
		}
		return nil
	})
}

func (k *kindVerifier) count(from, to []byte) (n int64, err error) {
	err = k.each(from, to, func([]byte, []byte) error { n++; return nil })
	return n, err
}
