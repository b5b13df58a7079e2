package s3

import (
	"context"
	"io"
	"reflect"
	"sync"
)

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// writeOnly and contextReader hide ReadFrom and WriteTo, so that io.CopyBuffer uses its buffer and each read asks whether the caller is still there.
type writeOnly struct{ io.Writer }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// text is a string field of a structure of the contract, "" when it has none.
func text(in any, field string) string {
	f := reflect.Indirect(reflect.ValueOf(in)).FieldByName(field)
	if !f.IsValid() || f.Kind() != reflect.String {
		return ""
	}
	return f.String()
}
