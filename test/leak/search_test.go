package leak

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// stem is in every marked value; what comes after it tells where the value went in.
const stem = "qxzvleak"

// mark is a marked value of one word. where is letters and digits.
func mark(where string) string { return "Qxzvleak" + where }

// needles are the stem in the encodings in which it could lie about: text in any case, UTF-16, hex, and base64 at each of its three alignments.
var needles = func() (out [][]byte) {
	for _, s := range []string{stem, strings.ToUpper(stem), "Qxzvleak"} {
		out = append(out, []byte(hex.EncodeToString([]byte(s))))
		var wide []byte
		for _, c := range []byte(s) {
			wide = append(wide, c, 0)
		}
		out = append(out, wide[:len(wide)-1])
		for shift := range 3 {
			b := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + s))
			out = append(out, []byte(b[shift+1:len(b)-5])) // without the characters that the neighbours' bits are in
		}
	}
	return out
}()

// found returns what surrounds the first marked value in b, "" when there is none.
func found(b []byte) string {
	at := bytes.Index(bytes.ToLower(b), []byte(stem))
	for _, n := range needles {
		if at < 0 {
			at = bytes.Index(b, n)
		}
	}
	if at < 0 {
		return ""
	}
	return fmt.Sprintf("%q", b[max(0, at-120):min(len(b), at+120)])
}

// unpacked are what begins like a gzip, zstd or deflate stream anywhere in b, at most 1 MiB of each.
func unpacked(b []byte) (out [][]byte) {
	take := func(r io.Reader) {
		text, _ := io.ReadAll(io.LimitReader(r, 1<<20)) // most of them are none: what came until then counts
		if len(text) > len(stem) {
			out = append(out, text)
		}
	}
	each := func(magic string, open func([]byte)) {
		for at, tries := 0, 0; tries < 1000; tries++ {
			i := bytes.Index(b[at:], []byte(magic))
			if i < 0 {
				return
			}
			at += i
			open(b[at:])
			at++
		}
	}
	each("\x1f\x8b\x08", func(p []byte) {
		if z, err := gzip.NewReader(bytes.NewReader(p)); err == nil {
			take(z)
		}
	})
	each("\x28\xb5\x2f\xfd", func(p []byte) {
		if z, err := zstd.NewReader(bytes.NewReader(p), zstd.WithDecoderMaxMemory(16<<20), zstd.WithDecoderConcurrency(1)); err == nil {
			take(z)
			z.Close()
		}
	})
	each("\x78\x9c", func(p []byte) { take(flate.NewReader(bytes.NewReader(p[2:]))) })
	return out
}

// clean reports a marked value in b.
func clean(t *testing.T, where string, b []byte) {
	t.Helper()
	if s := found(b); s != "" {
		t.Errorf("%s holds a marked value: %s", where, s)
		return
	}
	for _, u := range unpacked(b) {
		if s := found(u); s != "" {
			t.Errorf("%s holds a marked value, compressed: %s", where, s)
			return
		}
	}
}

// cleanFolder looks into every file, and at every name.
func cleanFolder(t *testing.T, dir string) (files int, size int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		clean(t, "the name "+path, []byte(d.Name()))
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		clean(t, path, b)
		files++
		size += int64(len(b))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return files, size
}

// TestSearch: the search finds what it is made for.
func TestSearch(t *testing.T) {
	v := "some text " + mark("here") + " and more"
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write([]byte(v)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]string{"plain": v, "upper case": strings.ToUpper(v), "hex": hex.EncodeToString([]byte(v)), "base64": base64.StdEncoding.EncodeToString([]byte(v)), "base64, 1": base64.URLEncoding.EncodeToString([]byte("x" + v)),
		"base64, 2": base64.StdEncoding.EncodeToString([]byte("xy" + v)), "UTF-16": strings.Join(strings.Split(v, ""), "\x00"), "gzip": "head" + z.String() + "tail", "zstd": "head" + string(enc.EncodeAll([]byte(v), nil))} {
		hit := found([]byte(b)) != ""
		for _, u := range unpacked([]byte(b)) {
			hit = hit || found(u) != ""
		}
		if !hit {
			t.Errorf("a value in %s is not found", name)
		}
	}
	if s := found([]byte("nothing of the kind, Qxzv leak")); s != "" {
		t.Errorf("found in nothing: %s", s)
	}
}
