package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"testing"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/route"
)

// TestRoundTrip sends random inputs and outputs of every operation through the client's codec, the router and the server's codec, in every protocol of its service.
func TestRoundTrip(t *testing.T) {
	table := route.New(contracts...)
	operations := 0
	for _, s := range contracts {
		for _, name := range s.OperationNames() {
			op := s.Operations[name]
			operations++
			for _, p := range s.Protocols {
				for i := range 12 {
					gen := &synth{rand.New(rand.NewPCG(uint64(i), 7)), i > 1}
					if err := roundTripInput(table, op, p, gen); err != nil {
						t.Errorf("%s %s over %s, input %d: %v", s.Package, name, p, i, err)
						break
					}
					if err := roundTripOutput(op, p, gen); err != nil {
						t.Errorf("%s %s over %s, output %d: %v", s.Package, name, p, i, err)
						break
					}
				}
			}
		}
	}
	t.Logf("%d operations", operations)
	if operations < 414 {
		t.Errorf("only %d operations in the contracts", operations)
	}
}

func roundTripInput(table *route.Table, op *aws.Operation, p aws.Protocol, gen *synth) error {
	in := reflect.New(op.In)
	gen.fill(op.Input, in.Elem(), 0)
	if err := Validate(op, in.Interface()); err != nil {
		return fmt.Errorf("valid input in the process: %w", err)
	}
	req, err := EncodeRequest("http://host.example", op, p, in.Interface())
	if err != nil {
		return err
	}
	got, err := serve(table, req, op, p)
	if err != nil {
		return fmt.Errorf("%w\n  %s %s", err, req.Method, req.URL)
	}
	return same(in.Interface(), got)
}

// serve does what a server does with a request: it reads it from the wire, finds the operation and decodes the input.
func serve(table *route.Table, req *http.Request, op *aws.Operation, p aws.Protocol) (any, error) {
	r := httptest.NewRequest(req.Method, req.URL.String(), req.Body)
	r.Header = req.Header
	var form url.Values
	if p == aws.Query {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if form, err = url.ParseQuery(string(b)); err != nil {
			return nil, err
		}
	}
	m, _, _, err := table.Find(r, op.Service.Signing, form, "")
	if err != nil {
		return nil, err
	}
	if m.Op != op || m.Protocol != p {
		return nil, fmt.Errorf("routed to %s %s over %s", m.Op.Service.Package, m.Op.Name, m.Protocol)
	}
	return Decode(&Request{Op: op, Protocol: p, Labels: m.Labels, Query: r.URL.Query(), Form: form, Header: r.Header, Body: r.Body, Length: r.ContentLength})
}

func roundTripOutput(op *aws.Operation, p aws.Protocol, gen *synth) error {
	out := reflect.New(op.Out)
	gen.fill(op.Output, out.Elem(), 0)
	rec := httptest.NewRecorder()
	if err := Encode(rec, op, p, out.Interface(), "request-id"); err != nil {
		return err
	}
	if partial := rec.Code == http.StatusPartialContent && rec.Header().Get("Content-Range") != ""; rec.Code != op.Status && !partial {
		return fmt.Errorf("status %d, the contract says %d", rec.Code, op.Status)
	}
	body, resp := rec.Body.String(), rec.Result()
	resp.Header = http.Header{}
	for k, values := range rec.Header() { // as a client's transport hands them on
		resp.Header[http.CanonicalHeaderKey(k)] = values
	}
	back := reflect.New(op.Out)
	if err := DecodeResponse(resp, op, p, back.Interface()); err != nil {
		return fmt.Errorf("%w\n  %.2000s", err, body)
	}
	if err := same(out.Interface(), back.Interface()); err != nil {
		return fmt.Errorf("%w\n  %.2000s", err, body)
	}
	return nil
}

// same compares two inputs or outputs; readers are read.
func same(want, got any) error {
	w, g := plain(reflect.ValueOf(want)), plain(reflect.ValueOf(got))
	if reflect.DeepEqual(w, g) {
		return nil
	}
	a, _ := json.Marshal(w) // what cannot be shown is shown empty
	b, _ := json.Marshal(g)
	return fmt.Errorf("came back different\n  sent %s\n  got  %s", a, b)
}

// plain makes maps and lists of a value, so that two spellings of one document are the same.
func plain(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return plain(v.Elem())
	case reflect.Interface:
		if v.IsNil() {
			return nil
		}
		if again, ok := v.Interface().(io.Seeker); ok {
			if _, err := again.Seek(0, io.SeekStart); err != nil {
				return err.Error()
			}
		}
		b, err := io.ReadAll(v.Interface().(io.Reader))
		if err != nil {
			return err.Error()
		}
		if len(b) == 0 {
			return nil
		}
		return string(b)
	case reflect.Struct:
		if v.Type().PkgPath() == "time" {
			return fmt.Sprint(v.Interface())
		}
		out := map[string]any{}
		for i := range v.NumField() {
			if x := plain(v.Field(i)); x != nil {
				out[v.Type().Field(i).Name] = x
			}
		}
		return out
	case reflect.Slice:
		if v.IsNil() {
			return nil
		}
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			var doc any
			dec := json.NewDecoder(bytes.NewReader(v.Bytes()))
			if err := dec.Decode(&doc); err != nil {
				return err.Error()
			}
			return doc
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return fmt.Sprintf("%x", v.Bytes())
		}
		out := []any{}
		for i := range v.Len() {
			out = append(out, plain(v.Index(i)))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return nil
		}
		out := map[string]any{}
		for _, k := range v.MapKeys() {
			out[k.String()] = plain(v.MapIndex(k))
		}
		return out
	case reflect.String:
		if v.Len() == 0 {
			return nil
		}
	}
	return v.Interface()
}
