package cloudtrail

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
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
	out := api.Event{EventId: e.ID, EventName: e.Name, ReadOnly: strconv.FormatBool(e.ReadOnly), AccessKeyId: e.AccessKeyID, EventTime: e.Time, EventSource: e.Source, Username: e.Username(), Resources: []api.Resource{}, CloudTrailEvent: string(recordOf(e))}
	for _, r := range e.Resources {
		if r != "*" {
			out.Resources = append(out.Resources, api.Resource{ResourceName: r, ResourceType: audit.ResourceType(r)})
		}
	}
	return out
}

// trailRecord is the CloudTrail record of an entry, in the order of the user guide ("CloudTrail record contents").
type trailRecord struct {
	EventVersion        string            `json:"eventVersion"`
	UserIdentity        identity          `json:"userIdentity"`
	EventTime           string            `json:"eventTime"`
	EventSource         string            `json:"eventSource"`
	EventName           string            `json:"eventName"`
	AWSRegion           string            `json:"awsRegion"`
	SourceIPAddress     string            `json:"sourceIPAddress"`
	UserAgent           string            `json:"userAgent"`
	ErrorCode           string            `json:"errorCode,omitempty"`
	RequestParameters   map[string]string `json:"requestParameters"`
	ResponseElements    *struct{}         `json:"responseElements"`
	AdditionalEventData map[string]string `json:"additionalEventData,omitempty"`
	RequestID           string            `json:"requestID"`
	EventID             string            `json:"eventID"`
	ReadOnly            bool              `json:"readOnly"`
	Resources           []resource        `json:"resources,omitempty"`
	EventType           string            `json:"eventType"`
	ManagementEvent     bool              `json:"managementEvent"`
	RecipientAccountID  string            `json:"recipientAccountId"`
	EventCategory       string            `json:"eventCategory"`
}

type identity struct {
	Type        string `json:"type"`
	ARN         string `json:"arn,omitempty"`
	AccountID   string `json:"accountId,omitempty"`
	AccessKeyID string `json:"accessKeyId,omitempty"`
	UserName    string `json:"userName,omitempty"`
	InvokedBy   string `json:"invokedBy,omitempty"`
}

type resource struct {
	ARN       string `json:"ARN"`
	AccountID string `json:"accountId,omitempty"`
	Type      string `json:"type,omitempty"`
}

func recordOf(e *audit.Entry) []byte {
	r := trailRecord{EventVersion: "1.11", EventTime: e.Time.UTC().Format("2006-01-02T15:04:05Z"), EventSource: e.Source, EventName: e.Name, AWSRegion: e.Region, SourceIPAddress: e.SourceIP, UserAgent: e.UserAgent,
		ErrorCode: e.Error, RequestParameters: e.Parameters, RequestID: e.RequestID, EventID: e.ID, ReadOnly: e.ReadOnly, EventType: "AwsApiCall", ManagementEvent: true, RecipientAccountID: e.Account, EventCategory: "Management",
		UserIdentity: identity{Type: e.Kind, ARN: e.Principal, AccountID: e.Account, AccessKeyID: e.AccessKeyID, InvokedBy: e.Via}}
	if e.Kind == "IAMUser" {
		r.UserIdentity.UserName = e.Username()
	}
	if e.Action != "" || e.Policy != "" {
		r.AdditionalEventData = map[string]string{"action": e.Action}
		if e.Policy != "" {
			r.AdditionalEventData["decidingPolicy"] = e.Policy
		}
	}
	for _, arn := range e.Resources {
		if strings.HasPrefix(arn, "arn:") {
			r.Resources = append(r.Resources, resource{ARN: arn, AccountID: e.Account, Type: audit.ResourceType(arn)})
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		return []byte("{}") // strings and booleans only: it cannot fail
	}
	return b
}
