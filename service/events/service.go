package events

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	api "github.com/galen-health/galen/aws/events"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/event/pattern"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/safedial"
)

const (
	space      = record.Space("events")
	defaultBus = "default"
	principal  = "events.amazonaws.com"
)

// Config says where the service lives.
type Config struct {
	Account, Region string
	Dir             string           // folder of the file logs; made when absent
	Dial            *safedial.Dialer // for webhooks
	S3              s3.Service       // for queues; nil = S3 targets are refused
	Roles           authz.Roles
	Log             *slog.Logger              // nil = slog.Default()
	Backoff         func(n int) time.Duration // pause after the n-th failed delivery; nil = 1 s doubled each time, at most 5 min, with jitter
	Now             func() time.Time          // nil = time.Now
}

// Service implements the contract.
type Service struct {
	api.Unimplemented
	cfg     Config
	records record.Store
	http    *http.Client
	files   *os.Root
	fileMu  sync.Mutex
	wake    chan struct{}

	mu       sync.Mutex
	compiled map[string]*pattern.Pattern
}

var _ api.Service = (*Service)(nil)

// Kinds are the kinds of records that are kept here; who moves records asks for them.
func Kinds() []record.KindDef {
	return []record.KindDef{buses.Def(), rules.Def(), deliveries.Def()}
}

// New opens the service and subscribes it to the bus; Run delivers.
func New(ctx context.Context, cfg Config, records record.Store, bus *event.Bus) (*Service, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Backoff == nil {
		cfg.Backoff = backoff
	}
	if err := records.Declare(Kinds()...); err != nil {
		return nil, err
	}
	if err := records.CreateSpace(ctx, space, key.Ref{Context: map[string]string{"galen:space": string(space)}}); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the folder of event logs cannot be made")
	}
	files, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the folder of event logs cannot be opened")
	}
	s := &Service{cfg: cfg, records: records, http: cfg.Dial.Client(10 * time.Second), files: files, wake: make(chan struct{}, 1), compiled: map[string]*pattern.Pattern{}}
	bus.Watch(deliveryTopic, func(record.Message) { s.poke() }) // whichever server matched, the one that delivers hears of it
	return s, bus.Subscribe("events.rules", "", s.match)
}

// Close lets the folder of file logs go. After Run has returned.
func (s *Service) Close() error { return s.files.Close() }

func (s *Service) change(ctx context.Context, fn func(tx record.Tx) error) error {
	_, err := s.records.Update(ctx, space, []string{"rules"}, fn)
	return err
}

func (s *Service) view(ctx context.Context, fn func(v record.View) error) error {
	v, err := s.records.View(ctx, space)
	if err != nil {
		return err
	}
	defer v.Close()
	return fn(v)
}

func (s *Service) arn(resource string) string {
	return "arn:aws:events:" + s.cfg.Region + ":" + s.cfg.Account + ":" + resource
}

func invalid(format string, args ...any) error {
	return errs.Named(errs.Invalid, "ValidationException", format, args...)
}

func absent(err error) bool { return errs.Is(err, errs.NotFound) || errs.Is(err, errs.Gone) }

func notFound(format string, args ...any) error {
	return errs.Named(errs.NotFound, "ResourceNotFoundException", format, args...)
}

var busForm = regexp.MustCompile(`^[/.\-_A-Za-z0-9]{1,256}$`)

// busName reads a bus's name or ARN; "" is the default bus.
func (s *Service) busName(nameOrARN string) (string, error) {
	if nameOrARN == "" {
		return defaultBus, nil
	}
	name := nameOrARN
	if strings.HasPrefix(name, "arn:") {
		var ok bool
		if name, ok = strings.CutPrefix(name, s.arn("event-bus/")); !ok {
			return "", notFound("Event bus %s does not exist.", nameOrARN)
		}
	}
	if !busForm.MatchString(name) {
		return "", invalid("The event bus name is malformed.")
	}
	return name, nil
}

// pageOf is a page of a query; the token is opaque.
func pageOf(ctx context.Context, v record.View, kind string, where record.Expr, token string, limit *int32) (hits []record.Version, next string, err error) {
	after, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, "", invalid("NextToken is not one that was given out.")
	}
	n := 100
	if limit != nil {
		n = int(*limit)
	}
	p, err := v.Query(ctx, record.Query{Kind: kind, Where: where, Order: []record.Order{{Index: "name"}}, After: record.Cursor(after), Limit: n})
	if err != nil {
		return nil, "", err
	}
	if p.Next != "" {
		next = base64.RawURLEncoding.EncodeToString([]byte(p.Next))
	}
	return p.Hits, next, nil
}
