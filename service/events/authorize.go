package events

import (
	"context"
	"slices"
	"strings"

	api "github.com/galen-health/galen/aws/events"
	"github.com/galen-health/galen/platform/authz"
)

// Authorize tells what the caller of an operation must be allowed (Service Authorization Reference, "Actions defined by Amazon
// EventBridge"). Whether a role may be passed is checked by PutTargets itself.
func (s *Service) Authorize(_ context.Context, op string, in any) ([]authz.Request, error) {
	on := func(arn string, keys map[string]string) ([]authz.Request, error) {
		return []authz.Request{{Action: "events:" + op, Resource: arn, Context: keys}}, nil
	}
	rule := func(busName, name string, keys map[string]string) ([]authz.Request, error) {
		b, err := s.busName(busName)
		if err != nil {
			return nil, err
		}
		return on(s.ruleARN(b, name), keys)
	}
	bus := func(name string, keys map[string]string) ([]authz.Request, error) {
		b, err := s.busName(name)
		if err != nil {
			return nil, err
		}
		return on(s.arn("event-bus/"+b), keys)
	}
	switch in := in.(type) {
	case *api.PutRuleInput:
		out, err := rule(in.EventBusName, in.Name, tagKeys(in.Tags))
		return withTagKeys(out, in.Tags), err
	case *api.DescribeRuleInput:
		return rule(in.EventBusName, in.Name, nil)
	case *api.DeleteRuleInput:
		return rule(in.EventBusName, in.Name, nil)
	case *api.EnableRuleInput:
		return rule(in.EventBusName, in.Name, nil)
	case *api.DisableRuleInput:
		return rule(in.EventBusName, in.Name, nil)
	case *api.PutTargetsInput:
		out, err := rule(in.EventBusName, in.Rule, nil)
		if err != nil {
			return nil, err
		}
		var arns []string
		for _, t := range in.Targets {
			arns = append(arns, t.Arn)
		}
		out[0].Values = map[string][]string{"events:TargetArn": arns}
		return out, nil
	case *api.RemoveTargetsInput:
		return rule(in.EventBusName, in.Rule, nil)
	case *api.ListTargetsByRuleInput:
		return rule(in.EventBusName, in.Rule, nil)
	case *api.ListRulesInput:
		return bus(in.EventBusName, nil)
	case *api.CreateEventBusInput:
		out, err := bus(in.Name, tagKeys(in.Tags))
		return withTagKeys(out, in.Tags), err
	case *api.DescribeEventBusInput:
		return bus(in.Name, nil)
	case *api.DeleteEventBusInput:
		return bus(in.Name, nil)
	case *api.TagResourceInput:
		out, err := on(in.ResourceARN, tagKeys(in.Tags))
		return withTagKeys(out, in.Tags), err
	case *api.UntagResourceInput:
		out, err := on(in.ResourceARN, nil)
		out[0].Values = map[string][]string{"aws:TagKeys": in.TagKeys}
		return out, err
	case *api.ListTagsForResourceInput:
		return on(in.ResourceARN, nil)
	case *api.PutEventsInput:
		var out []authz.Request
		for _, e := range in.Entries {
			r, err := bus(e.EventBusName, map[string]string{"events:source": e.Source, "events:detail-type": e.DetailType})
			if err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(out, func(o authz.Request) bool {
				return o.Resource == r[0].Resource && o.Context["events:source"] == e.Source && o.Context["events:detail-type"] == e.DetailType
			}) {
				out = append(out, r...)
			}
		}
		return out, nil
	}
	return on("*", nil)
}

func tagKeys(tags []api.Tag) map[string]string {
	m := map[string]string{}
	for _, t := range tags {
		m["aws:RequestTag/"+t.Key] = t.Value
	}
	return m
}

func withTagKeys(out []authz.Request, tags []api.Tag) []authz.Request {
	for i := range out {
		var keys []string
		for _, t := range tags {
			keys = append(keys, strings.TrimSpace(t.Key))
		}
		out[i].Values = map[string][]string{"aws:TagKeys": keys}
	}
	return out
}
