package events_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/events"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
)

const (
	acct    = "000000000000"
	region  = "us-east-1"
	roleARN = "arn:aws:iam::" + acct + ":role/deliver"
)

var ctx = call.With(context.Background(), &call.Call{Principal: call.Principal{Kind: call.Root, ARN: "arn:aws:iam::" + acct + ":root", Account: acct}})

func TestWebhookRetriesAndHeaders(t *testing.T) {
	f := open(t, t.TempDir())
	h := newHook(t, func(n int) int { return []int{503, 429, 200}[min(n, 3)-1] })
	f.rule(t, "r", `{"source":["app"]}`, api.Target{Id: "hook", Arn: h.URL + "/in?a=1", HttpParameters: &api.HttpParameters{HeaderParameters: map[string]string{"X-Key": "k"}, QueryStringParameters: map[string]string{"b": "2"}}})
	f.put(t, "other", `{}`)
	id := f.put(t, "app", `{"n":1}`)
	eventually(t, "delivered at the third attempt", func() bool { return len(h.bodies()) == 3 })
	var e map[string]any
	if err := json.Unmarshal([]byte(h.bodies()[2]), &e); err != nil {
		t.Fatal(err)
	}
	if e["id"] != id || e["version"] != "0" || e["source"] != "app" || e["detail-type"] != "Test" || e["account"] != acct || e["region"] != region || fmt.Sprint(e["resources"]) != "[arn:r]" || fmt.Sprint(e["detail"]) != "map[n:1]" {
		t.Errorf("event %v", e)
	}
	h.mu.Lock()
	head, query := h.heads[2], h.query[2]
	h.mu.Unlock()
	if head.Get("X-Key") != "k" || head.Get("X-Galen-Event-Id") != id || head.Get("X-Galen-Attempt") != "3" || query != "a=1&b=2" {
		t.Errorf("headers %v, query %s", head, query)
	}
	time.Sleep(30 * time.Millisecond) // longer than the back-off: a further attempt would have come
	if n := len(h.bodies()); n != 3 {
		t.Errorf("%d attempts, want 3", n)
	}
}

func TestGivingUp(t *testing.T) {
	f := open(t, t.TempDir())
	gone := newHook(t, func(int) int { return 410 })
	busy := newHook(t, func(int) int { return 500 })
	f.rule(t, "r", `{"source":["app"]}`,
		api.Target{Id: "gone", Arn: gone.URL, DeadLetterConfig: &api.DeadLetterConfig{Arn: fileARN("dead")}},
		api.Target{Id: "busy", Arn: busy.URL, RetryPolicy: &api.RetryPolicy{MaximumRetryAttempts: aws.Ptr(int32(2))}, DeadLetterConfig: &api.DeadLetterConfig{Arn: "arn:aws:s3:::queue/dead"}, RoleArn: roleARN},
		api.Target{Id: "lost", Arn: "arn:aws:s3:::nobucket/x", RoleArn: roleARN},
		api.Target{Id: "log", Arn: fileARN("log")})
	f.put(t, "app", `{}`)
	eventually(t, "all targets are done", func() bool {
		f.bucket.mu.Lock()
		defer f.bucket.mu.Unlock()
		return len(f.lines(t, "dead")) == 1 && len(f.bucket.objects) == 1 && len(f.lines(t, "log")) == 1
	})
	if n, m := len(gone.bodies()), len(busy.bodies()); n != 1 || m != 3 {
		t.Errorf("%d and %d attempts, want 1 and 3", n, m)
	}
	if d := f.lines(t, "dead")[0]; d["ERROR_CODE"] != "PERMANENT_FAILURE" || d["TARGET_ARN"] != gone.URL || d["RULE_ARN"] != "arn:aws:events:"+region+":"+acct+":rule/r" || d["ERROR_MESSAGE"] != "the webhook answered 410" {
		t.Errorf("dead letter %v", d)
	}
	for key, body := range f.bucket.objects {
		if !strings.HasPrefix(key, "dead/") || !strings.Contains(body, "RETRIES_EXHAUSTED") {
			t.Errorf("dead letter %s: %s", key, body)
		}
	}
}

func TestQueueInS3(t *testing.T) {
	f := open(t, t.TempDir())
	f.rule(t, "r", `{"detail":{"n":[{"numeric":[">=",0]}]}}`, api.Target{Id: "q", Arn: "arn:aws:s3:::queue/in/box/", RoleArn: roleARN, InputPath: "$.detail.n"})
	for n := range 5 {
		f.put(t, "app", fmt.Sprintf(`{"n":%d}`, n))
		eventually(t, "it is queued", func() bool { f.bucket.mu.Lock(); defer f.bucket.mu.Unlock(); return len(f.bucket.objects) == n+1 })
	}
	var keys []string
	for k := range f.bucket.objects {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for n, k := range keys {
		if !strings.HasPrefix(k, "in/box/20") || !strings.HasSuffix(k, ".json") || f.bucket.objects[k] != fmt.Sprint(n) {
			t.Errorf("key %s holds %s, want %d", k, f.bucket.objects[k], n)
		}
	}
	if f.bucket.who != "arn:aws:sts::"+acct+":assumed-role/deliver/events-r" {
		t.Errorf("written as %s", f.bucket.who)
	}
}

func TestDeliveriesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	var up sync.Map
	h := newHook(t, func(int) int {
		if _, ok := up.Load("up"); ok {
			return 200
		}
		return 503
	})
	f.rule(t, "r", `{"source":["app"]}`, api.Target{Id: "hook", Arn: h.URL})
	f.put(t, "app", `{"n":1}`)
	eventually(t, "it was tried", func() bool { return len(h.bodies()) > 0 })
	f.stop()
	before := len(h.bodies())
	up.Store("up", true)
	open(t, dir)
	eventually(t, "it is delivered after the restart", func() bool { return len(h.bodies()) > before })
}

func TestInputs(t *testing.T) {
	f := open(t, t.TempDir())
	for name, c := range map[string]struct {
		target api.Target
		want   string
	}{
		"constant":  {api.Target{Input: `{"x":1}`}, `{"x":1}`},
		"path":      {api.Target{InputPath: "$.detail['a b'][1]"}, `"two"`},
		"whole":     {api.Target{InputPath: "$.detail.deep"}, `{"k":"v & w"}`},
		"no path":   {api.Target{InputPath: "$.detail.absent"}, `null`},
		"object":    {api.Target{InputTransformer: &api.InputTransformer{InputPathsMap: map[string]string{"n": "$.detail.n", "s": "$.detail.s", "d": "$.detail.deep", "no": "$.nothing"}, InputTemplate: `{"n":<n>,"s":<s>,"in":"n is <n>, s is <s>, d is <d>.<no>","d":<d>,"no":<no>}`}}, `{"n":7,"s":"say \"hi\"","in":"n is 7, s is say \"hi\", d is {\"k\":\"v & w\"}.","d":{"k":"v & w"},"no":null}`},
		"text":      {api.Target{InputTransformer: &api.InputTransformer{InputPathsMap: map[string]string{"n": "$.detail.n"}, InputTemplate: `n is <n>`}}, `n is 7`},
		"reserved":  {api.Target{InputTransformer: &api.InputTransformer{InputTemplate: `["<aws.events.rule-name>",<aws.events.rule-arn>]`}}, `["rule-reserved","arn:aws:events:` + region + `:` + acct + `:rule/rule-reserved"]`},
		"escaped":   {api.Target{InputTransformer: &api.InputTransformer{InputPathsMap: map[string]string{"s": "$.detail.s"}, InputTemplate: `{"q\"":<s>}`}}, `{"q\"":"say \"hi\""}`},
		"not a var": {api.Target{InputTransformer: &api.InputTransformer{InputTemplate: `"a < b > c"`}}, `"a < b > c"`},
	} {
		h := newHook(t, func(int) int { return 200 })
		rule := "rule-" + strings.ReplaceAll(name, " ", "-")
		c.target.Id, c.target.Arn = "t", h.URL
		f.rule(t, rule, `{"source":["`+rule+`"]}`, c.target)
		f.put(t, rule, `{"n":7,"s":"say \"hi\"","a b":["one","two"],"deep":{"k":"v & w"}}`)
		eventually(t, name, func() bool { return len(h.bodies()) == 1 })
		if got := h.bodies()[0]; got != c.want {
			t.Errorf("%s: sent %s, want %s", name, got, c.want)
		}
	}
}

func TestTargetsThatAreRefused(t *testing.T) {
	f := open(t, t.TempDir())
	must[*api.PutRuleOutput](t)(f.PutRule(ctx, &api.PutRuleInput{Name: "r", EventPattern: `{"source":["a"]}`}))
	for _, target := range []api.Target{
		{Arn: "arn:aws:lambda:us-east-1:000000000000:function:f"}, {Arn: "arn:aws:sqs:us-east-1:000000000000:q"}, {Arn: "ftp://x/"}, {Arn: "https://user:pw@x/"}, {Arn: "https://"},
		{Arn: "arn:aws:s3:::queue/x"}, {Arn: "arn:aws:s3:::queue/x", RoleArn: roleARN + "2"}, {Arn: "arn:aws:s3:::Bad_Bucket/x", RoleArn: roleARN},
		{Arn: fileARN("../x")}, {Arn: fileARN("a/b")}, {Arn: fileARN("")}, {Arn: fileARN(".hidden")}, {Arn: "arn:galen:events:eu-west-1:" + acct + ":file/x"},
		{Arn: "https://x/", Input: "{", Id: "t"}, {Arn: "https://x/", Input: "{}", InputPath: "$"}, {Arn: "https://x/", InputPath: "detail"}, {Arn: "https://x/", InputPath: "$..x"}, {Arn: "https://x/", InputPath: "$.x[?(@.a)]"},
		{Arn: "https://x/", InputTransformer: &api.InputTransformer{InputPathsMap: map[string]string{"aws.x": "$.a"}, InputTemplate: "x"}}, {Arn: "https://x/", InputTransformer: &api.InputTransformer{InputPathsMap: map[string]string{"a": "b"}, InputTemplate: "x"}},
		{Arn: "https://x/", HttpParameters: &api.HttpParameters{HeaderParameters: map[string]string{"Host": "y"}}}, {Arn: "https://x/", HttpParameters: &api.HttpParameters{HeaderParameters: map[string]string{"X": "a\r\nb: c"}}}, {Arn: fileARN("x"), HttpParameters: &api.HttpParameters{}},
		{Arn: "https://x/", RetryPolicy: &api.RetryPolicy{MaximumRetryAttempts: aws.Ptr(int32(186))}}, {Arn: "https://x/", RetryPolicy: &api.RetryPolicy{MaximumEventAgeInSeconds: aws.Ptr(int32(59))}},
		{Arn: "https://x/", DeadLetterConfig: &api.DeadLetterConfig{Arn: "https://y/"}}, {Arn: "https://x/", SqsParameters: &api.SqsParameters{}},
	} {
		target.Id = "t"
		if _, err := f.PutTargets(ctx, &api.PutTargetsInput{Rule: "r", Targets: []api.Target{{Id: "ok", Arn: fileARN("ok")}, target}}); err == nil {
			t.Errorf("%+v was taken", target)
		}
	}
	if out := must[*api.ListTargetsByRuleOutput](t)(f.ListTargetsByRule(ctx, &api.ListTargetsByRuleInput{Rule: "r"})); len(out.Targets) != 0 {
		t.Errorf("half of a refused call was put: %+v", out.Targets)
	}
	// A webhook may be named, but the dialer does not connect to what the operator did not allow.
	f.rule(t, "r", `{"source":["a"]}`, api.Target{Id: "t", Arn: "http://169.254.169.254/latest/", DeadLetterConfig: &api.DeadLetterConfig{Arn: fileARN("dead")}})
	f.put(t, "a", `{}`)
	eventually(t, "it is refused for good", func() bool { return len(f.lines(t, "dead")) == 1 })
	if d := f.lines(t, "dead")[0]; d["ERROR_CODE"] != "PERMANENT_FAILURE" || d["ATTEMPTS"] != 1.0 {
		t.Errorf("dead letter %v", d)
	}
}

func TestRulesAndBuses(t *testing.T) {
	f := open(t, t.TempDir())
	for _, in := range []*api.PutRuleInput{{Name: "s", ScheduleExpression: "rate(5 minutes)"}, {Name: "n"}, {Name: "p", EventPattern: `{"a":"b"}`}, {Name: "b", EventPattern: `{"a":["b"]}`, EventBusName: "none"}} {
		if _, err := f.PutRule(ctx, in); err == nil {
			t.Errorf("%+v was taken", in)
		}
	}
	must[*api.CreateEventBusOutput](t)(f.CreateEventBus(ctx, &api.CreateEventBusInput{Name: "lab"}))
	_, err := f.CreateEventBus(ctx, &api.CreateEventBusInput{Name: "lab"})
	wantName(t, err, "ResourceAlreadyExistsException")
	arn := must[*api.PutRuleOutput](t)(f.PutRule(ctx, &api.PutRuleInput{Name: "r", EventPattern: `{"source":["app"]}`, EventBusName: "arn:aws:events:" + region + ":" + acct + ":event-bus/lab", Tags: []api.Tag{{Key: "k", Value: "v"}}})).RuleArn
	if arn != "arn:aws:events:"+region+":"+acct+":rule/lab/r" {
		t.Errorf("rule ARN %s", arn)
	}
	must[*api.PutTargetsOutput](t)(f.PutTargets(ctx, &api.PutTargetsInput{Rule: "r", EventBusName: "lab", Targets: []api.Target{{Id: "a", Arn: fileARN("lab")}, {Id: "b", Arn: fileARN("lab2")}}}))
	f.rule(t, "d", `{"source":["app"]}`, api.Target{Id: "a", Arn: fileARN("default")})

	put := func(bus string) {
		out := must[*api.PutEventsOutput](t)(f.PutEvents(ctx, &api.PutEventsInput{Entries: []api.PutEventsRequestEntry{{Source: "app", DetailType: "T", Detail: `{}`, EventBusName: bus}}}))
		if *out.FailedEntryCount != 0 {
			t.Fatalf("%+v", out)
		}
	}
	put("lab")
	eventually(t, "the lab's rule takes the lab's event", func() bool { return len(f.lines(t, "lab")) == 1 && len(f.lines(t, "lab2")) == 1 })
	put("")
	eventually(t, "the default rule takes the other", func() bool { return len(f.lines(t, "default")) == 1 })
	must[*api.DisableRuleOutput](t)(f.DisableRule(ctx, &api.DisableRuleInput{Name: "r", EventBusName: "lab"}))
	put("lab")
	put("") // events are matched in order: once this one is through, so was the one before
	eventually(t, "the disabled rule was passed by", func() bool { return len(f.lines(t, "default")) == 2 })
	must[*api.EnableRuleOutput](t)(f.EnableRule(ctx, &api.EnableRuleInput{Name: "r", EventBusName: "lab"}))
	put("lab")
	eventually(t, "only the second event passes", func() bool { return len(f.lines(t, "lab")) >= 2 })
	if n := len(f.lines(t, "lab")); n != 2 {
		t.Errorf("%d events, want 2", n)
	}

	names := must[*api.ListRuleNamesByTargetOutput](t)(f.ListRuleNamesByTarget(ctx, &api.ListRuleNamesByTargetInput{TargetArn: fileARN("lab"), EventBusName: "lab"}))
	tags := must[*api.ListTagsForResourceOutput](t)(f.ListTagsForResource(ctx, &api.ListTagsForResourceInput{ResourceARN: arn}))
	if fmt.Sprint(names.RuleNames) != "[r]" || len(tags.Tags) != 1 || tags.Tags[0] != (api.Tag{Key: "k", Value: "v"}) {
		t.Errorf("names %v, tags %v", names, tags)
	}
	must[*api.TagResourceOutput](t)(f.TagResource(ctx, &api.TagResourceInput{ResourceARN: arn, Tags: []api.Tag{{Key: "k", Value: "w"}, {Key: "z", Value: "1"}}}))
	must[*api.UntagResourceOutput](t)(f.UntagResource(ctx, &api.UntagResourceInput{ResourceARN: arn, TagKeys: []string{"z"}}))
	if tags := must[*api.ListTagsForResourceOutput](t)(f.ListTagsForResource(ctx, &api.ListTagsForResourceInput{ResourceARN: arn})); len(tags.Tags) != 1 || tags.Tags[0].Value != "w" {
		t.Errorf("tags %v", tags)
	}
	_, err = f.DeleteRule(ctx, &api.DeleteRuleInput{Name: "r", EventBusName: "lab"})
	wantName(t, err, "ValidationException")
	_, err = f.DeleteEventBus(ctx, &api.DeleteEventBusInput{Name: "lab"})
	wantName(t, err, "ValidationException")
	rem := must[*api.RemoveTargetsOutput](t)(f.RemoveTargets(ctx, &api.RemoveTargetsInput{Rule: "r", EventBusName: "lab", Ids: []string{"a", "b", "c"}}))
	if *rem.FailedEntryCount != 1 || rem.FailedEntries[0].TargetId != "c" {
		t.Errorf("removed %+v", rem)
	}
	must[*api.DeleteRuleOutput](t)(f.DeleteRule(ctx, &api.DeleteRuleInput{Name: "r", EventBusName: "lab"}))
	must[*api.DeleteEventBusOutput](t)(f.DeleteEventBus(ctx, &api.DeleteEventBusInput{Name: "lab"}))
	_, err = f.DescribeEventBus(ctx, &api.DescribeEventBusInput{Name: "lab"})
	wantName(t, err, "ResourceNotFoundException")
	_, err = f.DescribeRule(ctx, &api.DescribeRuleInput{Name: "r"})
	wantName(t, err, "ResourceNotFoundException")

	for i := range 7 {
		must[*api.PutRuleOutput](t)(f.PutRule(ctx, &api.PutRuleInput{Name: fmt.Sprintf("page%d", i), EventPattern: `{"a":["b"]}`, State: api.RuleStateDisabled}))
	}
	var got []string
	token := ""
	for {
		out := must[*api.ListRulesOutput](t)(f.ListRules(ctx, &api.ListRulesInput{NamePrefix: "page", Limit: aws.Ptr(int32(3)), NextToken: token}))
		for _, r := range out.Rules {
			if r.State != api.RuleStateDisabled {
				t.Errorf("rule %+v", r)
			}
			got = append(got, r.Name)
		}
		if token = out.NextToken; token == "" {
			break
		}
	}
	if fmt.Sprint(got) != "[page0 page1 page2 page3 page4 page5 page6]" {
		t.Errorf("rules %v", got)
	}
}

func TestPutEventsEntries(t *testing.T) {
	f := open(t, t.TempDir())
	out := must[*api.PutEventsOutput](t)(f.PutEvents(ctx, &api.PutEventsInput{Entries: []api.PutEventsRequestEntry{
		{Source: "app", DetailType: "T", Detail: `{}`}, {Source: "aws.s3", DetailType: "T", Detail: `{}`}, {DetailType: "T", Detail: `{}`}, {Source: "app", Detail: `{}`},
		{Source: "app", DetailType: "T"}, {Source: "app", DetailType: "T", Detail: `[]`}, {Source: "app", DetailType: "T", Detail: `{`}, {Source: "app", DetailType: "T", Detail: `{}`, EventBusName: "none"}}}))
	want := []string{"", "NotAuthorizedForSourceException", "InvalidArgument", "InvalidArgument", "InvalidArgument", "MalformedDetail", "MalformedDetail", "ResourceNotFoundException"}
	if *out.FailedEntryCount != 7 || len(out.Entries) != 8 || out.Entries[0].EventId == "" {
		t.Errorf("output %+v", out)
	}
	for i, e := range out.Entries {
		if e.ErrorCode != want[i] {
			t.Errorf("entry %d: %q, want %q", i, e.ErrorCode, want[i])
		}
	}
	big := api.PutEventsRequestEntry{Source: "app", DetailType: "T", Detail: `{"x":"` + strings.Repeat("x", 256<<10) + `"}`}
	_, err := f.PutEvents(ctx, &api.PutEventsInput{Entries: []api.PutEventsRequestEntry{big}})
	wantName(t, err, "ValidationException")
}

func TestTestEventPattern(t *testing.T) {
	f := open(t, t.TempDir())
	e := `{"id":"1","account":"0","source":"a","time":"t","region":"r","resources":[],"detail-type":"d","detail":{"n":1}}`
	if out := must[*api.TestEventPatternOutput](t)(f.TestEventPattern(ctx, &api.TestEventPatternInput{EventPattern: `{"detail":{"n":[1]}}`, Event: e})); !*out.Result {
		t.Error("no match")
	}
	_, err := f.TestEventPattern(ctx, &api.TestEventPatternInput{EventPattern: `{"detail":{"n":1}}`, Event: e})
	wantName(t, err, "InvalidEventPatternException")
	_, err = f.TestEventPattern(ctx, &api.TestEventPatternInput{EventPattern: `{"detail":{"n":[1]}}`, Event: `{"source":"a"}`})
	wantName(t, err, "ValidationException")
}

func TestAuthorize(t *testing.T) {
	f := open(t, t.TempDir())
	got, err := f.Authorize(ctx, "PutEvents", &api.PutEventsInput{Entries: []api.PutEventsRequestEntry{{Source: "a", DetailType: "x"}, {Source: "a", DetailType: "x"}, {Source: "b", EventBusName: "lab"}}})
	if err != nil || len(got) != 2 || got[0].Resource != "arn:aws:events:"+region+":"+acct+":event-bus/default" || got[0].Context["events:source"] != "a" || got[1].Resource != "arn:aws:events:"+region+":"+acct+":event-bus/lab" {
		t.Errorf("PutEvents needs %+v, %v", got, err)
	}
	got, err = f.Authorize(ctx, "PutTargets", &api.PutTargetsInput{Rule: "r", Targets: []api.Target{{Arn: "x"}}})
	if err != nil || len(got) != 1 || got[0].Resource != "arn:aws:events:"+region+":"+acct+":rule/r" || got[0].Values["events:TargetArn"][0] != "x" {
		t.Errorf("PutTargets needs %+v, %v", got, err)
	}
}

// Names of new buses: what the account has already, and what only partners' buses may have, is refused with EventBridge's own words.
func TestNamesOfBuses(t *testing.T) {
	f := open(t, t.TempDir())
	must[*api.CreateEventBusOutput](t)(f.CreateEventBus(ctx, &api.CreateEventBusInput{Name: "lab"}))
	for name, want := range map[string][2]string{
		"default": {"ResourceAlreadyExistsException", "Event bus default already exists."},
		"lab":     {"ResourceAlreadyExistsException", "Event bus lab already exists."},
		"team/a":  {"ValidationException", "Event bus name must not contain '/'."},
	} {
		_, err := f.CreateEventBus(ctx, &api.CreateEventBusInput{Name: name})
		if e := errs.As(err); e == nil || e.Name != want[0] || e.Message != want[1] {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}
