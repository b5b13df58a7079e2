package htj2k

import (
	"encoding/binary"
	"fmt"
)

// fuelExport is the name of the global that meter adds.
const fuelExport = "galen_fuel"

// meter rewrites a module so that it ends by itself: every turn of a loop takes one from a global, and traps when nothing is left. Native code
// of the runtime can be neither stopped nor preempted, and some broken code streams keep a codec busy for ever; asking the host at every turn
// costs four fifths of the speed, counting down a few hundredths.
//
// It adds a mutable i64 global, exports it, and puts the count-down at the head of each loop (WebAssembly 2.0, binary format, §5.4 and §5.5).
func meter(wasm []byte) ([]byte, error) {
	if len(wasm) < 8 {
		return nil, errModule
	}
	out := append([]byte(nil), wasm[:8]...)
	r := &reader{b: wasm[8:]}
	fuel := uint32(0)
	found := 0
	for len(r.b) > 0 && !r.bad {
		id := r.byte()
		body := r.take(r.u32())
		section := &reader{b: body}
		switch id {
		case 6: // globals; imports have none (hostSlots)
			fuel = section.u32()
			b := binary.AppendUvarint(nil, uint64(fuel)+1)
			b = append(b, section.b...)
			body = append(b, 0x7E, 1, 0x42, 0, 0x0B) // i64, mutable, i64.const 0, end
			found++
		case 7: // exports
			n := section.u32()
			b := binary.AppendUvarint(nil, uint64(n)+1)
			b = append(b, section.b...)
			b = append(b, byte(len(fuelExport)))
			b = append(append(b, fuelExport...), 3)
			body = binary.AppendUvarint(b, uint64(fuel))
			found++
		case 10: // code
			b, err := meterCode(section, fuel)
			if err != nil {
				return nil, err
			}
			body = b
			found++
		}
		if section.bad {
			return nil, errModule
		}
		out = append(out, id)
		out = binary.AppendUvarint(out, uint64(len(body)))
		out = append(out, body...)
	}
	if r.bad || found != 3 {
		return nil, errModule
	}
	return out, nil
}

func meterCode(section *reader, fuel uint32) ([]byte, error) {
	check := binary.AppendUvarint([]byte{0x23}, uint64(fuel)) // global.get fuel
	check = append(check, 0x50, 0x04, 0x40, 0x00, 0x0B, 0x23) // i64.eqz if unreachable end global.get
	check = binary.AppendUvarint(check, uint64(fuel))         //   fuel
	check = append(check, 0x42, 1, 0x7D, 0x24)                // i64.const 1 i64.sub global.set
	check = binary.AppendUvarint(check, uint64(fuel))         //   fuel
	n := section.u32()
	out := binary.AppendUvarint(nil, uint64(n))
	for ; n > 0 && !section.bad; n-- {
		body := section.take(section.u32())
		f := &reader{b: body}
		for locals := f.u32(); locals > 0 && !f.bad; locals-- {
			f.u32()
			f.byte()
		}
		code := append([]byte(nil), body[:len(body)-len(f.b)]...)
		for len(f.b) > 0 && !f.bad {
			start := f.b
			op := f.byte()
			if err := f.immediates(op); err != nil {
				return nil, err
			}
			code = append(code, start[:len(start)-len(f.b)]...)
			if op == 0x03 { // loop
				code = append(code, check...)
			}
		}
		if f.bad {
			return nil, errModule
		}
		out = binary.AppendUvarint(out, uint64(len(code)))
		out = append(out, code...)
	}
	return out, nil
}

// immediates skips what follows an operation code.
func (r *reader) immediates(op byte) error {
	switch {
	case op == 0x00, op == 0x01, op == 0x05, op == 0x0B, op == 0x0F, op == 0x1A, op == 0x1B, op >= 0x45 && op <= 0xC4, op == 0xD1:
	case op >= 0x02 && op <= 0x04, op == 0x0C, op == 0x0D, op == 0x10, op >= 0x20 && op <= 0x26, op == 0x41, op == 0x42, op == 0xD2:
		r.leb()
	case op == 0x0E: // br_table
		for n := r.u32(); n > 0 && !r.bad; n-- {
			r.leb()
		}
		r.leb()
	case op == 0x11, op >= 0x28 && op <= 0x3E: // call_indirect; memory access: alignment and offset
		r.leb()
		r.leb()
	case op == 0x1C: // select with types
		r.take(r.u32())
	case op == 0x3F, op == 0x40, op == 0xD0:
		r.byte()
	case op == 0x43:
		r.take(4)
	case op == 0x44:
		r.take(8)
	case op == 0xFC:
		return r.bulk()
	case op == 0xFD:
		return r.vector()
	default:
		return fmt.Errorf("%w: operation %02x", errModule, op)
	}
	return nil
}

func (r *reader) bulk() error {
	switch sub := r.u32(); {
	case sub <= 7:
	case sub == 9, sub == 11, sub == 13, sub >= 15 && sub <= 17:
		r.leb()
	case sub <= 14:
		r.leb()
		r.leb()
	default:
		return fmt.Errorf("%w: operation fc %d", errModule, sub)
	}
	return nil
}

func (r *reader) vector() error {
	switch sub := r.u32(); {
	case sub <= 11, sub == 92, sub == 93:
		r.leb()
		r.leb()
	case sub == 12, sub == 13:
		r.take(16)
	case sub >= 21 && sub <= 34:
		r.byte()
	case sub >= 84 && sub <= 91:
		r.leb()
		r.leb()
		r.byte()
	case sub > 275:
		return fmt.Errorf("%w: operation fd %d", errModule, sub)
	}
	return nil
}

// leb skips one number of either sign.
func (r *reader) leb() {
	for i, c := range r.b {
		if c < 0x80 {
			r.b = r.b[i+1:]
			return
		}
	}
	r.bad = true
}
