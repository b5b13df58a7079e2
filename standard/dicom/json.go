package dicom

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// JSON says how a data set is turned into the DICOM JSON model.
type JSON struct {
	// Bulk names where a binary value can be fetched; "" = put it inline. It is asked for every value that has bytes. path is the
	// element's place: tags and item numbers from the root ("7FE00010", "00081140/0/00081155"). Nil = all inline, except that values left
	// in the source and encapsulated pixel data are then left out.
	Bulk func(path string, e *Element) string
	// Only restricts the top level; nil = all.
	Only func(Tag) bool
}

// Append appends the data set as one JSON object (PS3.18 F.2). Group lengths are left out, text is UTF-8 and (0008,0005) says so.
func (j JSON) Append(dst []byte, d *Dataset) []byte { return j.object(dst, d, "") }

func (j JSON) object(dst []byte, d *Dataset, path string) []byte {
	dst = append(dst, '{')
	first := true
	for i := range d.Elements {
		e := &d.Elements[i]
		if e.Tag.Element() == 0 || path == "" && j.Only != nil && !j.Only(e.Tag) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, '"')
		for s := 28; s >= 0; s -= 4 {
			dst = append(dst, hexDigits[e.Tag>>s&15])
		}
		dst = append(dst, `":{"vr":"`...)
		dst = append(dst, byte(e.VR>>8), byte(e.VR), '"')
		dst = j.value(dst, d, e, path)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func (j JSON) value(dst []byte, d *Dataset, e *Element, path string) []byte {
	switch {
	case e.VR == SQ:
		if len(e.Items) == 0 {
			return dst
		}
		dst = append(dst, `,"Value":[`...)
		for i, item := range e.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = j.object(dst, item, path+e.Tag.Hex()+"/"+strconv.Itoa(i)+"/")
		}
		return append(dst, ']')
	case e.Len() == 0:
		return dst
	case e.VR.Binary() || e.Fragments != nil || e.Span.Length > 0:
		if j.Bulk != nil {
			if uri := j.Bulk(path+e.Tag.Hex(), e); uri != "" {
				dst = append(dst, `,"BulkDataURI":`...)
				return AppendJSONString(dst, uri)
			}
		}
		if e.Value == nil {
			return dst
		}
		dst = append(dst, `,"InlineBinary":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, e.Value)
		return append(dst, '"')
	case e.VR.size() > 0:
		return appendNumbers(dst, e)
	}
	values := d.text(e)
	if len(values) == 0 {
		return dst
	}
	if e.Tag == TagSpecificCharacterSet {
		values = []string{"ISO_IR 192"}
	}
	dst = append(dst, `,"Value":[`...)
	for i, s := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		switch {
		case s == "":
			dst = append(dst, "null"...)
		case e.VR == PN:
			dst = appendPersonName(dst, s)
		case e.VR == DS || e.VR == IS:
			dst = appendDecimal(dst, s)
		default:
			dst = AppendJSONString(dst, s)
		}
	}
	return append(dst, ']')
}

func appendNumbers(dst []byte, e *Element) []byte {
	dst = append(dst, `,"Value":[`...)
	n := e.VR.size()
	for v, i := e.Value, 0; len(v) >= n; v, i = v[n:], i+1 {
		if i > 0 {
			dst = append(dst, ',')
		}
		switch e.VR {
		case US:
			dst = strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint16(v)), 10)
		case SS:
			dst = strconv.AppendInt(dst, int64(int16(binary.LittleEndian.Uint16(v))), 10)
		case UL:
			dst = strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint32(v)), 10)
		case SL:
			dst = strconv.AppendInt(dst, int64(int32(binary.LittleEndian.Uint32(v))), 10)
		case UV:
			dst = strconv.AppendUint(dst, binary.LittleEndian.Uint64(v), 10)
		case SV:
			dst = strconv.AppendInt(dst, int64(binary.LittleEndian.Uint64(v)), 10)
		case AT:
			dst = append(dst, '"')
			dst = append(dst, (Tag(binary.LittleEndian.Uint16(v))<<16 | Tag(binary.LittleEndian.Uint16(v[2:]))).Hex()...)
			dst = append(dst, '"')
		case FL:
			dst = appendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(v))), 32)
		case FD:
			dst = appendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(v)), 64)
		}
	}
	return append(dst, ']')
}

// appendFloat writes a number; JSON has no infinities, so they and NaN are strings (PS3.18 F.2.3).
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"inf"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-inf"`...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}

// appendDecimal writes DS and IS: the digits as they stand when they are a JSON number, the same number when they nearly are, else a
// string (PS3.18 F.2.3 allows both).
func appendDecimal(dst []byte, s string) []byte {
	s = strings.TrimSpace(s)
	if jsonNumber(s) {
		return append(dst, s...)
	}
	t := strings.TrimPrefix(s, "+")
	if strings.Trim(t, "0123456789.-eE+") == "" {
		if f, err := strconv.ParseFloat(t, 64); err == nil && !math.IsInf(f, 0) {
			return strconv.AppendFloat(dst, f, 'g', -1, 64)
		}
	}
	return AppendJSONString(dst, s)
}

func jsonNumber(s string) bool {
	i := 0
	digits := func() bool {
		start := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > start
	}
	if i < len(s) && s[i] == '-' {
		i++
	}
	start := i
	if !digits() || s[start] == '0' && i > start+1 {
		return false
	}
	if i < len(s) && s[i] == '.' {
		i++
		if !digits() {
			return false
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(s)
}

var nameGroups = [3]string{"Alphabetic", "Ideographic", "Phonetic"}

func appendPersonName(dst []byte, s string) []byte {
	dst = append(dst, '{')
	first := true
	for i, g := range strings.SplitN(s, "=", 3) {
		if g = strings.TrimRight(g, " "); g == "" {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, '"')
		dst = append(dst, nameGroups[i]...)
		dst = append(dst, '"', ':')
		dst = AppendJSONString(dst, g)
	}
	return append(dst, '}')
}

// AppendJSONString appends s quoted; bytes that are not UTF-8 become U+FFFD.
func AppendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
