package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/route"
)

// peer is botocore in a process of its own (testdata/peer.py).
type peer struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	python := os.Getenv("GALEN_PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", ".cache", "venv", "bin", "python3")
	}
	if _, err := os.Stat(python); err != nil {
		t.Skip("botocore is not installed: run make test, which installs it, or set GALEN_PYTHON")
	}
	cmd := exec.Command(python, "testdata/peer.py")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // it ends with its input
	})
	return &peer{in, bufio.NewReaderSize(out, 1<<20)}
}

func (p *peer) ask(question map[string]any, answer any) error {
	b, err := json.Marshal(question)
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(b, '\n')); err != nil {
		return err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return err
	}
	var failed struct{ Error string }
	if err := json.Unmarshal(line, &failed); err == nil && failed.Error != "" {
		return fmt.Errorf("botocore: %s", failed.Error)
	}
	return json.Unmarshal(line, answer)
}

// named writes a value with the contract's member names, as botocore's users have it.
func named(sh *aws.Shape, v reflect.Value) any {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if sh.Document {
		var doc any
		if json.Unmarshal(v.Bytes(), &doc) != nil {
			return nil
		}
		return doc
	}
	switch sh.Kind {
	case aws.Structure:
		out := map[string]any{}
		for _, m := range sh.Members {
			if m.Shape.EventStream {
				continue
			}
			if x := named(m.Shape, v.FieldByName(m.Field)); x != nil {
				out[m.Name] = x
			}
		}
		return out
	case aws.List:
		if v.Len() == 0 {
			return nil
		}
		out := []any{}
		for i := range v.Len() {
			out = append(out, named(sh.Elem.Shape, v.Index(i)))
		}
		return out
	case aws.Map:
		if v.Len() == 0 {
			return nil
		}
		out := map[string]any{}
		for _, k := range v.MapKeys() {
			out[k.String()] = named(sh.Value.Shape, v.MapIndex(k))
		}
		return out
	case aws.Blob:
		if isStream(v) {
			s, _ := plain(v).(string)
			if again, ok := v.Interface().(io.Seeker); ok {
				_, _ = again.Seek(0, io.SeekStart) // of a string, which cannot fail
			}
			return map[string]any{"$bytes": []byte(s)}
		}
		if v.Len() == 0 {
			return nil
		}
		return map[string]any{"$bytes": v.Bytes()}
	case aws.Timestamp:
		if v.IsZero() {
			return nil
		}
		return map[string]any{"$time": float64(v.Interface().(time.Time).UnixMilli()) / 1000}
	case aws.String:
		if v.Len() == 0 {
			return nil
		}
		return v.String()
	}
	return v.Interface()
}

// bare is a value as JSON has it, without what is empty.
func bare(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		return err.Error()
	}
	return dropEmpty(out)
}

func dropEmpty(v any) any {
	switch t := v.(type) {
	case map[string]any:
		for k, x := range t {
			if x = dropEmpty(x); x == nil {
				delete(t, k)
			} else {
				t[k] = x
			}
		}
		if len(t) == 0 {
			return nil
		}
	case []any:
		for i, x := range t {
			t[i] = dropEmpty(x)
		}
		if len(t) == 0 {
			return nil
		}
	case string:
		if t == "" {
			return nil
		}
	}
	return v
}

// botocoreNames are the services whose name in botocore is not that of their package.
var botocoreNames = map[string]string{"medicalimaging": "medical-imaging"}

// protocolNames are botocore's names of the protocols.
var protocolNames = map[aws.Protocol]string{aws.JSON10: "json", aws.JSON11: "json", aws.RESTJSON: "rest-json", aws.RESTXML: "rest-xml", aws.Query: "query", aws.CBOR: "smithy-rpc-v2-cbor"}

// notBotocores takes out the members that botocore's clients treat apart: S3's Expires (a date to some and text to others) and a length that they count.
func notBotocores(v any) any {
	if m, ok := v.(map[string]any); ok {
		for _, k := range []string{"Expires", "ExpiresString", "ContentLength"} {
			delete(m, k)
		}
	}
	return v
}

// apart are what botocore does outside of its codecs.
var apart = map[string]string{
	"GetBucketLocation": "its answer's root is the value itself, which a handler of the client reads",
}

// TestAgainstBotocore: what botocore writes we read as it was meant, and what we write botocore reads as it was meant, for every operation in every protocol.
func TestAgainstBotocore(t *testing.T) {
	p := newPeer(t)
	table := route.New(contracts...)
	inputs, outputs := 0, 0
	for _, s := range contracts {
		service := s.Package
		if n := botocoreNames[service]; n != "" {
			service = n
		}
		if service == "transcribestreaming" {
			continue // botocore has no event streams to the server
		}
		for _, name := range s.OperationNames() {
			op := s.Operations[name]
			if op.Streams {
				continue
			}
			for _, proto := range s.Protocols {
				for seed := range uint64(4) {
					gen := newSynth(seed)
					if err := botocoreWrites(p, table, service, op, proto, gen); err != nil {
						t.Errorf("%s %s over %s, input: %v", s.Package, name, proto, err)
						break
					}
					inputs++
					if apart[name] != "" {
						continue
					}
					if err := botocoreReads(p, service, op, proto, gen); err != nil {
						t.Errorf("%s %s over %s, output: %v", s.Package, name, proto, err)
						break
					}
					outputs++
				}
			}
		}
	}
	t.Logf("%d inputs written and %d outputs read by botocore", inputs, outputs)
}

func botocoreWrites(p *peer, table *route.Table, service string, op *aws.Operation, proto aws.Protocol, gen *synth) error {
	in := reflect.New(op.In)
	gen.fill(op.Input, in.Elem(), 0)
	want := notBotocores(named(op.Input, in))
	var req struct {
		Method, URL string
		Headers     map[string]string
		Body        []byte
	}
	if err := p.ask(map[string]any{"kind": "write", "service": service, "operation": op.Name, "protocol": protocolNames[proto], "params": want}, &req); err != nil {
		return err
	}
	r, err := http.NewRequest(req.Method, req.URL, bytes.NewReader(req.Body))
	if err != nil {
		return err
	}
	for k, v := range req.Headers {
		r.Header.Set(k, v)
	}
	got, err := serve(table, r, op, proto)
	if err != nil {
		return fmt.Errorf("%w\n  %s %s %s", err, req.Method, req.URL, req.Body)
	}
	return alike(bare(want), bare(notBotocores(named(op.Input, reflect.ValueOf(got)))), req.Body)
}

func botocoreReads(p *peer, service string, op *aws.Operation, proto aws.Protocol, gen *synth) error {
	out := reflect.New(op.Out)
	gen.fill(op.Output, out.Elem(), 0)
	want := bare(notBotocores(named(op.Output, out)))
	rec := httptest.NewRecorder()
	if err := Encode(rec, op, proto, out.Interface(), "request-id"); err != nil {
		return err
	}
	headers := map[string]string{}
	for k, v := range rec.Header() {
		headers[k] = v[0]
	}
	var answer struct{ Params any }
	if err := p.ask(map[string]any{"kind": "read", "service": service, "operation": op.Name, "protocol": protocolNames[proto], "status": rec.Code, "headers": headers, "body": append([]byte{}, rec.Body.Bytes()...)}, &answer); err != nil {
		return fmt.Errorf("%w\n  %s", err, rec.Body)
	}
	return alike(want, bare(notBotocores(answer.Params)), rec.Body.Bytes())
}

func alike(want, got any, body []byte) error {
	if reflect.DeepEqual(want, got) {
		return nil
	}
	a, _ := json.Marshal(want) // maps of plain values always marshal
	b, _ := json.Marshal(got)
	return fmt.Errorf("came out different\n want %s\n got  %s\n from %.3000q", a, b, body)
}
