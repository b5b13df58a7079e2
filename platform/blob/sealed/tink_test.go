package sealed

import (
	"bytes"
	"io"
	"testing"

	"github.com/tink-crypto/tink-go/v2/streamingaead/subtle"

	"github.com/galen-health/galen/platform/blob/blobtest"
)

// Tink's own code reads what we seal and we open what it seals, at every edge of the segments.
func TestStreamsAreTinks(t *testing.T) {
	mainKey, aad := blobtest.Bytes(1, 32), []byte("aad")
	tink, err := subtle.NewAESGCMHKDF(mainKey, "SHA256", 32, segmentSize, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, firstPlain - 1, firstPlain, firstPlain + 1, firstPlain + otherPlain, firstPlain + otherPlain + 1, 3 << 20} {
		plain := blobtest.Bytes(2, n)
		ours, s, err := startStream(nil, mainKey, aad)
		if err != nil {
			t.Fatal(err)
		}
		last := segments(int64(n)) - 1
		for i := range last + 1 {
			from, to, at := span(i, int64(n))
			if at != int64(len(ours)) {
				t.Fatalf("%d bytes: segment %d is at %d, not %d", n, i, len(ours), at)
			}
			ours = s.seal(ours, plain[from:to], uint32(i), i == last)
		}
		if int64(len(ours)) != sealedSize(int64(n)) {
			t.Errorf("%d bytes: sealed %d, want %d", n, len(ours), sealedSize(int64(n)))
		}
		r, err := tink.NewDecryptingReader(bytes.NewReader(ours), aad)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: Tink reads others, %v", n, err)
		}
		var theirs bytes.Buffer
		w, err := tink.NewEncryptingWriter(&theirs, aad)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		b := theirs.Bytes()
		if int64(len(b)) != sealedSize(int64(n)) {
			t.Fatalf("%d bytes: Tink sealed %d", n, len(b))
		}
		s, err = openStream(b[:streamHeader], mainKey, aad)
		if err != nil {
			t.Fatal(err)
		}
		for i := range last + 1 {
			from, to, at := span(i, int64(n))
			got, err := s.open(nil, b[at:min(len(b), int((i+1)*segmentSize))], uint32(i), i == last)
			if err != nil || !bytes.Equal(got, plain[from:to]) {
				t.Errorf("%d bytes: segment %d of Tink's: %v", n, i, err)
			}
		}
	}
}

func TestSegmentOfAgreesWithSpan(t *testing.T) {
	const size = 5 << 20
	for i := range segments(size) {
		from, to, _ := span(i, size)
		if segmentOf(from) != i || segmentOf(to-1) != i {
			t.Errorf("segment %d is [%d,%d), but they are in %d and %d", i, from, to, segmentOf(from), segmentOf(to-1))
		}
	}
}

func FuzzHeader(f *testing.F) {
	h := header{length: 512, wrapped: blobtest.Bytes(1, 97), context: map[string]string{"a": "b", "": "c"}}
	h.info.ID = newID()
	b, err := h.encode(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decode(b)
		if err != nil {
			return
		}
		if check(b, h.info.ID, h, make([]byte, 32)) != nil {
			return
		}
		again, err := h.encode(make([]byte, 32))
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("a proven header is not what it encodes to: %v", err)
		}
	})
}
