package s3

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"time"

	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// mostPut is the most that one request stores.
const mostPut = 5 << 30

// condition is a writer's condition on what is there.
type condition struct{ ifMatch, ifNoneMatch string }

func (c condition) check(cur *object) error {
	if c.ifNoneMatch != "" {
		if c.ifNoneMatch != "*" {
			return notImplemented("A header you provided implies functionality that is not implemented: If-None-Match of a write is \"*\".")
		}
		if cur != nil {
			return preconditionFailed("If-None-Match")
		}
	}
	if c.ifMatch != "" {
		if cur == nil {
			return noSuchKey()
		}
		if !etagIn(c.ifMatch, cur.ETag) {
			return preconditionFailed("If-Match")
		}
	}
	return nil
}

// etagIn reports whether an ETag is in the list of an If-Match or If-None-Match header.
func etagIn(list, etag string) bool {
	for _, e := range strings.Split(list, ",") {
		e = strings.TrimSpace(e)
		if e == "*" || strings.Trim(strings.TrimPrefix(e, "W/"), `"`) == etag {
			return true
		}
	}
	return false
}

// written is what a writer of an object says in headers; PutObject, CopyObject and CreateMultipartUpload say the same.
type written struct {
	acl                                                          string
	grants, lock                                                 []string
	contentType, cache, disposition, encoding, language, expires string
	redirect, storage, tagging                                   string
	meta                                                         map[string]string
}

// storageClasses are all kept alike: there is one kind of disk. The archive classes are refused, since restoring is not offered.
var storageClasses = map[string]bool{"": true, "STANDARD": true, "REDUCED_REDUNDANCY": true, "STANDARD_IA": true, "ONEZONE_IA": true, "INTELLIGENT_TIERING": true, "GLACIER_IR": true}

func (w written) attributes() (a attributes, err error) {
	switch {
	case w.acl != "" && w.acl != "private" && w.acl != "bucket-owner-full-control" || anyGrant(w.grants...):
		return a, noACL()
	case anyGrant(w.lock...):
		return a, invalid("InvalidRequest", "Bucket is missing Object Lock Configuration")
	case !storageClasses[w.storage]:
		return a, invalid("InvalidStorageClass", "The storage class you specified is not valid here: %s", w.storage)
	}
	size := 0
	a = attributes{ContentType: w.contentType, CacheControl: w.cache, Disposition: w.disposition, Encoding: dropChunked(w.encoding), Language: w.language,
		Expires: w.expires, Redirect: w.redirect, Storage: w.storage}
	for k, v := range w.meta {
		if a.Meta == nil {
			a.Meta = map[string]string{}
		}
		size += len(k) + len(v)
		a.Meta[strings.ToLower(k)] = v
	}
	if size > 2<<10 {
		return a, invalid("MetadataTooLarge", "Your metadata headers have %d bytes, the most is 2048.", size)
	}
	if a.ContentType == "" {
		a.ContentType = "binary/octet-stream"
	}
	if a.Storage == "STANDARD" {
		a.Storage = ""
	}
	a.Tags, err = tagHeader(w.tagging)
	return a, err
}

// dropChunked takes aws-chunked out of Content-Encoding: it is how the body travels, not what it is.
func dropChunked(encoding string) string {
	var keep []string
	for _, e := range strings.Split(encoding, ",") {
		if e = strings.TrimSpace(e); e != "" && !strings.EqualFold(e, "aws-chunked") {
			keep = append(keep, e)
		}
	}
	return strings.Join(keep, ",")
}

// store writes a body under ref and checks it. What fails leaves nothing.
func (s *Service) store(ctx context.Context, ref key.Ref, v *verifier, contentMD5 string) (blob.Info, checksum, error) {
	var want []byte
	if contentMD5 != "" {
		var err error
		if want, err = base64.StdEncoding.DecodeString(contentMD5); err != nil || len(want) != 16 {
			return blob.Info{}, checksum{}, invalid("InvalidDigest", "The Content-MD5 you specified is not valid.")
		}
	}
	w, err := s.blobs.Create(ctx, ref)
	if err != nil {
		return blob.Info{}, checksum{}, keyError(err)
	}
	defer w.Abort()
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	if _, err := io.CopyBuffer(writeOnly{w}, contextReader{ctx, v}, *buf); errors.Is(err, io.ErrUnexpectedEOF) {
		return blob.Info{}, checksum{}, invalid("IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header.")
	} else if err != nil {
		return blob.Info{}, checksum{}, err
	}
	sum, err := v.sum()
	if err != nil {
		return blob.Info{}, checksum{}, err
	}
	info, err := w.Commit()
	if err != nil {
		return info, sum, err
	}
	if want != nil && string(want) != string(info.MD5[:]) {
		_ = s.blobs.Delete(ctx, info.ID) // if it stays, the sweep takes it: no record names it
		return info, sum, invalid("BadDigest", "The Content-MD5 you specified did not match what we received.")
	}
	return info, sum, nil
}

// PutObject stores an object.
func (s *Service) PutObject(ctx context.Context, in *api.PutObjectInput) (*api.PutObjectOutput, error) {
	if err := checkKey(in.Key); err != nil {
		return nil, err
	}
	if in.WriteOffsetBytes != nil {
		return nil, notImplemented("Appending is for directory buckets, which are not supported.")
	}
	if in.ContentLength != nil && *in.ContentLength > mostPut+mostPut/16 { // with room for the framing of aws-chunked
		return nil, invalid("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size of %d bytes.", int64(mostPut))
	}
	attr, err := written{string(in.ACL), []string{in.GrantFullControl, in.GrantRead, in.GrantReadACP, in.GrantWriteACP},
		[]string{string(in.ObjectLockMode), string(in.ObjectLockLegalHoldStatus), string(in.ObjectLockEventHold)},
		in.ContentType, in.CacheControl, in.ContentDisposition, in.ContentEncoding, in.ContentLanguage, in.Expires,
		in.WebsiteRedirectLocation, string(in.StorageClass), in.Tagging, in.Metadata}.attributes()
	if err != nil {
		return nil, err
	}
	v, err := newVerifier(in.Body, string(in.ChecksumAlgorithm), given(in), mostPut)
	if err != nil {
		return nil, err
	}
	cond := condition{in.IfMatch, in.IfNoneMatch}
	b, err := s.precheck(ctx, in.Bucket, in.Key, in.ExpectedBucketOwner, cond)
	if err != nil {
		return nil, err
	}
	var ref key.Ref
	attr.Encryption, ref, err = s.resolve(ctx, b, in.Key, asked{string(in.ServerSideEncryption), in.SSEKMSKeyId, in.SSEKMSEncryptionContext, in.BucketKeyEnabled,
		[]string{in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5}})
	if err != nil {
		return nil, err
	}
	info, sum, err := s.store(ctx, ref, v, in.ContentMD5)
	if err != nil {
		return nil, err
	}
	o := whole(in.Bucket, in.Key, info, sum, attr)
	if b, err = s.commit(ctx, o, cond, "PutObject"); err != nil {
		s.drop(ctx, info.ID, err)
		return nil, err
	}
	out := &api.PutObjectOutput{ETag: quote(o.ETag), VersionId: o.versionID(b)}
	o.Encryption.say(out)
	sum.say(out)
	return out, nil
}

// drop deletes a body whose commit failed, when the error says for sure that no record names it: a condition that did not hold. After any other
// error the batch may yet be found committed at the next start; then the record needs its body, and else the sweep takes it.
func (s *Service) drop(ctx context.Context, id blob.ID, err error) {
	switch errs.CodeOf(err) {
	case errs.Precondition, errs.NotFound, errs.Conflict, errs.Invalid, errs.Unsupported:
		_ = s.blobs.Delete(context.WithoutCancel(ctx), id) // if it stays, the sweep takes it
	}
}

// whole is an object whose body is one blob.
func whole(bucket, key string, info blob.Info, sum checksum, attr attributes) *object {
	if attr.Encryption.Algorithm == sseKMS && attr.Encryption.Key == "" {
		attr.Encryption.Key = info.KeyARN
	}
	return &object{Bucket: bucket, Key: key, Size: info.Size, ETag: hex.EncodeToString(info.MD5[:]), Blob: info.ID, Checksum: sum, attributes: attr}
}

func quote(etag string) string { return `"` + etag + `"` }

// precheck fails early what would fail at the commit, before the body is read.
func (s *Service) precheck(ctx context.Context, name, key, owner string, c condition) (b *bucket, err error) {
	err = s.view(ctx, func(v record.View) error {
		if b, err = s.getBucket(v, name, owner); err != nil {
			return err
		}
		cur, err := current(v, name, key)
		if err != nil {
			return err
		}
		return c.check(cur)
	})
	return b, err
}

// commit makes o the current version of its key, in one batch with what happens to the version before it and with the event.
func (s *Service) commit(ctx context.Context, o *object, c condition, reason string, also ...func(record.Tx) error) (b *bucket, err error) {
	gate := s.gate(o.Bucket)
	gate.RLock()
	defer gate.RUnlock()
	err = s.update(ctx, "object/"+o.name(), func(tx record.Tx) error {
		if b, err = s.getBucket(tx, o.Bucket, ""); err != nil {
			return err
		}
		if own := o.Encryption.own; own != "" && own != b.Own { // another bucket of this name: the body's is gone, with its key
			return noSuchBucket(o.Bucket)
		}
		cur, err := current(tx, o.Bucket, o.Key)
		if err != nil {
			return err
		}
		if err := c.check(cur); err != nil {
			return err
		}
		for _, f := range also {
			if err := f(tx); err != nil {
				return err
			}
		}
		if err := s.succeed(tx, b, cur, o); err != nil {
			return err
		}
		if err := objects.Put(tx, o.name(), o); err != nil {
			return err
		}
		return s.created(ctx, tx, b, o, reason)
	})
	return b, err
}

// succeed gives o, an object or a marker, its place in front of the versions of its key and puts the one before it aside.
func (s *Service) succeed(tx record.Tx, b *bucket, cur *object, o *object) error {
	o.Modified, o.Version = tx.Time().Truncate(time.Second), ""
	newest := cur
	if b.Versioning != "" && cur == nil {
		list, err := older(tx.Query, o.Bucket, o.Key, 1)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			newest = list[0]
		}
	}
	o.Order = order(tx.Time(), newest)
	if b.Versioning == string(api.BucketVersioningStatusEnabled) {
		o.Version = randomID()
	}
	if cur != nil {
		if b.Versioning == "" || cur.Version == "" && o.Version == "" { // it is replaced
			return s.discard(tx, cur)
		}
		if err := versions.Put(tx, versionRecord(cur.Bucket, cur.Key, cur.Version), cur); err != nil {
			return err
		}
	}
	if b.Versioning != "" && o.Version == "" { // a null version replaces the null version before it, wherever that is
		id := versionRecord(o.Bucket, o.Key, "")
		null, _, err := versions.Get(tx, id)
		if absent(err) {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.discard(tx, null); err != nil || o.Marker { // a marker is written over it
			return err
		}
		return tx.Purge(versions.Name, id)
	}
	return nil
}
