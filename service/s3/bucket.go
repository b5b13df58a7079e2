package s3

import (
	"context"
	"encoding/base64"
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// bucket is what is kept of a bucket.
type bucket struct {
	Name       string      `json:"name"`
	Created    time.Time   `json:"created"`
	Versioning string      `json:"versioning,omitempty"` // "", Enabled or Suspended
	Policy     string      `json:"policy,omitempty"`
	Block      publicBlock `json:"block"`
	Encryption encryption  `json:"encryption"`
	// Own is the ARN of the key that bodies are under for which the caller names none. It is destroyed with the bucket. "" = the account's: a bucket from before there were such keys.
	Own  string            `json:"own,omitempty"`
	Tags map[string]string `json:"tags,omitempty"`
	// EventBridge says that changes of objects become events.
	EventBridge bool `json:"eventBridge,omitempty"`
}

var buckets = record.Kind[bucket]{Name: "s3.bucket", Volatile: true, Single: []string{"name"}, Indexes: record.Indexes[bucket]{
	record.ByString("name", func(b *bucket) string { return b.Name }),
}}

func (b *bucket) arn() string { return "arn:aws:s3:::" + b.Name }

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// checkBucketName holds S3's naming rules for general purpose buckets.
func checkBucketName(name string) error {
	ok := bucketName.MatchString(name) && !strings.Contains(name, "..") && !strings.HasPrefix(name, "xn--") && !strings.HasPrefix(name, "sthree-") && name != controlBucket &&
		!strings.HasSuffix(name, "-s3alias") && !strings.HasSuffix(name, "--ol-s3")
	if ok {
		if a, err := netip.ParseAddr(name); err == nil && a.Is4() {
			ok = false
		}
	}
	if !ok {
		return invalid("InvalidBucketName", "The specified bucket is not valid: %s", name)
	}
	return nil
}

// getBucket reads a bucket; owner is the caller's ExpectedBucketOwner, "" when it does not mind.
func (s *Service) getBucket(g record.Getter, name, owner string) (*bucket, error) {
	b, _, err := buckets.Get(g, name)
	if absent(err) {
		return nil, noSuchBucket(name)
	} else if err != nil {
		return nil, err
	}
	if owner != "" && owner != s.cfg.Account {
		return nil, errs.Named(errs.Denied, "AccessDenied", "The bucket is not owned by account %s.", owner)
	}
	return b, nil
}

// bucket reads a bucket from the newest state.
func (s *Service) bucket(ctx context.Context, name, owner string) (b *bucket, err error) {
	err = s.view(ctx, func(v record.View) error {
		b, err = s.getBucket(v, name, owner)
		return err
	})
	return b, err
}

// changeBucket changes a bucket between two commits of objects.
func (s *Service) changeBucket(ctx context.Context, name, owner string, fn func(*bucket) error) error {
	gate := s.gate(name)
	gate.Lock()
	defer gate.Unlock()
	return s.update(ctx, "bucket/"+name, func(tx record.Tx) error {
		b, err := s.getBucket(tx, name, owner)
		if err != nil {
			return err
		}
		if err := fn(b); err != nil {
			return err
		}
		return buckets.Put(tx, name, b)
	})
}

// CreateBucket makes a bucket: private, without ACLs, public access blocked, encrypted under a key of its own.
func (s *Service) CreateBucket(ctx context.Context, in *api.CreateBucketInput) (*api.CreateBucketOutput, error) {
	if err := checkBucketName(in.Bucket); err != nil {
		return nil, err
	}
	b := &bucket{Name: in.Bucket, Block: publicBlock{true, true, true, true}, Encryption: encryption{Algorithm: sseOwn}}
	if c := in.CreateBucketConfiguration; c != nil {
		if l := string(c.LocationConstraint); l != "" && l != s.cfg.Region {
			return nil, invalid("IllegalLocationConstraintException", "The %s location constraint is incompatible for the region specific endpoint this request was sent to: it is %s.", l, s.cfg.Region)
		}
		if c.Location != nil || c.Bucket != nil {
			return nil, notImplemented("Directory buckets are not supported.")
		}
		var err error
		if b.Tags, err = tagSet(c.Tags, mostBucketTags); err != nil {
			return nil, err
		}
	}
	if in.ACL != "" && in.ACL != api.BucketCannedACLPrivate || anyGrant(in.GrantFullControl, in.GrantRead, in.GrantReadACP, in.GrantWrite, in.GrantWriteACP) {
		return nil, noACL()
	}
	if in.ObjectOwnership != "" && in.ObjectOwnership != api.ObjectOwnershipBucketOwnerEnforced {
		return nil, notImplemented("Object ownership %s is not supported: buckets have no ACLs (BucketOwnerEnforced).", in.ObjectOwnership)
	}
	if aws.Val(in.ObjectLockEnabledForBucket) {
		return nil, notImplemented("Object lock is not supported.")
	}
	if _, err := s.bucket(ctx, b.Name, ""); err == nil {
		return nil, already()
	} else if !absent(err) {
		return nil, err
	}
	var err error
	if b.Own, err = s.cfg.Keys.CreateOwned(ctx, "s3/"+b.Name); err != nil {
		return nil, err
	}
	err = s.update(ctx, "bucket/"+b.Name, func(tx record.Tx) error {
		if _, _, err := buckets.Get(tx, b.Name); err == nil {
			return already()
		} else if !absent(err) {
			return err
		}
		b.Created = tx.Time().Truncate(time.Second)
		return buckets.Put(tx, b.Name, b)
	})
	if err != nil {
		switch errs.CodeOf(err) {
		case errs.Conflict: // no bucket has it; after any other error the batch may yet be found committed, and a key too many holds nothing
			err = errors.Join(err, s.cfg.Keys.DestroyOwned(context.WithoutCancel(ctx), b.Own))
		}
		return nil, err
	}
	return &api.CreateBucketOutput{Location: "/" + b.Name, BucketArn: b.arn()}, nil
}

func already() error {
	return errs.Named(errs.Conflict, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.")
}

func anyGrant(headers ...string) bool { return strings.Join(headers, "") != "" }

func noACL() error {
	return invalid("AccessControlListNotSupported", "The bucket does not allow ACLs")
}

// HeadBucket tells that a bucket is there.
func (s *Service) HeadBucket(ctx context.Context, in *api.HeadBucketInput) (*api.HeadBucketOutput, error) {
	if _, err := s.bucket(ctx, in.Bucket, in.ExpectedBucketOwner); err != nil {
		return nil, err
	}
	return &api.HeadBucketOutput{BucketRegion: s.cfg.Region, AccessPointAlias: aws.Ptr(false)}, nil
}

// GetBucketLocation tells a bucket's region; us-east-1 is told as nothing.
func (s *Service) GetBucketLocation(ctx context.Context, in *api.GetBucketLocationInput) (*api.GetBucketLocationOutput, error) {
	if _, err := s.bucket(ctx, in.Bucket, in.ExpectedBucketOwner); err != nil {
		return nil, err
	}
	out := &api.GetBucketLocationOutput{}
	if s.cfg.Region != "us-east-1" {
		out.LocationConstraint = api.BucketLocationConstraint(s.cfg.Region)
	}
	return out, nil
}

// DeleteBucket removes an empty bucket; its unfinished uploads go with it, and its own key: what a disk keeps of its bodies is noise from then on.
func (s *Service) DeleteBucket(ctx context.Context, in *api.DeleteBucketInput) (*api.DeleteBucketOutput, error) {
	for {
		open, err := s.deleteBucket(ctx, in.Bucket, in.ExpectedBucketOwner)
		if err != nil {
			return nil, err
		}
		if len(open) == 0 {
			return &api.DeleteBucketOutput{}, nil
		}
		for _, id := range open { // outside of the bucket's gate: an upload's gate comes before it
			if err := s.abort(ctx, id); err != nil && !absent(err) {
				return nil, err
			}
		}
	}
}

// deleteBucket removes a bucket without uploads in progress; else it returns them.
func (s *Service) deleteBucket(ctx context.Context, name, owner string) (open []string, err error) {
	gate := s.gate(name)
	gate.Lock()
	defer gate.Unlock()
	var b *bucket
	err = s.view(ctx, func(v record.View) (err error) {
		if b, err = s.getBucket(v, name, owner); err != nil {
			return err
		}
		for _, kind := range []string{objects.Name, versions.Name} {
			if hit, err := newNames(ctx, v, kind, name, "").next(); err != nil {
				return err
			} else if hit != nil {
				return errs.Named(errs.Conflict, "BucketNotEmpty", "The bucket you tried to delete is not empty")
			}
		}
		for n := newNames(ctx, v, uploads.Name, name, ""); ; {
			hit, err := n.next()
			if hit == nil || err != nil {
				return err
			}
			open = append(open, hit.ID)
		}
	})
	if err != nil || len(open) > 0 {
		return open, err
	}
	if err := s.update(ctx, "bucket/"+name, func(tx record.Tx) error {
		if b.Own != "" {
			if err := garbages.Put(tx, b.Own, &garbage{Key: b.Own, Since: tx.Time()}); err != nil {
				return err
			}
		}
		return tx.Purge(buckets.Name, name)
	}); err != nil || b.Own == "" {
		return nil, err
	}
	// At once, whatever becomes of the caller; what is cut off here is done by Clean.
	return nil, s.cleanAll(context.WithoutCancel(ctx), []garbage{{Key: b.Own}})
}

// ListBuckets lists the account's buckets by name.
func (s *Service) ListBuckets(ctx context.Context, in *api.ListBucketsInput) (*api.ListBucketsOutput, error) {
	most := 10_000
	if in.MaxBuckets != nil {
		most = int(*in.MaxBuckets)
	}
	if most < 1 || most > 10_000 {
		return nil, invalid("InvalidArgument", "max-buckets is %d; it must be between 1 and 10000.", most)
	}
	after, err := base64.RawURLEncoding.DecodeString(in.ContinuationToken)
	if err != nil {
		return nil, invalid("InvalidArgument", "The continuation token provided is incorrect.")
	}
	out := &api.ListBucketsOutput{Buckets: []api.Bucket{}, Owner: s.owner(), Prefix: in.Prefix}
	if in.BucketRegion != "" && in.BucketRegion != s.cfg.Region {
		return out, nil
	}
	where := record.Range{Index: "name"}
	if low := max(in.Prefix, string(after)); low != "" {
		where.Low, where.LowOpen = record.String(low), low == string(after)
	}
	if high := successor(in.Prefix); high != "" {
		where.High, where.HighOpen = record.String(high), true
	}
	err = s.view(ctx, func(v record.View) error {
		p, err := v.Query(ctx, record.Query{Kind: buckets.Name, Where: where, Order: []record.Order{{Index: "name"}}, Limit: most})
		if err != nil {
			return err
		}
		for _, h := range p.Hits {
			b, err := buckets.Decode(h.Body)
			if err != nil {
				return err
			}
			out.Buckets = append(out.Buckets, api.Bucket{Name: b.Name, CreationDate: b.Created, BucketRegion: s.cfg.Region, BucketArn: b.arn()})
		}
		if p.Next != "" && len(out.Buckets) > 0 {
			out.ContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(out.Buckets[len(out.Buckets)-1].Name))
		}
		return nil
	})
	return out, err
}
