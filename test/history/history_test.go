// Package history_test lets ten clients at a time use the conditional writes of the real server, and has an independent checker (Porcupine) look for an order
// of their calls, within the times that they took, in which one careful clerk would have given the same answers.
package history_test

import (
	"bytes"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/test/galen"
)

// call is what a client asks of the one thing that a history is about; what the fields hold is the model's affair.
type call struct{ do, value, expect string }

// answer is what it got. Without a status nobody knows whether the call was done: the server was killed.
type answer struct {
	status int
	value  string
}

const clients = 10

// histories is how many of each kind are made: 25, or $GALEN_HISTORIES.
func histories() int {
	if n, err := strconv.Atoi(os.Getenv("GALEN_HISTORIES")); err == nil && n > 0 {
		return n
	}
	return 25
}

// record lets clients make so many calls each. next chooses a client's call by what the client saw last.
func record(each int, next func(r *rand.Rand, seen answer) call, do func(call) answer) []porcupine.Operation {
	var mu sync.Mutex
	var list []porcupine.Operation
	began := time.Now()
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(rand.Uint64(), uint64(c)))
			var seen answer
			for range each {
				in := next(r, seen)
				from := time.Since(began)
				out := do(in)
				to := int64(time.Since(began))
				if out.status == 0 {
					to = math.MaxInt64
				} else {
					seen = out
				}
				mu.Lock()
				list = append(list, porcupine.Operation{ClientId: c, Input: in, Call: int64(from), Output: out, Return: to})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return list
}

// check fails when no order explains a history.
func check[S comparable](t *testing.T, step func(s S, in call, out answer) []S, list []porcupine.Operation) {
	t.Helper()
	m := porcupine.NondeterministicModel{
		Init: func() []any { var s S; return []any{s} },
		Step: func(s, in, out any) (all []any) {
			for _, n := range step(s.(S), in.(call), out.(answer)) {
				all = append(all, n)
			}
			return all
		},
	}
	if got := porcupine.CheckOperationsTimeout(m.ToModel(), list, 20*time.Second); got != porcupine.Ok {
		for _, o := range list {
			t.Logf("%d: %v-%v %+v: %+v", o.ClientId, time.Duration(o.Call), time.Duration(o.Return), o.Input, o.Output)
		}
		t.Fatalf("no order of these calls explains the answers (%v)", got)
	}
}

// remote calls a server without ever trying a call again.
type remote struct{ g *galen.Server }

func (c remote) send(service, method, path string, header map[string]string, body string) (status int, h http.Header, b []byte) {
	r, err := http.NewRequest(method, c.g.URL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, nil, nil
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	if err := sigv4.Sign(r, sigv4.Credentials{AccessKeyID: galen.AccessKeyID, SecretAccessKey: galen.SecretAccessKey}, service, galen.Region, time.Now()); err != nil {
		return 0, nil, nil
	}
	r.GetBody = nil // so that nothing sends it twice
	resp, err := once.Do(r)
	if err != nil {
		return 0, nil, nil
	}
	defer resp.Body.Close() //nolint:errcheck // read
	b, err = io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 500 {
		return 0, nil, nil // it may have been done, or not
	}
	return resp.StatusCode, resp.Header, b
}

// once never uses a connection again: a request on one that the server closes is sent again by net/http.
var once = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}

// fresh is a value that no other call writes.
var fresh = func() func() string {
	var mu sync.Mutex
	n := 0
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return "v" + strconv.Itoa(n)
	}
}()

// scenario is one kind of history on a server.
type scenario struct {
	name string
	each int // calls of a client
	// one makes and checks a history.
	one func(t *testing.T, g *galen.Server)
}

// TestOrder makes histories of each kind.
func TestOrder(t *testing.T) {
	g := galen.Start(t)
	for _, s := range scenarios(t, g) {
		t.Run(s.name, func(t *testing.T) {
			n := histories()
			for range n {
				s.one(t, g)
			}
			t.Logf("%d histories of %d clients with %d calls each: 0 without an order", n, clients, s.each)
		})
	}
}

// TestOrderOverKills makes them while the server is killed and started again; what was not answered may have been done or not, but nothing else.
func TestOrderOverKills(t *testing.T) {
	g := galen.Start(t)
	for _, s := range scenarios(t, g) {
		t.Run(s.name, func(t *testing.T) {
			n, kills := max(2, histories()/10), 0
			for range n {
				func() {
					done := make(chan struct{})
					defer func() {
						<-done
						kills++
						g.Ready()
					}()
					go func() {
						defer close(done)
						time.Sleep(rand.N(60 * time.Millisecond))
						g.Kill()
						g.Launch()
					}()
					s.one(t, g)
				}()
			}
			t.Logf("%d histories over %d kills: 0 without an order", n, kills)
		})
	}
}
