package cloudtrail

import (
	"context"
	"encoding/base64"
	"strconv"
	"time"

	api "github.com/galen-health/galen/aws/cloudtrail"
	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/errs"
)

// lookBack is how far LookupEvents sees.
const lookBack = 90 * 24 * time.Hour

// Service implements the contract.
type Service struct {
	api.Unimplemented
	log audit.Reader
	now func() time.Time
}

var _ api.Service = (*Service)(nil)

// New returns the service on an audit log. now is nil for the real clock.
func New(log audit.Reader, now func() time.Time) *Service {
	if now == nil {
		now = time.Now
	}
	return &Service{log: log, now: now}
}

func named(name, format string, args ...any) error {
	return errs.Named(errs.Invalid, name, format, args...)
}

// LookupEvents implements the contract: newest first.
func (s *Service) LookupEvents(ctx context.Context, in *api.LookupEventsInput) (*api.LookupEventsOutput, error) {
	if in.EventCategory != "" {
		return nil, named("InvalidEventCategoryException", "Insight events are not recorded.")
	}
	f, err := s.filter(in)
	if err != nil {
		return nil, err
	}
	limit := 50
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	after, err := base64.RawURLEncoding.DecodeString(in.NextToken)
	if err != nil {
		return nil, named("InvalidNextTokenException", "The token was not given out by LookupEvents.")
	}
	found, next, err := s.log.Lookup(ctx, f, string(after), limit)
	if errs.Is(err, errs.Invalid) && in.NextToken != "" {
		return nil, named("InvalidNextTokenException", "The token was not given out by LookupEvents, or for another request.")
	}
	if err != nil {
		return nil, err
	}
	out := &api.LookupEventsOutput{Events: []api.Event{}}
	if next != "" {
		out.NextToken = base64.RawURLEncoding.EncodeToString([]byte(next))
	}
	for i := range found {
		out.Events = append(out.Events, eventOf(&found[i]))
	}
	return out, nil
}

func (s *Service) filter(in *api.LookupEventsInput) (audit.Filter, error) {
	f := audit.Filter{Start: s.now().Add(-lookBack), End: in.EndTime}
	if !in.StartTime.IsZero() && !in.EndTime.IsZero() && in.StartTime.After(in.EndTime) {
		return f, named("InvalidTimeRangeException", "StartTime must not be after EndTime.")
	}
	if in.StartTime.After(f.Start) {
		f.Start = in.StartTime
	}
	if len(in.LookupAttributes) > 1 {
		return f, named("InvalidLookupAttributesException", "You can specify only one lookup attribute.")
	}
	for _, a := range in.LookupAttributes {
		switch v := a.AttributeValue; a.AttributeKey {
		case api.LookupAttributeKeyEventId:
			f.ID = v
		case api.LookupAttributeKeyEventName:
			f.Name = v
		case api.LookupAttributeKeyReadOnly:
			b, err := strconv.ParseBool(v)
			if err != nil || (v != "true" && v != "false") {
				return f, named("InvalidLookupAttributesException", "ReadOnly must be true or false.")
			}
			f.ReadOnly = &b
		case api.LookupAttributeKeyUsername:
			f.Username = v
		case api.LookupAttributeKeyResourceType:
			f.ResourceType = v
		case api.LookupAttributeKeyResourceName:
			f.Resource = v
		case api.LookupAttributeKeyEventSource:
			f.Source = v
		case api.LookupAttributeKeyAccessKeyId:
			f.AccessKeyID = v
		default:
			return f, named("InvalidLookupAttributesException", "The attribute key is not known.")
		}
	}
	return f, nil
}

func eventOf(e *audit.Entry) api.Event {
	out := api.Event{EventId: e.ID, EventName: e.Name, ReadOnly: strconv.FormatBool(e.ReadOnly), AccessKeyId: e.AccessKeyID, EventTime: e.Time, EventSource: e.Source, Username: e.Username(), Resources: []api.Resource{}, CloudTrailEvent: string(e.Trail())}
	for _, r := range e.Resources {
		if r != "*" {
			out.Resources = append(out.Resources, api.Resource{ResourceName: r, ResourceType: audit.ResourceType(r)})
		}
	}
	return out
}
