package ship

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/blob/s3"
	"github.com/galen-health/galen/platform/errs"
)

// bucket puts objects as CloudTrail does: AWSLogs/ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail_REGION_TIME_UNIQUE.json.gz, each {"Records":[…]}. UNIQUE is made of the log and the
// number of the first entry, so what is sent again after a crash takes the place of itself.
type bucket struct {
	to    *s3.Objects
	log   string // six characters that tell logs apart
	every time.Duration
}

const (
	usualEvery = time.Minute
	// mostObject bounds the entries of an object, and mostHeld their bytes: they wait in memory.
	mostObject = 8192
	mostHeld   = 16 << 20
)

// environment gives the receiver's credentials: its own, so that who can write the trail need not be able to write the blobs, else the process's.
func environment(name string) string {
	if v := os.Getenv("GALEN_AUDIT_" + name); v != "" {
		return v
	}
	return os.Getenv(name)
}

func newBucket(to, log string) (*bucket, error) {
	b := &bucket{every: usualEvery}
	h := sha256.Sum256([]byte(log))
	b.log = base32.StdEncoding.EncodeToString(h[:])[:6]
	address, query, _ := strings.Cut(to, "?")
	options, err := url.ParseQuery(query)
	if err != nil {
		return nil, errs.New(errs.Invalid, "the audit log's receiver %s ends in what is no query", address)
	}
	if v := options.Get("every"); v != "" {
		if b.every, err = time.ParseDuration(v); err != nil || b.every < time.Second || b.every > time.Hour {
			return nil, errs.New(errs.Invalid, "the audit log's receiver %s takes every from 1s to 1h, not %q", address, v)
		}
		options.Del("every")
	}
	if len(options) > 0 {
		address += "?" + options.Encode()
	}
	target, err := s3.Parse(address, environment)
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "the audit log's receiver: %s", strings.ReplaceAll(err.Error(), "the blob store", "it"))
	}
	b.to = s3.OpenObjects(target)
	return b, nil
}

// gather is how much an object takes, and how long it waits for it.
func (b *bucket) gather() (entries, size int, wait time.Duration) {
	return mostObject, mostHeld, b.every
}

func (b *bucket) send(ctx context.Context, first uint64, entries [][]byte) error {
	name, content, err := b.object(first, entries)
	if err != nil {
		return err
	}
	return b.to.Put(ctx, name, bytes.NewReader(content))
}

// object makes the file of a batch. Its name depends on the first entry alone.
func (b *bucket) object(first uint64, entries [][]byte) (name string, content []byte, err error) {
	var file bytes.Buffer
	zip := gzip.NewWriter(&file)
	sep := `{"Records":[`
	for i, body := range entries {
		var e audit.Entry
		if err := json.Unmarshal(body, &e); err != nil {
			return "", nil, errs.Wrap(errs.Corrupt, err, "entry %d of the audit log cannot be read", first+uint64(i))
		}
		if i == 0 {
			at := e.Time.UTC()
			name = fmt.Sprintf("AWSLogs/%s/CloudTrail/%s/%s/%[1]s_CloudTrail_%[2]s_%[4]s_%[5]s%010[6]s.json.gz", e.Account, e.Region, at.Format("2006/01/02"), at.Format("20060102T1504Z"), b.log, strings.ToUpper(strconv.FormatUint(first, 36)))
		}
		_, err := zip.Write(append([]byte(sep), e.Trail()...))
		if err != nil {
			return "", nil, err
		}
		sep = ","
	}
	if _, err := zip.Write([]byte("]}")); err != nil {
		return "", nil, err
	}
	err = zip.Close()
	return name, file.Bytes(), err
}

func (b *bucket) close() error { return b.to.Close() }
