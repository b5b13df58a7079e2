package wire

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/platform/errs"
)

// Request is one request whose operation is known.
type Request struct {
	Op       *aws.Operation
	Protocol aws.Protocol
	Labels   map[string]string // decoded path labels
	Query    url.Values
	Form     url.Values // awsQuery parameters, already read from the body
	Header   http.Header
	Body     io.Reader // verified bytes: what the signature covers
	Length   int64     // -1 = unknown
}

// What bounds a body that is read into memory, by its protocol. A streaming payload is bounded by its operation.
const (
	maxJSON = 32 << 20 // an image layer's part has 20 MB, and is base64
	maxXML  = 8 << 20  // a thousand keys of 1,024 bytes, escaped
	maxCBOR = 4 << 20
)

func maxBody(p aws.Protocol) int {
	switch p {
	case aws.RESTXML:
		return maxXML
	case aws.CBOR:
		return maxCBOR
	}
	return maxJSON
}

// Decode reads and validates the input: a pointer to the operation's input type.
func Decode(r *Request) (any, error) {
	in := reflect.New(r.Op.In)
	v, sh, d := in.Elem(), r.Op.Input, &decoder{op: r.Op}
	switch r.Protocol {
	case aws.Query:
		if _, err := d.form(sh, r.Form, "", v, ""); err != nil {
			return nil, err
		}
		return in.Interface(), d.err()
	case aws.RESTJSON, aws.RESTXML:
		if err := d.bindings(sh, v, r.Labels, r.Query, r.Header); err != nil {
			return nil, err
		}
		bound := len(d.problems)
		if err := d.restBody(r, v); err != nil {
			return nil, err
		}
		err := d.err()
		if r.Protocol == aws.RESTXML && len(d.problems) > bound { // S3 calls a document that breaks its schema malformed, as one that is no XML
			err = malformed("%s", errs.As(err).Message)
		}
		return in.Interface(), err
	}
	b, err := readBody(r.Body, maxBody(r.Protocol))
	if err != nil {
		return nil, err
	}
	var tree any
	if r.Protocol == aws.CBOR {
		tree, err = parseCBOR(b)
	} else {
		tree, err = parseJSON(b, maxValues)
	}
	if err != nil {
		return nil, err
	}
	if err := d.structure(unbound(sh), tree, v, ""); err != nil {
		return nil, err
	}
	return in.Interface(), d.err()
}

// unbound is the shape as RPC protocols see it: bindings to headers and paths do not exist there.
func unbound(sh *aws.Shape) *aws.Shape {
	for _, m := range sh.Members {
		if m.Location != "" {
			out := *sh
			out.Members = nil
			for _, m := range sh.Members {
				c := *m
				c.Location = ""
				out.Members = append(out.Members, &c)
			}
			return &out
		}
	}
	return sh
}

func readBody(r io.Reader, most int) ([]byte, error) {
	if r == nil {
		return nil, nil
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		var e *errs.Error
		if errors.As(err, &e) {
			return nil, err // the signature of the body does not hold, or it is a bomb
		}
		return nil, malformed("the body breaks off")
	}
	if len(b) > most {
		return nil, errs.New(errs.TooLarge, "the body is over %d bytes", most)
	}
	return b, nil
}

// restBody reads what is in the body of a REST protocol: a payload member, or all members without a location.
func (d *decoder) restBody(r *Request, v reflect.Value) error {
	sh := r.Op.Input
	m := payload(sh)
	if m != nil && m.Location == "" {
		f := v.FieldByName(m.Field)
		switch {
		case isStream(f):
			if r.Body == nil {
				r.Body = strings.NewReader("")
			}
			f.Set(reflect.ValueOf(r.Body))
			return nil
		case m.Shape.Kind == aws.Blob || m.Shape.Kind == aws.String:
			b, err := readBody(r.Body, maxBody(r.Protocol))
			if err != nil {
				return err
			}
			if len(b) == 0 {
				if m.Required {
					d.missing(lowerFirst(m.Name))
				}
				return nil
			}
			if m.Shape.Kind == aws.String {
				f.SetString(string(b))
			} else {
				f.SetBytes(b)
			}
			return nil
		}
		b, err := readBody(r.Body, maxBody(r.Protocol))
		if err != nil {
			return err
		}
		if len(b) == 0 {
			if m.Required {
				d.missing(lowerFirst(m.Name))
			}
			return nil
		}
		if r.Protocol == aws.RESTXML {
			e, err := parseXML(b, maxValues)
			if err != nil {
				return err
			}
			return d.xmlValue(m.Shape, e, f, lowerFirst(m.Name))
		}
		tree, err := parseJSON(b, maxValues)
		if err != nil {
			return err
		}
		return d.value(m.Shape, tree, f, lowerFirst(m.Name))
	}
	if !hasBody(sh) {
		return nil
	}
	b, err := readBody(r.Body, maxBody(r.Protocol))
	if err != nil {
		return err
	}
	if r.Protocol == aws.RESTXML {
		e := &element{}
		if len(b) > 0 {
			if e, err = parseXML(b, maxValues); err != nil {
				return err
			}
		}
		return d.xmlStructure(sh, e, v, "")
	}
	tree, err := parseJSON(b, maxValues)
	if err != nil {
		return err
	}
	return d.structure(sh, tree, v, "")
}

// ContentType is the media type of a protocol's documents.
func ContentType(p aws.Protocol) string {
	switch p {
	case aws.JSON10:
		return "application/x-amz-json-1.0"
	case aws.JSON11:
		return "application/x-amz-json-1.1"
	case aws.RESTXML:
		return "application/xml"
	case aws.Query:
		return "text/xml"
	case aws.CBOR:
		return "application/cbor"
	}
	return "application/json"
}

// Encode writes a successful answer. It closes a streaming payload.
func Encode(w http.ResponseWriter, op *aws.Operation, p aws.Protocol, out any, requestID string) error {
	v, sh, h := reflect.Indirect(reflect.ValueOf(out)), op.Output, w.Header()
	status := op.Status
	if p == aws.RESTJSON || p == aws.RESTXML {
		if s := headers(sh, v, h); s != 0 {
			status = s
		}
		if status == http.StatusOK && h.Get("Content-Range") != "" {
			status = http.StatusPartialContent // RFC 9110 §15.3.7; the models do not say it
		}
		if m := payload(sh); m != nil {
			return encodePayload(w, m, v.FieldByName(m.Field), p, status)
		}
	}
	var body []byte
	switch p {
	case aws.CBOR:
		h.Set("Smithy-Protocol", "rpc-v2-cbor")
		var err error
		if body, err = cborEncode.Marshal(cborValue(sh, v)); err != nil {
			return err
		}
	case aws.Query:
		body = queryAnswer(op, v, requestID)
	case aws.RESTXML:
		body = xmlAnswer(op, v)
	default:
		jw := &jsonWriter{}
		jw.structure(sh, v)
		body = jw.b
	}
	return write(w, p, status, body, op.Method == http.MethodHead)
}

// write ends an answer with a document. The answer to HEAD keeps the Content-Length that its output says, which is of the object and not of the answer.
func write(w http.ResponseWriter, p aws.Protocol, status int, body []byte, head bool) error {
	h := w.Header()
	if status == http.StatusNoContent || head {
		w.WriteHeader(status)
		return nil
	}
	if len(body) > 0 && h.Get("Content-Type") == "" {
		h.Set("Content-Type", ContentType(p))
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

var cborEncode = func() cbor.EncMode {
	m, err := cbor.EncOptions{Sort: cbor.SortCanonical, Time: cbor.TimeUnixDynamic, TimeTag: cbor.EncTagRequired}.EncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return m
}()

func encodePayload(w http.ResponseWriter, m *aws.Member, f reflect.Value, p aws.Protocol, status int) error {
	h := w.Header()
	if isStream(f) {
		if f.IsNil() {
			w.WriteHeader(status)
			return nil
		}
		r := f.Interface().(io.Reader)
		if c, ok := r.(io.Closer); ok {
			defer c.Close()
		}
		if h.Get("Content-Type") == "" {
			h.Set("Content-Type", "application/octet-stream")
		}
		w.WriteHeader(status)
		_, err := io.Copy(w, r)
		return err
	}
	var body []byte
	switch {
	case m.Shape.Kind == aws.Blob:
		body = f.Bytes()
	case m.Shape.Kind == aws.String:
		body = []byte(f.String())
	case f.Kind() == reflect.Pointer && f.IsNil():
	case p == aws.RESTXML:
		xw := &xmlWriter{}
		xw.value(m.Wire(), m, f)
		body = xw.b.Bytes()
	default:
		jw := &jsonWriter{}
		jw.value(m.Shape, f)
		body = jw.b
	}
	return write(w, p, status, body, false)
}

// s3Roots are the root elements that S3's documentation shows; clients do not check them, people and tools that read the XML do.
var s3Roots = map[string]string{"ListBuckets": "ListAllMyBucketsResult", "ListObjects": "ListBucketResult", "ListObjectsV2": "ListBucketResult", "ListObjectVersions": "ListVersionsResult",
	"CompleteMultipartUpload": "CompleteMultipartUploadResult", "CreateMultipartUpload": "InitiateMultipartUploadResult", "ListParts": "ListPartsResult", "ListMultipartUploads": "ListMultipartUploadsResult",
	"DeleteObjects": "DeleteResult", "GetObjectTagging": "Tagging", "GetBucketTagging": "Tagging", "GetBucketVersioning": "VersioningConfiguration", "GetObjectAttributes": "GetObjectAttributesResponse"}

func xmlAnswer(op *aws.Operation, v reflect.Value) []byte {
	if !hasBody(op.Output) {
		return nil
	}
	xw := &xmlWriter{}
	xw.b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	ns := "http://s3.amazonaws.com/doc/2006-03-01/"
	if op.Service.XMLNamespace != "" {
		ns = op.Service.XMLNamespace
	}
	root := s3Roots[op.Name]
	if op.Name == "GetBucketLocation" { // the one answer whose root is the value itself
		xw.open("LocationConstraint", namespace(ns))
		xw.text(v.FieldByName("LocationConstraint").String())
		xw.close("LocationConstraint")
		return xw.b.Bytes()
	}
	if root == "" {
		root = op.Name + "Result"
	}
	xw.open(root, namespace(ns))
	xw.members(op.Output, v)
	xw.close(root)
	return xw.b.Bytes()
}

func queryAnswer(op *aws.Operation, v reflect.Value, requestID string) []byte {
	xw := &xmlWriter{}
	root := op.Name + "Response"
	xw.open(root, namespace(op.Service.XMLNamespace))
	if op.Wrapper != "" {
		xw.open(op.Wrapper, "")
		xw.members(op.Output, v)
		xw.close(op.Wrapper)
	}
	xw.open("ResponseMetadata", "")
	xw.open("RequestId", "")
	xw.text(requestID)
	xw.close("RequestId")
	xw.close("ResponseMetadata")
	xw.close(root)
	return xw.b.Bytes()
}

// Failure is an error as a protocol shows it.
type Failure struct {
	Name, Message string
	Status        int
	Resource      string // S3 names the resource
	RequestID     string
	Sender        bool
}

// EncodeError writes a failure in the protocol's shape.
func EncodeError(w http.ResponseWriter, s *aws.Service, p aws.Protocol, f Failure, head bool) error {
	h := w.Header()
	h.Set("Content-Type", ContentType(p))
	var body []byte
	switch p {
	case aws.RESTXML:
		xw := &xmlWriter{}
		xw.b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
		xw.open("Error", "")
		for _, x := range [][2]string{{"Code", f.Name}, {"Message", f.Message}, {"Resource", f.Resource}, {"RequestId", f.RequestID}} {
			xw.open(x[0], "")
			xw.text(x[1])
			xw.close(x[0])
		}
		xw.close("Error")
		body = xw.b.Bytes()
	case aws.Query:
		xw := &xmlWriter{}
		ns := ""
		if s != nil {
			ns = s.XMLNamespace
		}
		kind := "Receiver"
		if f.Sender {
			kind = "Sender"
		}
		xw.open("ErrorResponse", namespace(ns))
		xw.open("Error", "")
		for _, x := range [][2]string{{"Type", kind}, {"Code", f.Name}, {"Message", f.Message}} {
			xw.open(x[0], "")
			xw.text(x[1])
			xw.close(x[0])
		}
		xw.close("Error")
		xw.open("RequestId", "")
		xw.text(f.RequestID)
		xw.close("RequestId")
		xw.close("ErrorResponse")
		body = xw.b.Bytes()
	case aws.CBOR:
		h.Set("Smithy-Protocol", "rpc-v2-cbor")
		var err error
		if body, err = cborEncode.Marshal(map[string]any{"__type": qualified(s, f.Name), "Message": f.Message, "message": f.Message}); err != nil {
			return err
		}
	default:
		h.Set("X-Amzn-ErrorType", f.Name)
		typ := f.Name
		if p != aws.RESTJSON {
			typ = qualified(s, f.Name)
		}
		var err error
		if body, err = json.Marshal(map[string]string{"__type": typ, "message": f.Message, "Message": f.Message}); err != nil {
			return err
		}
	}
	return write(w, p, f.Status, body, head) // the answer to HEAD has no body; S3 clients read the status
}

func qualified(s *aws.Service, name string) string {
	if s == nil {
		return name
	}
	return "com.amazonaws." + s.Package + "#" + name
}
