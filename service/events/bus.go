package events

import (
	"context"
	"strings"
	"time"

	api "github.com/galen-health/galen/aws/events"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// bus is an event bus; the default one exists without a record until it gets tags.
type bus struct {
	Name    string    `json:"name"`
	About   string    `json:"about,omitempty"`
	Created time.Time `json:"created"`
	Tags    []api.Tag `json:"tags,omitempty"`
}

var buses = record.Kind[bus]{Name: "events.bus", Indexes: record.Indexes[bus]{
	record.ByString("name", func(b *bus) string { return b.Name }),
}}

// busOf finds a bus.
func busOf(g record.Getter, name string) (*bus, error) {
	b, _, err := buses.Get(g, name)
	if absent(err) {
		if name == defaultBus {
			return &bus{Name: defaultBus}, nil
		}
		return nil, notFound("Event bus %s does not exist.", name)
	}
	return b, err
}

func busExists(name string) error {
	return errs.Named(errs.Conflict, "ResourceAlreadyExistsException", "Event bus %s already exists.", name)
}

// CreateEventBus implements the contract.
func (s *Service) CreateEventBus(ctx context.Context, in *api.CreateEventBusInput) (*api.CreateEventBusOutput, error) {
	switch {
	case in.EventSourceName != "":
		return nil, errs.New(errs.Unsupported, "partner event sources are not offered")
	case in.KmsKeyIdentifier != "":
		return nil, errs.New(errs.Unsupported, "customer keys for event buses are not offered: events are encrypted under the account's key")
	case in.DeadLetterConfig != nil || in.LogConfig != nil:
		return nil, errs.New(errs.Unsupported, "DeadLetterConfig and LogConfig are offered on targets only")
	case strings.Contains(in.Name, "/"): // only a partner's bus has one
		return nil, invalid("Event bus name must not contain '/'.")
	case !busForm.MatchString(in.Name):
		return nil, invalid("The event bus name %q is malformed or reserved.", in.Name)
	case in.Name == defaultBus: // it is there without a record
		return nil, busExists(in.Name)
	}
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	err = s.change(ctx, func(tx record.Tx) error {
		err := buses.Create(tx, in.Name, &bus{Name: in.Name, About: in.Description, Created: tx.Time(), Tags: tags})
		if errs.Is(err, errs.Conflict) {
			return busExists(in.Name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateEventBusOutput{EventBusArn: s.arn("event-bus/" + in.Name), Description: in.Description}, nil
}

// DescribeEventBus implements the contract.
func (s *Service) DescribeEventBus(ctx context.Context, in *api.DescribeEventBusInput) (*api.DescribeEventBusOutput, error) {
	name, err := s.busName(in.Name)
	if err != nil {
		return nil, err
	}
	out := &api.DescribeEventBusOutput{}
	return out, s.view(ctx, func(v record.View) error {
		b, err := busOf(v, name)
		if err == nil {
			*out = api.DescribeEventBusOutput{Name: b.Name, Arn: s.arn("event-bus/" + b.Name), Description: b.About, CreationTime: b.Created, LastModifiedTime: b.Created}
		}
		return err
	})
}

// DeleteEventBus implements the contract: a bus with rules stays, one that does not exist is deleted already.
func (s *Service) DeleteEventBus(ctx context.Context, in *api.DeleteEventBusInput) (*api.DeleteEventBusOutput, error) {
	name, err := s.busName(in.Name)
	if err != nil {
		return nil, err
	}
	if name == defaultBus {
		return nil, invalid("Cannot delete event bus default.")
	}
	return &api.DeleteEventBusOutput{}, s.change(ctx, func(tx record.Tx) error {
		if _, err := busOf(tx, name); err != nil {
			if absent(err) {
				return nil
			}
			return err
		}
		p, err := tx.Query(record.Query{Kind: rules.Name, Where: ofBus(name), Limit: 1, IDsOnly: true})
		if err != nil {
			return err
		}
		if len(p.Hits) > 0 {
			return invalid("Event bus %s can't be deleted since it has rules.", name)
		}
		return tx.Purge(buses.Name, name)
	})
}

// ListEventBuses implements the contract.
func (s *Service) ListEventBuses(ctx context.Context, in *api.ListEventBusesInput) (*api.ListEventBusesOutput, error) {
	out := &api.ListEventBusesOutput{EventBuses: []api.EventBus{}}
	err := s.view(ctx, func(v record.View) error {
		if in.NextToken == "" && strings.HasPrefix(defaultBus, in.NamePrefix) {
			b, err := busOf(v, defaultBus)
			if err != nil {
				return err
			}
			out.EventBuses = append(out.EventBuses, s.apiBus(b))
		}
		where := record.And{record.Not{Expr: record.Match{Index: "name", Value: record.String(defaultBus)}}}
		if in.NamePrefix != "" {
			where = append(where, record.Prefix{Index: "name", Value: record.String(in.NamePrefix)})
		}
		hits, next, err := pageOf(ctx, v, buses.Name, where, in.NextToken, in.Limit)
		if err != nil {
			return err
		}
		out.NextToken = next
		for _, h := range hits {
			b, err := buses.Decode(h.Body)
			if err != nil {
				return err
			}
			out.EventBuses = append(out.EventBuses, s.apiBus(b))
		}
		return nil
	})
	return out, err
}

func (s *Service) apiBus(b *bus) api.EventBus {
	return api.EventBus{Name: b.Name, Arn: s.arn("event-bus/" + b.Name), Description: b.About, CreationTime: b.Created, LastModifiedTime: b.Created}
}
