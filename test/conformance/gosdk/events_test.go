package gosdk

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	cttypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/galen-health/galen/test/galen"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	g := galen.Start(t, "--allow-host", "127.0.0.1") // the webhook of this test lives there
	seen := newCalls()
	c := eventbridge.NewFromConfig(config(g, seen))
	t.Run("bus", func(t *testing.T) { eventBus(t, c) })
	t.Run("rule", func(t *testing.T) { eventRule(t, c) })
	t.Run("refused", func(t *testing.T) { eventRefused(t, c) })
	seen.all(t, "EventBridge", c)
}

func eventBus(t *testing.T, c *eventbridge.Client) {
	ctx := t.Context()
	name := aws.String("sdk-bus")
	arn := must(c.CreateEventBus(ctx, &eventbridge.CreateEventBusInput{Name: name, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}))(t).EventBusArn
	if b := must(c.DescribeEventBus(ctx, &eventbridge.DescribeEventBusInput{Name: name}))(t); *b.Arn != *arn {
		t.Errorf("the bus is %s, want %s", *b.Arn, *arn)
	}
	var names []string
	for in := (&eventbridge.ListEventBusesInput{Limit: aws.Int32(1)}); ; { // the SDK has no paginator for it
		out := must(c.ListEventBuses(ctx, in))(t)
		for _, b := range out.EventBuses {
			names = append(names, *b.Name)
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"default", "sdk-bus"}) {
		t.Errorf("buses are %v", names)
	}
	must(c.TagResource(ctx, &eventbridge.TagResourceInput{ResourceARN: arn, Tags: []types.Tag{{Key: aws.String("c"), Value: aws.String("d")}}}))(t)
	must(c.UntagResource(ctx, &eventbridge.UntagResourceInput{ResourceARN: arn, TagKeys: []string{"a"}}))(t)
	if tags := must(c.ListTagsForResource(ctx, &eventbridge.ListTagsForResourceInput{ResourceARN: arn}))(t).Tags; len(tags) != 1 || *tags[0].Key != "c" {
		t.Errorf("tags are %v", tags)
	}
	must(c.DeleteEventBus(ctx, &eventbridge.DeleteEventBusInput{Name: name}))(t)
	_, err := c.DescribeEventBus(ctx, &eventbridge.DescribeEventBusInput{Name: name})
	refused[*types.ResourceNotFoundException](t, "a deleted bus", err, 400)
}

func eventRule(t *testing.T, c *eventbridge.Client) {
	ctx := t.Context()
	arrived := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // a broken delivery is seen by its content
		arrived <- string(b)
	}))
	defer hook.Close()
	name := aws.String("sdk-rule")
	pattern := aws.String(`{"source":["sdk.app"],"detail":{"n":[{"numeric":[">",3]}]}}`)
	must(c.PutRule(ctx, &eventbridge.PutRuleInput{Name: name, EventPattern: pattern}))(t)
	if out := must(c.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: name, Targets: []types.Target{{Id: aws.String("hook"), Arn: aws.String(hook.URL + "/in")}}}))(t); out.FailedEntryCount != 0 {
		t.Fatalf("the target is refused: %+v", out.FailedEntries)
	}
	if l := must(c.ListTargetsByRule(ctx, &eventbridge.ListTargetsByRuleInput{Rule: name}))(t).Targets; len(l) != 1 || *l[0].Id != "hook" {
		t.Errorf("targets are %+v", l)
	}
	if l := must(c.ListRuleNamesByTarget(ctx, &eventbridge.ListRuleNamesByTargetInput{TargetArn: aws.String(hook.URL + "/in")}))(t).RuleNames; !slices.Equal(l, []string{*name}) {
		t.Errorf("rules of the target are %v", l)
	}
	must(c.DisableRule(ctx, &eventbridge.DisableRuleInput{Name: name}))(t)
	if r := must(c.DescribeRule(ctx, &eventbridge.DescribeRuleInput{Name: name}))(t); r.State != types.RuleStateDisabled {
		t.Errorf("the rule is %s", r.State)
	}
	must(c.EnableRule(ctx, &eventbridge.EnableRuleInput{Name: name}))(t)
	if l := must(c.ListRules(ctx, &eventbridge.ListRulesInput{NamePrefix: aws.String("sdk-")}))(t).Rules; len(l) != 1 || l[0].State != types.RuleStateEnabled {
		t.Errorf("rules are %+v", l)
	}
	entry := func(detail string) types.PutEventsRequestEntry {
		return types.PutEventsRequestEntry{Source: aws.String("sdk.app"), DetailType: aws.String("x"), Detail: &detail}
	}
	out := must(c.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{entry(`{"n":3}`), entry(`{"n":4}`), entry("not json")}}))(t)
	if out.FailedEntryCount != 1 || aws.ToString(out.Entries[2].ErrorCode) == "" {
		t.Errorf("entries are %+v", out.Entries)
	}
	select {
	case body := <-arrived:
		var e struct {
			ID     string
			Detail struct{ N int }
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil || e.Detail.N != 4 || e.ID != *out.Entries[1].EventId {
			t.Errorf("the webhook got %s: %v", body, err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the webhook got nothing")
	}
	event := aws.String(`{"id":"1","source":"sdk.app","detail-type":"x","account":"000000000000","time":"2026-01-01T00:00:00Z","region":"us-east-1","resources":[],"detail":{"n":4}}`)
	if r := must(c.TestEventPattern(ctx, &eventbridge.TestEventPatternInput{EventPattern: pattern, Event: event}))(t); !r.Result {
		t.Error("the pattern does not match")
	}
	must(c.RemoveTargets(ctx, &eventbridge.RemoveTargetsInput{Rule: name, Ids: []string{"hook"}}))(t)
	must(c.DeleteRule(ctx, &eventbridge.DeleteRuleInput{Name: name}))(t)
}

func eventRefused(t *testing.T, c *eventbridge.Client) {
	ctx := t.Context()
	_, err := c.PutRule(ctx, &eventbridge.PutRuleInput{Name: aws.String("sdk-bad"), EventPattern: aws.String(`{"source":"not a list"}`)})
	refused[*types.InvalidEventPatternException](t, "a pattern that is none", err, 400)
	_, err = c.DescribeRule(ctx, &eventbridge.DescribeRuleInput{Name: aws.String("sdk-none")})
	refused[*types.ResourceNotFoundException](t, "an absent rule", err, 400)
	_, err = c.PutRule(ctx, &eventbridge.PutRuleInput{Name: aws.String("two words"), EventPattern: aws.String(`{"source":["x"]}`)})
	coded(t, "a name with a space", err, "ValidationException", 400)
}

func TestCloudTrail(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	ctx := t.Context()
	seen := newCalls()
	c := cloudtrail.NewFromConfig(config(g, seen))
	for range 3 {
		must(sts.NewFromConfig(config(g, newCalls())).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))(t)
	}
	in := &cloudtrail.LookupEventsInput{MaxResults: aws.Int32(2), LookupAttributes: []cttypes.LookupAttribute{{AttributeKey: cttypes.LookupAttributeKeyEventName, AttributeValue: aws.String("GetCallerIdentity")}}}
	poll(t, func() string { // the log is written before the answer, and read a moment later
		n := 0
		for pages := cloudtrail.NewLookupEventsPaginator(c, in); pages.HasMorePages(); {
			for _, e := range must(pages.NextPage(ctx))(t).Events {
				if *e.EventSource != "sts.amazonaws.com" || !json.Valid([]byte(*e.CloudTrailEvent)) {
					t.Errorf("the event is %+v", e)
				}
				n++
			}
		}
		return string(rune('0' + n))
	}, "3")
	_, err := c.LookupEvents(ctx, &cloudtrail.LookupEventsInput{NextToken: aws.String("forged")})
	refused[*cttypes.InvalidNextTokenException](t, "a forged page token", err, 400)
	seen.all(t, "CloudTrail", c)
}
