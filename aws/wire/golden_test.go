package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/route"
	"github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/aws/transcribestreaming"
	"github.com/galen-health/galen/platform/errs"
)

// golden are modules of the AWS SDK for Go that ship the exact requests and answers of their operations. They are read, not linked.
var golden = []struct {
	module   string
	contract *aws.Service
	most     int // files that must be there
}{
	{"healthlake@v1.43.0", healthlake.Contract, 25},
	{"medicalimaging@v1.29.0", medicalimaging.Contract, 18},
	{"transcribe@v1.58.0", transcribe.Contract, 7},
	{"transcribestreaming@v1.39.0", transcribestreaming.Contract, 1},
}

// module returns the folder of an SDK module, brought by the go command.
func module(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", "github.com/aws/aws-sdk-go-v2/service/"+name)
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	var info struct{ Dir string }
	if jerr := json.Unmarshal(out, &info); err != nil || jerr != nil || info.Dir == "" {
		t.Skipf("the module %s cannot be had here: %v", name, err)
	}
	return info.Dir
}

// TestGoldenRequests reads the requests that the SDK recorded: each is routed to its operation, decoded without a loss, and written again as it was.
func TestGoldenRequests(t *testing.T) {
	table := route.New(contracts...)
	for _, g := range golden {
		t.Run(g.module, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(module(t, g.module), "request_snapshot", "*.request.snap"))
			if err != nil {
				t.Fatal(err)
			}
			seen := 0
			for _, f := range files {
				op := g.contract.Operations[strings.TrimSuffix(filepath.Base(f), ".request.snap")]
				if op == nil {
					continue // of transcribe, only the medical scribe is in the contract
				}
				seen++
				if op.Streams && len(op.Input.Members) == 0 {
					continue
				}
				goldenRequest(t, table, g.contract, op, f)
			}
			if seen < g.most {
				t.Errorf("%d requests, want %d", seen, g.most)
			}
		})
	}
}

func goldenRequest(t *testing.T, table *route.Table, s *aws.Service, op *aws.Operation, file string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(raw), "\n")
	headers, body, _ := strings.Cut(strings.TrimPrefix(rest, "\n"), "\n\n")
	method, target, _ := strings.Cut(head, " ")
	r := httptest.NewRequest(method, "http://host.example"+target, strings.NewReader(body))
	for _, l := range strings.Split(headers, "\n") {
		if k, v, ok := strings.Cut(l, ": "); ok {
			r.Header.Set(k, v)
		}
	}
	m, _, _, err := table.Find(r, s.Signing, nil, "")
	if err != nil {
		t.Errorf("%s: %v", op.Name, err)
		return
	}
	if m.Op != op {
		t.Errorf("%s was routed to %s", op.Name, m.Op.Name)
		return
	}
	in, err := Decode(&Request{Op: op, Protocol: m.Protocol, Labels: m.Labels, Query: r.URL.Query(), Header: r.Header, Body: r.Body})
	var e *errs.Error
	if err != nil && (!errors.As(err, &e) || e.Name != ErrInvalidInput) { // the snapshot's placeholders keep no pattern
		t.Errorf("%s: %v", op.Name, err)
		return
	}
	again, err := EncodeRequest("http://host.example", op, m.Protocol, in)
	if err != nil {
		t.Errorf("%s: %v", op.Name, err)
		return
	}
	if again.Method != method || again.URL.EscapedPath() != r.URL.EscapedPath() || again.URL.Query().Encode() != r.URL.Query().Encode() {
		t.Errorf("%s was written as %s %s, want %s", op.Name, again.Method, again.URL, head)
	}
	var now []byte
	if again.Body != nil {
		if now, err = io.ReadAll(again.Body); err != nil {
			t.Fatal(err)
		}
	}
	for _, member := range gone[op.Name] {
		body = strings.Replace(body, `,"`+member+`":"CCDA"`, "", 1)
	}
	sameDocument(t, op.Name, []byte(body), now)
}

// gone are members that this SDK still sends and the newer contract no longer has: they are passed over.
var gone = map[string][]string{"UpdateProfileWithAgent": {"SourceFormat"}}

func sameDocument(t *testing.T, what string, want, got []byte) {
	t.Helper()
	tree := func(b []byte) (v any) {
		if len(bytes.TrimSpace(b)) == 0 {
			return map[string]any{}
		}
		if err := json.Unmarshal(b, &v); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return v
	}
	if a, b := tree(want), tree(got); !reflect.DeepEqual(a, b) {
		t.Errorf("%s came out different\n want %s\n got  %s", what, want, got)
	}
}

// TestGoldenAnswers reads the recorded answers and errors as a client and writes them as a server.
func TestGoldenAnswers(t *testing.T) {
	g := golden[3]
	files, err := filepath.Glob(filepath.Join(module(t, g.module), "response_snapshot", "*.snap"))
	if err != nil || len(files) == 0 {
		t.Fatal("no recorded answers", err)
	}
	op := g.contract.Operations["GetMedicalScribeStream"]
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		code, rest, _ := strings.Cut(string(raw), "\n")
		status, err := strconv.Atoi(strings.TrimSpace(code))
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := strings.Cut(rest, "\n\n")
		resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
		for lines := bufio.NewScanner(strings.NewReader(head)); lines.Scan(); {
			if k, v, ok := strings.Cut(lines.Text(), ": "); ok {
				resp.Header.Set(k, v)
			}
		}
		out := reflect.New(op.Out)
		err = DecodeResponse(resp, op, aws.RESTJSON, out.Interface())
		name := filepath.Base(f)
		if want, failure := strings.CutSuffix(name, ".error.snap"); failure {
			var e *errs.Error
			if !errors.As(err, &e) || e.Name != want {
				t.Errorf("%s was read as %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		rec := httptest.NewRecorder()
		if err := Encode(rec, op, aws.RESTJSON, out.Interface(), "id"); err != nil {
			t.Error(err)
		}
		sameDocument(t, name, []byte(body), rec.Body.Bytes())
	}
}
