package crash_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/cloudtrail"
	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/test/galen"
	"github.com/galen-health/galen/test/sample"
)

// read is one request for something that is kept, and the answer of a whole server.
type read struct {
	service, method, path string
	header                map[string]string
	body                  []byte
	status                int
	want                  string
}

// reads are requests for all that a data folder keeps.
type reads struct{ list []read }

func (a *reads) get(service, path string) {
	a.list = append(a.list, read{service: service, method: "GET", path: path})
}

// call adds an operation of a JSON protocol.
func (a *reads) call(t *testing.T, service, target string, in any) {
	t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	a.list = append(a.list, read{service: service, method: "POST", path: "/", header: map[string]string{"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}, body: b})
}

// readable finds out what a load has stored: objects and their list, versions of resources and searches for them, instances with their metadata and frames, texts under keys,
// entries of the audit log.
func readable(t *testing.T, l *load) *reads {
	t.Helper()
	ctx, a := t.Context(), &reads{}
	objects, err := s3.NewClient(l.g.Client()).ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: "mixed"})
	if err != nil || len(objects.Contents) == 0 {
		t.Fatalf("objects: %+v, %v", objects, err)
	}
	a.get("s3", "/mixed?list-type=2")
	for _, o := range objects.Contents {
		a.get("s3", "/mixed/"+o.Key)
	}
	for _, w := range l.writers {
		var n int
		if _, err := fmt.Sscanf(w.name, "patient %d", &n); err != nil {
			continue
		}
		id, root := fmt.Sprintf("p%d", n), "/datastore/"+l.fhir+"/r4/Patient"
		a.get("healthlake", root+"/"+id)
		a.get("healthlake", root+"/"+id+"/_history")
		for v := 1; v <= w.acked; v++ {
			a.get("healthlake", fmt.Sprintf("%s/%s/_history/%d", root, id, v))
		}
		a.get("healthlake", root+"?birthdate="+day(w.acked))
		a.get("healthlake", fmt.Sprintf("%s?identifier=urn:n%%7C%s-%d", root, id, w.acked))
	}
	instances := l.writers[len(l.writers)-2].acked
	if instances == 0 {
		t.Fatal("no instance was stored")
	}
	study := fmt.Sprintf("/datastore/%s/studies/%s", l.images, sample.Study)
	a.get("medical-imaging", fmt.Sprintf("%s/series/%s/instances", study, sample.Series))
	for n := 1; n <= instances; n++ {
		instance := fmt.Sprintf("%s/series/%s/instances/%s.%d", study, sample.Series, sample.Series, n)
		a.get("medical-imaging", instance)
		a.get("medical-imaging", instance+"/metadata")
		a.get("medical-imaging", instance+"/frames/1")
	}
	c := kms.NewClient(l.g.Client())
	keys, err := c.ListKeys(ctx, &kms.ListKeysInput{})
	if err != nil || len(keys.Keys) == 0 {
		t.Fatalf("keys: %+v, %v", keys, err)
	}
	for _, k := range keys.Keys {
		out, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: k.KeyId, Plaintext: []byte("under " + k.KeyId)})
		if err != nil {
			t.Fatal(err)
		}
		a.call(t, "kms", "TrentService.Decrypt", map[string]string{"CiphertextBlob": base64.StdEncoding.EncodeToString(out.CiphertextBlob)})
	}
	made := []cloudtrail.LookupAttribute{{AttributeKey: "EventName", AttributeValue: "CreateKey"}} // of the load: nothing here makes keys
	trail, err := cloudtrail.NewClient(l.g.Client()).LookupEvents(ctx, &cloudtrail.LookupEventsInput{LookupAttributes: made})
	if err != nil || len(trail.Events) == 0 {
		t.Fatalf("audit entries: %+v, %v", trail, err)
	}
	for _, e := range trail.Events {
		a.call(t, "cloudtrail", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents", map[string]any{"LookupAttributes": []map[string]string{{"AttributeKey": "EventId", "AttributeValue": e.EventId}}})
	}
	a.keep(t, l.g)
	return a
}

// passing are parts of answers that are new each time: boundaries between parts, ids of requests, ids and times of bundles, tokens of the next page.
var passing = regexp.MustCompile(`--[0-9a-f]{20,}(--)?\r\n|<RequestId>[^<]*</RequestId>|^\{"resourceType":"Bundle","id":"[^"]*","meta":\{"lastUpdated":"[^"]*"\}|page=[\w-]+`)

func (r *read) ask(t *testing.T, g *galen.Server) (status int, answer string, err error) {
	status, b, err := g.Client().Send(t.Context(), r.service, r.method, r.path, r.header, bytes.NewReader(r.body), 16<<20)
	return status, passing.ReplaceAllString(string(b), ""), err
}

// keep asks a whole server twice for everything: what it answers is right, and the same each time.
func (a *reads) keep(t *testing.T, g *galen.Server) {
	t.Helper()
	for i := range a.list {
		r := &a.list[i]
		status, answer, err := r.ask(t, g)
		if err != nil || status != http.StatusOK {
			t.Fatalf("%s %s: %d %v %.300s", r.method, r.path, status, err, answer)
		}
		if _, again, err := r.ask(t, g); err != nil || again != answer {
			t.Fatalf("%s %s answers %q, then %q, %v", r.method, r.path, answer, again, err)
		}
		r.status, r.want = status, answer
	}
}

// outcome counts what came of servers on damaged folders.
type outcome struct{ servers, refused, right, failed, wrong int }

func (o *outcome) add(p outcome) {
	o.servers, o.refused, o.right, o.failed, o.wrong = o.servers+p.servers, o.refused+p.refused, o.right+p.right, o.failed+p.failed, o.wrong+p.wrong
}

func (o outcome) String() string {
	return fmt.Sprintf("%d servers on damaged folders: %d did not start, the others gave %d right answers, %d errors, %d wrong", o.servers, o.refused, o.right, o.failed, o.wrong)
}

// answers starts a server on a damaged folder and asks for everything. It may refuse to start, or answer with an error of its own (5xx), or end; what it says instead
// must be what was stored. That it is not there (404) is wrong: it is.
func (a *reads) answers(t *testing.T, g *galen.Server, damaged string) (o outcome) {
	t.Helper()
	o.servers++
	g.Launch()
	defer g.Kill()
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if g.Ended(time.Millisecond) {
			if log := g.Log(); strings.Contains(log, "panic: ") || strings.TrimSpace(log) == "" {
				t.Errorf("%s is damaged: the server ended without a reason:\n%s", damaged, log)
			}
			o.refused++
			return o
		}
		resp, err := http.Get(g.URL + "/readyz")
		if err == nil {
			resp.Body.Close() //nolint:errcheck // test
			if resp.StatusCode == http.StatusOK || time.Since(begun) > 10*time.Second {
				break
			}
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("%s is damaged: the server neither starts nor ends:\n%s", damaged, g.Log())
		}
	}
	for i := range a.list {
		r := &a.list[i]
		status, answer, err := r.ask(t, g)
		switch {
		case err != nil, status >= 500:
			o.failed++
		case status == r.status && answer == r.want:
			o.right++
		default:
			o.wrong++
			t.Errorf("%s is damaged: %s %s %s answers %d %.200q, want %.200q", damaged, r.method, r.path, r.body, status, answer, r.want)
		}
	}
	return o
}
