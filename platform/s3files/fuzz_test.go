package s3files

import (
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{"s3://bucket/key/with/parts", "s3://bucket", "s3:///key", "S3://b/k", "https://bucket/key", "s3://b//k"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		bucket, key, err := Parse(s)
		if err == nil && (bucket == "" || strings.Contains(bucket, "/") || strings.TrimSuffix("s3://"+bucket+"/"+key, "/") != strings.TrimSuffix(s, "/")) {
			t.Fatalf("%q became %q and %q", s, bucket, key)
		}
	})
}
