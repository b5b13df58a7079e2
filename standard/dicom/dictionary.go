package dicom

import (
	_ "embed"
	"strings"
	"sync"
)

// Entry is one line of the PS3.6 registry.
type Entry struct {
	Tag     Tag
	VR      VR     // the first that the registry allows; VRs lists all
	VRs     string // "US/SS"
	VM      string // "1", "1-n", "3"
	Keyword string
	Retired bool
	mask    Tag // digits that count; all of them except for repeating groups
}

//go:embed tables/elements.txt
var elementsText string

type registry struct {
	byTag     map[Tag]*Entry
	byKeyword map[string]*Entry
	repeating []*Entry
}

var elements = sync.OnceValue(func() *registry {
	r := &registry{byTag: make(map[Tag]*Entry, 5500), byKeyword: make(map[string]*Entry, 5500)}
	for line := range strings.Lines(elementsText) {
		f := strings.Fields(line)
		if len(f) < 4 || f[0] == "#" {
			continue
		}
		e := &Entry{VRs: f[1], VM: f[2], Keyword: f[3], Retired: len(f) > 4}
		e.VR, _ = ParseVR(f[1][:2])
		for _, c := range f[0] {
			e.Tag, e.mask = e.Tag<<4, e.mask<<4
			if c != 'x' {
				e.Tag |= Tag(strings.IndexRune(hexDigits, c))
				e.mask |= 15
			}
		}
		r.byKeyword[e.Keyword] = e
		if e.mask == ^Tag(0) {
			r.byTag[e.Tag] = e
		} else {
			r.repeating = append(r.repeating, e)
		}
	}
	return r
})

// Lookup finds a standard element; nil when the registry has none (private elements always).
func Lookup(t Tag) *Entry {
	if t.Private() {
		return nil
	}
	r := elements()
	if e := r.byTag[t]; e != nil {
		return e
	}
	for _, e := range r.repeating {
		if t&e.mask == e.Tag {
			return e
		}
	}
	return nil
}

// LookupKeyword finds an element by its keyword; nil when there is none.
func LookupKeyword(k string) *Entry { return elements().byKeyword[k] }

// ParseKey reads an attribute as DICOMweb names it: eight hex digits or a keyword (PS3.18 §8.3.4.1).
func ParseKey(s string) (Tag, bool) {
	if t, ok := ParseTag(s); ok {
		return t, true
	}
	if e := LookupKeyword(s); e != nil {
		return e.Tag, true
	}
	return 0, false
}

// Keyword names a tag: the registry's keyword, else eight hex digits.
func Keyword(t Tag) string {
	if e := Lookup(t); e != nil && e.mask == ^Tag(0) {
		return e.Keyword
	}
	return t.Hex()
}

// vrOf is the representation that an implicit data set's element has. Where the registry allows several, the data set decides
// (PS3.5 A.1): signed says that PixelRepresentation is 1.
func vrOf(t Tag, signed bool) VR {
	if t.Element() == 0 {
		return UL // group length
	}
	if t.Private() {
		if e := t.Element(); e >= 0x10 && e <= 0xFF {
			return LO // private creator, PS3.5 §7.8.1
		}
		return UN
	}
	e := Lookup(t)
	if e == nil {
		return UN
	}
	switch e.VRs {
	case "US/SS":
		if signed {
			return SS
		}
		return US
	case "OB/OW", "US/OW", "US/SS/OW":
		return OW
	}
	if e.VR == 0 {
		return UN
	}
	return e.VR
}
