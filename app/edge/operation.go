package edge

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/route"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/aws/wire"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
	"github.com/galen-health/galen/platform/limits"
)

// maxForm bounds an awsQuery body, gzipFree what a gzip body may expand to whatever its size, gzipRatio how far beyond.
const (
	maxForm   = 4 << 20
	gzipFree  = 1 << 20
	gzipRatio = 100
)

// serveOperation takes an AWS operation along the road.
func (v *visit) serveOperation(signing string) {
	if signing == "" {
		signing = v.opens()
	}
	form, body, err := v.form(signing)
	if err != nil {
		v.service, _ = v.guess(signing)
		v.proto = aws.Query
		v.fail(err)
		return
	}
	bucket := ""
	if signing == "s3" {
		bucket = v.bucket()
	}
	m, s, p, ferr := v.e.table.Find(v.r, signing, form, bucket)
	v.service, v.proto = s, p
	if s != nil {
		v.entry.Source = s.Signing + ".amazonaws.com"
	}
	if body != nil {
		v.r.Body = io.NopCloser(strings.NewReader(*body))
	}
	if !sigv4.IsSigned(v.r) && signing == "" && m == nil && v.r.Header.Get("Authorization") == "" {
		ferr = nil // nothing is known of an unsigned request: say so first
	}
	if m != nil {
		v.op, v.entry.Name, v.entry.ReadOnly = m.Op.Name, m.Op.Name, m.Op.ReadOnly
	}
	var op *aws.Operation
	if m != nil {
		op = m.Op
	}
	if err := v.admit(held(v.r, op)); err != nil {
		v.fail(err)
		return
	}
	open := op != nil && op.Open && !sigv4.IsSigned(v.r)
	who := v.who
	if open {
		v.entry.Kind = string(call.WebIdentity)
		who = func() (*sigv4.Signed, context.Context, error) { return v.anyone(signing) }
	}
	signed, ctx, err := who()
	if err != nil {
		v.fail(err)
		return
	}
	if open {
		var notes *httproute.Notes
		ctx, notes = httproute.WithNotes(ctx)
		v.noted = func() map[string]string { return notes.Values() }
	}
	v.r = v.r.WithContext(ctx)
	if body != nil { // the form was read before its signature could be checked, and nobody reads it again
		if _, err := io.Copy(io.Discard, signed.Body); err != nil {
			v.fail(err)
			return
		}
	}
	if ferr != nil {
		v.fail(ferr)
		return
	}
	if m == nil {
		v.fail(errs.Named(errs.NotFound, "UnknownOperationException", "there is no operation at this address"))
		return
	}
	if signed.Unsigned && !m.Op.Unsigned && m.Op.Service.Signing != "s3" {
		v.fail(errs.Named(errs.Unauthenticated, sigv4.ErrMismatch, "the payload of %s must be signed: UNSIGNED-PAYLOAD is for S3 and for the operations whose contract says so", m.Op.Name))
		return
	}
	decode := func() (any, error) {
		body, err := inflate(v.r.Header, signed.Body)
		if err != nil {
			return nil, err
		}
		return wire.Decode(&wire.Request{Op: m.Op, Protocol: m.Protocol, Labels: m.Labels, Query: v.r.URL.Query(), Form: form, Header: v.r.Header, Body: body, Length: signed.Length})
	}
	if m.Op.Streams {
		v.in.stream()
		v.serveStream(ctx, m, signed, decode)
		return
	}
	out, err := v.perform(ctx, m.Op, decode, nil)
	if err != nil {
		v.fail(err)
		return
	}
	if err := v.record(ctx, ""); err != nil {
		closeStream(m.Op, out)
		v.fail(err)
		return
	}
	var w http.ResponseWriter = v.w
	if v.r.Method == http.MethodHead {
		w = headWriter{v.w}
	}
	if err := wire.Encode(w, m.Op, m.Protocol, out, v.id); err != nil {
		v.e.cfg.Log.Warn("an answer broke off", "requestId", v.id, "operation", v.op, "code", errs.CodeOf(err).String())
		panic(http.ErrAbortHandler) // the caller must not take half an answer for a whole one
	}
}

// serveStream performs an operation whose caller and answer are streams of events. The audit entry is written before the answer begins; a failure after that
// reaches the caller as an exception event.
func (v *visit) serveStream(ctx context.Context, m *route.Match, signed *sigv4.Signed, decode func() (any, error)) {
	stream, err := wire.NewStream(v.w, m.Op, m.Protocol, signed.Body, signed.Chain, v.e.cfg.Now, func() error { return v.record(ctx, "") })
	if err == nil {
		if _, err = v.perform(ctx, m.Op, decode, stream); err == nil {
			err = stream.Close()
		}
	}
	if err == nil {
		return
	}
	if stream == nil || !stream.Opened() {
		v.fail(err)
		return
	}
	e := errs.As(err)
	v.note(e)
	v.failed = e.Code.String()
	name, _ := v.failure(e)
	if err := stream.Fail(name, e.Message); err != nil {
		v.e.cfg.Log.Warn("an answer broke off", "requestId", v.id, "operation", v.op, "code", errs.CodeOf(err).String())
		panic(http.ErrAbortHandler) // the caller must not take half an answer for a whole one
	}
}

// headWriter keeps the headers of an answer to HEAD as the operation set them, Content-Length included, and drops the body.
type headWriter struct{ *writer }

func (w headWriter) Write(b []byte) (int, error) { return len(b), nil }

// perform is the part of the road that in-process calls share: gate, decode, authorise, the method.
func (v *visit) perform(ctx context.Context, op *aws.Operation, decode func() (any, error), stream aws.RawStream) (any, error) {
	reg, ok := v.e.services[op.Service]
	if !ok || reg.Disabled {
		return nil, errs.Named(errs.Unsupported, "UnknownOperationException", "the service %s does not run on this server: start it with --services", op.Service.Signing)
	}
	if v.e.cfg.Gate != nil {
		if err := v.e.cfg.Gate(op.Service.Signing, op.Name); err != nil {
			return nil, err
		}
	}
	in, err := decode()
	if err != nil {
		return nil, err
	}
	if err := v.e.within(ctx, "authorise", func(ctx context.Context) error { return v.authorise(ctx, reg, op, in) }); err != nil {
		return nil, err
	}
	var out any
	err = v.e.within(ctx, "handle", func(ctx context.Context) error {
		var err error
		out, err = op.Call(ctx, reg.Service, in, stream)
		return err
	})
	if err == nil && !op.Streams && (out == nil || reflect.ValueOf(out).IsNil()) {
		err = errs.New(errs.Internal, "the operation answered nothing")
	}
	return out, err
}

// authorise asks the service what the operation needs and checks it.
func (v *visit) authorise(ctx context.Context, reg Registration, op *aws.Operation, in any) error {
	action := op.Service.Signing + ":" + op.Name
	needs, err := reg.needs(ctx, op, in)
	if err != nil {
		// Who may not do this on anything must not learn what exists.
		if denied := v.allow(ctx, []authz.Request{{Action: action, Resource: "*"}}); denied != nil {
			return denied
		}
		return err
	}
	if len(needs) == 0 {
		v.entry.Action = action
	}
	return v.allow(ctx, needs)
}

// form reads an awsQuery body, which routing needs; body is what was read.
func (v *visit) form(signing string) (url.Values, *string, error) {
	s, ok := v.guess(signing)
	if !ok || s.Protocols[0] != aws.Query {
		return nil, nil, nil
	}
	if v.r.Method == http.MethodGet {
		return v.r.URL.Query(), nil, nil
	}
	b, err := io.ReadAll(io.LimitReader(v.r.Body, maxForm+1))
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errs.Wrap(errs.Invalid, err, "the body breaks off")
		}
		return nil, nil, err
	}
	if len(b) > maxForm {
		return nil, nil, errs.New(errs.TooLarge, "the body is over %d bytes", maxForm)
	}
	text := string(b)
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil, nil, errs.Named(errs.Invalid, "MalformedQueryString", "the body is not a form")
	}
	return form, &text, nil
}

// guess finds a service by its signing name.
func (v *visit) guess(signing string) (*aws.Service, bool) {
	for s := range v.e.services {
		if s.Signing == signing {
			return s, true
		}
	}
	return nil, false
}

// bucket is the bucket in the host name of a virtual-hosted S3 request, "" for path style.
func (v *visit) bucket() string {
	host := v.r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	for _, base := range v.e.cfg.Hosts {
		if b, ok := strings.CutSuffix(host, "."+base); ok && b != "" && net.ParseIP(host) == nil {
			return strings.TrimSuffix(b, ".s3")
		}
	}
	return ""
}

// inflate undoes a gzip body, bounded; aws-chunked was undone by the verifier.
func inflate(h http.Header, body io.Reader) (io.Reader, error) {
	for _, enc := range strings.Split(h.Get("Content-Encoding"), ",") {
		if !strings.EqualFold(strings.TrimSpace(enc), "gzip") || h.Get("X-Amz-Target") == "" && !strings.Contains(h.Get("Content-Type"), "json") && h.Get("Smithy-Protocol") == "" {
			continue
		}
		counted := limits.NewExpansion(gzipRatio, gzipFree, "the gzip body")
		zr, err := gzip.NewReader(counted.In(body))
		if err != nil {
			return nil, errs.Named(errs.Invalid, "SerializationException", "the body is not gzip although Content-Encoding says so")
		}
		return counted.Out(zr), nil
	}
	return body, nil
}

// peek reads a body of at most most bytes; rest reads it again. ok is false when it is longer or breaks off.
func peek(body io.ReadCloser, most int64) (text string, rest io.ReadCloser, ok bool) {
	if body == nil {
		return "", http.NoBody, true
	}
	b, err := io.ReadAll(io.LimitReader(body, most+1))
	return string(b), closer{io.MultiReader(strings.NewReader(string(b)), body), body}, err == nil && int64(len(b)) <= most
}

// closer reads from one and closes another.
type closer struct {
	io.Reader
	c io.Closer
}

func (c closer) Close() error { return c.c.Close() }

// closeStream closes a streaming payload that will not be sent.
func closeStream(op *aws.Operation, out any) {
	if op.Output.Payload == "" {
		return
	}
	if c, ok := reflect.Indirect(reflect.ValueOf(out)).FieldByName(op.Output.Member(op.Output.Payload).Field).Interface().(io.Closer); ok && c != nil {
		_ = c.Close() // nothing was sent
	}
}
