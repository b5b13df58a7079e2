package s3

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	api "github.com/galen-health/galen/aws/s3"
)

// The check values of "123456789" that the algorithms' own specifications give.
func TestAlgorithms(t *testing.T) {
	for name, want := range map[string]string{
		"CRC32": "cbf43926", "CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888", "MD5": "25f9e794323b453885f5181f1b624d0b",
		"SHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441", "SHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
		"XXHASH64": "8cb841db40e6ae83",
	} {
		h := algorithms[name].new()
		_, _ = io.WriteString(h, "123456789")
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	for name, a := range algorithms {
		if got := len(a.new().Sum(nil)); got != a.new().Size() {
			t.Errorf("%s says %d bytes and gives %d", name, a.new().Size(), got)
		}
		for _, s := range []any{&api.PutObjectOutput{}, &api.GetObjectOutput{}, &api.UploadPartOutput{}, &api.CompleteMultipartUploadOutput{}} {
			(checksum{Algorithm: name, Value: "x"}).say(s)
			if got := given(s); got[name] != "x" || len(got) != 1 {
				t.Errorf("%T does not carry %s: %v", s, name, got)
			}
		}
	}
	h := algorithms["XXHASH128"].new() // of nothing, by the reference implementation
	if got := hex.EncodeToString(h.Sum(nil)); got != "99aa06d3014798d86001c324468d497f" {
		t.Errorf("XXHASH128 of nothing = %s", got)
	}
}

func TestCombinedChecksumsAreThoseOfTheWhole(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var whole []byte
		sums := map[string][]partSum{}
		for range 1 + rng.IntN(5) {
			part := make([]byte, rng.IntN(5000))
			for i := range part {
				part[i] = byte(rng.Uint32())
			}
			whole = append(whole, part...)
			for name, a := range algorithms {
				h := a.new()
				h.Write(part)
				sums[name] = append(sums[name], partSum{base64.StdEncoding.EncodeToString(h.Sum(nil)), int64(len(part))})
			}
		}
		for name, a := range algorithms {
			got, err := combine(name, fullObject, sums[name])
			if a.poly == 0 {
				if err == nil {
					t.Errorf("%s combines into a full-object checksum", name)
				}
				continue
			}
			h := a.new()
			h.Write(whole)
			if want := base64.StdEncoding.EncodeToString(h.Sum(nil)); err != nil || got.Value != want {
				t.Errorf("%s of %d bytes in %d parts = %s, want %s, %v", name, len(whole), len(sums[name]), got.Value, want, err)
			}
		}
	}
	// A length above 32 bits: zeros, whose CRC is found by the same squaring from two halves.
	zero := crc32.ChecksumIEEE(make([]byte, 1<<20))
	crc := uint64(0)
	for n := int64(0); n < 5<<30; n += 1 << 30 {
		gib := uint64(zero)
		for k := int64(1 << 20); k < 1<<30; k *= 2 {
			gib = combineCRC(crc32.IEEE, 32, gib, gib, k)
		}
		crc = combineCRC(crc32.IEEE, 32, crc, gib, 1<<30)
	}
	half := uint64(zero)
	for k := int64(1 << 20); k < 4<<30; k *= 2 {
		half = combineCRC(crc32.IEEE, 32, half, half, k)
	}
	one := uint64(zero)
	for k := int64(1 << 20); k < 1<<30; k *= 2 {
		one = combineCRC(crc32.IEEE, 32, one, one, k)
	}
	if other := combineCRC(crc32.IEEE, 32, one, half, 4<<30); other != crc {
		t.Errorf("5 GiB: %08x and %08x", crc, other)
	}
	if _, err := combine("CRC32", fullObject, []partSum{{"", 1}}); err == nil {
		t.Error("a part without a checksum was combined")
	}
}

func TestVerifierBounds(t *testing.T) {
	v, err := newVerifier(strings.NewReader("12345"), "", map[string]string{}, 4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(v); err == nil || !strings.Contains(err.Error(), "maximum allowed size") {
		t.Errorf("error = %v", err)
	}
	var crc [8]byte
	binary.BigEndian.PutUint64(crc[:], crc64.Checksum([]byte("x"), nvmeTable))
	want := map[string]string{"CRC64NVME": base64.StdEncoding.EncodeToString(crc[:])}
	if v, err = newVerifier(bytes.NewReader([]byte("x")), "CRC64NVME", want, 4); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(v); err != nil {
		t.Fatal(err)
	}
	if _, err := v.sum(); err != nil {
		t.Error(err)
	}
	if _, err := newVerifier(nil, "CRC7", nil, 4); err == nil {
		t.Error("an unknown algorithm was taken")
	}
	if _, err := newVerifier(nil, "", map[string]string{"CRC32": "AAAAAA==", "SHA1": "x"}, 4); err == nil {
		t.Error("two checksums were taken")
	}
}

func TestBucketNames(t *testing.T) {
	for _, good := range []string{"abc", "a-b.c", "123", strings.Repeat("a", 63)} {
		if err := checkBucketName(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "ab", strings.Repeat("a", 64), "Abc", "a_b", "-ab", "ab-", ".ab", "ab.", "a..b", "192.168.1.1", "xn--a", "a/b", "../x", "v20180820", "a\x00b", "abc-s3alias"} {
		if err := checkBucketName(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzHeaders(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-5", "/bucket/key?versionId=x", "a=b&c=d", "bucket/%2e%2e/x", "bytes=9223372036854775807-9223372036854775807", `"a", W/"b", *`} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, s string, size int64) {
		if size < 0 {
			size = -(size + 1)
		}
		if sec, err := byteRange(s, size); err == nil && (sec.from < 0 || sec.from > sec.to || sec.to > size) {
			t.Errorf("range %q of %d: %+v", s, size, sec)
		}
		if sec, err := copyRange(s, size); err == nil && (sec.from < 0 || sec.from > sec.to || sec.to > size) {
			t.Errorf("copy range %q of %d: %+v", s, size, sec)
		}
		if src, err := parseSource(s); err == nil && (src.bucket == "" && src.key == "") {
			t.Errorf("source %q: %+v", s, src)
		}
		if tags, err := tagHeader(s); err == nil && len(tags) > mostObjectTags {
			t.Errorf("%d tags", len(tags))
		}
		l := listing{prefix: s, delimiter: "/", url: true}
		if strings.ContainsAny(l.text(s), " +&<\x00\n") {
			t.Errorf("%q is not encoded", l.text(s))
		}
		if n := successor(s); n != "" && n <= s {
			t.Errorf("the successor of %q is %q", s, n)
		}
		_ = etagIn(s, "x")
	})
}
