package cloudtrail_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/cloudtrail"
	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/service/cloudtrail"
)

var ctx = context.Background()

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

type fixture struct {
	*cloudtrail.Service
	log   *audit.Merkle
	store record.Store
	ring  *keyring.Ring
	dir   string
}

func open(t *testing.T, dir string) *fixture {
	t.Helper()
	f := &fixture{dir: dir}
	var err error
	if f.ring, err = keyring.Open(dir+"/keys", nil, keyring.Config{}); err != nil {
		t.Fatal(err)
	}
	if f.store, err = pebble.Open(dir+"/records", f.ring, pebble.Options{}); err != nil {
		t.Fatal(err)
	}
	if f.log, err = audit.Open(ctx, audit.Config{Dir: dir + "/audit", Origin: "galen/test", Ring: f.ring, Store: f.store}); err != nil {
		t.Fatal(err)
	}
	f.Service = cloudtrail.New(f.log, func() time.Time { return now })
	return f
}

func (f *fixture) close(t *testing.T) {
	t.Helper()
	if err := f.log.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	_ = f.ring.Close()
}

func (f *fixture) append(t *testing.T, e audit.Entry) {
	t.Helper()
	if err := f.log.Append(ctx, &e); err != nil {
		t.Fatal(err)
	}
}

// names are the names of the events found.
func (f *fixture) names(t *testing.T, in *api.LookupEventsInput) string {
	t.Helper()
	out, err := f.LookupEvents(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	s := ""
	for _, e := range out.Events {
		s += e.EventName + " "
	}
	return s
}

func seed(t *testing.T, f *fixture) {
	base := audit.Entry{Source: "kms.amazonaws.com", Principal: "arn:aws:iam::000000000000:user/lab/alice", Kind: "IAMUser", Region: "us-east-1", Account: "000000000000", RequestID: "r"}
	for i, change := range []func(*audit.Entry){
		func(e *audit.Entry) { e.Time = now.Add(-100 * 24 * time.Hour) },
		func(e *audit.Entry) { e.ID, e.AccessKeyID = "id-1", "AKIA1" },
		func(e *audit.Entry) { e.ReadOnly, e.Source = true, "s3.amazonaws.com" },
		func(e *audit.Entry) {
			e.Resources = []string{"arn:aws:kms:us-east-1:000000000000:key/1"}
			e.Error, e.Policy, e.Action, e.SourceIP = "AccessDeniedException", "p", "kms:Decrypt", "10.0.0.1"
			e.Statement, e.PolicyType, e.Effect = "Ward", "key", "Deny"
			e.Parameters = map[string]string{"keyId": "1"}
		},
		func(e *audit.Entry) {
			e.Principal, e.Kind = "arn:aws:sts::000000000000:assumed-role/r/night", "AssumedRole"
		},
		func(e *audit.Entry) { e.Principal, e.Kind = "arn:aws:iam::000000000000:root", "Root" },
	} {
		e := base
		e.Name, e.Time = fmt.Sprintf("E%d", i), now.Add(time.Duration(i-10)*time.Minute)
		change(&e)
		f.append(t, e)
	}
}

func TestLookup(t *testing.T) {
	f := open(t, t.TempDir())
	defer f.close(t)
	seed(t, f)
	by := func(k api.LookupAttributeKey, v string) *api.LookupEventsInput {
		return &api.LookupEventsInput{LookupAttributes: []api.LookupAttribute{{AttributeKey: k, AttributeValue: v}}}
	}
	for _, c := range []struct {
		in   *api.LookupEventsInput
		want string
	}{
		{&api.LookupEventsInput{}, "E5 E4 E3 E2 E1 "}, // E0 is older than 90 days
		{by("EventId", "id-1"), "E1 "},
		{by("EventName", "E3"), "E3 "},
		{by("EventName", "e3"), ""},
		{by("ReadOnly", "true"), "E2 "},
		{by("ReadOnly", "false"), "E5 E4 E3 E1 "},
		{by("Username", "alice"), "E3 E2 E1 "},
		{by("Username", "night"), "E4 "},
		{by("Username", "root"), "E5 "},
		{by("ResourceType", "AWS::KMS::Key"), "E3 "},
		{by("ResourceName", "arn:aws:kms:us-east-1:000000000000:key/1"), "E3 "},
		{by("EventSource", "s3.amazonaws.com"), "E2 "},
		{by("AccessKeyId", "AKIA1"), "E1 "},
		{&api.LookupEventsInput{StartTime: now.Add(-8 * time.Minute), EndTime: now.Add(-6 * time.Minute)}, "E4 E3 E2 "},
		{&api.LookupEventsInput{StartTime: now.Add(-1000 * 24 * time.Hour), EndTime: now.Add(-9 * time.Minute)}, "E1 "},
	} {
		if got := f.names(t, c.in); got != c.want {
			t.Errorf("%+v: found %q, want %q", c.in, got, c.want)
		}
	}
	got, token := "", ""
	for {
		out, err := f.LookupEvents(ctx, &api.LookupEventsInput{MaxResults: aws.Ptr(int32(2)), NextToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range out.Events {
			got += e.EventName + " "
		}
		if token = out.NextToken; token == "" {
			break
		}
	}
	if got != "E5 E4 E3 E2 E1 " {
		t.Errorf("in pages: %q", got)
	}
}

func TestRecord(t *testing.T) {
	f := open(t, t.TempDir())
	defer f.close(t)
	seed(t, f)
	out, err := f.LookupEvents(ctx, &api.LookupEventsInput{LookupAttributes: []api.LookupAttribute{{AttributeKey: "EventName", AttributeValue: "E3"}}})
	if err != nil || len(out.Events) != 1 {
		t.Fatal(out, err)
	}
	e := out.Events[0]
	if e.Username != "alice" || e.ReadOnly != "false" || len(e.Resources) != 1 || e.Resources[0].ResourceType != "AWS::KMS::Key" || !e.EventTime.Equal(now.Add(-7*time.Minute)) {
		t.Errorf("event %+v", e)
	}
	var r map[string]any
	if err := json.Unmarshal([]byte(e.CloudTrailEvent), &r); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{"eventVersion": "1.11", "eventSource": "kms.amazonaws.com", "eventName": "E3", "errorCode": "AccessDeniedException", "sourceIPAddress": "10.0.0.1", "awsRegion": "us-east-1", "eventTime": "2026-06-01T11:53:00Z",
		"userIdentity": "map[accountId:000000000000 arn:arn:aws:iam::000000000000:user/lab/alice type:IAMUser userName:alice]", "requestParameters": "map[keyId:1]", "responseElements": "<nil>", "additionalEventData": "map[action:kms:Decrypt decidingPolicy:p decidingPolicyType:key decidingStatement:Ward decision:Deny]"} {
		if got := fmt.Sprint(r[k]); got != want {
			t.Errorf("%s = %s, want %s", k, got, want)
		}
	}
}

func TestBadLookups(t *testing.T) {
	f := open(t, t.TempDir())
	defer f.close(t)
	a := func(k api.LookupAttributeKey, v string) api.LookupAttribute {
		return api.LookupAttribute{AttributeKey: k, AttributeValue: v}
	}
	for _, c := range []struct {
		in   *api.LookupEventsInput
		want string
	}{
		{&api.LookupEventsInput{LookupAttributes: []api.LookupAttribute{a("EventName", "x"), a("EventId", "y")}}, "InvalidLookupAttributesException"},
		{&api.LookupEventsInput{LookupAttributes: []api.LookupAttribute{a("ReadOnly", "yes")}}, "InvalidLookupAttributesException"},
		{&api.LookupEventsInput{LookupAttributes: []api.LookupAttribute{a("Nothing", "x")}}, "InvalidLookupAttributesException"},
		{&api.LookupEventsInput{StartTime: now, EndTime: now.Add(-time.Hour)}, "InvalidTimeRangeException"},
		{&api.LookupEventsInput{EventCategory: "insight"}, "InvalidEventCategoryException"},
		{&api.LookupEventsInput{NextToken: "!"}, "InvalidNextTokenException"},
		{&api.LookupEventsInput{NextToken: "bm90IGEgdG9rZW4"}, "InvalidNextTokenException"},
	} {
		if _, err := f.LookupEvents(ctx, c.in); err == nil || errs.As(err).Name != c.want {
			t.Errorf("%+v: %v, want %s", c.in, err, c.want)
		}
	}
}

// The index is derived: without it the next start builds it again from the log; a log that lost entries is found out.
func TestIndexIsRebuilt(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	seed(t, f)
	for i := range 300 {
		f.append(t, audit.Entry{Name: fmt.Sprintf("N%d", i), Time: now, Principal: "x"})
	}
	if got := f.names(t, &api.LookupEventsInput{MaxResults: aws.Ptr(int32(2))}); got != "N299 N298 " {
		t.Errorf("newest: %q", got)
	}
	if err := f.log.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := f.store.DropSpace(ctx, audit.Space); err != nil {
		t.Fatal(err)
	}
	_ = f.store.Close()
	_ = f.ring.Close()
	f = open(t, dir)
	defer f.close(t)
	if got := f.names(t, &api.LookupEventsInput{LookupAttributes: []api.LookupAttribute{{AttributeKey: "Username", AttributeValue: "alice"}}}); got != "E3 E2 E1 " {
		t.Errorf("after the rebuild: %q", got)
	}
}

// A log that is taken back to an earlier state is refused: the index knows how long it was.
func TestRolledBackLogIsRefused(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	f.append(t, audit.Entry{Name: "first"})
	f.close(t)
	if err := os.CopyFS(dir+"/old", os.DirFS(dir+"/audit")); err != nil {
		t.Fatal(err)
	}
	f = open(t, dir)
	f.append(t, audit.Entry{Name: "second"})
	if got := f.names(t, &api.LookupEventsInput{StartTime: now.Add(-time.Hour)}); got == "" {
		t.Fatal("nothing was found")
	}
	f.close(t)
	if err := os.RemoveAll(dir + "/audit"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+"/old", dir+"/audit"); err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Open(dir+"/keys", nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	store, err := pebble.Open(dir+"/records", ring, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := audit.Open(ctx, audit.Config{Dir: dir + "/audit", Origin: "galen/test", Ring: ring, Store: store}); !errs.Is(err, errs.Corrupt) {
		t.Errorf("Open = %v, want corrupt", err)
	}
}
