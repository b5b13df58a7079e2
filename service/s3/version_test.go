package s3_test

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
)

// kept is one version in the naive model of a bucket: newest first within a key.
type kept struct {
	id, body string
	marker   bool
}

// A long random life of a bucket, with versions off, on and suspended, is compared with a naive model at every step.
func TestVersionsAgainstANaiveModel(t *testing.T) {
	w := open(t)
	b := w.bucket("versions")
	rng := rand.New(rand.NewPCG(7, 8))
	model := map[string][]kept{}
	state := ""
	add := func(key string, v kept) {
		if v.id == "null" {
			model[key] = without(model[key], "null")
		}
		model[key] = append([]kept{v}, model[key]...)
	}
	for step := range 400 {
		key := []string{"a", "a/b", "b", "ab", "c/d/e"}[rng.IntN(5)]
		list := model[key]
		switch n := rng.IntN(20); {
		case n == 0 && step > 30:
			state = []string{"Enabled", "Suspended"}[rng.IntN(2)]
			_, err := w.PutBucketVersioning(root(), &api.PutBucketVersioningInput{Bucket: b, VersioningConfiguration: &api.VersioningConfiguration{Status: api.BucketVersioningStatus(state)}})
			ok(t, err)
		case n < 10:
			body := fmt.Sprint("body ", step)
			p := w.put(b, key, body)
			id := p.VersionId
			if state == "" && id != "" || state == "Suspended" && id != "null" || state == "Enabled" && (id == "" || id == "null") {
				t.Fatalf("step %d, %s: put gave version %q", step, state, id)
			}
			if state == "" {
				id = "null"
			}
			add(key, kept{id: id, body: body})
		case n < 14:
			d, err := w.DeleteObject(root(), &api.DeleteObjectInput{Bucket: b, Key: key})
			ok(t, err)
			if state == "" {
				model[key] = without(list, "null")
				break
			}
			if !aws.Val(d.DeleteMarker) {
				t.Fatalf("step %d: no delete marker: %+v", step, d)
			}
			add(key, kept{id: d.VersionId, marker: true})
		case len(list) > 0:
			v := list[rng.IntN(len(list))]
			d, err := w.DeleteObject(root(), &api.DeleteObjectInput{Bucket: b, Key: key, VersionId: v.id})
			ok(t, err)
			if aws.Val(d.DeleteMarker) != v.marker {
				t.Fatalf("step %d: deleting version %s (marker %v): %+v", step, v.id, v.marker, d)
			}
			model[key] = without(list, v.id)
		}
		compare(t, w, b, model, step, int32(1+rng.IntN(7)), []string{"", "/"}[rng.IntN(2)])
	}
	if _, err := w.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	bodies := 0
	for _, list := range model {
		for _, v := range list {
			if !v.marker {
				bodies++
			}
		}
	}
	if n := w.count(); n != bodies {
		t.Errorf("%d blobs, want %d", n, bodies)
	}
}

func without(list []kept, id string) []kept {
	var out []kept
	for _, v := range list {
		if v.id != id {
			out = append(out, v)
		}
	}
	return out
}

func compare(t *testing.T, w *world, b string, model map[string][]kept, step int, most int32, delimiter string) {
	t.Helper()
	var keys, live []string
	for k, list := range model {
		if len(list) > 0 {
			keys = append(keys, k)
		}
		for i, v := range list {
			_, got, err := w.read(&api.GetObjectInput{Bucket: b, Key: k, VersionId: v.id})
			if v.marker && (err == nil || errs.As(err).Name != "MethodNotAllowed") || !v.marker && (err != nil || got != v.body) {
				t.Fatalf("step %d: %s version %s: %q, %v", step, k, v.id, got, err)
			}
			if i > 0 {
				continue
			}
			_, got, err = w.read(&api.GetObjectInput{Bucket: b, Key: k})
			if v.marker && (err == nil || errs.As(err).Name != "NoSuchKey") || !v.marker && (err != nil || got != v.body) {
				t.Fatalf("step %d: %s: %q, %v, want %+v", step, k, got, err, v)
			}
			if !v.marker {
				live = append(live, k)
			}
		}
	}
	sort.Strings(keys)
	sort.Strings(live)
	l, err := w.ListObjectsV2(root(), &api.ListObjectsV2Input{Bucket: b})
	ok(t, err)
	var got []string
	for _, o := range l.Contents {
		got = append(got, o.Key)
	}
	if strings.Join(got, "|") != strings.Join(live, "|") {
		t.Fatalf("step %d: list %v, want %v", step, got, live)
	}
	var want []string
	rolled := map[string]bool{}
	for _, k := range keys {
		if i := strings.Index(k, "/"); delimiter != "" && i >= 0 {
			if p := k[:i+1]; !rolled[p] {
				rolled[p] = true
				want = append(want, p)
			}
			continue
		}
		for i, v := range model[k] {
			want = append(want, fmt.Sprint(k, " ", v.id, " ", v.marker, " ", i == 0))
		}
	}
	got = nil
	in := &api.ListObjectVersionsInput{Bucket: b, MaxKeys: &most, Delimiter: delimiter}
	for {
		o, err := w.ListObjectVersions(root(), in)
		ok(t, err)
		for _, v := range o.Versions {
			got = append(got, fmt.Sprint(v.Key, " ", v.VersionId, " false ", aws.Val(v.IsLatest)))
		}
		for _, v := range o.DeleteMarkers {
			got = append(got, fmt.Sprint(v.Key, " ", v.VersionId, " true ", aws.Val(v.IsLatest)))
		}
		for _, p := range o.CommonPrefixes {
			got = append(got, p.Prefix)
		}
		if !aws.Val(o.IsTruncated) {
			break
		}
		in.KeyMarker, in.VersionIdMarker = o.NextKeyMarker, o.NextVersionIdMarker
	}
	sort.Strings(got)
	sort.Strings(want)
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Fatalf("step %d, max %d, delimiter %q: versions\n got %v\nwant %v", step, most, delimiter, got, want)
	}
}

func TestDeleteMarkersSayWhatTheyAre(t *testing.T) {
	w := open(t)
	b := w.bucket("markers")
	_, err := w.PutBucketVersioning(root(), &api.PutBucketVersioningInput{Bucket: b, VersioningConfiguration: &api.VersioningConfiguration{Status: "Enabled"}})
	ok(t, err)
	first := w.put(b, "k", "1").VersionId
	d, err := w.DeleteObject(root(), &api.DeleteObjectInput{Bucket: b, Key: "k"})
	ok(t, err)
	_, err = w.GetObject(root(), &api.GetObjectInput{Bucket: b, Key: "k"})
	named(t, err, "NoSuchKey")
	if h, _ := errs.As(err).Details.(interface{ Get(string) string }); h == nil || h.Get("x-amz-delete-marker") != "true" || h.Get("x-amz-version-id") != d.VersionId {
		t.Errorf("details = %v", errs.As(err).Details)
	}
	_, err = w.GetObject(root(), &api.GetObjectInput{Bucket: b, Key: "k", VersionId: "nosuchversion"})
	named(t, err, "InvalidArgument")
	_, err = w.DeleteObject(root(), &api.DeleteObjectInput{Bucket: b, Key: "k", VersionId: "nosuchversion"})
	named(t, err, "InvalidArgument")
	_, err = w.GetObject(root(), &api.GetObjectInput{Bucket: b, Key: "k", VersionId: strings.Repeat("a", 32)})
	named(t, err, "NoSuchVersion")
	c, err := w.CopyObject(root(), &api.CopyObjectInput{Bucket: b, Key: "k", CopySource: b + "/k?versionId=" + first})
	ok(t, err)
	if w.get(b, "k") != "1" || c.CopySourceVersionId != first || c.VersionId == first {
		t.Errorf("restored: %+v", c)
	}
	_, err = w.DeleteBucket(root(), &api.DeleteBucketInput{Bucket: b})
	named(t, err, "BucketNotEmpty")
	_, err = w.PutObjectTagging(root(), &api.PutObjectTaggingInput{Bucket: b, Key: "k", VersionId: first, Tagging: &api.Tagging{TagSet: []api.Tag{{Key: "old", Value: "1"}}}})
	ok(t, err)
	for v, n := range map[string]int{first: 1, c.VersionId: 0} {
		g, err := w.GetObjectTagging(root(), &api.GetObjectTaggingInput{Bucket: b, Key: "k", VersionId: v})
		if err != nil || len(g.TagSet) != n {
			t.Errorf("tags of %s: %+v, %v", v, g, err)
		}
	}
}
