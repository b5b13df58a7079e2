package aws

import (
	"context"
	"reflect"
)

// Protocol is how a service speaks on the wire.
type Protocol string

// The protocols of the services here.
const (
	JSON10   Protocol = "json1.0"
	JSON11   Protocol = "json1.1"
	RESTJSON Protocol = "rest-json"
	RESTXML  Protocol = "rest-xml"
	Query    Protocol = "query"
	CBOR     Protocol = "smithy-rpc-v2-cbor"
)

// Service is one contract.
type Service struct {
	ID           string // "Medical Imaging"
	Package      string // folder below aws/: "medicalimaging"
	Signing      string // SigV4 signing name: "medical-imaging"
	Endpoint     string // endpoint prefix
	APIVersion   string
	TargetPrefix string     // of X-Amz-Target, "" when the protocol has none
	Protocols    []Protocol // the first is the default
	XMLNamespace string
	Operations   map[string]*Operation
	Shapes       map[string]*Shape
}

// Operation is one operation of a contract.
type Operation struct {
	Service    *Service
	Name       string
	Method     string
	URI        string // path template with {labels}, {greedy+} and the literal query
	Status     int    // of success
	HostPrefix string
	Input      *Shape // never nil; a structure, maybe empty
	Output     *Shape
	Wrapper    string // awsQuery result wrapper
	Errors     []*Shape
	ReadOnly   bool
	Unsigned   bool // the payload may go unsigned
	Open       bool // takes no signature: the input itself proves who calls
	Streams    bool // has an event stream
	In, Out    reflect.Type
	Call       func(ctx context.Context, service, input any, stream RawStream) (any, error) // the output is nil when the operation streams
}

// Kind of a shape.
type Kind string

// Kinds of shapes, in the words of the models.
const (
	Structure Kind = "structure"
	List      Kind = "list"
	Map       Kind = "map"
	String    Kind = "string"
	Integer   Kind = "integer"
	Long      Kind = "long"
	Float     Kind = "float"
	Double    Kind = "double"
	Boolean   Kind = "boolean"
	Timestamp Kind = "timestamp"
	Blob      Kind = "blob"
)

// Shape is the type of a value with its constraints.
type Shape struct {
	Name        string
	Kind        Kind
	Members     []*Member // in the model's order
	Elem        *Member   // of a list
	Key, Value  *Member   // of a map
	Enum        []string
	Min, Max    *float64
	Pattern     string
	Payload     string // member that is the body
	Union       bool
	Document    bool
	Streaming   bool
	EventStream bool
	Event       bool
	Flattened   bool
	Sensitive   bool
	TimeFormat  string
	Error       *ErrorTrait
}

// ErrorTrait says how an error shape looks on the wire.
type ErrorTrait struct {
	Code   string // when it differs from the shape's name
	Status int    // 0 = not said
	Sender bool
}

// Member is a member of a structure, or the element of a list or map.
type Member struct {
	Name         string
	Field        string // Go field
	Shape        *Shape
	Required     bool
	Location     string // "", uri, querystring, header, headers, statusCode
	LocationName string // "" = Name
	XMLNamespace string
	XMLAttribute bool
	Streaming    bool
	Token        bool // idempotency token
	JSONValue    bool
	EventPayload bool
	EventHeader  bool
}

// Wire is the member's name on the wire.
func (m *Member) Wire() string {
	if m.LocationName != "" {
		return m.LocationName
	}
	return m.Name
}

// Member returns the member with this name, nil when there is none.
func (s *Shape) Member(name string) *Member {
	for _, m := range s.Members {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Code is the error's name on the wire.
func (s *Shape) Code() string {
	if s.Error != nil && s.Error.Code != "" {
		return s.Error.Code
	}
	return s.Name
}

// Invoker performs an operation: over HTTP, or in the process. Generated clients stand on it. out is a pointer to the operation's output type.
type Invoker interface {
	Invoke(ctx context.Context, op *Operation, in, out any) error
}

// RawStream carries the events of an operation as shapes' Go values: pointers to the generated output and union types.
type RawStream interface {
	OpenStream(out any) error
	RecvEvent(into any) error
	SendEvent(event any) error
}

// Stream is the typed view of an event stream: In is what the caller sends, Out what it gets, Output what it gets first. Receiving and sending may go on at the
// same time, each from one goroutine. The operation's method ends the stream by returning; an error that it returns after Open reaches the caller as an
// exception event.
type Stream[In, Out, Output any] interface {
	// Open answers with what goes before the first event: headers, or the initial response. Without it the first Send opens with an empty output, and an
	// error that the method returns is an ordinary one.
	Open(*Output) error
	// Recv returns the caller's next event; io.EOF after its last, an error that is io.ErrUnexpectedEOF when it broke off.
	Recv() (*In, error)
	Send(*Out) error
}

// None is the event type of a direction that has no events.
type None struct{}

// TypedStream gives a raw stream its types.
func TypedStream[In, Out, Output any](raw RawStream) Stream[In, Out, Output] {
	return typed[In, Out, Output]{raw}
}

type typed[In, Out, Output any] struct{ raw RawStream }

func (t typed[In, Out, Output]) Open(out *Output) error { return t.raw.OpenStream(out) }

func (t typed[In, Out, Output]) Recv() (*In, error) {
	v := new(In)
	if err := t.raw.RecvEvent(v); err != nil {
		return nil, err
	}
	return v, nil
}

func (t typed[In, Out, Output]) Send(v *Out) error { return t.raw.SendEvent(v) }

// Ptr returns a pointer to v, for optional numbers and booleans.
func Ptr[T any](v T) *T { return &v }

// Val returns what p points to, the zero value for nil.
func Val[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
