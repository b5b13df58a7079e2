package ship

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

func newSink(to, host, id string) (sink, error) {
	kind, rest, _ := strings.Cut(to, ":")
	address := strings.TrimPrefix(rest, "//")
	switch {
	case rest == "":
	case kind == "file":
		return &file{path: rest}, nil
	case kind == "s3":
		b, err := newBucket(to, id)
		if err != nil {
			return nil, err // not a nil *bucket in the interface
		}
		return b, nil
	case kind == "syslog+unix":
		return &syslog{network: "unix", address: address, host: host}, nil
	case kind == "syslog+tls":
		address, query, _ := strings.Cut(address, "?")
		if _, _, err := net.SplitHostPort(address); err == nil {
			t, err := tlsConfig(query)
			if err != nil {
				return nil, errs.Wrap(errs.Invalid, err, "the audit log's receiver %s: %s", address, err.Error())
			}
			return &syslog{network: "tcp", address: address, host: host, tls: t}, nil
		}
	case kind == "syslog+tcp":
		if _, _, err := net.SplitHostPort(address); err == nil {
			return &syslog{network: "tcp", address: address, host: host}, nil
		}
	}
	return nil, errs.New(errs.Invalid, "%q names no receiver of the audit log: give file:PATH, syslog+unix:PATH, syslog+tcp://HOST:PORT, syslog+tls://HOST:PORT or s3://BUCKET/PREFIX?endpoint=URL", to)
}

// tlsConfig reads ca=FILE, who may have issued the receiver's certificate when it is none of the system's, and cert=FILE&key=FILE, by which it knows us (RFC 5425 §4.2).
func tlsConfig(query string) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	options, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("its address ends in what is no query")
	}
	for name := range options {
		if name != "ca" && name != "cert" && name != "key" {
			return nil, fmt.Errorf("it has no option %q: ca, cert and key are what there is", name)
		}
	}
	if ca := options.Get("ca"); ca != "" {
		b, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		if t.RootCAs = x509.NewCertPool(); !t.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("%s holds no certificate (PEM)", ca)
		}
	}
	if cert, key := options.Get("cert"), options.Get("key"); cert+key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, err
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// file appends JSON lines and syncs them. Whoever rotates it may rename it at any time: it is opened for each batch.
type file struct{ path string }

func (f *file) send(_ context.Context, _ uint64, entries [][]byte) error {
	out, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	var b []byte
	for _, e := range entries {
		b = append(append(b, e...), '\n')
	}
	_, err = out.Write(b)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

func (*file) close() error { return nil }

// syslog sends RFC 5424 messages, each with its length before it (octet counting: RFC 6587 §3.4.1 on plain streams, RFC 5425 §4.3 on TLS).
type syslog struct {
	network, address, host string
	tls                    *tls.Config // nil = in the clear
	conn                   net.Conn
}

const (
	sendTimeout = 10 * time.Second
	// refusal is how long a receiver may take to refuse us.
	refusal = 500 * time.Millisecond
)

func (s *syslog) send(ctx context.Context, first uint64, entries [][]byte) error {
	if s.conn != nil && !alive(s.conn, time.Millisecond) {
		_ = s.close()
	}
	if s.conn == nil {
		if err := s.dial(ctx); err != nil {
			return err
		}
		// In TLS 1.3 the receiver judges our certificate when our side of the handshake is over: what is written before would be lost to it.
		if s.tls != nil && !alive(s.conn, refusal) {
			return errors.Join(errs.New(errs.Unavailable, "the receiver ends the connection once it has seen who we are: it wants another certificate, or one at all"), s.close())
		}
	}
	var b []byte
	for i, e := range entries {
		m := message(s.host, first+uint64(i), e)
		b = append(fmt.Appendf(b, "%d ", len(m)), m...)
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	if _, err := s.conn.Write(b); err != nil {
		return errors.Join(err, s.close())
	}
	return nil
}

func (s *syslog) dial(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if s.tls != nil {
		d := tls.Dialer{Config: s.tls}
		s.conn, err = d.DialContext(ctx, s.network, s.address)
		return err
	}
	var d net.Dialer
	s.conn, err = d.DialContext(ctx, s.network, s.address)
	return err
}

// alive tells whether the receiver has hung up: it never says anything, so a read ends by its deadline or by the end of the connection.
func alive(c net.Conn, within time.Duration) bool {
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return false
	}
	_, err := c.Read(make([]byte, 1))
	return err == nil || errors.Is(err, os.ErrDeadlineExceeded)
}

func (s *syslog) close() error {
	if s.conn == nil {
		return nil
	}
	c := s.conn
	s.conn = nil
	return c.Close()
}

// message is an entry as RFC 5424 §6 says: facility 13 (log audit), severity 6, or 4 (warning) when the call failed. The entry is the message, its number in the log
// the structured data, under the enterprise number that §7.2.2 keeps for documentation.
func message(host string, number uint64, entry []byte) []byte {
	var e struct {
		Time  time.Time `json:"eventTime"`
		Name  string    `json:"eventName"`
		Error string    `json:"errorCode"`
	}
	severity := 6
	if err := json.Unmarshal(entry, &e); err != nil || e.Error != "" {
		severity = 4
	}
	m := fmt.Appendf(nil, "<%d>1 %s %s galen %d %s [entry@32473 number=\"%d\"] ", 13<<3|severity, e.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), field(host, 255), os.Getpid(), field(e.Name, 32), number)
	return append(m, entry...)
}

// field is printable ASCII without spaces of at most n characters, "-" for nothing.
func field(s string, n int) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c > ' ' && c < 0x7f && b.Len() < n {
			b.WriteByte(c)
		}
	}
	if b.Len() == 0 {
		return "-"
	}
	return b.String()
}
