package cram

import (
	"bytes"
	"compress/gzip"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/galen-health/galen/test/testdata"
)

// TestCodecVectors decodes the specification's test vectors: streams of one codec, beside the text that they stand for.
func TestCodecVectors(t *testing.T) {
	plain, packed := map[string][]byte{}, map[string][]byte{}
	testdata.Tar(t, "omics/hts-specs-test.tar.gz", func(name string, body []byte) {
		dir, base := path.Split(name)
		if !strings.Contains(dir, "/cram/codecs/") {
			return
		}
		if strings.HasSuffix(base, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if plain[strings.TrimSuffix(base, ".gz")], err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		} else if codec := path.Base(dir); codec != "codecs" {
			packed[codec+"/"+base] = body
		}
	})
	methods := map[string]byte{"rans4x8": methodRans4x8, "ransNx16": methodRansNx16, "range": methodArith, "tok3": methodTok3, "fqzcomp": methodFqzcomp}
	done := map[string]int{}
	for name, file := range packed {
		codec, base := path.Split(name)
		codec = strings.TrimSuffix(codec, "/")
		method, ok := methods[codec]
		if !ok || method != methodRans4x8 && codecs31[method] == nil {
			continue
		}
		text := plain[base[:strings.LastIndexByte(base, '.')]]
		b := &block{method: method, size: sizeOf(method, file), data: file}
		got, err := b.unpack()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		done[codec]++
		switch codec {
		case "tok3":
			got = bytes.ReplaceAll(got, []byte{0}, []byte("\n"))
		}
		if !strings.HasPrefix(base, "u32") && codec != "tok3" { // qualities are stored without line feeds
			text = qualities(text)
		}
		if !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes differ from the %d of the text", name, len(got), len(text))
		}
	}
	t.Logf("vectors: %v", done)
	if len(done) < 4 || done["tok3"] < 100 || done["ransNx16"] < 30 {
		t.Errorf("too few vectors: %v", done)
	}
}

// qualities are the first words of the lines, without line ends.
func qualities(text []byte) []byte {
	var out []byte
	for _, line := range bytes.Split(text, []byte("\n")) {
		word, _, _ := bytes.Cut(line, []byte("\t"))
		out = append(out, word...)
	}
	return out
}

// sizeOf reads the size that a stream itself says.
func sizeOf(method byte, b []byte) int {
	c := &cursor{b: b}
	switch method {
	case methodRans4x8:
		c.take(5)
		return int(c.uint32())
	case methodTok3:
		return int(c.uint32())
	case methodFqzcomp:
		return c.uint7()
	}
	c.byte()
	return c.uint7()
}
