package sniff

import (
	"bytes"
	"compress/gzip"
	bin "encoding/binary"
	"fmt"
	"io"
)

// binary recognises formats by their binary structure; ok is false when the data has none of their beginnings.
func binary(data []byte, whole bool) (Verdict, bool) {
	if len(data) >= 132 && string(data[128:132]) == "DICM" {
		return dicomPart10(data), true
	}
	switch {
	case hasPrefix(data, "CRAM"):
		return cram(data), true
	case hasPrefix(data, "BAI\x01"), hasPrefix(data, "CSI\x01"), hasPrefix(data, "TBI\x01"):
		return none("an index (%s) of a sequence or variant file: it is made anew at import", data[:3]), true
	case hasPrefix(data, "BAM\x01"), hasPrefix(data, "BCF\x02"):
		return none("%s that is not BGZF-compressed, as its specification demands", data[:3]), true
	case hasPrefix(data, "RIFF"):
		return riff(data), true
	case hasPrefix(data, "fLaC"):
		if len(data) > 8 && data[4]&0x7f == 0 && data[5] == 0 && data[6] == 0 && data[7] == 34 {
			return audio("FLAC"), true
		}
		return none("begins like FLAC, but has no stream information"), true
	case hasPrefix(data, "OggS"):
		return ogg(data), true
	case hasPrefix(data, "#!AMR"):
		return audio("AMR"), true
	case len(data) > 12 && string(data[4:8]) == "ftyp":
		return mp4(data), true
	case hasPrefix(data, "\x1a\x45\xdf\xa3"):
		if bytes.Contains(data[:min(len(data), 64)], []byte("webm")) {
			return audio("WebM"), true
		}
		return none("a Matroska container that is not WebM"), true
	case hasPrefix(data, "ID3"):
		return mp3AfterTag(data), true
	case data[0] == 0xff && len(data) > 4 && mp3Frames(data) >= 2:
		return audio("MP3"), true
	case hasPrefix(data, "PK\x03\x04"), hasPrefix(data, "PK\x05\x06"):
		return none("a zip archive: unpack it first"), true
	case hasPrefix(data, "%PDF-"):
		return none("a PDF document: no service owns it as such; a DocumentReference can carry it"), true
	case hasPrefix(data, "\x89PNG"), hasPrefix(data, "\xff\xd8\xff"), hasPrefix(data, "GIF8"):
		return none("a picture without DICOM: no service owns it"), true
	case hasPrefix(data, "\x28\xb5\x2f\xfd"), hasPrefix(data, "BZh"), hasPrefix(data, "\xfd7zXZ\x00"):
		return none("compressed in a form that no service takes: decompress it first"), true
	case hasPrefix(data, "PAR1"):
		return none("a Parquet table: no service owns it"), true
	case isGzip(data):
		return bgzf(data)
	}
	if v, ok := dicomBare(data, whole); ok {
		return v, true
	}
	return Verdict{}, false
}

func hasPrefix(b []byte, p string) bool { return len(b) >= len(p) && string(b[:len(p)]) == p }

func isGzip(b []byte) bool { return len(b) > 3 && b[0] == 0x1f && b[1] == 0x8b && b[2] == 8 }

func audio(what string) Verdict {
	return Verdict{Kind: Audio, Detail: what, Reason: what + " audio"}
}

// dicomPart10 checks that file meta information (group 0002, explicit VR little endian) follows the prefix: PS3.10 §7.1.
func dicomPart10(data []byte) Verdict {
	b := data[132:]
	if len(b) < 8 || bin.LittleEndian.Uint16(b) != 2 || !isVR(b[4:6]) {
		if len(b) >= 8 {
			// Real files exist that leave the meta information out, or write it implicitly; the data set must then parse.
			if v, ok := dicomBare(b, true); ok {
				v.Reason = "DICOM with the DICM prefix but without file meta information"
				return v
			}
		}
		return none("has the DICM prefix, but no file meta information follows")
	}
	return Verdict{Kind: DICOM, Reason: "DICOM Part 10: DICM prefix and file meta information"}
}

func isVR(b []byte) bool {
	return b[0] >= 'A' && b[0] <= 'Z' && b[1] >= 'A' && b[1] <= 'Z' &&
		bytes.Contains([]byte("AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV"), b[:2])
}

// dicomBare recognises a data set without preamble: at least four elements with rising tags that begin in group 0002 or 0008, in explicit or
// implicit little endian or explicit big endian.
func dicomBare(data []byte, whole bool) (Verdict, bool) {
	type form struct {
		explicit bool
		order    bin.ByteOrder
		name     string
	}
	for _, f := range []form{{true, bin.LittleEndian, "explicit little endian"}, {false, bin.LittleEndian, "implicit little endian"}, {true, bin.BigEndian, "explicit big endian"}} {
		n, last, pos := 0, uint32(0), 0
		for n < 12 && len(data)-pos >= 8 {
			group, elem := f.order.Uint16(data[pos:]), f.order.Uint16(data[pos+2:])
			tag := uint32(group)<<16 | uint32(elem)
			if n == 0 && group != 2 && group != 8 || tag <= last && n > 0 {
				break
			}
			if group == 2 && !f.explicit {
				break
			}
			var length uint32
			size := 8
			if f.explicit {
				if !isVR(data[pos+4:]) {
					break
				}
				switch string(data[pos+4 : pos+6]) {
				case "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV":
					if len(data)-pos < 12 {
						return Verdict{}, false
					}
					length, size = f.order.Uint32(data[pos+8:]), 12
				default:
					length = uint32(f.order.Uint16(data[pos+6:]))
				}
			} else {
				length = f.order.Uint32(data[pos+4:])
			}
			if length == 0xffffffff || length > 1<<20 {
				n++ // a sequence or large value ends the look; what came before decides
				break
			}
			if whole && pos+size+int(length) > len(data) && n < 3 {
				break
			}
			n, last, pos = n+1, tag, pos+size+int(length)
		}
		if n >= 4 {
			return Verdict{Kind: DICOM, Detail: f.name, Reason: "a DICOM data set without preamble, " + f.name}, true
		}
	}
	return Verdict{}, false
}

// cram checks the file definition (CRAMv3 §6): version and a file id.
func cram(data []byte) Verdict {
	if len(data) < 26 {
		return none("begins like CRAM, but ends inside the file definition")
	}
	if v := data[4]; v < 2 || v > 4 {
		return none("begins like CRAM, but names version %d, which does not exist", v)
	}
	return Verdict{Kind: CRAM, Detail: fmt.Sprintf("%d.%d", data[4], data[5]), Reason: fmt.Sprintf("CRAM file definition, version %d.%d", data[4], data[5])}
}

// bgzf looks at the first bytes inside gzip for the binary sequence formats; other content is judged by compressed.
func bgzf(data []byte) (Verdict, bool) {
	zr, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return Verdict{}, false
	}
	isBGZF := len(zr.Extra) >= 6 && zr.Extra[0] == 'B' && zr.Extra[1] == 'C'
	magic := make([]byte, 4)
	if n, _ := io.ReadFull(zr, magic); n < 4 {
		return Verdict{}, false
	}
	kind, what := None, ""
	switch string(magic) {
	case "BAM\x01":
		kind, what = BAM, "BAM"
	case "BCF\x02":
		kind, what = BCF, "BCF"
	case "CSI\x01", "TBI\x01":
		return none("an index (%s) of a sequence or variant file: it is made anew at import", magic[:3]), true
	default:
		return Verdict{}, false
	}
	if !isBGZF {
		return none("%s in plain gzip, where its specification demands BGZF", what), true
	}
	return Verdict{Kind: kind, Gzip: true, Reason: what + " magic in a BGZF block"}, true
}

// riff tells WAVE with a format chunk from other RIFF files.
func riff(data []byte) Verdict {
	if len(data) < 12 || string(data[8:12]) != "WAVE" {
		return none("a RIFF file that is not WAVE audio")
	}
	for pos := 12; pos+8 <= len(data); {
		id, n := string(data[pos:pos+4]), int64(bin.LittleEndian.Uint32(data[pos+4:]))
		if id == "fmt " {
			if n < 16 || pos+24 > len(data) {
				break
			}
			rate, channels := bin.LittleEndian.Uint32(data[pos+12:]), bin.LittleEndian.Uint16(data[pos+10:])
			if rate == 0 || channels == 0 {
				return none("a WAVE file without a sample rate or channels")
			}
			v := audio("WAV")
			v.Detail = fmt.Sprintf("WAV %d Hz, %d channels", rate, channels)
			return v
		}
		if n > int64(len(data)) {
			break
		}
		pos += 8 + int(n+n&1)
	}
	return none("begins like WAVE audio, but has no format chunk")
}

func ogg(data []byte) Verdict {
	h := data[:min(len(data), 128)]
	for magic, what := range map[string]string{"OpusHead": "Ogg Opus", "\x01vorbis": "Ogg Vorbis", "\x7fFLAC": "Ogg FLAC", "Speex   ": "Ogg Speex"} {
		if bytes.Contains(h, []byte(magic)) {
			return audio(what)
		}
	}
	return none("an Ogg container without a known audio codec")
}

func mp4(data []byte) Verdict {
	switch string(data[8:12]) {
	case "M4A ", "M4B ", "isom", "iso2", "mp41", "mp42", "M4V ", "3gp4", "3gp5", "3gp6", "dash":
		return audio("MP4")
	}
	return none("an ISO media file (%q) that is not audio", data[8:12])
}

// mp3AfterTag skips an ID3v2 tag, whose size is four 7-bit bytes.
func mp3AfterTag(data []byte) Verdict {
	if len(data) < 10 {
		return none("begins like an ID3 tag, but ends inside it")
	}
	n := 10 + int(data[6]&0x7f)<<21 + int(data[7]&0x7f)<<14 + int(data[8]&0x7f)<<7 + int(data[9]&0x7f)
	if n+4 > len(data) && n < Limit || n+4 <= len(data) && mp3Frames(data[n:]) < 1 {
		return none("an ID3 tag with no MPEG audio after it")
	}
	return audio("MP3")
}

// mp3Frames counts consecutive MPEG audio layer III frames, up to three.
func mp3Frames(b []byte) int {
	bitrates := [2][15]int{
		{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}}
	rates := [3]int{44100, 48000, 32000}
	n := 0
	for len(b) >= 4 && n < 3 {
		if b[0] != 0xff || b[1]&0xe0 != 0xe0 {
			break
		}
		version, layer := b[1]>>3&3, b[1]>>1&3
		br, sr := int(b[2]>>4), int(b[2]>>2&3)
		if version == 1 || layer != 1 || br == 0 || br == 15 || sr == 3 {
			break
		}
		rate, per, table := rates[sr], 144, 0
		if version != 3 {
			per, table = 72, 1
			rate /= 2
			if version == 0 {
				rate /= 2
			}
		}
		size := per*bitrates[table][br]*1000/rate + int(b[2]>>1&1)
		n++
		if size > len(b) {
			break
		}
		b = b[size:]
	}
	return n
}
