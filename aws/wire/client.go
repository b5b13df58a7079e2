package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/platform/errs"
)

// maxAnswer bounds an answer that is read into memory.
const maxAnswer = 64 << 20

// EncodeRequest writes an input as the HTTP request that a client sends to base.
func EncodeRequest(base string, op *aws.Operation, p aws.Protocol, in any) (*http.Request, error) {
	v, sh := reflect.Indirect(reflect.ValueOf(in)), op.Input
	method, path, query, h := "POST", "/", url.Values{}, http.Header{}
	var body io.Reader
	switch p {
	case aws.JSON10, aws.JSON11:
		h.Set("X-Amz-Target", op.Service.TargetPrefix+"."+op.Name)
		jw := &jsonWriter{}
		jw.structure(unbound(sh), v)
		body = bytes.NewReader(jw.b)
	case aws.CBOR:
		path = "/service/" + op.Service.TargetPrefix + "/operation/" + op.Name
		h.Set("Smithy-Protocol", "rpc-v2-cbor")
		b, err := cborEncode.Marshal(cborValue(unbound(sh), v))
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	case aws.Query:
		form := url.Values{"Action": {op.Name}, "Version": {op.Service.APIVersion}}
		toForm(sh, v, "", form)
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		body = strings.NewReader(form.Encode())
	default:
		method = op.Method
		var err error
		if path, err = fillPath(op, v, query); err != nil {
			return nil, err
		}
		headers(sh, v, h)
		if body, err = restRequestBody(op, p, v, h); err != nil {
			return nil, err
		}
	}
	if h.Get("Content-Type") == "" && body != nil {
		h.Set("Content-Type", ContentType(p))
	}
	target := strings.TrimSuffix(base, "/") + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r, err := http.NewRequest(method, target, body)
	if err != nil {
		return nil, err
	}
	for k, values := range h {
		r.Header[http.CanonicalHeaderKey(k)] = values
	}
	return r, nil
}

// fillPath writes labels and query members.
func fillPath(op *aws.Operation, v reflect.Value, query url.Values) (string, error) {
	path, literal, _ := strings.Cut(op.URI, "?")
	if literal != "" {
		for _, kv := range strings.Split(literal, "&") {
			k, val, _ := strings.Cut(kv, "=")
			query.Set(k, val)
		}
	}
	for _, m := range op.Input.Members {
		f := v.FieldByName(m.Field)
		switch m.Location {
		case "uri":
			text := scalarText(m, f)
			if text == "" {
				return "", errs.New(errs.Invalid, "member %s is required in the path of %s", m.Name, op.Name)
			}
			path = strings.Replace(path, "{"+m.Wire()+"}", escapeLabel(text, false), 1)
			path = strings.Replace(path, "{"+m.Wire()+"+}", escapeLabel(text, true), 1)
		case "querystring":
			switch {
			case absent(m, f) || f.Kind() == reflect.String && f.Len() == 0:
			case m.Shape.Kind == aws.List:
				for i := range f.Len() {
					query.Add(m.Wire(), scalarText(m.Shape.Elem, f.Index(i)))
				}
			case m.Shape.Kind == aws.Map:
				for _, k := range f.MapKeys() {
					query.Set(k.String(), fmt.Sprint(f.MapIndex(k).Interface()))
				}
			default:
				query.Set(m.Wire(), scalarText(m, f))
			}
		}
	}
	return path, nil
}

// escapeLabel percent-encodes everything but unreserved characters (RFC 3986 §2.3); greedy labels keep their slashes.
func escapeLabel(s string, greedy bool) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' || greedy && c == '/' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func restRequestBody(op *aws.Operation, p aws.Protocol, v reflect.Value, h http.Header) (io.Reader, error) {
	sh := op.Input
	if m := payload(sh); m != nil {
		f := v.FieldByName(m.Field)
		switch {
		case isStream(f):
			if f.IsNil() {
				return nil, nil
			}
			if h.Get("Content-Type") == "" {
				h.Set("Content-Type", "application/octet-stream")
			}
			return f.Interface().(io.Reader), nil
		case m.Shape.Kind == aws.Blob:
			h.Set("Content-Type", "application/octet-stream")
			return bytes.NewReader(f.Bytes()), nil
		case m.Shape.Kind == aws.String:
			h.Set("Content-Type", "text/plain")
			return strings.NewReader(f.String()), nil
		case f.Kind() == reflect.Pointer && f.IsNil():
			return nil, nil
		case p == aws.RESTXML:
			xw := &xmlWriter{}
			xw.value(m.Wire(), m, f)
			return &xw.b, nil
		}
		jw := &jsonWriter{}
		jw.value(m.Shape, f)
		return bytes.NewReader(jw.b), nil
	}
	if !hasBody(sh) {
		return nil, nil
	}
	if p == aws.RESTXML {
		xw := &xmlWriter{}
		xw.open(sh.Name, "")
		xw.members(sh, v)
		xw.close(sh.Name)
		return &xw.b, nil
	}
	jw := &jsonWriter{}
	jw.structure(sh, v)
	return bytes.NewReader(jw.b), nil
}

// DecodeResponse reads what a server answered into out, a pointer to the operation's output type; a failure becomes an errs.Error with its name. A streaming
// payload stays open: the caller of the operation closes it.
func DecodeResponse(resp *http.Response, op *aws.Operation, p aws.Protocol, out any) error {
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return decodeFailure(resp, p)
	}
	v, sh, d := reflect.Indirect(reflect.ValueOf(out)), op.Output, &decoder{lenient: true}
	rest := p == aws.RESTJSON || p == aws.RESTXML
	if rest {
		if err := d.bindings(sh, v, nil, nil, resp.Header); err != nil {
			return err
		}
		if m := payload(sh); m != nil {
			if f := v.FieldByName(m.Field); isStream(f) {
				f.Set(reflect.ValueOf(resp.Body))
				return nil
			}
		}
	}
	defer resp.Body.Close()
	b, err := readBody(resp.Body, maxAnswer)
	if err != nil {
		return err
	}
	if rest {
		if m := payload(sh); m != nil {
			f := v.FieldByName(m.Field)
			switch {
			case m.Shape.Kind == aws.Blob:
				f.SetBytes(b)
				return nil
			case m.Shape.Kind == aws.String:
				f.SetString(string(b))
				return nil
			case len(b) == 0:
				return nil
			case p == aws.RESTXML:
				e, err := parseXML(b, anyValues)
				if err != nil {
					return err
				}
				return d.xmlValue(m.Shape, e, f, m.Name)
			}
			tree, err := parseJSON(b, anyValues)
			if err != nil {
				return err
			}
			return d.value(m.Shape, tree, f, m.Name)
		}
	}
	if len(b) == 0 || !hasBody(unbound(sh)) {
		return nil
	}
	switch p {
	case aws.RESTXML, aws.Query:
		e, err := parseXML(b, anyValues)
		if err != nil {
			return err
		}
		if p == aws.RESTXML && e.name == "Error" { // S3 answers 200 before it knows, and then tells a failure: CompleteMultipartUpload, CopyObject
			return failure(http.StatusInternalServerError, resp.Status, resp.Header, b, p)
		}
		if op.Name == "GetBucketLocation" && e.name == "LocationConstraint" {
			v.FieldByName("LocationConstraint").SetString(e.text)
			return nil
		}
		if p == aws.Query && op.Wrapper != "" {
			if e = e.child(op.Wrapper); e == nil {
				return errs.New(errs.Unavailable, "the answer to %s has no %s", op.Name, op.Wrapper)
			}
		}
		return d.xmlStructure(sh, e, v, "")
	case aws.CBOR:
		tree, err := parseCBOR(b)
		if err != nil {
			return err
		}
		return d.structure(unbound(sh), tree, v, "")
	}
	tree, err := parseJSON(b, anyValues)
	if err != nil {
		return err
	}
	if !rest {
		sh = unbound(sh)
	}
	return d.structure(sh, tree, v, "")
}

// decodeFailure finds an error's name and message in whatever form the protocol gives it.
func decodeFailure(resp *http.Response, p aws.Protocol) error {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // what can be read of a failure is enough
	return failure(resp.StatusCode, resp.Status, resp.Header, b, p)
}

func failure(code int, status string, h http.Header, b []byte, p aws.Protocol) error {
	name, message := h.Get("X-Amzn-ErrorType"), ""
	switch p {
	case aws.RESTXML, aws.Query:
		if e, err := parseXML(b, anyValues); err == nil {
			if c := e.child("Error"); c != nil {
				e = c
			}
			if c := e.child("Code"); c != nil {
				name = c.text
			}
			if c := e.child("Message"); c != nil {
				message = c.text
			}
		}
	case aws.CBOR:
		if tree, err := parseCBOR(b); err == nil {
			name, message = failureOf(tree, name)
		}
	default:
		var tree any
		if json.Unmarshal(b, &tree) == nil {
			name, message = failureOf(tree, name)
		}
	}
	name = name[strings.LastIndexByte(name, '#')+1:]
	name, _, _ = strings.Cut(name, ":")
	if message == "" {
		message = "the server answered " + status
	}
	return errs.Named(CodeOfStatus(code), name, "%s", message)
}

func failureOf(tree any, name string) (string, string) {
	obj, _ := tree.(map[string]any)
	if t, ok := obj["__type"].(string); ok && name == "" {
		name = t
	}
	for _, k := range []string{"message", "Message"} {
		if m, ok := obj[k].(string); ok {
			return name, m
		}
	}
	return name, ""
}

// CodeOfStatus is the kind of failure that an HTTP status stands for.
func CodeOfStatus(status int) errs.Code {
	switch status {
	case 400:
		return errs.Invalid
	case 401, 403:
		return errs.Denied
	case 402:
		return errs.Exhausted
	case 404:
		return errs.NotFound
	case 405, 501:
		return errs.Unsupported
	case 406:
		return errs.NotAcceptable
	case 408, 504:
		return errs.Timeout
	case 409:
		return errs.Conflict
	case 410:
		return errs.Gone
	case 412:
		return errs.Precondition
	case 413:
		return errs.TooLarge
	case 415:
		return errs.UnsupportedMedia
	case 416:
		return errs.OutOfRange
	case 429:
		return errs.Throttled
	case 503:
		return errs.Unavailable
	}
	if status >= 500 {
		return errs.Internal
	}
	return errs.Invalid
}
