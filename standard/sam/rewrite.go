package sam

import (
	"bytes"
	"io"
	"strings"

	"github.com/galen-health/galen/standard/bgzf"
)

// Comment returns the BAM file r with an @CO line added to its header, and the header as it was. Only the blocks that hold the header are
// compressed anew; all others pass as they are.
func Comment(r io.Reader, comment string) (io.Reader, *Header, error) {
	z := bgzf.NewSerial(r)
	h, err := readHeader(z)
	if err != nil {
		return nil, nil, err
	}
	changed := *h
	changed.Text = h.Text + CommentLine(comment)
	var head bytes.Buffer
	w := bgzf.NewWriter(&head, 6, 1)
	if _, err := w.Write(changed.appendBAM(nil)); err != nil {
		return nil, nil, err
	}
	w.Flush() // records begin in a block of their own
	if _, err := w.Write(z.Rest()); err != nil {
		return nil, nil, err
	}
	if err := w.Close(); err != nil {
		return nil, nil, err
	}
	head.Truncate(head.Len() - len(bgzf.EOF))
	return io.MultiReader(&head, r), h, nil
}

// CommentLine is an @CO header line with its line feed.
func CommentLine(comment string) string {
	return "@CO\t" + strings.NewReplacer("\n", " ", "\r", " ", "\x00", " ").Replace(comment) + "\n"
}
