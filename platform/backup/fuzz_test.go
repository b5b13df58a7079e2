package backup

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/record"
)

// FuzzItems reads what may be no items; what is read is written and read again as the same.
func FuzzItems(f *testing.F) {
	at := time.UnixMicro(1).UTC()
	for _, it := range []any{record.ExportSpace{Name: "a"}, record.ExportRecord{Kind: "k", ID: "i", PID: 1, Versions: []record.ExportVersion{{Version: 1, Commit: 2, Time: at, Body: []byte("x")}, {Version: 2, Time: at, Deleted: true}}},
		record.Message{Seq: 1, Time: at, Topic: "t", Body: []byte("b")}, file{"a/b", []byte("c")}} {
		b, _, err := encode(nil, it)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for d := newDecoder(bytes.NewReader(b)); ; {
			it, err := d.next()
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, errItem) {
					t.Error(err)
				}
				return
			}
			c, _, err := encode(nil, it)
			if err != nil {
				t.Fatal(err)
			}
			again, err := newDecoder(bytes.NewReader(c)).next()
			if err != nil || !reflect.DeepEqual(it, again) {
				t.Errorf("%+v became %+v, %v", it, again, err)
			}
		}
	})
}

// FuzzPoint takes apart what may be no point.
func FuzzPoint(f *testing.F) {
	f.Add(append(pointHead([]byte("ring"), []byte("key")), "body"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		head, ring, wrapped, body, err := splitPoint(b)
		if err == nil && (!bytes.Equal(head, pointHead(ring, wrapped)) || len(head)+len(body) != len(b)) {
			t.Error("it is put together otherwise")
		}
	})
}
