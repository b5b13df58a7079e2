package wire

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/platform/errs"
)

// EventStreamType is the media type of an event stream.
const EventStreamType = "application/vnd.amazon.eventstream"

// maxMessage bounds one message, its prelude, headers and checksum included.
const maxMessage = 1 << 20

// Stream is the server's side of an operation's event stream. Messages that come in are framed, checksummed, and each signed over the one before; what goes out
// is framed and flushed at once.
type Stream struct {
	op    *aws.Operation
	proto aws.Protocol
	w     http.ResponseWriter
	begin func() error // before the first byte of the answer
	in    *inbound

	mu     sync.Mutex // guards what goes out
	opened bool
	enc    *eventstream.Encoder
}

var _ aws.RawStream = (*Stream)(nil)

// NewStream makes the stream of a verified request. begin runs before the answer's first byte, and when it fails nothing is answered. The chain is that of the
// request's signature; an operation whose caller sends events cannot do without.
func NewStream(w http.ResponseWriter, op *aws.Operation, p aws.Protocol, body io.Reader, chain *sigv4.Chain, now func() time.Time, begin func() error) (*Stream, error) {
	s := &Stream{op: op, proto: p, w: w, begin: begin, enc: eventstream.NewEncoder()}
	if sh := eventsOf(op.Input); sh != nil {
		if chain == nil {
			return nil, errs.Named(errs.Unauthenticated, sigv4.ErrMismatch, "the events of %s must be signed: X-Amz-Content-Sha256 is STREAMING-AWS4-HMAC-SHA256-EVENTS", op.Name)
		}
		s.in = &inbound{shape: sh, r: body, dec: eventstream.NewDecoder(), chain: chain, now: now}
		// HTTP/1.1 answers while the request is still being read only when asked to; HTTP/2 does by itself and says that it cannot be asked.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	return s, nil
}

// eventsOf is the event stream among a side's members, nil when there is none.
func eventsOf(sh *aws.Shape) *aws.Shape {
	for _, m := range sh.Members {
		if m.Shape.EventStream {
			return m.Shape
		}
	}
	return nil
}

// OpenStream implements aws.RawStream.
func (s *Stream) OpenStream(out any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		return errs.New(errs.Internal, "the stream of %s was opened twice", s.op.Name)
	}
	return s.open(out)
}

func (s *Stream) open(out any) error {
	if err := s.begin(); err != nil {
		return err
	}
	s.opened = true
	v, h := reflect.Indirect(reflect.ValueOf(out)), s.w.Header()
	rest := s.proto == aws.RESTJSON || s.proto == aws.RESTXML
	if rest {
		headers(s.op.Output, v, h)
	}
	h.Set("Content-Type", EventStreamType)
	s.w.WriteHeader(s.op.Status)
	if !rest { // an RPC protocol has no other place for what goes first
		jw := &jsonWriter{}
		jw.structure(unbound(s.op.Output), v)
		return s.send("event", "initial-response", ContentType(s.proto), jw.b)
	}
	return s.flush()
}

// flush sends what was written on its way: an event that waits in a buffer is late.
func (s *Stream) flush() error {
	if err := http.NewResponseController(s.w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return errs.Wrap(errs.Unavailable, err, "the caller is gone")
	}
	return nil
}

// Opened says whether the answer has begun.
func (s *Stream) Opened() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// Close opens a stream that never said anything.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready()
}

func (s *Stream) ready() error {
	if s.opened {
		return nil
	}
	return s.open(reflect.New(s.op.Out).Interface())
}

// SendEvent implements aws.RawStream.
func (s *Stream) SendEvent(event any) error {
	sh := eventsOf(s.op.Output)
	v := reflect.Indirect(reflect.ValueOf(event))
	if sh == nil || !v.IsValid() {
		return errs.New(errs.Internal, "%s has no events to send", s.op.Name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return err
	}
	for _, m := range sh.Members {
		if f := v.FieldByName(m.Field); !f.IsNil() {
			contentType, payload := eventBody(m.Shape, f.Elem())
			kind := "event"
			if m.Shape.Error != nil {
				kind = "exception"
			}
			return s.send(kind, m.Name, contentType, payload)
		}
	}
	return errs.New(errs.Internal, "an event of %s has no member set", s.op.Name)
}

// eventBody writes an event: a payload member as it is, everything else as JSON.
func eventBody(sh *aws.Shape, v reflect.Value) (contentType string, payload []byte) {
	jw := &jsonWriter{}
	for _, m := range sh.Members {
		if f := v.FieldByName(m.Field); m.EventPayload && m.Shape.Kind == aws.Blob {
			return "application/octet-stream", f.Bytes()
		} else if m.EventPayload {
			jw.value(m.Shape, f)
			return "application/json", jw.b
		}
	}
	jw.structure(sh, v)
	return "application/json", jw.b
}

// send writes one message. The caller holds mu.
func (s *Stream) send(kind, name, contentType string, payload []byte) error {
	h := eventstream.Headers{{Name: ":message-type", Value: eventstream.StringValue(kind)}, {Name: ":" + kind + "-type", Value: eventstream.StringValue(name)}}
	h = append(h, eventstream.Header{Name: ":content-type", Value: eventstream.StringValue(contentType)})
	if err := s.enc.Encode(s.w, eventstream.Message{Headers: h, Payload: payload}); err != nil {
		return errs.Wrap(errs.Unavailable, err, "the caller is gone")
	}
	return s.flush()
}

// Fail ends an opened stream with an error: the exception that the contract has for its name, else an error message without a shape.
func (s *Stream) Fail(name, message string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	jw := &jsonWriter{}
	jw.b = append(jw.b, `{"message":`...)
	jw.string(message)
	jw.b = append(jw.b, `,"Message":`...)
	jw.string(message)
	jw.b = append(jw.b, '}')
	if sh := eventsOf(s.op.Output); sh != nil {
		for _, m := range sh.Members {
			if m.Shape.Error != nil && m.Shape.Code() == name {
				return s.send("exception", m.Name, "application/json", jw.b)
			}
		}
	}
	h := eventstream.Headers{{Name: ":message-type", Value: eventstream.StringValue("error")}, {Name: ":error-code", Value: eventstream.StringValue(name)}, {Name: ":error-message", Value: eventstream.StringValue(message)}}
	if err := s.enc.Encode(s.w, eventstream.Message{Headers: h}); err != nil {
		return errs.Wrap(errs.Unavailable, err, "the caller is gone")
	}
	return s.flush()
}

// RecvEvent implements aws.RawStream.
func (s *Stream) RecvEvent(into any) error {
	if s.in == nil {
		return io.EOF
	}
	return s.in.next(reflect.ValueOf(into).Elem())
}

// inbound reads the caller's events.
type inbound struct {
	shape *aws.Shape
	r     io.Reader
	dec   *eventstream.Decoder
	chain *sigv4.Chain
	now   func() time.Time
	buf   []byte
	err   error
}

func (in *inbound) next(v reflect.Value) error {
	if in.err != nil {
		return in.err
	}
	in.err = in.read(v)
	return in.err
}

func (in *inbound) read(v reflect.Value) error {
	outer, err := in.decode(in.r)
	if err != nil {
		return err
	}
	inner, err := in.unwrap(outer)
	if err != nil {
		return err
	}
	return in.event(inner, v)
}

// decode reads one message; a stream may end only after the signed message that ends it, so that its end cannot be forged.
func (in *inbound) decode(r io.Reader) (eventstream.Message, error) {
	m, err := in.dec.Decode(io.LimitReader(r, maxMessage), in.buf[:0])
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return m, errs.Wrap(errs.Invalid, io.ErrUnexpectedEOF, "the event stream broke off")
		}
		return m, malformed("a message of the event stream cannot be read")
	}
	if cap(m.Payload) > cap(in.buf) {
		in.buf = m.Payload[:0]
	}
	return m, nil
}

// unwrap checks a message's signature and returns the message inside; io.EOF for the empty one that ends the stream.
func (in *inbound) unwrap(m eventstream.Message) (eventstream.Message, error) {
	var none eventstream.Message
	date, ok := m.Headers.Get(":date").(eventstream.TimestampValue)
	signature, signed := m.Headers.Get(":chunk-signature").(eventstream.BytesValue)
	if !ok || !signed {
		return none, errs.Named(errs.Unauthenticated, sigv4.ErrMismatch, "a message of the event stream is not signed")
	}
	var head bytes.Buffer
	if err := eventstream.EncodeHeaders(&head, eventstream.Headers{{Name: ":date", Value: date}}); err != nil {
		return none, malformed("a message of the event stream has no usable date")
	}
	if err := in.chain.Verify(time.Time(date), in.now(), head.Bytes(), m.Payload, signature); err != nil {
		return none, err
	}
	if len(m.Payload) == 0 {
		return none, io.EOF
	}
	inner, err := eventstream.NewDecoder().Decode(bytes.NewReader(m.Payload), nil)
	if err != nil {
		return none, malformed("a message of the event stream cannot be read")
	}
	return inner, nil
}

// event puts a message into the union's member that it names. An event that the contract does not know is refused: what it held would be lost without a word.
func (in *inbound) event(m eventstream.Message, v reflect.Value) error {
	text := func(name string) string {
		s, _ := m.Headers.Get(name).(eventstream.StringValue)
		return string(s)
	}
	if kind := text(":message-type"); kind != "event" {
		return malformed("a message of the event stream is of the type %.40q, not event", kind)
	}
	member := in.shape.Member(text(":event-type"))
	if member == nil {
		return malformed("the event %.80q is not part of the contract", text(":event-type"))
	}
	f := v.FieldByName(member.Field)
	f.Set(reflect.New(f.Type().Elem()))
	f = f.Elem()
	d := &decoder{}
	sh := member.Shape
	for _, x := range sh.Members {
		switch {
		case x.EventPayload && x.Shape.Kind == aws.Blob:
			f.FieldByName(x.Field).SetBytes(bytes.Clone(m.Payload))
			d.size(x.Shape, len(m.Payload), lowerFirst(x.Name))
			return d.err()
		case x.EventPayload:
			tree, err := parseJSON(m.Payload, maxValues)
			if err != nil {
				return err
			}
			if err := d.value(x.Shape, tree, f.FieldByName(x.Field), lowerFirst(x.Name)); err != nil {
				return err
			}
			return d.err()
		}
	}
	tree, err := parseJSON(m.Payload, maxValues)
	if err != nil {
		return err
	}
	if err := d.structure(sh, tree, f, ""); err != nil {
		return err
	}
	return d.err()
}
