package operations

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate makes a self-signed pair for 127.0.0.1 with this name.
func writeCertificate(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

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
	certFile, keyFile := writeCertificate(t, dir, "first")
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
	writeCertificate(t, dir, "second")
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
