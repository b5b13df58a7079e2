package s3

import (
	"crypto/md5"  //nolint:gosec // the contract's
	"crypto/sha1" //nolint:gosec // the contract's
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/zeebo/xxh3"

	api "github.com/galen-health/galen/aws/s3"
)

// checksum is what is kept of an object's or a part's checksum.
type checksum struct {
	Algorithm string `json:"algorithm,omitempty"`
	Type      string `json:"type,omitempty"`  // FULL_OBJECT, or COMPOSITE: over the checksums of the parts
	Value     string `json:"value,omitempty"` // base64, with "-N" behind a composite one of N parts
}

const (
	fullObject = string(api.ChecksumTypeFullObject)
	composite  = string(api.ChecksumTypeComposite)
)

// nvme is the CRC-64 of the NVM Express specification, reflected.
const nvme = 0x9a6c9329ac4bc9b5

var nvmeTable = crc64.MakeTable(nvme)

// algorithm is one kind of checksum.
type algorithm struct {
	new  func() hash.Hash
	poly uint64 // of a CRC, reflected: checksums of parts combine into the whole's
	bits int
}

var algorithms = map[string]algorithm{
	"CRC32":     {new: func() hash.Hash { return crc32.NewIEEE() }, poly: crc32.IEEE, bits: 32},
	"CRC32C":    {new: func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }, poly: crc32.Castagnoli, bits: 32},
	"CRC64NVME": {new: func() hash.Hash { return crc64.New(nvmeTable) }, poly: nvme, bits: 64},
	"SHA1":      {new: sha1.New},
	"SHA256":    {new: sha256.New},
	"SHA512":    {new: sha512.New},
	"MD5":       {new: md5.New},
	"XXHASH64":  {new: func() hash.Hash { return xxhash.New() }},
	"XXHASH3":   {new: func() hash.Hash { return xxh3.New() }},
	"XXHASH128": {new: func() hash.Hash { return xxh128{xxh3.New()} }},
}

// defaultAlgorithm is what S3 computes when the caller gives no checksum.
const defaultAlgorithm = "CRC64NVME"

type xxh128 struct{ *xxh3.Hasher }

func (h xxh128) Size() int { return 16 }

func (h xxh128) Sum(b []byte) []byte {
	s := h.Sum128().Bytes()
	return append(b, s[:]...)
}

// given returns the checksums in a request by algorithm. The contract's structures all name them Checksum and the algorithm.
func given(in any) map[string]string {
	out := map[string]string{}
	v := reflect.Indirect(reflect.ValueOf(in))
	for name := range algorithms {
		if f := v.FieldByName("Checksum" + name); f.IsValid() && f.String() != "" {
			out[name] = f.String()
		}
	}
	return out
}

// say writes a checksum into an answer.
func (c checksum) say(out any) {
	if c.Algorithm == "" {
		return
	}
	v := reflect.ValueOf(out).Elem()
	if f := v.FieldByName("Checksum" + c.Algorithm); f.IsValid() {
		f.SetString(c.Value)
	}
	if f := v.FieldByName("ChecksumType"); f.IsValid() {
		f.SetString(c.Type)
	}
}

// verifier reads a body while it computes the checksums that are wanted and compares those that the caller gave, also after the body (trailers).
type verifier struct {
	body   io.Reader
	main   string // the algorithm whose value is kept
	want   map[string]string
	hashes map[string]hash.Hash
	size   int64
	most   int64
}

// trailed is a body with headers behind it, known at its end.
type trailed interface{ Trailer() http.Header }

// newVerifier checks what can be checked before the body. algorithm is the one that the caller announced or the upload has, "" for none.
func newVerifier(body io.Reader, announced string, want map[string]string, most int64) (*verifier, error) {
	if body == nil {
		body = strings.NewReader("")
	}
	v := &verifier{body: body, main: announced, want: want, hashes: map[string]hash.Hash{}, most: most}
	if len(want) > 1 {
		return nil, invalid("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	}
	for name, value := range want {
		if b, err := base64.StdEncoding.DecodeString(value); err != nil || len(b) != algorithms[name].new().Size() {
			return nil, invalid("InvalidRequest", "Value for x-amz-checksum-%s header is invalid.", strings.ToLower(name))
		}
		v.hashes[name] = algorithms[name].new()
		if v.main == "" {
			v.main = name
		}
	}
	if v.main == "" {
		v.main = defaultAlgorithm
	}
	a, ok := algorithms[v.main]
	if !ok {
		return nil, invalid("InvalidRequest", "Checksum algorithm provided is unsupported: %s", v.main)
	}
	if v.hashes[v.main] == nil {
		v.hashes[v.main] = a.new()
	}
	return v, nil
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.body.Read(p)
	v.size += int64(n)
	if v.size > v.most {
		return 0, invalid("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size of %d bytes.", v.most)
	}
	for _, h := range v.hashes {
		_, _ = h.Write(p[:n]) // hashes do not fail
	}
	return n, err
}

func (v *verifier) value(name string) string {
	return base64.StdEncoding.EncodeToString(v.hashes[name].Sum(nil))
}

// sum is the checksum to keep, after the body was read and everything given was found right.
func (v *verifier) sum() (checksum, error) {
	if t, ok := v.body.(trailed); ok {
		for name, values := range t.Trailer() {
			a := strings.ToUpper(strings.TrimPrefix(strings.ToLower(name), "x-amz-checksum-"))
			if v.hashes[a] != nil && len(values) > 0 {
				v.want[a] = values[0]
			}
		}
	}
	for name, want := range v.want {
		if got := v.value(name); got != want {
			return checksum{}, invalid("BadDigest", "The %s you specified did not match the calculated checksum.", name)
		}
	}
	return checksum{Algorithm: v.main, Type: fullObject, Value: v.value(v.main)}, nil
}

// part is a part's checksum in a combination.
type partSum struct {
	value string
	size  int64
}

// combine makes the checksum of a multipart object from those of its parts.
func combine(name, kind string, parts []partSum) (checksum, error) {
	a := algorithms[name]
	if kind == fullObject {
		if a.poly == 0 {
			return checksum{}, invalid("InvalidRequest", "The FULL_OBJECT checksum type cannot be used with the %s checksum algorithm.", name)
		}
		var crc uint64
		for _, p := range parts {
			b, err := base64.StdEncoding.DecodeString(p.value)
			if err != nil || len(b) != a.bits/8 {
				return checksum{}, invalid("InvalidPart", "A part has no %s checksum.", name)
			}
			var next [8]byte
			copy(next[8-len(b):], b)
			crc = combineCRC(a.poly, a.bits, crc, binary.BigEndian.Uint64(next[:]), p.size)
		}
		var out [8]byte
		binary.BigEndian.PutUint64(out[:], crc)
		return checksum{name, fullObject, base64.StdEncoding.EncodeToString(out[8-a.bits/8:])}, nil
	}
	h := a.new()
	for _, p := range parts {
		b, err := base64.StdEncoding.DecodeString(p.value)
		if err != nil || len(b) == 0 {
			return checksum{}, invalid("InvalidPart", "A part has no %s checksum.", name)
		}
		_, _ = h.Write(b)
	}
	return checksum{name, composite, base64.StdEncoding.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts))}, nil
}

// combineCRC is the CRC of two texts one after the other, from the CRC of each and the length of the second: the first CRC is carried over
// length zero bytes, by squaring the matrix that carries it over one zero bit (GF(2) linear algebra).
func combineCRC(poly uint64, bits int, first, second uint64, length int64) uint64 {
	op := make([]uint64, bits) // op[i] is what bit i becomes
	op[0] = poly
	for i := 1; i < bits; i++ {
		op[i] = 1 << (i - 1)
	}
	apply := func(m []uint64, v uint64) (out uint64) {
		for i := 0; v != 0; i, v = i+1, v>>1 {
			if v&1 == 1 {
				out ^= m[i]
			}
		}
		return out
	}
	square := func(m []uint64) []uint64 {
		out := make([]uint64, bits)
		for i := range m {
			out[i] = apply(m, m[i])
		}
		return out
	}
	for range 3 { // one zero bit → one zero byte
		op = square(op)
	}
	for ; length > 0; length >>= 1 {
		if length&1 == 1 {
			first = apply(op, first)
		}
		op = square(op)
	}
	return first ^ second
}
