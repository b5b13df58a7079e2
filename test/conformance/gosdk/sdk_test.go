package gosdk

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/galen-health/galen/test/galen"
)

// calls are the operations that a client got an answer to.
type calls struct {
	mu   sync.Mutex
	seen map[string]bool
}

func newCalls() *calls { return &calls{seen: map[string]bool{}} }

// config is what a user of the SDK writes to reach a Galen: address, region, credentials, and host prefixes switched off.
func config(g *galen.Server, c *calls) aws.Config {
	return aws.Config{
		BaseEndpoint: aws.String(g.URL),
		Region:       galen.Region,
		Credentials:  static(galen.AccessKeyID, galen.SecretAccessKey, ""),
		APIOptions:   []func(*middleware.Stack) error{noHostPrefix, c.note},
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} }, // an answer is the server's first one
	}
}

func static(id, secret, token string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}, nil
	})
}

// noHostPrefix is the SDK's switch against prefixes such as runtime- before the name of a custom endpoint.
func noHostPrefix(s *middleware.Stack) error {
	return s.Initialize.Add(middleware.InitializeMiddlewareFunc("noHostPrefix", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		return next.HandleInitialize(smithyhttp.DisableEndpointHostPrefix(ctx, true), in)
	}), middleware.Before)
}

func (c *calls) note(s *middleware.Stack) error {
	return s.Initialize.Add(middleware.InitializeMiddlewareFunc("note", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		out, meta, err := next.HandleInitialize(ctx, in)
		if err == nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.seen[middleware.GetOperationName(ctx)] = true
		}
		return out, meta, err
	}), middleware.After)
}

// must is the answer of a call that has to work: must(t)(client.Op(ctx, in)).
func must[T any](out T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// coded holds an error that the contract does not model to have this code and status, and a request id.
func coded(t *testing.T, what string, err error, code string, status int) {
	t.Helper()
	var api smithy.APIError
	var resp *smithyhttp.ResponseError
	switch {
	case err == nil:
		t.Errorf("%s: no error, want %s", what, code)
	case !errors.As(err, &api) || api.ErrorCode() != code || api.ErrorMessage() == "":
		t.Errorf("%s: %v, want %s with a message", what, err, code)
	case !errors.As(err, &resp) || resp.HTTPStatusCode() != status:
		t.Errorf("%s: %v, want status %d", what, err, status)
	case requestID(err) == "":
		t.Errorf("%s: %v has no request id", what, err)
	}
}

// toLoopback is an HTTP client that finds every name at 127.0.0.1, as the operator's DNS would.
func toLoopback() *http.Client {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: time.Minute}
}

// noteHosts keeps the names that a client called.
type noteHosts struct {
	*http.Client
	seen map[string]bool
}

func (n noteHosts) Do(r *http.Request) (*http.Response, error) {
	n.seen[r.URL.Host] = true
	return n.Client.Do(r)
}

// requestID is what the SDK tells its user to give to support.
func requestID(err error) string {
	var resp interface{ ServiceRequestID() string }
	if !errors.As(err, &resp) {
		return ""
	}
	return resp.ServiceRequestID()
}

// implemented reads from the table of docs/compatibility.md what the binary offers of a service.
func implemented(t *testing.T, service string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(galen.Root(), "docs", "compatibility.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\n## "+service+"\n")
	if !ok {
		t.Fatalf("docs/compatibility.md has no service %s", service)
	}
	section, _, _ := strings.Cut(rest, "\n## ")
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^- ✔ (\w+)`).FindAllStringSubmatch(section, -1) {
		out = append(out, m[1])
	}
	return out
}

// all holds that every implemented operation of the service was called and answered. Only what this version of the SDK has no method for may be missing.
func (c *calls) all(t *testing.T, service string, client any) {
	t.Helper()
	if t.Failed() {
		return // what failed first says more
	}
	n := 0
	for _, op := range implemented(t, service) {
		if _, known := reflect.TypeOf(client).MethodByName(op); !known {
			t.Logf("this version of the SDK has no %s", op)
			continue
		}
		n++
		if !c.seen[op] {
			t.Errorf("%s is implemented and not called here: the SDK's client has to pass for it too", op)
		}
	}
	t.Logf("%s: %d operations", service, n)
}

// refused holds an error to be the modelled exception E with the status, and to carry a request id.
func refused[E error](t *testing.T, what string, err error, status int) {
	t.Helper()
	var want E
	var api smithy.APIError
	var resp *smithyhttp.ResponseError
	switch {
	case err == nil:
		t.Errorf("%s: no error, want %T", what, want)
	case !errors.As(err, &want):
		t.Errorf("%s: %v, want %T", what, err, want)
	case !errors.As(err, &api) || api.ErrorMessage() == "":
		t.Errorf("%s: %v has no message", what, err)
	case !errors.As(err, &resp) || resp.HTTPStatusCode() != status:
		t.Errorf("%s: %v, want status %d", what, err, status)
	case requestID(err) == "":
		t.Errorf("%s: %v has no request id", what, err)
	}
}
