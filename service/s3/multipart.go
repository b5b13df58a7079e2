package s3

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's ETag
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

const (
	mostParts = 10_000
	leastPart = 5 << 20 // of all but the last
)

// upload is a multipart upload in progress.
type upload struct {
	ID        string    `json:"id"`
	Bucket    string    `json:"bucket"`
	Key       string    `json:"key"`
	Initiated time.Time `json:"initiated"`
	Initiator string    `json:"initiator"`
	Algorithm string    `json:"algorithm"` // of the checksum
	Type      string    `json:"type"`      // of the checksum
	Said      bool      `json:"said"`      // the caller chose the checksum
	attributes
}

var uploads = record.Kind[upload]{Name: "s3.upload", Volatile: true, Single: []string{"name"}, Indexes: record.Indexes[upload]{
	record.ByString("name", func(u *upload) string { return u.Bucket + "/" + u.Key + "\x00" + u.ID }),
}}

// part is one part of an upload.
type part struct {
	Upload   string    `json:"upload"`
	Number   int       `json:"number"`
	Blob     blob.ID   `json:"blob"`
	Size     int64     `json:"size"`
	ETag     string    `json:"etag"`
	Modified time.Time `json:"modified"`
	Checksum checksum  `json:"checksum"`
}

var parts = record.Kind[part]{Name: "s3.part", Volatile: true, Single: []string{"upload"}, Indexes: record.Indexes[part]{
	record.ByString("upload", func(p *part) string { return partRecord(p.Upload, p.Number) }),
	record.ByToken("blob", func(p *part) string { return string(p.Blob) }),
}}

func partRecord(upload string, number int) string { return fmt.Sprintf("%s/%05d", upload, number) }

// manifest lists the parts of a multipart object. Completing an upload moves no bytes.
type manifest struct {
	Parts []manifestPart `json:"parts"`
}

type manifestPart struct {
	Number   int     `json:"number"`
	Blob     blob.ID `json:"blob"`
	Size     int64   `json:"size"`
	Checksum string  `json:"checksum,omitempty"`
}

var manifests = record.Kind[manifest]{Name: "s3.manifest", Volatile: true, Indexes: record.Indexes[manifest]{
	{Name: "blob", Values: func(m *manifest) []record.Value {
		out := make([]record.Value, len(m.Parts))
		for i, p := range m.Parts {
			out[i] = record.Token("", string(p.Blob))
		}
		return out
	}},
}}

func (s *Service) manifest(ctx context.Context, id string) (m *manifest, err error) {
	err = s.view(ctx, func(v record.View) error {
		m, _, err = manifests.Get(v, id)
		return err
	})
	return m, err
}

// getUpload reads an upload in progress of this bucket and key.
func getUpload(g record.Getter, bucket, key, id string) (*upload, error) {
	u, _, err := uploads.Get(g, id)
	if absent(err) || err == nil && (u.Bucket != bucket || u.Key != key) {
		return nil, noSuchUpload()
	}
	return u, err
}

// checksumOf decides how an upload is summed up.
func checksumOf(algorithm, kind string) (string, string, error) {
	if algorithm == "" {
		if kind != "" {
			return "", "", invalid("InvalidRequest", "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
		return defaultAlgorithm, fullObject, nil
	}
	a, ok := algorithms[algorithm]
	switch {
	case !ok:
		return "", "", invalid("InvalidRequest", "Checksum algorithm provided is unsupported: %s", algorithm)
	case kind == "" && algorithm == defaultAlgorithm:
		return algorithm, fullObject, nil
	case kind == "":
		return algorithm, composite, nil
	case kind == fullObject && a.poly == 0, kind == composite && algorithm == defaultAlgorithm:
		return "", "", invalid("InvalidRequest", "The %s checksum type cannot be used with the %s checksum algorithm.", kind, algorithm)
	}
	return algorithm, kind, nil
}

// CreateMultipartUpload begins an upload in parts.
func (s *Service) CreateMultipartUpload(ctx context.Context, in *api.CreateMultipartUploadInput) (*api.CreateMultipartUploadOutput, error) {
	if err := checkKey(in.Key); err != nil {
		return nil, err
	}
	attr, err := written{string(in.ACL), []string{in.GrantFullControl, in.GrantRead, in.GrantReadACP, in.GrantWriteACP},
		[]string{string(in.ObjectLockMode), string(in.ObjectLockLegalHoldStatus), string(in.ObjectLockEventHold)},
		in.ContentType, in.CacheControl, in.ContentDisposition, in.ContentEncoding, in.ContentLanguage, in.Expires,
		in.WebsiteRedirectLocation, string(in.StorageClass), in.Tagging, in.Metadata}.attributes()
	if err != nil {
		return nil, err
	}
	u := &upload{Bucket: in.Bucket, Key: in.Key, Initiator: callerARN(ctx), Said: in.ChecksumAlgorithm != "", attributes: attr}
	if u.Algorithm, u.Type, err = checksumOf(string(in.ChecksumAlgorithm), string(in.ChecksumType)); err != nil {
		return nil, err
	}
	b, err := s.bucket(ctx, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	u.Encryption, _, err = s.resolve(ctx, b, in.Key, asked{string(in.ServerSideEncryption), in.SSEKMSKeyId, in.SSEKMSEncryptionContext, in.BucketKeyEnabled,
		[]string{in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5}})
	if err != nil {
		return nil, err
	}
	gate := s.gate(in.Bucket)
	gate.RLock()
	defer gate.RUnlock()
	err = s.update(ctx, "uploads of "+in.Bucket+"/"+in.Key, func(tx record.Tx) error {
		if _, err := s.getBucket(tx, in.Bucket, ""); err != nil {
			return err
		}
		u.Initiated = tx.Time().Truncate(time.Second)
		u.ID = fmt.Sprintf("%016x", tx.Time().UnixMicro()) + randomID() // uploads of a key are listed in the order of their beginning
		return uploads.Put(tx, u.ID, u)
	})
	if err != nil {
		return nil, err
	}
	out := &api.CreateMultipartUploadOutput{Bucket: u.Bucket, Key: u.Key, UploadId: u.ID}
	if u.Said {
		out.ChecksumAlgorithm, out.ChecksumType = api.ChecksumAlgorithm(u.Algorithm), api.ChecksumType(u.Type)
	}
	u.Encryption.say(out)
	return out, nil
}

// openUpload reads an upload and decides anew whether the caller may use its key.
func (s *Service) openUpload(ctx context.Context, name, objectKey, id, owner string, number int32) (u *upload, ref key.Ref, err error) {
	if number < 1 || number > mostParts {
		return nil, ref, invalid("InvalidArgument", "Part number must be an integer between 1 and %d, inclusive", mostParts)
	}
	var b *bucket
	err = s.view(ctx, func(v record.View) error {
		if b, err = s.getBucket(v, name, owner); err != nil {
			return err
		}
		u, err = getUpload(v, name, objectKey, id)
		return err
	})
	if err != nil {
		return nil, ref, err
	}
	ref = key.Ref{Key: b.Own, Context: u.Encryption.bound(b, objectKey)}
	if u.Encryption.Customer {
		ref.Key, err = s.mayUse(ctx, "kms:GenerateDataKey", u.Encryption.Key, ref.Context)
	}
	return u, ref, err
}

// UploadPart stores a part; a part with the same number is replaced.
func (s *Service) UploadPart(ctx context.Context, in *api.UploadPartInput) (*api.UploadPartOutput, error) {
	if anyGrant(in.SSECustomerAlgorithm, in.SSECustomerKey) {
		return nil, invalid("InvalidRequest", "The multipart upload initiate did not ask for customer-provided keys.")
	}
	u, ref, err := s.openUpload(ctx, in.Bucket, in.Key, in.UploadId, in.ExpectedBucketOwner, in.PartNumber)
	if err != nil {
		return nil, err
	}
	want := given(in)
	for name := range want {
		if u.Said && name != u.Algorithm {
			return nil, invalid("InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s", u.Algorithm, name)
		}
	}
	v, err := newVerifier(in.Body, u.Algorithm, want, mostPut)
	if err != nil {
		return nil, err
	}
	p, err := s.storePart(ctx, u, ref, int(in.PartNumber), v, in.ContentMD5)
	if err != nil {
		return nil, err
	}
	out := &api.UploadPartOutput{ETag: quote(p.ETag)}
	if u.Said || len(want) == 0 {
		p.Checksum.say(out)
	}
	for name, value := range want {
		checksum{Algorithm: name, Value: value}.say(out)
	}
	u.Encryption.say(out)
	return out, nil
}

func (s *Service) storePart(ctx context.Context, u *upload, ref key.Ref, number int, v *verifier, contentMD5 string) (*part, error) {
	info, sum, err := s.store(ctx, ref, v, contentMD5)
	if err != nil {
		return nil, err
	}
	p := &part{Upload: u.ID, Number: number, Blob: info.ID, Size: info.Size, ETag: hex.EncodeToString(info.MD5[:]), Checksum: sum}
	id := partRecord(u.ID, number)
	gate := s.uploadGate(u.ID)
	gate.RLock()
	defer gate.RUnlock()
	err = s.update(ctx, "part/"+id, func(tx record.Tx) error {
		if _, err := getUpload(tx, u.Bucket, u.Key, u.ID); err != nil { // completed or aborted meanwhile
			return err
		}
		old, _, err := parts.Get(tx, id)
		switch {
		case err == nil:
			if err := discardBlob(tx, old.Blob); err != nil {
				return err
			}
		case !absent(err):
			return err
		}
		p.Modified = tx.Time().Truncate(time.Second)
		return parts.Put(tx, id, p)
	})
	if err != nil {
		s.drop(ctx, info.ID, err)
	}
	return p, err
}

// UploadPartCopy makes a part from an object or a range of it.
func (s *Service) UploadPartCopy(ctx context.Context, in *api.UploadPartCopyInput) (*api.UploadPartCopyOutput, error) {
	u, ref, err := s.openUpload(ctx, in.Bucket, in.Key, in.UploadId, in.ExpectedBucketOwner, in.PartNumber)
	if err != nil {
		return nil, err
	}
	f, _, err := s.openSource(ctx, in.CopySource, in.ExpectedSourceBucketOwner,
		preconditions{in.CopySourceIfMatch, in.CopySourceIfNoneMatch, in.CopySourceIfModifiedSince, in.CopySourceIfUnmodifiedSince})
	if err != nil {
		return nil, err
	}
	sec, err := copyRange(in.CopySourceRange, f.Size)
	if err != nil {
		return nil, err
	}
	body, err := s.read(ctx, f.object, sec.from, sec.to-sec.from)
	if err != nil {
		return nil, keyError(err)
	}
	defer body.Close() //nolint:errcheck // only read
	v, err := newVerifier(body, u.Algorithm, nil, mostPut)
	if err != nil {
		return nil, err
	}
	p, err := s.storePart(ctx, u, ref, int(in.PartNumber), v, "")
	if err != nil {
		return nil, err
	}
	out := &api.UploadPartCopyOutput{CopyPartResult: &api.CopyPartResult{ETag: quote(p.ETag), LastModified: p.Modified}, CopySourceVersionId: f.versionID(f.bucket)}
	p.Checksum.say(out.CopyPartResult)
	u.Encryption.say(out)
	return out, nil
}

// partsOf reads the parts of an upload in order, at most n after a number.
func partsOf(query func(record.Query) (*record.Page, error), id string, after, n int) (list []part, more bool, err error) {
	q := record.Query{Kind: parts.Name, Order: []record.Order{{Index: "upload"}}, Limit: min(n, mostParts),
		Where: record.Range{Index: "upload", Low: record.String(partRecord(id, after)), LowOpen: true, High: record.String(id + "0"), HighOpen: true}}
	p, err := query(q)
	if err != nil {
		return nil, false, err
	}
	for _, h := range p.Hits {
		one, err := parts.Decode(h.Body)
		if err != nil {
			return nil, false, err
		}
		list = append(list, *one)
	}
	return list, p.Next != "", nil
}

// AbortMultipartUpload ends an upload and forgets its parts.
func (s *Service) AbortMultipartUpload(ctx context.Context, in *api.AbortMultipartUploadInput) (*api.AbortMultipartUploadOutput, error) {
	err := s.view(ctx, func(v record.View) error {
		if _, err := s.getBucket(v, in.Bucket, in.ExpectedBucketOwner); err != nil {
			return err
		}
		u, err := getUpload(v, in.Bucket, in.Key, in.UploadId)
		if err == nil && !in.IfMatchInitiatedTime.IsZero() && !in.IfMatchInitiatedTime.Truncate(time.Second).Equal(u.Initiated) {
			return preconditionFailed("x-amz-if-match-initiated-time")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.AbortMultipartUploadOutput{}, s.abort(ctx, in.UploadId)
}

func (s *Service) abort(ctx context.Context, id string) error {
	gate := s.uploadGate(id)
	gate.Lock()
	defer gate.Unlock()
	return s.update(ctx, "upload/"+id, func(tx record.Tx) error {
		if _, _, err := uploads.Get(tx, id); absent(err) {
			return noSuchUpload()
		} else if err != nil {
			return err
		}
		return s.endUpload(tx, id, nil)
	})
}

// endUpload forgets an upload and its parts; the bodies of those in kept live on.
func (s *Service) endUpload(tx record.Tx, id string, kept map[blob.ID]bool) error {
	list, _, err := partsOf(tx.Query, id, 0, mostParts)
	if err != nil {
		return err
	}
	for _, p := range list {
		if !kept[p.Blob] {
			if err := discardBlob(tx, p.Blob); err != nil {
				return err
			}
		}
		if err := tx.Purge(parts.Name, partRecord(id, p.Number)); err != nil {
			return err
		}
	}
	return tx.Purge(uploads.Name, id)
}

// CompleteMultipartUpload makes an object of parts. Asking again for what was completed gives the same answer.
func (s *Service) CompleteMultipartUpload(ctx context.Context, in *api.CompleteMultipartUploadInput) (*api.CompleteMultipartUploadOutput, error) {
	gate := s.uploadGate(in.UploadId)
	gate.Lock()
	defer gate.Unlock()
	var u *upload
	var have []part
	var again *object
	err := s.view(ctx, func(v record.View) (err error) {
		if _, err = s.getBucket(v, in.Bucket, in.ExpectedBucketOwner); err != nil {
			return err
		}
		if u, err = getUpload(v, in.Bucket, in.Key, in.UploadId); err != nil {
			if cur, e := current(v, in.Bucket, in.Key); e == nil && cur != nil && cur.Upload == in.UploadId {
				again = cur
				return nil
			}
			return err
		}
		have, _, err = partsOf(func(q record.Query) (*record.Page, error) { return v.Query(ctx, q) }, u.ID, 0, mostParts)
		return err
	})
	if err != nil {
		return nil, err
	}
	if again != nil {
		b, err := s.bucket(ctx, in.Bucket, "")
		if err != nil {
			return nil, err
		}
		return completed(again, b), nil
	}
	o, m, err := assemble(u, have, in)
	if err != nil {
		return nil, err
	}
	kept := map[blob.ID]bool{}
	for _, p := range m.Parts {
		kept[p.Blob] = true
	}
	b, err := s.commit(ctx, o, condition{in.IfMatch, in.IfNoneMatch}, "CompleteMultipartUpload",
		func(tx record.Tx) error { return manifests.Put(tx, o.Manifest, m) },
		func(tx record.Tx) error { return s.endUpload(tx, u.ID, kept) })
	if err != nil {
		return nil, err
	}
	return completed(o, b), nil
}

func completed(o *object, b *bucket) *api.CompleteMultipartUploadOutput {
	out := &api.CompleteMultipartUploadOutput{Location: "/" + o.name(), Bucket: o.Bucket, Key: o.Key, ETag: quote(o.ETag), VersionId: o.versionID(b)}
	o.Checksum.say(out)
	o.Encryption.say(out)
	return out
}

// assemble checks the caller's list of parts against what was uploaded and makes the object.
func assemble(u *upload, have []part, in *api.CompleteMultipartUploadInput) (*object, *manifest, error) {
	if in.MultipartUpload == nil || len(in.MultipartUpload.Parts) == 0 {
		return nil, nil, invalid("MalformedXML", "You must specify at least one part")
	}
	byNumber := make(map[int]part, len(have))
	for _, p := range have {
		byNumber[p.Number] = p
	}
	o := &object{Bucket: u.Bucket, Key: u.Key, Manifest: u.ID, Upload: u.ID, Parts: len(in.MultipartUpload.Parts), attributes: u.attributes}
	m := &manifest{}
	sums := make([]partSum, 0, o.Parts)
	etag := md5.New() //nolint:gosec // the contract's
	for i, want := range in.MultipartUpload.Parts[1:] {
		if aws.Val(want.PartNumber) <= aws.Val(in.MultipartUpload.Parts[i].PartNumber) {
			return nil, nil, invalid("InvalidPartOrder", "The list of parts was not in ascending order. The parts list must be specified in order by part number.")
		}
	}
	for i, want := range in.MultipartUpload.Parts {
		n := int(aws.Val(want.PartNumber))
		p, ok := byNumber[n]
		if !ok || !etagIn(want.ETag, p.ETag) {
			return nil, nil, invalid("InvalidPart", "One or more of the specified parts could not be found. The part might not have been uploaded, or the specified entity tag might not have matched the part's entity tag: %d", n)
		}
		for name, value := range given(&want) {
			if name == p.Checksum.Algorithm && value != p.Checksum.Value {
				return nil, nil, invalid("InvalidPart", "The %s checksum of part %d is not the one that was uploaded.", name, n)
			}
		}
		if p.Size < leastPart && i < o.Parts-1 {
			return nil, nil, invalid("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size: part %d has %d bytes", n, p.Size)
		}
		raw, err := hex.DecodeString(p.ETag)
		if err != nil {
			return nil, nil, errs.Wrap(errs.Corrupt, err, "part %d of the upload has no ETag", n)
		}
		_, _ = etag.Write(raw) // hashes do not fail
		o.Size += p.Size
		m.Parts = append(m.Parts, manifestPart{n, p.Blob, p.Size, p.Checksum.Value})
		sums = append(sums, partSum{p.Checksum.Value, p.Size})
	}
	if in.MpuObjectSize != nil && *in.MpuObjectSize != o.Size {
		return nil, nil, invalid("InvalidRequest", "The provided 'x-amz-mp-object-size' header value %d does not match what was computed: %d", *in.MpuObjectSize, o.Size)
	}
	if in.ChecksumType != "" && u.Said && string(in.ChecksumType) != u.Type {
		return nil, nil, invalid("InvalidRequest", "The upload was created using the %s checksum mode. The complete request must use the same checksum mode.", u.Type)
	}
	o.ETag = hex.EncodeToString(etag.Sum(nil)) + "-" + strconv.Itoa(o.Parts)
	var err error
	if o.Checksum, err = combine(u.Algorithm, u.Type, sums); err != nil {
		return nil, nil, err
	}
	for name, value := range given(in) {
		if name == o.Checksum.Algorithm && value != o.Checksum.Value && (u.Type == fullObject || value+"-"+strconv.Itoa(o.Parts) != o.Checksum.Value) {
			return nil, nil, invalid("BadDigest", "The %s you specified did not match the calculated checksum.", name)
		}
	}
	return o, m, nil
}
