package pebble

import "github.com/cockroachdb/pebble/v2"

// idFilter is a Bloom filter for the tables in which single keys are looked up. Postings and history lines, which are most of all keys, are only ever
// scanned: they stay out of it.
type idFilter struct{ pebble.FilterPolicy }

func (idFilter) Name() string { return "galen.ids" }

func (f idFilter) NewWriter(t pebble.FilterType) pebble.FilterWriter {
	return idFilterWriter{f.FilterPolicy.NewWriter(t)}
}

func filtered(k []byte) bool {
	return len(k) > 0 && k[0] != tablePosting && k[0] != tableHistory && k[0] != tableOutbox
}

func (f idFilter) MayContain(t pebble.FilterType, filter, k []byte) bool {
	return !filtered(k) || f.FilterPolicy.MayContain(t, filter, k)
}

type idFilterWriter struct{ pebble.FilterWriter }

func (w idFilterWriter) AddKey(k []byte) {
	if filtered(k) {
		w.FilterWriter.AddKey(k)
	}
}
