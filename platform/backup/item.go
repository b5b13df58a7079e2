package backup

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/fnv"
	"io"
	"math"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

// Items of the streams; the first byte of each.
const (
	itemSpace   = 1 // JSON
	itemRecord  = 2
	itemMessage = 3
	itemFile    = 4
)

// maxSmall bounds what is no body: names, ids, JSON.
const maxSmall = 1 << 20

// file is a small file that is carried whole.
type file struct {
	name string
	body []byte
}

func appendBytes[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// encode appends an item; identity says which one it is, whatever it holds.
func encode(b []byte, it any) (_ []byte, identity uint64, err error) {
	switch it := it.(type) {
	case record.ExportSpace:
		j, err := json.Marshal(it)
		return appendBytes(append(b, itemSpace), j), nameIdentity(string(it.Name)), err
	case record.ExportRecord:
		b = appendBytes(append(b, itemRecord), it.Kind)
		b = appendBytes(b, it.ID)
		b = binary.AppendUvarint(b, it.PID)
		b = binary.AppendUvarint(b, uint64(len(it.Versions)))
		for i := range it.Versions {
			v := &it.Versions[i]
			b = binary.AppendUvarint(b, uint64(v.Version))
			b = binary.AppendUvarint(b, v.Commit)
			b = binary.AppendVarint(b, v.Time.UnixMicro())
			if v.Deleted {
				b = append(b, 1)
				continue
			}
			b = appendBytes(append(b, 0), v.Body)
		}
		return b, it.PID, nil
	case record.Message:
		b = binary.AppendUvarint(append(b, itemMessage), it.Seq)
		b = binary.AppendVarint(b, it.Time.UnixMicro())
		b = appendBytes(b, it.Space)
		b = appendBytes(b, it.Topic)
		return appendBytes(b, it.Body), it.Seq, nil
	case file:
		b = appendBytes(append(b, itemFile), it.name)
		return appendBytes(b, it.body), nameIdentity(it.name), nil
	}
	return nil, 0, errs.New(errs.Internal, "%T is no item of a backup", it)
}

func nameIdentity(s string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, s) // never fails
	return h.Sum64()
}

// decoder reads items.
type decoder struct{ r *bufio.Reader }

func newDecoder(r io.Reader) *decoder { return &decoder{bufio.NewReaderSize(r, 256<<10)} }

var errItem = errs.New(errs.Corrupt, "an item of the backup cannot be read")

// damaged keeps what the chunks said, and makes of everything else that the stream is none.
func damaged(err error) error {
	var ours *errs.Error
	if errors.As(err, &ours) {
		return err
	}
	return errItem
}

// next is the next item, io.EOF after the last.
func (d *decoder) next() (any, error) {
	t, err := d.r.ReadByte()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, damaged(err)
	}
	var it any
	switch t {
	case itemSpace:
		var s record.ExportSpace
		var b []byte
		if b, err = d.bytes(maxSmall); err == nil {
			err = json.Unmarshal(b, &s)
		}
		it = s
	case itemRecord:
		it, err = d.record()
	case itemMessage:
		it, err = d.message()
	case itemFile:
		it, err = d.file()
	default:
		err = errItem
	}
	if err != nil {
		return nil, damaged(err)
	}
	return it, nil
}

func (d *decoder) record() (r record.ExportRecord, err error) {
	kind, err := d.bytes(maxSmall)
	if err != nil {
		return r, err
	}
	id, err := d.bytes(maxSmall)
	if err != nil {
		return r, err
	}
	r.Kind, r.ID = string(kind), string(id)
	if r.PID, err = binary.ReadUvarint(d.r); err != nil {
		return r, err
	}
	n, err := binary.ReadUvarint(d.r)
	if err != nil || n == 0 {
		return r, errItem
	}
	for range n {
		var v record.ExportVersion
		number, err := binary.ReadUvarint(d.r)
		if err != nil || number == 0 || number > math.MaxInt64 {
			return r, errItem
		}
		v.Version = int64(number)
		if v.Commit, err = binary.ReadUvarint(d.r); err != nil {
			return r, err
		}
		if v.Time, err = d.time(); err != nil {
			return r, err
		}
		deleted, err := d.r.ReadByte()
		if err != nil || deleted > 1 {
			return r, errItem
		}
		if v.Deleted = deleted == 1; !v.Deleted {
			if v.Body, err = d.bytes(seal.MaxBody); err != nil {
				return r, err
			}
		}
		r.Versions = append(r.Versions, v)
	}
	return r, nil
}

func (d *decoder) message() (m record.Message, err error) {
	if m.Seq, err = binary.ReadUvarint(d.r); err != nil {
		return m, err
	}
	if m.Time, err = d.time(); err != nil {
		return m, err
	}
	space, err := d.bytes(maxSmall)
	if err != nil {
		return m, err
	}
	topic, err := d.bytes(maxSmall)
	if err != nil {
		return m, err
	}
	m.Space, m.Topic = record.Space(space), string(topic)
	m.Body, err = d.bytes(seal.MaxBody)
	return m, err
}

func (d *decoder) file() (f file, err error) {
	name, err := d.bytes(maxSmall)
	if err != nil {
		return f, err
	}
	f.name = string(name)
	f.body, err = d.bytes(seal.MaxBody)
	return f, err
}

func (d *decoder) time() (time.Time, error) {
	at, err := binary.ReadVarint(d.r)
	return time.UnixMicro(at).UTC(), err
}

// bytes reads a length and so many bytes; what is not there is never made room for.
func (d *decoder) bytes(most uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(d.r)
	if err != nil || n > most {
		return nil, errItem
	}
	if n <= maxSmall {
		b := make([]byte, n)
		_, err := io.ReadFull(d.r, b)
		return b, err
	}
	b, err := io.ReadAll(io.LimitReader(d.r, int64(n)))
	if err == nil && uint64(len(b)) != n {
		err = errItem
	}
	return b, err
}
