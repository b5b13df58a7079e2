package s3

import (
	"context"
	"fmt"
	"strconv"

	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/record"
)

// changed is the detail of an S3 event.
type changed struct {
	Version      string      `json:"version"`
	Bucket       eventBucket `json:"bucket"`
	Object       eventObject `json:"object"`
	RequestID    string      `json:"request-id"`
	Requester    string      `json:"requester"`
	SourceIP     string      `json:"source-ip-address,omitempty"`
	Reason       string      `json:"reason"`
	DeletionType string      `json:"deletion-type,omitempty"`
}

type eventBucket struct {
	Name string `json:"name"`
}

type eventObject struct {
	Key       string `json:"key"`
	Size      *int64 `json:"size,omitempty"`
	ETag      string `json:"etag,omitempty"`
	VersionID string `json:"version-id,omitempty"`
	Sequencer string `json:"sequencer"`
}

func (s *Service) emit(ctx context.Context, tx record.Tx, b *bucket, o *object, what string, d changed) error {
	if !b.EventBridge {
		return nil
	}
	c := call.From(ctx)
	d.Version, d.Bucket.Name, d.RequestID, d.Requester = "0", b.Name, c.RequestID, c.Principal.Account
	if c.Source.IsValid() {
		d.SourceIP = c.Source.String()
	}
	d.Object.Key, d.Object.VersionID, d.Object.Sequencer = o.Key, o.versionID(b), o.sequencer()
	return event.Emit(tx, event.Event{Source: "aws.s3", DetailType: what, Resources: []string{b.arn()}, Detail: event.Detail(d)})
}

// sequencer rises with each version of a key, as Order falls.
func (o *object) sequencer() string {
	n, err := strconv.ParseUint(o.Order, 16, 64)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%016X", ^n)
}

func (s *Service) created(ctx context.Context, tx record.Tx, b *bucket, o *object, reason string) error {
	return s.emit(ctx, tx, b, o, "Object Created", changed{Reason: reason, Object: eventObject{Size: &o.Size, ETag: o.ETag}})
}

func (s *Service) gone(ctx context.Context, tx record.Tx, b *bucket, o *object) error {
	kind := "Permanently Deleted"
	if o.Marker {
		kind = "Delete Marker Created"
	}
	return s.emit(ctx, tx, b, o, "Object Deleted", changed{Reason: "DeleteObject", DeletionType: kind})
}
