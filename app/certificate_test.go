package app

import (
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/test/selfsigned"
)

func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := selfsigned.Write(t, dir, "first")
	var logged strings.Builder
	c, err := openCertificate(certFile, keyFile, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.now = func() time.Time { return now }
	name := func() string {
		t.Helper()
		cert, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf.Subject.CommonName
	}
	if got := name(); got != "first" {
		t.Fatalf("served %s", got)
	}
	if err := os.WriteFile(certFile, []byte("half a certif"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		now = now.Add(2 * lookAgain)
		if got := name(); got != "first" {
			t.Errorf("with a half-written file it serves %s", got)
		}
	}
	if n := strings.Count(logged.String(), "cannot be used"); n != 1 {
		t.Errorf("the unusable file was told of %d times", n)
	}
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * lookAgain)
	if got := name(); got != "first" {
		t.Errorf("without the file it serves %s", got)
	}
	selfsigned.Write(t, dir, "second")
	if got := name(); got != "first" {
		t.Errorf("it looked again at once: %s", got)
	}
	now = now.Add(2 * lookAgain)
	if got := name(); got != "second" {
		t.Errorf("after the renewal it serves %s", got)
	}
	if got := c.config().MinVersion; got != tls.VersionTLS12 {
		t.Errorf("the least version is %x", got)
	}
	if _, err := openCertificate(filepath.Join(dir, "none"), keyFile, c.log); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a certificate that is not there: %v", err)
	}
}
