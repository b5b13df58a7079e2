package postgres_test

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
)

// proxy stands between a store and PostgreSQL and cuts connections.
type proxy struct {
	l      net.Listener
	target string

	mu    sync.Mutex
	conns map[net.Conn]bool

	answer   atomic.Bool  // cut the next connection that is told COMMIT, before the client is
	refuse   atomic.Bool  // take no connections
	every    atomic.Int64 // cut a connection after about so many bytes; 0 = never
	cuts     atomic.Int64
	answered atomic.Int64 // answers to COMMIT that were cut
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, target: target, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { l.Close(); p.cutAll() })
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

// url is a database's address through the proxy.
func (p *proxy) url(direct, password string) string {
	u, _ := url.Parse(direct)
	return fmt.Sprintf("postgres://galen:%s@%s%s?sslmode=disable", url.PathEscape(password), p.l.Addr(), u.Path)
}

func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func (p *proxy) serve(c net.Conn) {
	defer c.Close()
	if p.refuse.Load() {
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

func (p *proxy) copy(to io.Writer, from io.Reader, fromServer bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if fromServer && p.answer.Load() && bytes.Contains(buf[:n], []byte("\x0bCOMMIT\x00")) && p.answer.CompareAndSwap(true, false) {
				p.answered.Add(1)
				return
			}
			if e := p.every.Load(); e > 0 && rand.Int64N(e) < int64(n) {
				p.cuts.Add(1)
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
