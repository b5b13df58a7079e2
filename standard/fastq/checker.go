package fastq

import (
	"bytes"
	"fmt"
	"math/bits"
)

// MaxLine bounds a line; the longest nanopore reads have some million bases.
const MaxLine = 16 << 20

// Summary is what was found.
type Summary struct {
	Reads, Bases int64
	Q30          int64 // bases of quality 30 or more
	Longest      int
}

// Checker checks what is written to it. The zero value is ready.
type Checker struct {
	s     Summary
	carry []byte // a line that has begun
	line  int64  // lines so far
	bases int    // of the read in progress
	err   error
}

// Write checks the next bytes. After an error it returns the same error.
func (c *Checker) Write(p []byte) (int, error) {
	n := len(p)
	for c.err == nil {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			if len(c.carry) == 0 && len(p) > 0 && (c.line%4 == 0 && p[0] != '@' || c.line%4 == 2 && p[0] != '+') {
				c.check(p) // however the line goes on
				break
			}
			if len(c.carry)+len(p) > MaxLine {
				c.fail("is longer than %d bytes", MaxLine)
				break
			}
			c.carry = append(c.carry, p...)
			break
		}
		if len(c.carry) > 0 {
			c.carry = append(c.carry, p[:i]...)
			c.check(c.carry)
			c.carry = c.carry[:0]
		} else {
			c.check(p[:i])
		}
		p = p[i+1:]
	}
	if c.err != nil {
		return 0, c.err
	}
	return n, nil
}

// Close checks that the file ends with a whole read, and says what was found.
func (c *Checker) Close() (Summary, error) {
	if c.err == nil && len(c.carry) > 0 {
		c.check(c.carry)
		c.carry = nil
	}
	if c.err == nil && c.line%4 != 0 {
		c.err = fmt.Errorf("fastq: the file ends after line %d, within a read of four lines", c.line)
	}
	return c.s, c.err
}

func (c *Checker) fail(format string, args ...any) {
	c.err = fmt.Errorf("fastq: line %d "+format, append([]any{c.line + 1}, args...)...)
}

// check takes in one line.
func (c *Checker) check(line []byte) {
	if k := len(line) - 1; k >= 0 && line[k] == '\r' {
		line = line[:k]
	}
	switch c.line % 4 {
	case 0:
		if len(line) == 0 || line[0] != '@' {
			c.fail("begins with %s: a read begins with @ and its name", first(line))
			return
		}
	case 1:
		if i := foreign(line, &isBase); i >= 0 {
			c.fail("has byte %#02x at column %d, which is no base", line[i], i+1)
			return
		}
		c.bases = len(line)
	case 2:
		if len(line) == 0 || line[0] != '+' {
			c.fail("begins with %s: after one line of bases comes a line with +", first(line))
			return
		}
	case 3:
		if len(line) != c.bases {
			c.fail("has %d qualities for %d bases", len(line), c.bases)
			return
		}
		if i := foreign(line, &isQuality); i >= 0 {
			c.fail("has byte %#02x at column %d, which is no quality (! to ~)", line[i], i+1)
			return
		}
		c.s.Reads++
		c.s.Bases += int64(c.bases)
		c.s.Q30 += atLeast63(line)
		c.s.Longest = max(c.s.Longest, c.bases)
	}
	c.line++
}

// first names the first byte of a line without quoting content.
func first(line []byte) string {
	if len(line) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%#02x", line[0])
}

var isBase, isQuality = func() (b, q [256]bool) {
	for _, c := range "ACGTUNRYSWKMBDHVacgtunryswkmbdhv.-*" {
		b[c] = true
	}
	for c := '!'; c <= '~'; c++ {
		q[c] = true
	}
	return
}()

// foreign is the place of the first byte that is not in the set, −1 when all are.
func foreign(line []byte, set *[256]bool) int {
	for i, c := range line {
		if !set[c] {
			return i
		}
	}
	return -1
}

// atLeast63 counts bytes of quality 30 and more ('?' is 63), eight at a time; all are below 128.
func atLeast63(line []byte) int64 {
	n := 0
	for ; len(line) >= 8; line = line[8:] {
		v := uint64(line[0]) | uint64(line[1])<<8 | uint64(line[2])<<16 | uint64(line[3])<<24 | uint64(line[4])<<32 | uint64(line[5])<<40 | uint64(line[6])<<48 | uint64(line[7])<<56
		n += bits.OnesCount64((v + 0x4141414141414141) & 0x8080808080808080)
	}
	for _, c := range line {
		if c >= 63 {
			n++
		}
	}
	return int64(n)
}
