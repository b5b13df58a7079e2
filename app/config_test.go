package app

import (
	"strings"
	"testing"
)

func TestBaseURL(t *testing.T) {
	for want, c := range map[string]Config{
		"http://127.0.0.1:8484":     {Addr: "127.0.0.1:8484"},
		"http://localhost:8484":     {Addr: ":8484"},
		"http://localhost:8485":     {Addr: "0.0.0.0:8485"},
		"https://localhost:8486":    {Addr: "[::]:8486", TLSCert: "cert.pem"},
		"http://[::1]:8487":         {Addr: "[::1]:8487"},
		"https://galen.example/api": {Addr: ":8484", PublicURL: "https://galen.example/api/"},
	} {
		if got := c.base(); got != want {
			t.Errorf("base of %+v = %s, want %s", c, got, want)
		}
	}
}

// Nobody's data goes over a network in clear because nothing was said.
func TestOtherMachinesWantTLS(t *testing.T) {
	for addr, ok := range map[string]bool{"127.0.0.1:8484": true, "localhost:8484": true, "[::1]:8484": true, "127.8.8.8:1": true, "": true,
		"0.0.0.0:8484": false, ":8484": false, "[::]:8484": false, "10.0.0.1:8484": false, "127.0.0.1.example.org:8484": false, "galen:8484": false} {
		base := Config{DataDir: t.TempDir(), Addr: addr, Account: "000000000000"}
		for _, c := range []struct {
			change func(*Config)
			ok     bool
		}{
			{func(*Config) {}, ok},
			{func(c *Config) { c.PlainHTTP = true }, true},
			{func(c *Config) { c.TLSCert, c.TLSKey = "cert.pem", "key.pem" }, true},
		} {
			cfg := base
			c.change(&cfg)
			if err := cfg.check(nil); (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "--plain-http") {
				t.Errorf("%+v: %v", cfg, err)
			}
		}
	}
}

// A port that the system chose is the port that clients are told.
func TestURLHasTheBoundPort(t *testing.T) {
	if u := open(t).URL(); strings.HasSuffix(u, ":0") || !strings.HasPrefix(u, "http://127.0.0.1:") {
		t.Errorf("URL() = %s", u)
	}
}
