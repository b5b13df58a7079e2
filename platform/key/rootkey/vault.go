package rootkey

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/safedial"
)

// vault seals by the Transit engine of HashiCorp Vault or OpenBao: POST {mount}/encrypt/{key} and {mount}/decrypt/{key} with base64 plaintext, an opaque ciphertext
// "vault:v<version>:…", and the token in X-Vault-Token. Vault's own rotation of the key needs nothing here: it opens older versions, and a move rewraps.
type vault struct {
	base   *url.URL // scheme, host and the API's path up to the mount
	key    string
	client *http.Client
}

const (
	vaultTimeout = 10 * time.Second
	maxAnswer    = 64 << 10
)

func newVault(s string) (*vault, error) {
	u, err := url.Parse(s)
	malformed := errs.New(errs.Invalid, "the root key's Vault is named vault:https://HOST:PORT/MOUNT/keys/KEY, such as vault:https://vault:8200/transit/keys/galen")
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, malformed
	}
	mount, key, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(u.Path, "/"), "v1/"), "/keys/")
	if !ok || mount == "" || key == "" || strings.Contains(key, "/") || strings.Contains(u.Path, "..") {
		return nil, malformed
	}
	d, err := safedial.New([]string{u.Hostname()}) // the operator named it
	if err != nil {
		return nil, err
	}
	client := d.Client(vaultTimeout)
	if ca := os.Getenv("VAULT_CACERT"); ca != "" {
		pem, err := os.ReadFile(ca)
		pool := x509.NewCertPool()
		if err != nil || !pool.AppendCertsFromPEM(pem) {
			return nil, errs.Wrap(errs.Invalid, err, "VAULT_CACERT names no file of certificates that can be read")
		}
		t, ok := client.Transport.(*http.Transport)
		if !ok {
			return nil, errs.New(errs.Internal, "the transport takes no certificates")
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	u.Path = path.Join("/v1", mount)
	return &vault{base: u, key: key, client: client}, nil
}

func (*vault) name() string { return "root.vault" }

// call does one of Transit's operations.
func (v *vault) call(ctx context.Context, operation string, in, out any) error {
	token := os.Getenv("VAULT_TOKEN")
	if token == "" {
		return errs.New(errs.Invalid, "the root key is sealed by Vault, and VAULT_TOKEN is not set: give a token whose policy may update %s/encrypt/%s and /decrypt/%s", strings.TrimPrefix(v.base.Path, "/v1/"), v.key, v.key)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	defer clear(body)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, v.base.JoinPath(operation, v.key).String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("X-Vault-Token", token)
	r.Header.Set("X-Vault-Request", "true")
	r.Header.Set("Content-Type", "application/json")
	if ns := os.Getenv("VAULT_NAMESPACE"); ns != "" {
		r.Header.Set("X-Vault-Namespace", ns)
	}
	resp, err := v.client.Do(r)
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "Vault at %s, which seals the root key, cannot be reached: start it, or mend the network, and start again; nothing was changed", v.base.Host)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	defer clear(answer)
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "Vault at %s broke off", v.base.Host)
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden:
		return errs.New(errs.Invalid, "Vault at %s refuses VAULT_TOKEN: give one that is not expired and whose policy may update encrypt/%s and decrypt/%s", v.base.Host, v.key, v.key)
	case http.StatusServiceUnavailable:
		return errs.New(errs.Unavailable, "Vault at %s is sealed or in maintenance: unseal it and start again; nothing was changed", v.base.Host)
	case http.StatusNotFound:
		return errs.New(errs.Invalid, "Vault at %s has no such Transit engine or key: check the name, or enable the engine and make the key %s", v.base.Host, v.key)
	case http.StatusBadRequest:
		return errs.New(errs.Invalid, "Vault at %s does not open what its key %s should have sealed: the key was replaced or its old versions removed; restore Vault's key, or the key folder that belongs to it", v.base.Host, v.key)
	default:
		return errs.New(errs.Unavailable, "Vault at %s answers %d", v.base.Host, resp.StatusCode)
	}
	envelope := struct {
		Data any `json:"data"`
	}{out}
	if err := json.Unmarshal(answer, &envelope); err != nil {
		return errs.New(errs.Unavailable, "what answers at %s is no Vault", v.base.Host)
	}
	return nil
}

// opened is what Transit seals and opens; JSON has bytes in base64, as Transit asks for.
type opened struct {
	Plaintext []byte `json:"plaintext"`
}

func (v *vault) seal(ctx context.Context, root []byte) (*sealed, error) {
	var out struct {
		Ciphertext string `json:"ciphertext"`
	}
	if err := v.call(ctx, "encrypt", opened{root}, &out); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(out.Ciphertext, "vault:v") {
		return nil, errs.New(errs.Unavailable, "what answers at %s is no Vault", v.base.Host)
	}
	return &sealed{Sealed: []byte(out.Ciphertext)}, nil
}

func (v *vault) open(ctx context.Context, s *sealed) ([]byte, error) {
	var out opened
	if err := v.call(ctx, "decrypt", map[string]string{"ciphertext": string(s.Sealed)}, &out); err != nil {
		return nil, err
	}
	if len(out.Plaintext) != Size {
		clear(out.Plaintext)
		return nil, errs.New(errs.Invalid, "what Vault at %s opens is no root key of %d bytes", v.base.Host, Size)
	}
	return out.Plaintext, nil
}
