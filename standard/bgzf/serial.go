package bgzf

import "io"

// Serial inflates one block at a time and never reads past the block that it is in, so that the rest of the file can be read raw.
type Serial struct {
	r      io.Reader
	offset int64
	f      inflater
	block  [MaxBlock]byte
	data   [MaxBlock]byte
	rest   []byte
}

// NewSerial reads BGZF from r.
func NewSerial(r io.Reader) *Serial { return &Serial{r: r} }

// Read reads inflated bytes, of one block at a time; io.EOF at the end of the file, with or without the block that marks it.
func (s *Serial) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		block, head, err := readBlock(s.r, s.offset, s.block[:])
		if err != nil {
			return 0, err
		}
		if s.rest, err = s.f.inflate(s.data[:], block, head, s.offset); err != nil {
			return 0, err
		}
		s.offset += int64(len(block))
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Rest is what is left of the block that was read last.
func (s *Serial) Rest() []byte { return s.rest }
