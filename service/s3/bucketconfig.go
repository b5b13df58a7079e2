package s3

import (
	"context"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
)

// GetBucketVersioning tells whether a bucket keeps versions.
func (s *Service) GetBucketVersioning(ctx context.Context, in *api.GetBucketVersioningInput) (*api.GetBucketVersioningOutput, error) {
	b, err := s.bucket(ctx, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	return &api.GetBucketVersioningOutput{Status: api.BucketVersioningStatus(b.Versioning)}, nil
}

// PutBucketVersioning turns versions on, or suspends them.
func (s *Service) PutBucketVersioning(ctx context.Context, in *api.PutBucketVersioningInput) (*api.PutBucketVersioningOutput, error) {
	c := in.VersioningConfiguration
	if c.MFADelete == api.MFADeleteEnabled {
		return nil, notImplemented("MFA delete is not supported.")
	}
	if c.Status != api.BucketVersioningStatusEnabled && c.Status != api.BucketVersioningStatusSuspended {
		return nil, invalid("IllegalVersioningConfigurationException", "The Versioning element must be specified")
	}
	return &api.PutBucketVersioningOutput{}, s.changeBucket(ctx, in.Bucket, in.ExpectedBucketOwner, func(b *bucket) error {
		b.Versioning = string(c.Status)
		return nil
	})
}

// GetBucketTagging returns a bucket's tags.
func (s *Service) GetBucketTagging(ctx context.Context, in *api.GetBucketTaggingInput) (*api.GetBucketTaggingOutput, error) {
	b, err := s.bucket(ctx, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	if len(b.Tags) == 0 {
		return nil, errs.Named(errs.NotFound, "NoSuchTagSet", "The TagSet does not exist")
	}
	return &api.GetBucketTaggingOutput{TagSet: tagList(b.Tags)}, nil
}

// PutBucketTagging replaces a bucket's tags.
func (s *Service) PutBucketTagging(ctx context.Context, in *api.PutBucketTaggingInput) (*api.PutBucketTaggingOutput, error) {
	tags, err := tagSet(in.Tagging.TagSet, mostBucketTags)
	if err != nil {
		return nil, err
	}
	return &api.PutBucketTaggingOutput{}, s.changeBucket(ctx, in.Bucket, in.ExpectedBucketOwner, func(b *bucket) error {
		b.Tags = tags
		return nil
	})
}

// DeleteBucketTagging removes a bucket's tags.
func (s *Service) DeleteBucketTagging(ctx context.Context, in *api.DeleteBucketTaggingInput) (*api.DeleteBucketTaggingOutput, error) {
	return &api.DeleteBucketTaggingOutput{}, s.changeBucket(ctx, in.Bucket, in.ExpectedBucketOwner, func(b *bucket) error {
		b.Tags = nil
		return nil
	})
}

// GetBucketEncryption returns how objects are encrypted when their writer says nothing.
func (s *Service) GetBucketEncryption(ctx context.Context, in *api.GetBucketEncryptionInput) (*api.GetBucketEncryptionOutput, error) {
	b, err := s.bucket(ctx, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	return &api.GetBucketEncryptionOutput{ServerSideEncryptionConfiguration: &api.ServerSideEncryptionConfiguration{Rules: []api.ServerSideEncryptionRule{{
		ApplyServerSideEncryptionByDefault: &api.ServerSideEncryptionByDefault{SSEAlgorithm: api.ServerSideEncryption(b.Encryption.Algorithm), KMSMasterKeyID: b.Encryption.Key},
		BucketKeyEnabled:                   aws.Ptr(b.Encryption.BucketKey),
	}}}}, nil
}

// PutBucketEncryption sets the default encryption. Who may use the key is decided at each use.
func (s *Service) PutBucketEncryption(ctx context.Context, in *api.PutBucketEncryptionInput) (*api.PutBucketEncryptionOutput, error) {
	rules := in.ServerSideEncryptionConfiguration.Rules
	if len(rules) != 1 || rules[0].ApplyServerSideEncryptionByDefault == nil {
		return nil, invalid("MalformedXML", "One rule with ApplyServerSideEncryptionByDefault is needed.")
	}
	d := rules[0].ApplyServerSideEncryptionByDefault
	e := encryption{Algorithm: string(d.SSEAlgorithm), Key: d.KMSMasterKeyID, BucketKey: aws.Val(rules[0].BucketKeyEnabled)}
	switch {
	case e.Algorithm != sseOwn && e.Algorithm != sseKMS:
		return nil, notImplemented("Encryption %s is not supported; use AES256 or aws:kms.", e.Algorithm)
	case e.Algorithm == sseOwn && e.Key != "":
		return nil, invalid("InvalidArgument", "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms")
	}
	return &api.PutBucketEncryptionOutput{}, s.changeBucket(ctx, in.Bucket, in.ExpectedBucketOwner, func(b *bucket) error {
		b.Encryption = e
		return nil
	})
}

// DeleteBucketEncryption goes back to AES256 under the account's own key.
func (s *Service) DeleteBucketEncryption(ctx context.Context, in *api.DeleteBucketEncryptionInput) (*api.DeleteBucketEncryptionOutput, error) {
	return &api.DeleteBucketEncryptionOutput{}, s.changeBucket(ctx, in.Bucket, in.ExpectedBucketOwner, func(b *bucket) error {
		b.Encryption = encryption{Algorithm: sseOwn}
		return nil
	})
}

// GetBucketNotificationConfiguration tells whether changes become EventBridge events.
func (s *Service) GetBucketNotificationConfiguration(ctx context.Context, in *api.GetBucketNotificationConfigurationInput) (*api.GetBucketNotificationConfigurationOutput, error) {
	b, err := s.bucket(ctx, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	out := &api.GetBucketNotificationConfigurationOutput{}
	if b.EventBridge {
		out.EventBridgeConfiguration = &api.EventBridgeConfiguration{}
	}
	return out, nil
}

// PutBucketNotificationConfiguration turns EventBridge events on or off; other destinations do not exist here.
func (s *Service) PutBucketNotificationConfiguration(ctx context.Context, in *api.PutBucketNotificationConfigurationInput) (*api.PutBucketNotificationConfigurationOutput, error) {
	c := in.NotificationConfiguration
	if len(c.TopicConfigurations)+len(c.QueueConfigurations)+len(c.LambdaFunctionConfigurations) > 0 {
		return nil, invalid("InvalidArgument", "Unable to validate the following destination configurations: only EventBridge is offered.")
	}
	return &api.PutBucketNotificationConfigurationOutput{}, s.changeBucket(ctx, in.Bucket, in.ExpectedBucketOwner, func(b *bucket) error {
		b.EventBridge = c.EventBridgeConfiguration != nil
		return nil
	})
}
