package dicom

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseJSON reads an object of the DICOM JSON model (PS3.18 F.2). Text is UTF-8 afterwards and (0008,0005) says so. Values behind a
// BulkDataURI are left empty.
func ParseJSON(b []byte) (*Dataset, error) {
	d, err := parseObject(b, 0)
	if err == nil {
		d.SetStrings(TagSpecificCharacterSet, "ISO_IR 192")
	}
	return d, err
}

func parseObject(b []byte, depth int) (*Dataset, error) {
	if depth > 32 {
		return nil, fmt.Errorf("dicom: sequences are nested deeper than 32")
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("dicom: not an object of the DICOM JSON model: %w", err)
	}
	d := &Dataset{charset: &Charset{utf8: true}}
	for k, raw := range m {
		t, ok := ParseTag(k)
		if !ok {
			return nil, fmt.Errorf("dicom: %q is not a tag", k)
		}
		e, err := parseElement(t, raw, depth)
		if err != nil {
			return nil, err
		}
		d.Elements = append(d.Elements, e)
	}
	d.order(false)
	return d, nil
}

// ParseJSONElement reads one attribute of the DICOM JSON model. Text becomes UTF-8.
func ParseJSONElement(t Tag, b []byte) (Element, error) { return parseElement(t, b, 0) }

func parseElement(t Tag, b []byte, depth int) (Element, error) {
	var a struct {
		VR           string            `json:"vr"`
		Value        []json.RawMessage `json:"Value"`
		InlineBinary string            `json:"InlineBinary"`
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return Element{}, fmt.Errorf("dicom: %v: %w", t, err)
	}
	vr, ok := ParseVR(a.VR)
	if !ok {
		return Element{}, fmt.Errorf("dicom: %v has VR %q", t, a.VR)
	}
	e := Element{Tag: t, VR: vr}
	if a.InlineBinary != "" {
		v, err := base64.StdEncoding.DecodeString(a.InlineBinary)
		if err != nil {
			return e, fmt.Errorf("dicom: %v: InlineBinary is not base64", t)
		}
		e.Value = pad(v, vr)
		return e, nil
	}
	if vr == SQ {
		for _, raw := range a.Value {
			item, err := parseObject(raw, depth+1)
			if err != nil {
				return e, err
			}
			e.Items = append(e.Items, item)
		}
		return e, nil
	}
	var words []string
	for _, raw := range a.Value {
		s, err := jsonText(vr, raw)
		if err != nil {
			return e, fmt.Errorf("dicom: %v: %w", t, err)
		}
		words = append(words, s)
	}
	if vr.Text() {
		e.Value = pad([]byte(strings.Join(words, "\\")), vr)
		return e, nil
	}
	for _, w := range words {
		var err error
		if e.Value, err = appendNumber(e.Value, vr, w); err != nil {
			return e, fmt.Errorf("dicom: %v: %w", t, err)
		}
	}
	return e, nil
}

// jsonText is one value as text.
func jsonText(vr VR, raw json.RawMessage) (string, error) {
	if string(raw) == "null" {
		return "", nil
	}
	if vr == PN {
		var name map[string]string
		if err := json.Unmarshal(raw, &name); err != nil {
			return "", fmt.Errorf("a person name is an object of its groups")
		}
		var groups []string
		for _, g := range nameGroups {
			groups = append(groups, name[g])
		}
		return strings.TrimRight(strings.Join(groups, "="), "="), nil
	}
	if raw[0] == '"' {
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	}
	return string(raw), nil
}

func appendNumber(b []byte, vr VR, s string) ([]byte, error) {
	bad := fmt.Errorf("%q is not a value of %v", s, vr)
	switch vr {
	case FL, FD:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return b, bad
		}
		if vr == FL {
			return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(f))), nil
		}
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(f)), nil
	case AT:
		t, ok := ParseTag(s)
		if !ok {
			return b, bad
		}
		b = binary.LittleEndian.AppendUint16(b, t.Group())
		return binary.LittleEndian.AppendUint16(b, t.Element()), nil
	}
	size := vr.size()
	if size == 0 {
		return b, bad
	}
	var u uint64
	if vr == US || vr == UL || vr == UV {
		n, err := strconv.ParseUint(s, 10, 8*size)
		if err != nil {
			return b, bad
		}
		u = n
	} else {
		n, err := strconv.ParseInt(s, 10, 8*size)
		if err != nil {
			return b, bad
		}
		u = uint64(n)
	}
	for i := range size {
		b = append(b, byte(u>>(8*i)))
	}
	return b, nil
}
