package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"reflect"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// document is a model in botocore's form.
type document struct {
	Metadata struct {
		APIVersion, EndpointPrefix, Protocol, JSONVersion, SigningName, ServiceID, TargetPrefix, XMLNamespace string
		Protocols                                                                                             []string
	} `json:"metadata"`
	Operations map[string]struct {
		HTTP struct {
			Method       string `json:"method"`
			RequestURI   string `json:"requestUri"`
			ResponseCode int    `json:"responseCode"`
		} `json:"http"`
		Input           *reference                   `json:"input"`
		Output          *reference                   `json:"output"`
		Errors          []reference                  `json:"errors"`
		Endpoint        *struct{ HostPrefix string } `json:"endpoint"`
		ReadOnly        bool                         `json:"readonly"`
		AuthType        string                       `json:"authtype"`
		UnsignedPayload bool                         `json:"unsignedPayload"`
	} `json:"operations"`
	Shapes map[string]*shapeDoc `json:"shapes"`
}

type reference struct {
	Shape         string          `json:"shape"`
	Location      string          `json:"location"`
	LocationName  string          `json:"locationName"`
	XMLNamespace  json.RawMessage `json:"xmlNamespace"`
	XMLAttribute  bool            `json:"xmlAttribute"`
	Streaming     bool            `json:"streaming"`
	Token         bool            `json:"idempotencyToken"`
	JSONValue     bool            `json:"jsonvalue"`
	EventPayload  bool            `json:"eventpayload"`
	EventHeader   bool            `json:"eventheader"`
	ResultWrapper string          `json:"resultWrapper"`
}

type shapeDoc struct {
	Type            Kind       `json:"type"`
	Members         members    `json:"members"`
	Required        []string   `json:"required"`
	Member          *reference `json:"member"`
	Key             *reference `json:"key"`
	Value           *reference `json:"value"`
	Enum            []string   `json:"enum"`
	Min             *float64   `json:"min"`
	Max             *float64   `json:"max"`
	Pattern         string     `json:"pattern"`
	Payload         string     `json:"payload"`
	Union           bool       `json:"union"`
	Document        bool       `json:"document"`
	Streaming       bool       `json:"streaming"`
	EventStream     bool       `json:"eventstream"`
	Event           bool       `json:"event"`
	Flattened       bool       `json:"flattened"`
	Sensitive       bool       `json:"sensitive"`
	Exception       bool       `json:"exception"`
	TimestampFormat string     `json:"timestampFormat"`
	Error           *struct {
		Code           string `json:"code"`
		HTTPStatusCode int    `json:"httpStatusCode"`
		SenderFault    bool   `json:"senderFault"`
	} `json:"error"`
}

// members keeps the order of the document.
type members []struct {
	name string
	ref  reference
}

func (m *members) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var r reference
		if err := dec.Decode(&r); err != nil {
			return err
		}
		*m = append(*m, struct {
			name string
			ref  reference
		}{name.(string), r})
	}
	return nil
}

// Types gives an operation its Go types and its call; generated packages hold a table of them.
type Types struct {
	In, Out reflect.Type
	Call    func(ctx context.Context, service, input any, stream RawStream) (any, error)
}

// Load reads the model called name and joins it with the generated types. A model that cannot be read is a defect of the build, so it panics.
func Load(files fs.FS, name, pkg string, types map[string]Types) *Service {
	s, err := Parse(files, name, pkg)
	if err != nil {
		panic(err)
	}
	for op, t := range types {
		o := s.Operations[op]
		if o == nil {
			panic(fmt.Sprintf("aws: model %s has no operation %s: run go generate", name, op))
		}
		o.In, o.Out, o.Call = t.In, t.Out, t.Call
	}
	return s
}

// Parse reads a model without Go types.
func Parse(files fs.FS, name, pkg string) (*Service, error) {
	b, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(name, ".smithy.json") {
		if b, err = fromSmithy(b); err != nil {
			return nil, fmt.Errorf("aws: %s: %w", name, err)
		}
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("aws: %s: %w", name, err)
	}
	return d.service(pkg)
}

func (d *document) service(pkg string) (*Service, error) {
	md := d.Metadata
	s := &Service{ID: md.ServiceID, Package: pkg, Signing: md.SigningName, Endpoint: md.EndpointPrefix, APIVersion: md.APIVersion, TargetPrefix: md.TargetPrefix,
		XMLNamespace: md.XMLNamespace, Operations: map[string]*Operation{}, Shapes: map[string]*Shape{}}
	if s.Signing == "" {
		s.Signing = md.EndpointPrefix
	}
	for _, p := range md.Protocols {
		switch p {
		case "json":
			if md.JSONVersion == "1.0" {
				s.Protocols = append(s.Protocols, JSON10)
			} else {
				s.Protocols = append(s.Protocols, JSON11)
			}
		default:
			s.Protocols = append(s.Protocols, Protocol(p))
		}
	}
	for name := range d.Shapes {
		s.Shapes[name] = &Shape{Name: name}
	}
	for name, sd := range d.Shapes {
		if err := s.fill(s.Shapes[name], sd); err != nil {
			return nil, err
		}
	}
	for _, sh := range s.Shapes {
		for _, m := range sh.Members {
			// A Range header is "bytes=0-9" (RFC 9110 §14.2). HealthOmics' model allows it no letters, which would leave the member without a use.
			if m.Location == "header" && m.LocationName == "Range" {
				m.Shape.Pattern = ""
			}
		}
	}
	for name, o := range d.Operations {
		op := &Operation{Service: s, Name: name, Method: o.HTTP.Method, URI: o.HTTP.RequestURI, Status: o.HTTP.ResponseCode, ReadOnly: o.ReadOnly,
			Unsigned: o.UnsignedPayload || o.AuthType == "v4-unsigned-body", Open: o.AuthType == "none"}
		if op.Status == 0 {
			op.Status = 200
		}
		if o.Endpoint != nil {
			op.HostPrefix = o.Endpoint.HostPrefix
		}
		op.Input, op.Output = &Shape{Name: name + "Input", Kind: Structure}, &Shape{Name: name + "Output", Kind: Structure}
		if o.Input != nil {
			op.Input = s.Shapes[o.Input.Shape]
		}
		if o.Output != nil {
			op.Output, op.Wrapper = s.Shapes[o.Output.Shape], o.Output.ResultWrapper
		}
		for _, side := range []*Shape{op.Input, op.Output} {
			for _, m := range side.Members {
				op.Streams = op.Streams || m.Shape.EventStream
			}
		}
		for _, e := range o.Errors {
			op.Errors = append(op.Errors, s.Shapes[e.Shape])
		}
		if !op.ReadOnly {
			for _, p := range []string{"Get", "List", "Describe", "Head", "Lookup", "Search", "Detect", "Infer", "Simulate", "Test", "BatchGet"} {
				op.ReadOnly = op.ReadOnly || strings.HasPrefix(name, p)
			}
		}
		s.Operations[name] = op
	}
	return s, nil
}

func (s *Service) fill(out *Shape, d *shapeDoc) error {
	*out = Shape{Name: out.Name, Kind: d.Type, Enum: d.Enum, Min: d.Min, Max: d.Max, Pattern: d.Pattern, Payload: d.Payload, Union: d.Union, Document: d.Document,
		Streaming: d.Streaming, EventStream: d.EventStream, Event: d.Event, Flattened: d.Flattened, Sensitive: d.Sensitive, TimeFormat: d.TimestampFormat}
	if d.Error != nil {
		out.Error = &ErrorTrait{Code: d.Error.Code, Status: d.Error.HTTPStatusCode, Sender: d.Error.SenderFault}
	} else if d.Exception {
		out.Error = &ErrorTrait{}
	}
	required := map[string]bool{}
	for _, r := range d.Required {
		required[r] = true
	}
	member := func(name string, r reference) (*Member, error) {
		sh := s.Shapes[r.Shape]
		if sh == nil {
			return nil, fmt.Errorf("aws: shape %s names shape %q, which does not exist", out.Name, r.Shape)
		}
		ns := ""
		if len(r.XMLNamespace) > 0 {
			var uri struct{ URI string }
			if json.Unmarshal(r.XMLNamespace, &uri) == nil {
				ns = uri.URI
			} else if err := json.Unmarshal(r.XMLNamespace, &ns); err != nil {
				return nil, err
			}
		}
		return &Member{Name: name, Field: FieldName(name), Shape: sh, Required: required[name], Location: r.Location, LocationName: r.LocationName, XMLNamespace: ns,
			XMLAttribute: r.XMLAttribute, Streaming: r.Streaming || sh.Streaming, Token: r.Token, JSONValue: r.JSONValue, EventPayload: r.EventPayload, EventHeader: r.EventHeader}, nil
	}
	for _, m := range d.Members {
		mm, err := member(m.name, m.ref)
		if err != nil {
			return err
		}
		out.Members = append(out.Members, mm)
	}
	for _, x := range []struct {
		ref  *reference
		into **Member
		name string
	}{{d.Member, &out.Elem, "member"}, {d.Key, &out.Key, "key"}, {d.Value, &out.Value, "value"}} {
		if x.ref == nil {
			continue
		}
		m, err := member(x.name, *x.ref)
		if err != nil {
			return err
		}
		*x.into = m
	}
	return nil
}

// FieldName is the Go field of a member.
func FieldName(name string) string {
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(r)) + name[n:]
}

// OperationNames returns the names in order.
func (s *Service) OperationNames() []string {
	out := make([]string, 0, len(s.Operations))
	for n := range s.Operations {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}
