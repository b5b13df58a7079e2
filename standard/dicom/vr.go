package dicom

// VR is a value representation (PS3.5 §6.2): its two letters.
type VR uint16

// The value representations.
const (
	AE VR = 'A'<<8 | 'E'
	AS VR = 'A'<<8 | 'S'
	AT VR = 'A'<<8 | 'T'
	CS VR = 'C'<<8 | 'S'
	DA VR = 'D'<<8 | 'A'
	DS VR = 'D'<<8 | 'S'
	DT VR = 'D'<<8 | 'T'
	FD VR = 'F'<<8 | 'D'
	FL VR = 'F'<<8 | 'L'
	IS VR = 'I'<<8 | 'S'
	LO VR = 'L'<<8 | 'O'
	LT VR = 'L'<<8 | 'T'
	OB VR = 'O'<<8 | 'B'
	OD VR = 'O'<<8 | 'D'
	OF VR = 'O'<<8 | 'F'
	OL VR = 'O'<<8 | 'L'
	OV VR = 'O'<<8 | 'V'
	OW VR = 'O'<<8 | 'W'
	PN VR = 'P'<<8 | 'N'
	SH VR = 'S'<<8 | 'H'
	SL VR = 'S'<<8 | 'L'
	SQ VR = 'S'<<8 | 'Q'
	SS VR = 'S'<<8 | 'S'
	ST VR = 'S'<<8 | 'T'
	SV VR = 'S'<<8 | 'V'
	TM VR = 'T'<<8 | 'M'
	UC VR = 'U'<<8 | 'C'
	UI VR = 'U'<<8 | 'I'
	UL VR = 'U'<<8 | 'L'
	UN VR = 'U'<<8 | 'N'
	UR VR = 'U'<<8 | 'R'
	US VR = 'U'<<8 | 'S'
	UT VR = 'U'<<8 | 'T'
	UV VR = 'U'<<8 | 'V'
)

func (v VR) String() string { return string([]byte{byte(v >> 8), byte(v)}) }

// ParseVR reads two letters of a known value representation.
func ParseVR(s string) (VR, bool) {
	if len(s) != 2 {
		return 0, false
	}
	v := VR(s[0])<<8 | VR(s[1])
	return v, v.known()
}

func (v VR) known() bool {
	switch v {
	case AE, AS, AT, CS, DA, DS, DT, FD, FL, IS, LO, LT, OB, OD, OF, OL, OV, OW, PN, SH, SL, SQ, SS, ST, SV, TM, UC, UI, UL, UN, UR, US, UT, UV:
		return true
	}
	return false
}

// long reports whether an explicit length takes 32 bits after two reserved bytes (PS3.5 table 7.1-1).
func (v VR) long() bool {
	switch v {
	case OB, OD, OF, OL, OV, OW, SQ, SV, UC, UN, UR, UT, UV:
		return true
	}
	return false
}

// Word is the size of the unit that byte order applies to; 1 for text and bytes.
func (v VR) Word() int {
	switch v {
	case US, SS, OW, AT: // a tag is two 16-bit words
		return 2
	case UL, SL, FL, OF, OL:
		return 4
	case FD, OD, OV, SV, UV:
		return 8
	}
	return 1
}

// size of one value of a binary number, 0 for the others.
func (v VR) size() int {
	switch v {
	case US, SS:
		return 2
	case UL, SL, FL, AT:
		return 4
	case FD, SV, UV:
		return 8
	}
	return 0
}

// Binary reports whether the value has no text or number form and is carried as bytes (InlineBinary in JSON).
func (v VR) Binary() bool {
	switch v {
	case OB, OD, OF, OL, OV, OW, UN:
		return true
	}
	return false
}

// Text reports whether the value is characters of any repertoire.
func (v VR) Text() bool { return v != SQ && !v.Binary() && v.size() == 0 }

// charsetApplies reports whether (0008,0005) governs the value (PS3.5 §6.1.2.3).
func (v VR) charsetApplies() bool {
	switch v {
	case SH, LO, ST, PN, LT, UC, UT:
		return true
	}
	return false
}

// single reports whether backslash is an ordinary character of the value (PS3.5 §6.2).
func (v VR) single() bool { return v == ST || v == LT || v == UT || v == UR }

// MaxLength is the most characters of one value that the standard allows, 0 where there is no short limit.
func (v VR) MaxLength() int {
	switch v {
	case AE, CS, DS, SH, TM:
		return 16
	case AS:
		return 4
	case DA:
		return 8
	case DT:
		return 26
	case IS:
		return 12
	case LO, UI, PN:
		return 64
	case ST:
		return 1024
	case LT:
		return 10240
	}
	return 0
}
