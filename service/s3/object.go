package s3

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/record"
)

// object is one version of an object, or a delete marker.
type object struct {
	Bucket   string    `json:"bucket"`
	Key      string    `json:"key"`
	Version  string    `json:"version,omitempty"` // "" is the version "null"
	Order    string    `json:"order"`             // 16 hexadecimal digits that sort the versions of a key newest first
	Marker   bool      `json:"marker,omitempty"`
	Modified time.Time `json:"modified"` // whole seconds, as HTTP dates are
	Size     int64     `json:"size"`
	ETag     string    `json:"etag,omitempty"`     // without quotes
	Blob     blob.ID   `json:"blob,omitempty"`     // the body; "" for multipart objects and markers
	Manifest string    `json:"manifest,omitempty"` // the parts of a multipart object
	Parts    int       `json:"parts,omitempty"`
	Upload   string    `json:"upload,omitempty"` // the multipart upload that made it
	Checksum checksum  `json:"checksum"`
	attributes
}

// attributes are what the writer says of an object.
type attributes struct {
	ContentType  string            `json:"contentType,omitempty"`
	CacheControl string            `json:"cacheControl,omitempty"`
	Disposition  string            `json:"disposition,omitempty"`
	Encoding     string            `json:"encoding,omitempty"`
	Language     string            `json:"language,omitempty"`
	Expires      string            `json:"expires,omitempty"`
	Redirect     string            `json:"redirect,omitempty"`
	Storage      string            `json:"storage,omitempty"`
	Meta         map[string]string `json:"meta,omitempty"`
	Tags         map[string]string `json:"tags,omitempty"`
	Encryption   encryption        `json:"encryption"`
}

// objects are the versions that a GET without a version id finds: an object whose newest version is a delete marker is not among them.
var objects = record.Kind[object]{Name: "s3.object", Volatile: true, Single: []string{"name"}, Indexes: record.Indexes[object]{
	record.ByString("name", func(o *object) string { return o.name() }), byBlob,
}}

// versions are all others: older versions, and delete markers, the newest included.
var versions = record.Kind[object]{Name: "s3.version", Volatile: true, Single: []string{"name"}, Indexes: record.Indexes[object]{
	record.ByString("name", func(o *object) string { return o.name() + "\x00" + o.Order }), byBlob,
}}

var byBlob = record.ByToken("blob", func(o *object) string { return string(o.Blob) })

func (o *object) name() string { return o.Bucket + "/" + o.Key }

// versionRecord is the record id of a version: version ids have no slash.
func versionRecord(bucket, key, version string) string { return bucket + "/" + version + "/" + key }

// versionID is the version as it is said; "" in a bucket that never had versions.
func (o *object) versionID(b *bucket) string {
	switch {
	case o.Version != "":
		return o.Version
	case b.Versioning != "":
		return "null"
	}
	return ""
}

func checkKey(key string) error {
	switch {
	case len(key) > 1024:
		return invalid("KeyTooLongError", "Your key is too long: it has %d bytes, the most is 1024.", len(key))
	case key == "" || !utf8.ValidString(key) || strings.ContainsRune(key, 0):
		return invalid("InvalidArgument", "Object keys are 1 to 1024 bytes of UTF-8 without NUL.")
	}
	return nil
}

// idAlphabet is what the ids of versions and uploads are made of: base32 in small letters.
const idAlphabet = "abcdefghijklmnopqrstuvwxyz234567"

// checkVersion refuses what cannot be the id of a version.
func checkVersion(id string) error {
	if id == "" || id == "null" || len(id) == 32 && strings.Trim(id, idAlphabet) == "" {
		return nil
	}
	return invalid("InvalidArgument", "Invalid version id specified")
}

// randomID is 32 letters and digits.
func randomID() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// order sorts before all earlier versions of the key, whatever the clock does.
func order(now time.Time, newest *object) string {
	n := ^uint64(now.UnixMicro())
	if newest != nil {
		if last, err := strconv.ParseUint(newest.Order, 16, 64); err == nil && n >= last {
			n = last - 1
		}
	}
	return fmt.Sprintf("%016x", n)
}

// current reads the version that a GET finds, nil when there is none.
func current(g record.Getter, bucket, key string) (*object, error) {
	o, _, err := objects.Get(g, bucket+"/"+key)
	if absent(err) {
		return nil, nil
	}
	return o, err
}

// older lists the versions of a key that are not current, newest first, at most n.
func older(query func(record.Query) (*record.Page, error), bucket, key string, n int) ([]*object, error) {
	name := bucket + "/" + key + "\x00"
	p, err := query(record.Query{Kind: versions.Name, Limit: n, Order: []record.Order{{Index: "name"}},
		Where: record.Range{Index: "name", Low: record.String(name), High: record.String(successor(name)), HighOpen: true}})
	if err != nil {
		return nil, err
	}
	var out []*object
	for _, h := range p.Hits {
		o, err := versions.Decode(h.Body)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// found is an object with its bucket.
type found struct {
	*object
	bucket *bucket
}

// find reads the version that a caller asks for. A delete marker is found only by its version id.
func (s *Service) find(ctx context.Context, name, key, version, owner string) (f found, err error) {
	if err := checkKey(key); err != nil {
		return f, err
	}
	if err := checkVersion(version); err != nil {
		return f, err
	}
	err = s.view(ctx, func(v record.View) error {
		if f.bucket, err = s.getBucket(v, name, owner); err != nil {
			return err
		}
		f.object, err = current(v, name, key)
		switch {
		case err != nil:
			return err
		case version == "" && f.object != nil:
			return nil
		case version == "":
			return s.missing(ctx, v, f.bucket, key)
		}
		want := version
		if version == "null" {
			want = ""
		}
		if f.object != nil && f.Version == want {
			return nil
		}
		f.object, _, err = versions.Get(v, versionRecord(name, key, want))
		if absent(err) {
			return noSuchVersion()
		}
		return err
	})
	return f, err
}

// missing is the error for a key without a current version.
func (s *Service) missing(ctx context.Context, v record.View, b *bucket, key string) error {
	if b.Versioning == "" {
		return noSuchKey()
	}
	list, err := older(func(q record.Query) (*record.Page, error) { return v.Query(ctx, q) }, b.Name, key, 1)
	if err != nil {
		return err
	}
	if len(list) > 0 {
		return deleted(list[0].versionID(b), noSuchKey())
	}
	return noSuchKey()
}
