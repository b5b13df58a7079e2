package leak

import (
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/cloudtrail"
	"github.com/galen-health/galen/aws/wire"
	"github.com/galen-health/galen/platform/httproute"
)

// TestNothingLeaks: what was marked is in answers to who sent it, and nowhere else outside of what is encrypted.
func TestNothingLeaks(t *testing.T) {
	s := open(t)
	ops, routes := s.offer()
	s.records()
	s.pictures()
	s.genomes()
	s.language()
	nOps, nRoutes := s.operations(ops), s.routes(routes)
	asked := s.others(ops, routes)
	s.unsigned()
	s.wait("events are delivered", func() bool { return len(s.events.all()) >= 5 })
	metrics := s.metrics()
	entries := s.audit()
	log := s.g.Log()
	s.g.Stop()

	clean(t, "the metrics", metrics)
	for line := range strings.Lines(log) {
		clean(t, "the log", []byte(line))
	}
	for _, e := range s.events.all() {
		clean(t, "an event", e)
	}
	for _, b := range s.traces.all() {
		clean(t, "a trace", b)
	}
	if len(s.traces.all()) == 0 {
		t.Error("no trace came")
	}
	files, size := cleanFolder(t, s.g.Dir)
	t.Logf("%d operations and %d routes; %d answers to others, %d events, %d audit entries, %d batches of spans, %d lines of log, %d files with %d bytes looked through", nOps, nRoutes, asked, len(s.events.all()), entries, len(s.traces.all()), strings.Count(log, "\n"), files, size)
	if nOps < 200 || nRoutes < 30 || files < 100 {
		t.Error("the test sees too little")
	}
}

// others asks everything as somebody who may do nothing, with plain inputs: no answer may tell of what others sent.
func (s *site) others(ops []*aws.Operation, routes []httproute.Route) (n int) {
	for _, op := range ops {
		if op.Streams {
			continue
		}
		in := reflect.New(op.In)
		s.plain(op, in.Elem())
		r, err := wire.EncodeRequest(s.g.URL, op, op.Service.Protocols[0], in.Interface())
		if err != nil {
			s.t.Errorf("%s: %v", op.Name, err)
			continue
		}
		resp, err := s.stranger.Do(r.WithContext(s.ctx), op.Service.Signing)
		if err != nil {
			s.t.Errorf("%s: %v", op.Name, err)
			continue
		}
		b, _ := io.ReadAll(resp.Body) // what came is looked at
		resp.Body.Close()
		clean(s.t, "the answer of "+op.Name+" to a stranger", append(b, []byte(fmt.Sprint(resp.Header))...))
		n++
	}
	for _, rt := range routes {
		path := placeholder.ReplaceAllStringFunc(rt.Pattern, func(p string) string {
			switch {
			case p == "{$}":
				return ""
			case p == "{datastoreId}" && rt.Service == "medical-imaging":
				return s.images
			case p == "{datastoreId}":
				return s.fhir
			case p == "{type}":
				return "Patient"
			case p == "{id}":
				return "p1"
			}
			return "1"
		})
		_, b := s.send(s.stranger, rt.Service, rt.Method, path, "application/fhir+json", "")
		clean(s.t, "the answer of "+rt.Name+" to a stranger", b)
		n++
	}
	return n
}

// plain fills an input with what is no mark.
func (s *site) plain(op *aws.Operation, v reflect.Value) {
	for _, m := range op.Input.Members {
		f := v.FieldByName(m.Field)
		if f.Kind() != reflect.String {
			continue
		}
		if given, ok := s.known(op, m); ok {
			f.SetString(given)
		} else if len(m.Shape.Enum) > 0 {
			f.SetString(m.Shape.Enum[0])
		} else if m.Required {
			f.SetString("1234567890")
		}
	}
}

// unsigned sends what is broken before anybody knows who calls: signatures, tokens, targets and paths that hold marks.
func (s *site) unsigned() {
	for _, header := range []map[string]string{
		{"Authorization": "Bearer " + mark("token")}, {"Authorization": "AWS4-HMAC-SHA256 Credential=" + mark("key") + "/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=" + mark("signature")},
		{"Authorization": mark("scheme")}, {"X-Amz-Target": mark("target")}, {"X-Amz-Security-Token": mark("session")}, {"Content-Type": mark("type")}, {"Traceparent": mark("trace")}, {"Accept": mark("accept")},
	} {
		for _, path := range []string{"/" + mark("path"), "/fhir/" + s.fhir + "/Patient?name=" + mark("name"), "/dicomweb/" + s.images + "/studies?PatientName=" + mark("name"), "/" + mark("bucket") + "/" + mark("key") + "?X-Amz-Signature=" + mark("signature")} {
			r, err := http.NewRequestWithContext(s.ctx, http.MethodPost, s.g.URL+path, strings.NewReader(mark("body")))
			if err != nil {
				s.t.Fatal(err)
			}
			for k, v := range header {
				r.Header.Set(k, v)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				s.t.Errorf("%s: %v", path, err)
				continue
			}
			resp.Body.Close()
		}
	}
}

func (s *site) metrics() []byte {
	resp, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(b), "galen_calls_total") {
		s.t.Fatalf("no metrics: %v", err)
	}
	return b
}

// audit reads every entry as an auditor does.
func (s *site) audit() (n int) {
	s.t.Helper()
	c := cloudtrail.NewClient(s.g.Client())
	in := &cloudtrail.LookupEventsInput{MaxResults: aws.Ptr(int32(50))}
	for deadline := time.Now().Add(time.Minute); ; {
		out, err := c.LookupEvents(s.ctx, in)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range out.Events {
			clean(s.t, "the audit entry of "+e.EventName, []byte(e.CloudTrailEvent+fmt.Sprintf("%+v", e.Resources)))
			n++
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			return n
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the audit log does not end")
		}
	}
}
