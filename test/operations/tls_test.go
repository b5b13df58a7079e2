package operations

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/test/selfsigned"
)

// shown is the name in the certificate that a server shows to a client of these versions.
func shown(addr string, least, most uint16) (name string, proto string, err error) {
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MinVersion: least, MaxVersion: most, NextProtos: []string{"h2", "http/1.1"}}) // the test looks at the certificate itself
	if err != nil {
		return "", "", err
	}
	defer c.Close()
	s := c.ConnectionState()
	return s.PeerCertificates[0].Subject.CommonName, s.NegotiatedProtocol, nil
}

// TestTLS: 1.2 and later with HTTP/2, what clients are told is https, and a renewed certificate is served without a restart while old connections go on.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := selfsigned.Write(t, dir, "first")
	p := start(t, filepath.Join(dir, "data"), "--tls-cert", certFile, "--tls-key", keyFile)
	if !strings.Contains(p.log(), "AWS_ENDPOINT_URL=https://"+p.Addr) {
		t.Error("clients are not told of https")
	}
	for version, good := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		name, proto, err := shown(p.Addr, version, version)
		if (err == nil) != good {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if good && (name != "first" || proto != "h2") {
			t.Errorf("%s shows %s and speaks %s", tls.VersionName(version), name, proto)
		}
	}
	pem1, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem1)
	h := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	get := func() error {
		resp, err := h.Get("https://" + p.Addr + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	selfsigned.Write(t, dir, "second")
	p.until("the renewed certificate is served", func() bool { name, _, err := shown(p.Addr, tls.VersionTLS12, 0); return err == nil && name == "second" })
	if err := get(); err != nil { // over the connection that it has
		t.Errorf("the connection from before the renewal: %v", err)
	}
	if resp, err := http.Get("http://" + p.Addr + "/readyz"); err == nil {
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("without TLS it answers %d", resp.StatusCode)
		}
		resp.Body.Close()
	}
}
