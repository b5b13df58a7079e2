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

// A port that the system chose is the port that clients are told.
func TestURLHasTheBoundPort(t *testing.T) {
	if u := open(t).URL(); strings.HasSuffix(u, ":0") || !strings.HasPrefix(u, "http://127.0.0.1:") {
		t.Errorf("URL() = %s", u)
	}
}
