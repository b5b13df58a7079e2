package app

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookAgain is how long a certificate is served before its files are looked at again.
const lookAgain = time.Second

// certificate is the server's certificate, read again when its files change: renewal needs no restart. While what is in the files cannot be used (a renewal that is
// half written), the one before it is served.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu     sync.Mutex
	cert   *tls.Certificate
	stamp  string
	looked time.Time
	bad    string // stamp of files that could not be used, so that it is said once
}

// openCertificate reads the files, which must be usable.
func openCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, now: time.Now}
	cert, stamp, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("the TLS certificate %s with the key %s: %w", certFile, keyFile, err)
	}
	c.cert, c.stamp, c.looked = cert, stamp, c.now()
	return c, nil
}

// read returns the certificate and a stamp that changes with the files.
func (c *certificate) read() (*tls.Certificate, string, error) {
	stamp, err := c.stampNow()
	if err != nil {
		return nil, "", err
	}
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	return &cert, stamp, err
}

func (c *certificate) stampNow() (string, error) {
	stamp := ""
	for _, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		stamp += fmt.Sprintf("%d %d;", info.ModTime().UnixNano(), info.Size())
	}
	return stamp, nil
}

// get is tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= lookAgain {
		c.looked = now
		c.renew()
	}
	return c.cert, nil
}

// renew takes what is in the files if that is new and usable.
func (c *certificate) renew() {
	stamp, err := c.stampNow()
	if err != nil {
		stamp = "cannot be looked at"
	}
	if stamp == c.stamp || stamp == c.bad {
		return
	}
	var cert *tls.Certificate
	if err == nil {
		cert, _, err = c.read()
	}
	if err != nil {
		c.bad = stamp
		c.log.Error("the changed TLS certificate cannot be used; the one before is served on", "file", c.certFile, "error", err)
		return
	}
	c.cert, c.stamp, c.bad = cert, stamp, ""
	c.log.Info("the TLS certificate was read again", "file", c.certFile, "until", cert.Leaf.NotAfter)
}

// config is what the listener speaks: TLS 1.2 and later.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}
