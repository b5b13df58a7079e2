package wire

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	sdkaws "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/connecthealth"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/aws/transcribestreaming"
	"github.com/galen-health/galen/platform/errs"
)

var streamTime = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// signedRequest gives the chain that a verified request for an event stream has, and the signer that goes on from it.
func signedRequest(t testing.TB) (*sigv4.Chain, *v4.StreamSigner) {
	t.Helper()
	creds := sdkaws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}
	r := httptest.NewRequest("POST", "http://host.example/medical-scribe-stream", nil)
	r.Header.Set("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-EVENTS")
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, "STREAMING-AWS4-HMAC-SHA256-EVENTS", "transcribe", "us-east-1", streamTime); err != nil {
		t.Fatal(err)
	}
	signed, err := sigv4.Verify(r, streamTime, oneKey{})
	if err != nil {
		t.Fatal(err)
	}
	_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	seed, err := hex.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	return signed.Chain, v4.NewStreamSigner(creds, "transcribe", "us-east-1", seed)
}

type oneKey struct{}

func (oneKey) Secret(context.Context, string, string) (string, any, error) {
	return "secret", nil, nil
}

// wrap frames and signs a message; nil is the end of the stream.
func wrap(t testing.TB, s *v4.StreamSigner, to *bytes.Buffer, m *eventstream.Message) {
	t.Helper()
	var inner, head bytes.Buffer
	enc := eventstream.NewEncoder()
	if m != nil {
		if err := enc.Encode(&inner, *m); err != nil {
			t.Fatal(err)
		}
	}
	outer := eventstream.Message{Headers: eventstream.Headers{{Name: ":date", Value: eventstream.TimestampValue(streamTime)}}, Payload: inner.Bytes()}
	if err := eventstream.EncodeHeaders(&head, outer.Headers); err != nil {
		t.Fatal(err)
	}
	sig, err := s.GetSignature(context.Background(), head.Bytes(), outer.Payload, streamTime)
	if err != nil {
		t.Fatal(err)
	}
	outer.Headers.Set(":chunk-signature", eventstream.BytesValue(sig))
	if err := enc.Encode(to, outer); err != nil {
		t.Fatal(err)
	}
}

// message writes an event of any shape as a client does.
func message(m *aws.Member, v reflect.Value) *eventstream.Message {
	contentType, payload := eventBody(m.Shape, v)
	return &eventstream.Message{Headers: eventstream.Headers{{Name: ":message-type", Value: eventstream.StringValue("event")}, {Name: ":event-type", Value: eventstream.StringValue(m.Name)},
		{Name: ":content-type", Value: eventstream.StringValue(contentType)}}, Payload: payload}
}

func clock() time.Time { return streamTime }

func begin() error { return nil }

// TestEveryEvent sends random events of every kind that comes in, and reads every kind that goes out.
func TestEveryEvent(t *testing.T) {
	inputs := map[*aws.Operation]any{
		transcribestreaming.Contract.Operations["StartMedicalScribeStream"]:     transcribestreaming.MedicalScribeInputStream{},
		connecthealth.Contract.Operations["StartMedicalScribeListeningSession"]: connecthealth.MedicalScribeInputStream{},
	}
	outputs := map[*aws.Operation]any{
		transcribestreaming.Contract.Operations["StartMedicalScribeStream"]:     transcribestreaming.MedicalScribeResultStream{},
		connecthealth.Contract.Operations["StartMedicalScribeListeningSession"]: connecthealth.MedicalScribeOutputStream{},
		healthlake.Contract.Operations["UpdateProfileWithAgent"]:                healthlake.AgentOutputMessageStream{},
	}
	seen := 0
	for op, zero := range inputs {
		chain, signer := signedRequest(t)
		var wire bytes.Buffer
		var sent []any
		gen := newSynth(3)
		for range 5 {
			for _, m := range eventsOf(op.Input).Members {
				v := reflect.New(reflect.TypeOf(zero)).Elem()
				gen.value(m, v.FieldByName(m.Field), 0)
				wrap(t, signer, &wire, message(m, v.FieldByName(m.Field).Elem()))
				sent = append(sent, v.Addr().Interface())
			}
		}
		wrap(t, signer, &wire, nil)
		s, err := NewStream(httptest.NewRecorder(), op, aws.RESTJSON, &wire, chain, clock, begin)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range sent {
			got := reflect.New(reflect.TypeOf(zero)).Interface()
			if err := s.RecvEvent(got); err != nil {
				t.Fatalf("%s, event %d: %v", op.Name, i, err)
			}
			if err := same(want, got); err != nil {
				t.Errorf("%s, event %d: %v", op.Name, i, err)
			}
			seen++
		}
		for range 2 { // the end stays the end
			if err := s.RecvEvent(reflect.New(reflect.TypeOf(zero)).Interface()); !errors.Is(err, io.EOF) {
				t.Errorf("%s ends with %v", op.Name, err)
			}
		}
	}
	for op, zero := range outputs {
		p := op.Service.Protocols[0]
		chain, _ := signedRequest(t)
		rec := httptest.NewRecorder()
		s, err := NewStream(rec, op, p, nil, chain, clock, begin)
		if err != nil {
			t.Fatal(err)
		}
		gen := newSynth(4)
		var want []any
		for _, m := range eventsOf(op.Output).Members {
			v := reflect.New(reflect.TypeOf(zero)).Elem()
			gen.value(m, v.FieldByName(m.Field), 0)
			if err := s.SendEvent(v.Addr().Interface()); err != nil {
				t.Fatal(err)
			}
			want = append(want, v.Addr().Interface())
		}
		dec := eventstream.NewDecoder()
		if p != aws.RESTJSON {
			if m, err := dec.Decode(rec.Body, nil); err != nil || m.Headers.Get(":event-type").String() != "initial-response" {
				t.Errorf("%s begins with %v, %v", op.Name, m.Headers, err)
			}
		}
		for i, m := range eventsOf(op.Output).Members {
			msg, err := dec.Decode(rec.Body, nil)
			if err != nil {
				t.Fatalf("%s %s: %v", op.Name, m.Name, err)
			}
			kind := map[bool]string{true: "exception", false: "event"}[m.Shape.Error != nil]
			if msg.Headers.Get(":message-type").String() != kind || msg.Headers.Get(":"+kind+"-type").String() != m.Name {
				t.Errorf("%s %s has the headers %v", op.Name, m.Name, msg.Headers)
			}
			got := reflect.New(reflect.TypeOf(zero)).Elem()
			f := got.FieldByName(m.Field)
			f.Set(reflect.New(f.Type().Elem()))
			tree, err := parseJSON(msg.Payload, maxValues)
			if err != nil {
				t.Fatal(err)
			}
			d := &decoder{}
			if err := d.structure(m.Shape, tree, f.Elem(), ""); err != nil || d.err() != nil {
				t.Errorf("%s %s: %v %v", op.Name, m.Name, err, d.err())
			}
			if err := same(want[i], got.Addr().Interface()); err != nil {
				t.Errorf("%s %s: %v", op.Name, m.Name, err)
			}
			seen++
		}
		if err := s.SendEvent(reflect.New(reflect.TypeOf(zero)).Interface()); !errs.Is(err, errs.Internal) {
			t.Errorf("%s: an event without a member: %v", op.Name, err)
		}
		if err := s.OpenStream(reflect.New(op.Out).Interface()); err == nil {
			t.Errorf("%s was opened twice", op.Name)
		}
	}
	if seen < 40 {
		t.Errorf("only %d events", seen)
	}
}

// TestUnansweredStream: nothing is written when what must come before the answer fails.
func TestUnansweredStream(t *testing.T) {
	op := healthlake.Contract.Operations["UpdateProfileWithAgent"]
	rec := httptest.NewRecorder()
	s, err := NewStream(rec, op, aws.JSON10, nil, nil, clock, func() error { return errs.New(errs.Unavailable, "the log is full") })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SendEvent(&healthlake.AgentOutputMessageStream{HeartbeatEvent: &healthlake.HeartbeatEvent{}}); !errs.Is(err, errs.Unavailable) || s.Opened() || rec.Body.Len() != 0 {
		t.Errorf("%v, %d bytes", err, rec.Body.Len())
	}
}

// FuzzEvents gives any bytes as a stream: no panic, and nothing passes that was not signed.
func FuzzEvents(f *testing.F) {
	op := transcribestreaming.Contract.Operations["StartMedicalScribeStream"]
	_, signer := signedRequest(f)
	var good bytes.Buffer
	audio := func(s string) *eventstream.Message {
		return &eventstream.Message{Headers: eventstream.Headers{{Name: ":message-type", Value: eventstream.StringValue("event")}, {Name: ":event-type", Value: eventstream.StringValue("AudioEvent")}}, Payload: []byte(s)}
	}
	for _, s := range []string{"one", "two"} {
		wrap(f, signer, &good, audio(s))
	}
	wrap(f, signer, &good, nil)
	f.Add(good.Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		chain, _ := signedRequest(t)
		s, err := NewStream(httptest.NewRecorder(), op, aws.RESTJSON, bytes.NewReader(b), chain, clock, begin)
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; ; n++ {
			var ev transcribestreaming.MedicalScribeInputStream
			err := s.RecvEvent(&ev)
			if errors.Is(err, io.EOF) {
				if !bytes.HasPrefix(b, good.Bytes()) {
					t.Fatal("an end came that nobody signed")
				}
				return
			}
			if err != nil {
				return
			}
			if n > 1 || ev.AudioEvent == nil || string(ev.AudioEvent.AudioChunk) != []string{"one", "two"}[n] {
				t.Fatalf("event %d is %+v", n, ev)
			}
		}
	})
}
