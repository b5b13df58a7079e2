package badinput

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/athena"
	"github.com/galen-health/galen/aws/cloudtrail"
	"github.com/galen-health/galen/aws/comprehendmedical"
	"github.com/galen-health/galen/aws/connecthealth"
	"github.com/galen-health/galen/aws/ecr"
	"github.com/galen-health/galen/aws/events"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/aws/logs"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/sts"
	"github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/test/galen"
)

var contracts = []*aws.Service{athena.Contract, cloudtrail.Contract, comprehendmedical.Contract, connecthealth.Contract, ecr.Contract, events.Contract, healthlake.Contract, iam.Contract, kms.Contract,
	logs.Contract, medicalimaging.Contract, omics.Contract, sts.Contract, transcribe.Contract}

var label = regexp.MustCompile(`\{[^}]*\}`)

// shaped is a call of an operation with this body, its labels filled with what may be an id.
func shaped(op *aws.Operation, body string) call {
	s := op.Service
	switch p := s.Protocols[len(s.Protocols)-1]; p { // the JSON one where a service has two
	case aws.JSON10, aws.JSON11:
		return call{service: s.Signing, header: target(s.TargetPrefix+"."+op.Name, strings.TrimPrefix(string(p), "json")), body: body}
	case aws.Query:
		return call{service: s.Signing, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, body: url.Values{"Action": {op.Name}, "Version": {s.APIVersion}}.Encode() + body}
	}
	c := call{service: s.Signing, method: op.Method, path: label.ReplaceAllString(op.URI, "1234567890"), body: body}
	if body != "" {
		c.header = map[string]string{"Content-Type": "application/json"}
	}
	return c
}

// inBody are the members that a JSON body carries.
func inBody(op *aws.Operation) (out []*aws.Member) {
	if op.Input.Payload != "" {
		return nil
	}
	for _, m := range op.Input.Members {
		if m.Location == "" {
			out = append(out, m)
		}
	}
	return out
}

// wrong is a value of another type than the member's.
func wrong(m *aws.Member) any {
	switch m.Shape.Kind {
	case aws.Structure, aws.Map:
		return marked
	case aws.List:
		return map[string]any{"a": marked}
	case aws.Boolean:
		return []string{marked}
	default:
		return map[string]string{"a": marked}
	}
}

// TestEveryOperation sends each operation nothing, values of the wrong types, half a document and a key twice: the answer is an error of the contract's, and
// never the server's fault.
func TestEveryOperation(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	var operations, answers atomic.Int64
	work := make(chan *aws.Operation)
	var done sync.WaitGroup
	for range 16 {
		done.Go(func() {
			for op := range work {
				if n := attack(t, g, op); n > 0 {
					operations.Add(1)
					answers.Add(int64(n))
				}
			}
		})
	}
	for _, s := range contracts {
		for _, name := range s.OperationNames() {
			if op := s.Operations[name]; !op.Streams {
				work <- op
			}
		}
	}
	close(work)
	done.Wait()
	t.Logf("%d operations, %d answers", operations.Load(), answers.Load())
	if operations.Load() < 200 {
		t.Errorf("%d operations are implemented: the test sees too few", operations.Load())
	}
}

// attack returns how many requests the operation answered, 0 when it is not implemented.
func attack(t *testing.T, g *galen.Server, op *aws.Operation) (n int) {
	what := op.Service.ID + " " + op.Name
	hold := func(kind, body string, must bool) {
		c := shaped(op, body)
		if c.method == http.MethodGet && body != "" {
			return
		}
		a := c.send(t, g)
		switch {
		case a.status == http.StatusNotImplemented && a.code() == "UnknownOperationException":
			return
		case a.status < 400 && must:
			t.Errorf("%s accepts %s: %d %.200s", what, kind, a.status, a.body)
		case a.status >= 500 || a.status >= 400 && a.code() == "":
			t.Errorf("%s with %s: %d %s %.200s", what, kind, a.status, a.code(), a.body)
		case a.status >= 400 && (a.header.Get("X-Amzn-Requestid") == "" || strings.Contains(a.body, marked)):
			t.Errorf("%s with %s has no request id, or repeats what was sent: %.200s", what, kind, a.body)
		}
		n++
	}
	required := false
	for _, m := range op.Input.Members {
		required = required || m.Required && !m.Token && m.Location != "uri"
	}
	members := inBody(op)
	query := op.Service.Protocols[0] == aws.Query
	nothing := "{}"
	if query || len(members) == 0 {
		nothing = ""
	}
	if hold("nothing", nothing, required); n == 0 || len(members) == 0 {
		return n
	}
	if query {
		form := url.Values{}
		for _, m := range members {
			form.Set(m.Wire(), strings.Repeat(marked, 1<<10))
			form.Set(m.Wire()+".member.one", marked)
		}
		hold("values that fit nothing", "&"+form.Encode(), true)
		hold("half an escape", "&"+members[0].Wire()+"=%4", true)
		return n
	}
	types := map[string]any{}
	for _, m := range members {
		types[m.Wire()] = wrong(m)
	}
	b, err := json.Marshal(types)
	if err != nil {
		t.Error(err)
		return n
	}
	hold("wrong types", string(b), true)
	hold("half a document", string(b[:len(b)-1]), true)
	hold("a key twice", fmt.Sprintf(`{%[1]q:null,%[1]q:null}`, members[0].Wire()), true)
	hold("bytes that are no text", "{\"x\":\"\xff\xfe\"}", true)
	hold("a list", "[]", true)
	return n
}
