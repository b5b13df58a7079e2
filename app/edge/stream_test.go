package edge

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	sdkaws "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// eventCaller is a caller of an event stream that signs with the AWS SDK's own signers.
type eventCaller struct {
	t      testing.TB
	signer *v4.StreamSigner
	body   *io.PipeWriter
	answer chan *http.Response
	enc    *eventstream.Encoder
}

const streamPath = "/medical-scribe-stream"

func (h *harness) openStream(http2 bool, session string) *eventCaller {
	h.t.Helper()
	pr, pw := io.Pipe()
	r, err := http.NewRequest("POST", h.server.URL+streamPath, pr)
	if err != nil {
		h.t.Fatal(err)
	}
	for k, v := range map[string]string{"Content-Type": "application/vnd.amazon.eventstream", "X-Amz-Content-Sha256": "STREAMING-AWS4-HMAC-SHA256-EVENTS", "X-Amzn-Transcribe-Language-Code": "en-US",
		"X-Amzn-Transcribe-Sample-Rate": "16000", "X-Amzn-Transcribe-Media-Encoding": "pcm", "X-Amzn-Transcribe-Session-Id": session} {
		r.Header.Set(k, v)
	}
	creds := sdkaws.Credentials{AccessKeyID: root.AccessKeyID, SecretAccessKey: root.SecretAccessKey}
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, "STREAMING-AWS4-HMAC-SHA256-EVENTS", "transcribe", region, time.Now()); err != nil {
		h.t.Fatal(err)
	}
	_, sig, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	seed, err := hex.DecodeString(sig)
	if err != nil {
		h.t.Fatal(err)
	}
	c := &eventCaller{t: h.t, signer: v4.NewStreamSigner(creds, "transcribe", region, seed), body: pw, answer: make(chan *http.Response, 1), enc: eventstream.NewEncoder()}
	tr := &http.Transport{Protocols: new(http.Protocols)}
	if http2 {
		tr.Protocols.SetUnencryptedHTTP2(true)
	} else {
		tr.Protocols.SetHTTP1(true)
	}
	h.t.Cleanup(tr.CloseIdleConnections)
	go func() {
		resp, err := tr.RoundTrip(r)
		if err != nil {
			h.t.Error(err)
		}
		c.answer <- resp
	}()
	return c
}

// event is one message of the caller.
func event(name, contentType string, payload []byte) *eventstream.Message {
	return &eventstream.Message{Headers: eventstream.Headers{{Name: ":message-type", Value: eventstream.StringValue("event")}, {Name: ":event-type", Value: eventstream.StringValue(name)},
		{Name: ":content-type", Value: eventstream.StringValue(contentType)}}, Payload: payload}
}

func audio(s string) *eventstream.Message {
	return event("AudioEvent", "application/octet-stream", []byte(s))
}

// send wraps and signs a message, nil for the end of the stream; spoil changes it after it was signed.
func (c *eventCaller) send(m *eventstream.Message, spoil func(*eventstream.Message)) error {
	var inner bytes.Buffer
	if m != nil {
		if err := c.enc.Encode(&inner, *m); err != nil {
			c.t.Fatal(err)
		}
	}
	now := time.Now().UTC()
	outer := eventstream.Message{Headers: eventstream.Headers{{Name: ":date", Value: eventstream.TimestampValue(now)}}, Payload: inner.Bytes()}
	var head bytes.Buffer
	if err := eventstream.EncodeHeaders(&head, outer.Headers); err != nil {
		c.t.Fatal(err)
	}
	sig, err := c.signer.GetSignature(context.Background(), head.Bytes(), outer.Payload, now)
	if err != nil {
		c.t.Fatal(err)
	}
	outer.Headers.Set(":chunk-signature", eventstream.BytesValue(sig))
	if spoil != nil {
		spoil(&outer)
	}
	return c.enc.Encode(c.body, outer)
}

// heard is a message of the server: its kind, its name and its document.
type heard struct {
	kind, name string
	doc        map[string]any
}

func hear(t *testing.T, r io.Reader) (out []heard) {
	t.Helper()
	dec := eventstream.NewDecoder()
	for {
		m, err := dec.Decode(r, nil)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Errorf("after %d messages: %v", len(out), err)
			return out
		}
		h := heard{kind: m.Headers.Get(":message-type").String()}
		for _, k := range []string{":event-type", ":exception-type", ":error-code"} {
			if v := m.Headers.Get(k); v != nil {
				h.name = v.String()
			}
		}
		if len(m.Payload) > 0 {
			if err := json.Unmarshal(m.Payload, &h.doc); err != nil {
				t.Error(err)
			}
		}
		out = append(out, h)
	}
}

const sessionID = "11111111-2222-3333-4444-555555555555"

// TestStreamBothWays: each event is answered before the next is sent, over HTTP/1.1 and HTTP/2, and the answer's headers come before the first event.
func TestStreamBothWays(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		h := newHarness(t)
		c := h.openStream(http2, sessionID)
		resp := <-c.answer
		if resp == nil {
			t.Fatal("no answer")
		}
		if resp.StatusCode != 200 || resp.Header.Get("X-Amzn-Transcribe-Session-Id") != sessionID || resp.Header.Get("Content-Type") != "application/vnd.amazon.eventstream" || (resp.ProtoMajor == 2) != http2 {
			t.Fatalf("%s %s %v", resp.Proto, resp.Status, resp.Header)
		}
		if e := h.journal.last(); e.Name != "StartMedicalScribeStream" || e.Error != "" {
			t.Errorf("the answer began before its audit entry: %+v", e)
		}
		dec := eventstream.NewDecoder()
		for _, word := range []string{"take", "two", "tablets"} {
			if err := c.send(audio(word), nil); err != nil {
				t.Fatal(err)
			}
			m, err := dec.Decode(resp.Body, nil)
			if err != nil || !strings.Contains(string(m.Payload), `"Content":"`+word+`"`) || m.Headers.Get(":event-type").String() != "TranscriptEvent" || m.Headers.Get(":content-type").String() != "application/json" {
				t.Fatalf("%v %s %v", m.Headers, m.Payload, err)
			}
		}
		if err := c.send(nil, nil); err != nil {
			t.Fatal(err)
		}
		c.body.Close()
		if rest := hear(t, resp.Body); len(rest) != 0 {
			t.Errorf("after the end came %v", rest)
		}
		resp.Body.Close()
	}
}

// TestStreamRefusals: what is wrong with one message ends the stream with an exception of the contract, and nothing of it is heard.
func TestStreamRefusals(t *testing.T) {
	for what, c := range map[string]struct {
		send func(c *eventCaller)
		kind string
		name string
	}{
		"an error of the operation": {func(c *eventCaller) { _ = c.send(audio("boom"), nil) }, "exception", "ConflictException"},
		"a changed payload": {func(c *eventCaller) {
			_ = c.send(audio("tablets"), func(m *eventstream.Message) {
				m.Payload = bytes.Clone(m.Payload)
				m.Payload[len(m.Payload)-6] ^= 1
			})
		}, "error", "InvalidSignatureException"},
		"another date":   {func(c *eventCaller) { _ = c.send(audio("x"), spoilDate(time.Minute)) }, "error", "InvalidSignatureException"},
		"an old message": {func(c *eventCaller) { _ = c.send(audio("x"), spoilDate(-time.Hour)) }, "error", "InvalidSignatureException"},
		"no signature": {func(c *eventCaller) {
			_ = c.send(audio("x"), func(m *eventstream.Message) { m.Headers = m.Headers[:1] })
		}, "error", "InvalidSignatureException"},
		"a replay":        {func(c *eventCaller) { c.replay() }, "error", "InvalidSignatureException"},
		"an unsigned one": {func(c *eventCaller) { _ = c.enc.Encode(c.body, *audio("x")) }, "error", "InvalidSignatureException"},
		"a forged end":    {func(c *eventCaller) { _ = c.send(audio("x"), func(m *eventstream.Message) { m.Payload = nil }) }, "error", "InvalidSignatureException"},
		"a broken end":    {func(c *eventCaller) { c.body.Close() }, "exception", "BadRequestException"},
		"noise":           {func(c *eventCaller) { _, _ = c.body.Write(bytes.Repeat([]byte{0x55}, 64)); c.body.Close() }, "error", "SerializationException"},
		"an unknown event": {func(c *eventCaller) {
			_ = c.send(event("VideoEvent", "application/json", []byte("{}")), nil)
		}, "error", "SerializationException"},
		"an event without its document": {func(c *eventCaller) {
			_ = c.send(event("SessionControlEvent", "application/json", []byte("{")), nil)
		}, "error", "SerializationException"},
		"an event that breaks the contract": {func(c *eventCaller) {
			_ = c.send(event("SessionControlEvent", "application/json", []byte(`{"Type":"REWIND"}`)), nil)
		}, "exception", "BadRequestException"},
	} {
		h := newHarness(t)
		caller := h.openStream(true, sessionID)
		resp := <-caller.answer
		if resp == nil {
			t.Fatal(what)
		}
		caller.send1(t, "hello")
		go func() { c.send(caller) }()
		got := hear(t, resp.Body)
		resp.Body.Close()
		if len(got) < 2 || got[0].name != "TranscriptEvent" || got[len(got)-1].kind != c.kind || got[len(got)-1].name != c.name {
			t.Errorf("%s: %+v, want %s %s", what, got, c.kind, c.name)
		}
		if n := len(got); what != "a replay" && n != 2 {
			t.Errorf("%s: %d messages came", what, n)
		}
	}
}

func (c *eventCaller) send1(t *testing.T, word string) {
	t.Helper()
	if err := c.send(audio(word), nil); err != nil {
		t.Fatal(err)
	}
}

func (c *eventCaller) replay() {
	var once bytes.Buffer
	pipe := c.body
	pr, pw := io.Pipe()
	c.body = pw
	go func() {
		_ = c.send(audio("again"), nil)
		pw.Close()
	}()
	_, _ = io.Copy(&once, pr)
	_, _ = pipe.Write(append(bytes.Clone(once.Bytes()), once.Bytes()...))
}

func spoilDate(by time.Duration) func(*eventstream.Message) {
	return func(m *eventstream.Message) {
		m.Headers.Set(":date", eventstream.TimestampValue(time.Now().Add(by)))
	}
}

// TestStreamRefusedAtOnce: an error before anything was said is an ordinary answer.
func TestStreamRefusedAtOnce(t *testing.T) {
	h := newHarness(t)
	c := h.openStream(true, "00000000-0000-0000-0000-000000000000")
	resp := <-c.answer
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 409 || resp.Header.Get("X-Amzn-Errortype") != "ConflictException" || !strings.Contains(string(b), "the session is over") {
		t.Errorf("%s %s %v", resp.Status, b, err)
	}
	c.body.Close()
	r := h.send(root, "transcribe", "POST", streamPath, map[string]string{"X-Amzn-Transcribe-Language-Code": "en-US", "X-Amzn-Transcribe-Sample-Rate": "16000", "X-Amzn-Transcribe-Media-Encoding": "pcm"}, "")
	if r.status != 403 || !strings.Contains(r.body, "must be signed") {
		t.Errorf("without signed events: %+v", r)
	}
	h.journal.fail(true)
	c = h.openStream(true, sessionID)
	if resp := <-c.answer; resp.StatusCode != 503 {
		t.Errorf("without an audit log: %s", resp.Status)
	}
	c.body.Close()
}

// TestStreamOfRPC: where headers have no place for members, the answer begins with an initial response.
func TestStreamOfRPC(t *testing.T) {
	h := newHarness(t)
	r := h.send(root, "healthlake", "POST", "/", target("HealthLake.UpdateProfileWithAgent"), `{"ProfileId":"`+strings.Repeat("a", 32)+`","InputMessage":{"Body":"héllo","Type":"normal"}}`)
	got := hear(t, strings.NewReader(r.body))
	if r.status != 200 || r.header.Get("Content-Type") != "application/vnd.amazon.eventstream" || len(got) != 3 || got[0].name != "initial-response" || got[1].name != "TextMessageEvent" || got[1].doc["Message"] != "héllo" || got[2].name != "EndOfOutputEvent" {
		t.Errorf("%+v %v", r, got)
	}
	if r := h.send(alice, "healthlake", "POST", "/", target("HealthLake.UpdateProfileWithAgent"), `{"ProfileId":"`+strings.Repeat("a", 32)+`","InputMessage":{"Body":"x","Type":"normal"}}`); !strings.Contains(r.body, "AccessDenied") {
		t.Errorf("denied: %+v", r)
	}
}
