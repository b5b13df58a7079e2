package htj2k

import (
	"encoding/binary"
	"errors"
)

var errModule = errors.New("htj2k: the codec module is not WebAssembly as expected")

// hostSlots reads which slots of a module's table hold imported functions, and which import each is: wazero cannot look those up.
func hostSlots(wasm []byte) (map[uint32]uint32, error) {
	if len(wasm) < 8 || string(wasm[:4]) != "\x00asm" {
		return nil, errModule
	}
	r := &reader{b: wasm[8:]}
	imports := uint32(0)
	slots := map[uint32]uint32{}
	for len(r.b) > 0 && !r.bad {
		id := r.byte()
		section := &reader{b: r.take(r.u32())}
		switch id {
		case 2: // imports
			for n := section.u32(); n > 0 && !section.bad; n-- {
				section.take(section.u32())
				section.take(section.u32())
				if section.byte() != 0 {
					return nil, errModule // functions only
				}
				section.u32()
				imports++
			}
		case 9: // elements
			for n := section.u32(); n > 0 && !section.bad; n-- {
				if section.u32() != 0 || section.byte() != 0x41 { // active, table 0, i32.const
					return nil, errModule
				}
				at := section.u32()
				section.byte() // end
				for m := section.u32(); m > 0 && !section.bad; m-- {
					if f := section.u32(); f < imports {
						slots[at] = f
					}
					at++
				}
			}
		}
		r.bad = r.bad || section.bad
	}
	if r.bad {
		return nil, errModule
	}
	return slots, nil
}

// reader reads the binary format of WebAssembly.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	if b := r.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return uint32(v)
}

func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.b)) {
		r.bad = true
		r.b = nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}
