package pgtest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy stands between clients and a server and does what networks and servers do on bad days.
type Proxy struct {
	l      net.Listener
	target string

	mu    sync.Mutex
	conns map[net.Conn]bool

	Answer   atomic.Bool  // cut the next connection that is told COMMIT, before the client is
	Refuse   atomic.Bool  // take no connections
	Stall    atomic.Bool  // let nothing through, and keep the connections
	Delay    atomic.Int64 // nanoseconds that each piece takes on its way, either way
	Every    atomic.Int64 // cut a connection after about so many bytes; 0 = never
	Cuts     atomic.Int64
	Answered atomic.Int64 // answers to COMMIT that were cut
}

// NewProxy starts one until the test ends.
func NewProxy(t testing.TB, s *Server) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{l: l, target: s.Address(), conns: map[net.Conn]bool{}}
	t.Cleanup(func() { l.Close(); p.Stall.Store(false); p.CutAll() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

// URL is a database's address through the proxy.
func (p *Proxy) URL(direct string) string {
	u, _ := url.Parse(direct)
	return fmt.Sprintf("postgres://galen:%s@%s%s?sslmode=disable", url.PathEscape(Password), p.l.Addr(), u.Path)
}

// CutAll resets all connections.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // a reset, not an end
		}
		c.Close()
	}
}

func (p *Proxy) serve(c net.Conn) {
	defer c.Close()
	if p.Refuse.Load() {
		return
	}
	s, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer s.Close()
	p.mu.Lock()
	p.conns[c] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}()
	end := make(chan bool, 2)
	go func() { p.copy(s, c, false); end <- true }()
	go func() { p.copy(c, s, true); end <- true }()
	<-end
}

func (p *Proxy) copy(to io.Writer, from io.Reader, fromServer bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		for p.Stall.Load() {
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Duration(p.Delay.Load()))
		if n > 0 {
			if fromServer && p.Answer.Load() && bytes.Contains(buf[:n], []byte("\x0bCOMMIT\x00")) && p.Answer.CompareAndSwap(true, false) {
				p.Answered.Add(1)
				return
			}
			if e := p.Every.Load(); e > 0 && rand.Int64N(e) < int64(n) {
				p.Cuts.Add(1)
				_, _ = to.Write(buf[:rand.IntN(n+1)])
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
