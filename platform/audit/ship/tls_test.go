package ship

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/test/selfsigned"
)

// Entries go to a collector whose certificate is right, framed as RFC 5425 §4.3 says, and not a byte of them to any other.
func TestSyslogTLS(t *testing.T) {
	m := filled(t, 300)
	right, rightKey := selfsigned.Write(t, t.TempDir(), "collector")
	wrong, wrongKey := selfsigned.Write(t, t.TempDir(), "somebody")
	listen := func(cert, key string, clients *x509.CertPool) net.Listener {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		if clients != nil {
			config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, clients
		}
		l, err := tls.Listen("tcp", "127.0.0.1:0", config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	own, ownKey := selfsigned.Write(t, t.TempDir(), "galen")
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(own)
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		l       net.Listener
		options string
		good    bool
	}{
		"a certificate of ca":    {listen(right, rightKey, nil), "?ca=" + right, true},
		"another's certificate":  {listen(wrong, wrongKey, nil), "?ca=" + right, false},
		"one that nobody trusts": {listen(right, rightKey, nil), "", false},
		"both know each other":   {listen(right, rightKey, pool), "?ca=" + right + "&cert=" + own + "&key=" + ownKey, true},
		"we have none":           {listen(right, rightKey, pool), "?ca=" + right, false},
		"it does not know ours":  {listen(right, rightKey, pool), "?ca=" + right + "&cert=" + wrong + "&key=" + wrongKey, false},
		"the port speaks no TLS": {plain(t), "?ca=" + right, false},
		"a name that it is not":  {listen(right, rightKey, nil), "?ca=" + right, false},
	} {
		t.Run(name, func(t *testing.T) {
			address := c.l.Addr().String()
			if name == "a name that it is not" {
				_, port, _ := net.SplitHostPort(address)
				address, c.options = "localhost:"+port, "?ca="+right
			}
			got := make(chan string, 1000)
			go quiet(t, c.l, got, c.good)
			s := shipper(t, m, t.TempDir(), "syslog+tls://"+address+c.options)
			if !c.good {
				if _, err := s.step(t.Context()); err == nil || s.Next() != 0 {
					t.Errorf("%v, next is %d", err, s.Next())
				}
				_ = s.to.close()
				if len(got) > 0 {
					t.Errorf("it got %d entries", len(got))
				}
				return
			}
			if n := all(t, s); n != 300 {
				t.Fatalf("%d entries were sent", n)
			}
			for i := range 300 {
				if f := wellFormed.FindStringSubmatch(<-got); f == nil || f[2] != fmt.Sprint(i) {
					t.Fatalf("message %d is %v", i, f)
				}
			}
			if err := s.to.close(); err != nil {
				t.Error(err)
			}
		})
	}
	for _, options := range []string{"?ca=" + rightKey, "?ca=/nowhere", "?cert=" + own, "?verify=no"} {
		if _, err := New(nil, t.TempDir(), "syslog+tls://127.0.0.1:6514"+options, "h", "log", nil); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", options, err)
		}
	}
}

func plain(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// quiet is a collector, or what is none: it hangs up when the handshake fails.
func quiet(t *testing.T, l net.Listener, got chan<- string, good bool) {
	if good {
		collector(t, l, got)
		return
	}
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close() //nolint:errcheck // nothing was written
	b := make([]byte, 1)
	if n, _ := c.Read(b); n > 0 {
		if _, secure := c.(*tls.Conn); secure {
			got <- string(b)
		}
	}
}
