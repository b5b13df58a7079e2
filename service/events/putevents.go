package events

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/events"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/event/pattern"
	"github.com/galen-health/galen/platform/record"
)

// maxEvents bounds the entries of one call together, in bytes.
const maxEvents = 256 << 10

// PutEvents implements the contract: each entry succeeds or fails by itself; those that succeed are durable when it answers.
func (s *Service) PutEvents(ctx context.Context, in *api.PutEventsInput) (*api.PutEventsOutput, error) {
	if in.EndpointId != "" {
		return nil, errs.New(errs.Unsupported, "global endpoints are not offered")
	}
	total := 0
	for i := range in.Entries {
		total += entrySize(&in.Entries[i])
	}
	if total > maxEvents {
		return nil, invalid("Total size of the entries in the request is over the limit.")
	}
	var out *api.PutEventsOutput
	_, err := s.records.Update(ctx, space, nil, func(tx record.Tx) error {
		out = &api.PutEventsOutput{FailedEntryCount: aws.Ptr(int32(0)), Entries: []api.PutEventsResultEntry{}}
		for i := range in.Entries {
			id, err := s.put(tx, &in.Entries[i])
			if err != nil {
				e := errs.As(err)
				if e.Code == errs.Internal || e.Code == errs.Unavailable || e.Code == errs.Corrupt {
					return err
				}
				*out.FailedEntryCount++
				out.Entries = append(out.Entries, api.PutEventsResultEntry{ErrorCode: e.Name, ErrorMessage: e.Message})
				continue
			}
			out.Entries = append(out.Entries, api.PutEventsResultEntry{EventId: id})
		}
		return nil
	})
	return out, err
}

// entrySize counts as EventBridge does: 14 bytes for the time, and the texts.
func entrySize(e *api.PutEventsRequestEntry) int {
	n := len(e.Source) + len(e.DetailType) + len(e.Detail)
	if !e.Time.IsZero() {
		n += 14
	}
	for _, r := range e.Resources {
		n += len(r)
	}
	return n
}

func (s *Service) put(tx record.Tx, e *api.PutEventsRequestEntry) (id string, err error) {
	bad := func(name, format string, args ...any) (string, error) {
		return "", errs.Named(errs.Invalid, name, format, args...)
	}
	busName, err := s.busName(e.EventBusName)
	if err != nil {
		return "", err
	}
	if _, err := busOf(tx, busName); err != nil {
		return "", err
	}
	switch {
	case e.Source == "":
		return bad("InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument.")
	case strings.HasPrefix(e.Source, "aws."):
		return bad("NotAuthorizedForSourceException", "Not authorized for the source.")
	case e.DetailType == "":
		return bad("InvalidArgument", "Parameter DetailType is not valid. Reason: DetailType is a required argument.")
	case e.Detail == "":
		return bad("InvalidArgument", "Parameter Detail is not valid. Reason: Detail is a required argument.")
	}
	var detail map[string]json.RawMessage
	if json.Unmarshal([]byte(e.Detail), &detail) != nil || detail == nil {
		return bad("MalformedDetail", "Detail is malformed.")
	}
	ev := event.Event{ID: event.NewID(), Source: e.Source, DetailType: e.DetailType, Time: e.Time, Resources: e.Resources, Detail: json.RawMessage(e.Detail)}
	if busName != defaultBus {
		ev.Bus = busName
	}
	return ev.ID, event.Emit(tx, ev)
}

// TestEventPattern implements the contract.
func (s *Service) TestEventPattern(_ context.Context, in *api.TestEventPatternInput) (*api.TestEventPatternOutput, error) {
	p, err := pattern.Compile([]byte(in.EventPattern))
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(in.Event), &fields) != nil {
		return nil, invalid("Parameter Event is not valid. Reason: it is not a JSON object.")
	}
	for _, name := range []string{"id", "account", "source", "time", "region", "resources", "detail-type"} {
		if _, ok := fields[name]; !ok {
			return nil, invalid("Parameter Event is not valid. Reason: the field %s is missing.", name)
		}
	}
	e, err := pattern.Decode([]byte(in.Event))
	if err != nil {
		return nil, invalid("Parameter Event is not valid. Reason: it is not a JSON object.")
	}
	return &api.TestEventPatternOutput{Result: aws.Ptr(p.Match(e))}, nil
}
