package edge

import (
	"context"
	"reflect"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/wire"
	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
)

// Local invokes operations of the services in this process for the caller in the context: the same gate, authorisation and audit as over HTTP, without the
// wire. It is made before the services, which hold clients on it, and joined with the edge when that stands.
type Local struct{ edge *Edge }

var _ aws.Invoker = (*Local)(nil)

// Join tells Local its edge; before the first call.
func (l *Local) Join(e *Edge) { l.edge = e }

// Invoke implements aws.Invoker.
func (l *Local) Invoke(ctx context.Context, op *aws.Operation, in, out any) error {
	if l.edge == nil {
		return errs.New(errs.Unavailable, "the server is still starting")
	}
	if op.Streams {
		return errs.New(errs.Unsupported, "an event stream needs a connection: call %s over HTTP", op.Name)
	}
	c := call.From(ctx)
	id := c.RequestID
	if id == "" {
		id = newRequestID()
	}
	v := &visit{e: l.edge, w: &writer{}, id: id, known: true, service: op.Service, proto: op.Service.Protocols[0], op: op.Name}
	v.entry = audit.Entry{Time: l.edge.cfg.Now().UTC().Truncate(time.Microsecond), RequestID: id, UserAgent: c.UserAgent, Via: c.Via, Region: l.edge.cfg.Region, Account: l.edge.cfg.Account,
		Source: op.Service.Signing + ".amazonaws.com", Name: op.Name, ReadOnly: op.ReadOnly, Principal: c.Principal.ARN, Kind: string(c.Principal.Kind), AccessKeyID: c.Principal.AccessKeyID}
	got, err := v.perform(ctx, op, func() (any, error) { return in, wire.Validate(op, in) }, nil)
	if err != nil {
		e := errs.As(err)
		name, _ := v.failure(e)
		if aerr := v.record(ctx, name); aerr != nil {
			return aerr
		}
		if e.Name == "" { // the caller sees the error as over HTTP
			named := *e
			named.Name = name
			return &named
		}
		return err
	}
	if err := v.record(ctx, ""); err != nil {
		closeStream(op, got)
		return err
	}
	reflect.ValueOf(out).Elem().Set(reflect.ValueOf(got).Elem())
	return nil
}
