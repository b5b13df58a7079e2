package app

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Config is everything that an operator may say. Every field has a value that works; flags override the environment, which overrides the file.
type Config struct {
	DataDir  string   `name:"data-dir" required:"" env:"GALEN_DATA_DIR" help:"Folder of all data; made when absent." type:"path"`
	Addr     string   `default:"127.0.0.1:8484" env:"GALEN_ADDR" help:"Address of the AWS endpoint, the open standards and the console."`
	Services []string `env:"GALEN_SERVICES" help:"Only these services (healthlake,medical-imaging,…); all when empty."`
	Records  string   `env:"GALEN_RECORDS" help:"Record back end: empty for the embedded one in the data folder, or postgres://USER:PASSWORD@HOST:PORT/DATABASE. Prefer the environment for the password."`
	Blobs    string   `env:"GALEN_BLOBS" help:"Blob back end: empty for files in the data folder, or s3://BUCKET/PREFIX?endpoint=URL&region=REGION with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."`
	KeysDir  string   `name:"keys-dir" env:"GALEN_KEYS_DIR" type:"path" help:"Folder of the key ring, for servers that share a record database; keys/ in the data folder when empty."`
	RootKey  string   `name:"root-key" env:"GALEN_ROOT_KEY_FROM" help:"Where the root key is: env:NAME, file:PATH, passphrase[:VARIABLE], passphrase-file:PATH, vault:URL/transit/keys/KEY or pkcs11:MODULE?token=LABEL&key=LABEL; empty for GALEN_ROOT_KEY, or without it the file root.key of the key folder."`
	Account  string   `default:"000000000000" env:"GALEN_ACCOUNT_ID" help:"Account id of every ARN."`
	Region   string   `default:"us-east-1" env:"GALEN_REGION" help:"Region of every ARN."`

	RootAccessKeyID     string `name:"root-access-key-id" env:"GALEN_ROOT_ACCESS_KEY_ID" help:"Root access key; generated and printed once when neither is given."`
	RootSecretAccessKey string `name:"root-secret-access-key" env:"GALEN_ROOT_SECRET_ACCESS_KEY" help:"Root secret key. Prefer the environment to the command line."`

	AuditTo        []string `name:"audit-to" env:"GALEN_AUDIT_TO" help:"Receivers that the audit log is copied to: file:PATH, syslog+unix:PATH, syslog+tcp://HOST:PORT, syslog+tls://HOST:PORT or s3://BUCKET/PREFIX?endpoint=URL."`
	AuditRetention string   `name:"audit-retention" env:"GALEN_AUDIT_RETENTION" help:"How long entries of the audit log are kept, such as 7y or 400d, and no less than 90d; for ever when empty. Their hashes stay."`
	AllowHosts     []string `name:"allow-host" env:"GALEN_ALLOW_HOSTS" help:"Hosts or networks that webhooks may reach although they are private (10.1.0.0/16, hooks.local)."`
	// NewCustomer closes what AWS keeps open for existing customers only (variant stores …).
	NewCustomer bool   `name:"new-customer" env:"GALEN_NEW_CUSTOMER" help:"Answer as AWS does to new customers: features for existing customers only are refused."`
	LogLevel    string `default:"info" enum:"debug,info,warn,error" env:"GALEN_LOG_LEVEL" help:"debug, info, warn or error; info tells each request in a line."`
	LogFormat   string `default:"json" enum:"json,text" env:"GALEN_LOG_FORMAT" help:"json or text."`

	PublicURL    string        `name:"public-url" env:"GALEN_PUBLIC_URL" help:"How clients reach this server, when a proxy or a name stands before it; made of --addr when empty."`
	TLSCert      string        `name:"tls-cert" env:"GALEN_TLS_CERT" type:"path" help:"Certificate chain (PEM) to serve TLS with; read again when it changes."`
	TLSKey       string        `name:"tls-key" env:"GALEN_TLS_KEY" type:"path" help:"Its private key (PEM)."`
	PlainHTTP    bool          `name:"plain-http" env:"GALEN_PLAIN_HTTP" help:"Serve other machines without TLS: a proxy in front of this server speaks it."`
	AdminAddr    string        `name:"admin-addr" env:"GALEN_ADMIN_ADDR" help:"Address of a second listener for /livez, /readyz, /metrics and /debug/pprof alone, for the operator's network."`
	MetricsToken string        `name:"metrics-token" env:"GALEN_METRICS_TOKEN" help:"Bearer token that /metrics of the endpoint asks for. Prefer the environment to the command line."`
	OTLP         string        `name:"otlp" env:"GALEN_OTLP" help:"URL of an OpenTelemetry collector (OTLP over HTTP) that traces go to, such as http://127.0.0.1:4318; none when empty."`
	MinFree      int64         `name:"min-free-bytes" default:"268435456" env:"GALEN_MIN_FREE_BYTES" help:"The server is not ready when the data folder's disk has less free."`
	DrainDelay   time.Duration `name:"drain-delay" default:"0s" env:"GALEN_DRAIN_DELAY" help:"How long to go on taking requests after SIGTERM while /readyz says no, so that load balancers turn away first."`
	DrainTimeout time.Duration `name:"drain-timeout" default:"20s" env:"GALEN_DRAIN_TIMEOUT" help:"How long requests in progress may take to end after that."`

	Load
}

// check completes what Config cannot say by itself and refuses what cannot work.
func (c *Config) check(known []string) error {
	if c.DataDir == "" {
		return fmt.Errorf("no data folder: give --data-dir DIR")
	}
	abs, err := filepath.Abs(c.DataDir)
	if err != nil {
		return err
	}
	c.DataDir = abs
	if (c.RootAccessKeyID == "") != (c.RootSecretAccessKey == "") {
		return fmt.Errorf("GALEN_ROOT_ACCESS_KEY_ID and GALEN_ROOT_SECRET_ACCESS_KEY belong together: give both or neither")
	}
	if len(c.Account) != 12 || strings.Trim(c.Account, "0123456789") != "" {
		return fmt.Errorf("the account id %q is not twelve digits", c.Account)
	}
	if err := c.checkRecords(); err != nil {
		return err
	}
	if err := c.checkBlobs(); err != nil {
		return err
	}
	if _, err := parseRetention(c.AuditRetention); err != nil {
		return err
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return fmt.Errorf("--tls-cert and --tls-key belong together: give both or neither")
	}
	if c.Addr != "" && c.TLSCert == "" && !c.PlainHTTP && !loopback(c.Addr) {
		return fmt.Errorf("other machines can reach --addr %s, and what they send and get would go over the network in clear: give --tls-cert and --tls-key, or --plain-http where a proxy in front speaks TLS", c.Addr)
	}
	if c.DrainTimeout <= 0 {
		c.DrainTimeout = 20 * time.Second
	}
	for _, s := range c.Services {
		found := false
		for _, k := range known {
			found = found || s == k
		}
		if !found {
			return fmt.Errorf("service %q is unknown; the services are %s", s, strings.Join(known, ", "))
		}
	}
	return os.MkdirAll(c.DataDir, 0o700)
}

// keys is the folder of the key ring.
func (c *Config) keys() string {
	if c.KeysDir != "" {
		return c.KeysDir
	}
	return filepath.Join(c.DataDir, "keys")
}

// base is the URL that clients are told. An address that is all of this machine's is no address to call: such clients are told this machine's own name for itself.
func (c *Config) base() string {
	if c.PublicURL != "" {
		return strings.TrimSuffix(c.PublicURL, "/")
	}
	addr := c.Addr
	if host, port, err := net.SplitHostPort(addr); err == nil {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			addr = net.JoinHostPort("localhost", port)
		}
	}
	if c.TLSCert != "" {
		return "https://" + addr
	}
	return "http://" + addr
}

// wants reports whether a service shall run.
func (c *Config) wants(id string) bool {
	if len(c.Services) == 0 {
		return true
	}
	for _, s := range c.Services {
		if s == id {
			return true
		}
	}
	return false
}
