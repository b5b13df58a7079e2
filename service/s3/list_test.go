package s3_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"sort"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
)

// listed is what a list should say, worked out from all keys the slow way: keys that stand for themselves and common prefixes, in one order.
func listed(keys []string, prefix, delimiter, after string) (out []string) {
	seen := map[string]bool{}
	for _, k := range keys {
		if !strings.HasPrefix(k, prefix) || k <= after {
			continue
		}
		if i := strings.Index(k[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			k = k[:len(prefix)+i+len(delimiter)]
			if k == after || seen[k] {
				continue
			}
			seen[k] = true
		}
		out = append(out, k)
	}
	return out
}

func TestListsAgainstTheSlowWay(t *testing.T) {
	w := open(t)
	b := w.bucket("lists")
	w.put(w.bucket("lists.other"), "a", "") // neighbours are not seen
	w.put(w.bucket("list"), "a", "")
	rng := rand.New(rand.NewPCG(1, 2))
	var keys []string
	seen := map[string]bool{}
	for len(keys) < 150 {
		k := ""
		for range 1 + rng.IntN(4) {
			k += []string{"a", "b", "/", "a/", "ä", "~", " ", "0", "//"}[rng.IntN(9)]
		}
		if !seen[k] {
			seen[k] = true
			keys = append(keys, k)
			w.put(b, k, "x")
		}
	}
	sort.Strings(keys)
	for i := range 300 {
		prefix, delimiter, after := "", "", ""
		if rng.IntN(2) == 0 {
			k := keys[rng.IntN(len(keys))]
			prefix = k[:rng.IntN(len(k)+1)]
		}
		if rng.IntN(2) == 0 {
			delimiter = []string{"/", "a", "//", "ä"}[rng.IntN(4)]
		}
		if rng.IntN(3) == 0 {
			after = keys[rng.IntN(len(keys))]
		}
		most := int32(1 + rng.IntN(20))
		what := fmt.Sprintf("prefix %q delimiter %q after %q max %d", prefix, delimiter, after, most)
		want := listed(keys, prefix, delimiter, after)
		var v2, v1 []string
		collect := func(contents []api.Object, prefixes []api.CommonPrefix, into *[]string) {
			var page []string
			for _, o := range contents {
				page = append(page, unescape(t, o.Key))
			}
			for _, p := range prefixes {
				page = append(page, unescape(t, p.Prefix))
			}
			if len(page) > int(most) {
				t.Fatalf("%s: a page of %d", what, len(page))
			}
			sort.Strings(page)
			*into = append(*into, page...)
		}
		in := &api.ListObjectsV2Input{Bucket: b, Prefix: prefix, Delimiter: delimiter, StartAfter: after, MaxKeys: &most, EncodingType: "url"}
		for {
			o, err := w.ListObjectsV2(root(), in)
			ok(t, err)
			collect(o.Contents, o.CommonPrefixes, &v2)
			if int(aws.Val(o.KeyCount)) != len(o.Contents)+len(o.CommonPrefixes) {
				t.Errorf("%s: key count %d", what, aws.Val(o.KeyCount))
			}
			if !aws.Val(o.IsTruncated) {
				break
			}
			in.ContinuationToken = o.NextContinuationToken
		}
		old := &api.ListObjectsInput{Bucket: b, Prefix: prefix, Delimiter: delimiter, Marker: after, MaxKeys: &most, EncodingType: "url"}
		for {
			o, err := w.ListObjects(root(), old)
			ok(t, err)
			collect(o.Contents, o.CommonPrefixes, &v1)
			if !aws.Val(o.IsTruncated) {
				break
			}
			if old.Marker = unescape(t, o.NextMarker); old.Marker == "" { // without a delimiter, the last key is the marker
				old.Marker = unescape(t, o.Contents[len(o.Contents)-1].Key)
			}
		}
		if strings.Join(v2, "|") != strings.Join(want, "|") {
			t.Fatalf("%d: V2 %s:\n got %q\nwant %q", i, what, v2, want)
		}
		if strings.Join(v1, "|") != strings.Join(want, "|") {
			t.Fatalf("%d: V1 %s:\n got %q\nwant %q", i, what, v1, want)
		}
	}
}

func unescape(t *testing.T, s string) string {
	t.Helper()
	u, err := url.QueryUnescape(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestListEdges(t *testing.T) {
	w := open(t)
	b := w.bucket("list-edges")
	w.put(b, "a b", "xyz")
	o, err := w.ListObjectsV2(root(), &api.ListObjectsV2Input{Bucket: b, MaxKeys: aws.Ptr(int32(0))})
	ok(t, err)
	if len(o.Contents) != 0 || aws.Val(o.IsTruncated) {
		t.Errorf("max 0: %+v", o)
	}
	o, err = w.ListObjectsV2(root(), &api.ListObjectsV2Input{Bucket: b, EncodingType: "url", FetchOwner: aws.Ptr(true)})
	ok(t, err)
	c := o.Contents[0]
	if c.Key != "a%20b" || aws.Val(c.Size) != 3 || c.Owner == nil || c.StorageClass != "STANDARD" || !strings.HasPrefix(c.ETag, `"`) || c.LastModified.IsZero() {
		t.Errorf("entry = %+v", c)
	}
	_, err = w.ListObjectsV2(root(), &api.ListObjectsV2Input{Bucket: b, ContinuationToken: "!"})
	named(t, err, "InvalidArgument")
	_, err = w.ListObjectsV2(root(), &api.ListObjectsV2Input{Bucket: b, MaxKeys: aws.Ptr(int32(-1))})
	named(t, err, "InvalidArgument")
	_, err = w.ListObjectsV2(root(), &api.ListObjectsV2Input{Bucket: "none"})
	named(t, err, "NoSuchBucket")
}

func TestListMultipartUploads(t *testing.T) {
	w := open(t)
	b := w.bucket("list-uploads")
	var want []string
	for _, k := range []string{"a", "a", "a", "b/1", "b/2", "c", "c"} {
		c, err := w.CreateMultipartUpload(root(), &api.CreateMultipartUploadInput{Bucket: b, Key: k})
		ok(t, err)
		want = append(want, k+" "+c.UploadId)
	}
	for _, most := range []int32{1, 2, 3, 1000} {
		for _, delimiter := range []string{"", "/"} {
			var got, prefixes []string
			in := &api.ListMultipartUploadsInput{Bucket: b, MaxUploads: &most, Delimiter: delimiter}
			for {
				o, err := w.ListMultipartUploads(root(), in)
				ok(t, err)
				for _, u := range o.Uploads {
					got = append(got, u.Key+" "+u.UploadId)
				}
				for _, p := range o.CommonPrefixes {
					prefixes = append(prefixes, p.Prefix)
				}
				if !aws.Val(o.IsTruncated) {
					break
				}
				in.KeyMarker, in.UploadIdMarker = o.NextKeyMarker, o.NextUploadIdMarker
			}
			w := want
			if delimiter != "" {
				w = append(append([]string(nil), want[:3]...), want[5:]...)
				if len(prefixes) != 1 || prefixes[0] != "b/" {
					t.Errorf("max %d: prefixes = %v", most, prefixes)
				}
			}
			if strings.Join(got, "|") != strings.Join(w, "|") {
				t.Errorf("max %d, delimiter %q: %v, want %v", most, delimiter, got, w)
			}
		}
	}
}
