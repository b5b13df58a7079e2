package sealed

import (
	"io"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
)

// Range turns the reader into one of a range of the plaintext, in order; closing it closes the reader, and so does an error.
func (r *Reader) Range(rg blob.Range) (io.ReadCloser, error) {
	size := r.head.info.Size
	if rg.Offset < 0 || rg.Offset > size {
		_ = r.Close()
		return nil, errs.New(errs.OutOfRange, "offset %d is outside of a blob of %d bytes", rg.Offset, size)
	}
	end := size
	if rg.Length >= 0 && rg.Length < size-rg.Offset {
		end = rg.Offset + rg.Length
	}
	return r.from(rg.Offset, end), nil
}

// from reads [at, end) in order, and tells the source which sealed bytes that takes.
func (r *Reader) from(at, end int64) *rangeReader {
	if at < end {
		_, _, first := span(segmentOf(at), r.head.info.Size)
		from, to, last := span(segmentOf(end-1), r.head.info.Size)
		r.src.Expect(int64(r.head.length)+first, int64(r.head.length)+last+to-from+tagSize)
	}
	return &rangeReader{r: r, at: at, end: end}
}

type rangeReader struct {
	r       *Reader
	at, end int64
}

func (q *rangeReader) Read(p []byte) (int, error) {
	if q.at >= q.end {
		return 0, io.EOF
	}
	if left := q.end - q.at; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := q.r.ReadAt(p, q.at)
	q.at += int64(n)
	if err == io.EOF && n > 0 { //nolint:errorlint // see Source
		err = nil
	}
	return n, err
}

// WriteTo writes the rest segment by segment, without a buffer in between.
func (q *rangeReader) WriteTo(w io.Writer) (n int64, err error) {
	q.r.mu.Lock()
	defer q.r.mu.Unlock()
	for q.at < q.end {
		segment := segmentOf(q.at)
		if err := q.r.hold(segment); err != nil {
			return n, err
		}
		from, to, _ := span(segment, q.r.head.info.Size)
		k, err := w.Write((*q.r.buf)[q.at-from : min(to, q.end)-from])
		n += int64(k)
		q.at += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (q *rangeReader) Close() error { return q.r.Close() }
