package audit_test

import (
	"testing"

	"github.com/galen-health/galen/platform/audit"
)

// BenchmarkAppend is what one caller alone waits for, and many at once.
func BenchmarkAppend(b *testing.B) {
	dir := b.TempDir()
	m := open(b, dir, ring(b, dir))
	defer closed(b, m)
	e := audit.Entry{Name: "GetObject", Source: "s3.amazonaws.com", Principal: "arn:aws:iam::000000000000:user/x"}
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			c := e
			if err := m.Append(ctx, &c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("64 at once", func(b *testing.B) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				c := e
				if err := m.Append(ctx, &c); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
