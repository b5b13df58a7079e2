package safedial

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// server counts what reaches it on 127.0.0.1.
func server(t *testing.T, h http.HandlerFunc) (port string, hits *atomic.Int64) {
	hits = new(atomic.Int64)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		if h != nil {
			h(w, r)
		}
	}))
	s.Start()
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port(), hits
}

// dialer resolves from a table, and every other name as getaddrinfo would: odd spellings of IPv4 become the address.
func dialer(t *testing.T, allow []string, names map[string][]string) *Dialer {
	t.Helper()
	d, err := New(allow)
	if err != nil {
		t.Fatal(err)
	}
	d.lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		var out []netip.Addr
		for _, s := range names[canonical(host)] {
			out = append(out, netip.MustParseAddr(s))
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("no such host")
		}
		return out, nil
	}
	return d
}

// The ways in which a URL can mean this machine or its neighbours without looking so. Names stand for what a resolver that is kind to odd
// spellings answers.
func TestURLTricks(t *testing.T) {
	port, hits := server(t, nil)
	loop := []string{"127.0.0.1"}
	d := dialer(t, nil, map[string][]string{
		"localhost": {"127.0.0.1", "::1"}, "evil.example": loop, "127.1": loop, "127.0.1": loop, "2130706433": loop, "0x7f000001": loop, "0x7f.0.0.1": loop,
		"017700000001": loop, "0177.0.0.1": loop, "0177.0.0.01": loop, "127.0.0.1.nip.io": loop, "localtest.me": loop, "ip6-localhost": {"::1"},
		"mapped.example": {"::ffff:127.0.0.1"}, "zero.example": {"0.0.0.0"}, "nat64.example": {"64:ff9b::7f00:1"}, "sixtofour.example": {"2002:7f00:1::"},
		"meta.example": {"169.254.169.254"}, "metadata.google.internal": {"169.254.169.254"}, "rebind.example": {"127.0.0.1", "10.0.0.1"}, "ula.example": {"fd00:ec2::254"},
		"xn--localhost-": loop, "ⓛocalhost": loop, "lоcalhost": loop, "localhost.localdomain": loop,
	})
	client := d.Client(5 * time.Second)
	for _, raw := range []string{
		"http://127.0.0.1:PORT/", "http://localhost:PORT/", "http://LOCALHOST:PORT/", "http://localhost.:PORT/", "http://evil.example:PORT/", "http://127.1:PORT/", "http://127.0.1:PORT/",
		"http://2130706433:PORT/", "http://0x7f000001:PORT/", "http://0x7f.0.0.1:PORT/", "http://017700000001:PORT/", "http://0177.0.0.1:PORT/", "http://0177.0.0.01:PORT/", "http://[::1]:PORT/",
		"http://[::ffff:127.0.0.1]:PORT/", "http://[::ffff:7f00:1]:PORT/", "http://[0:0:0:0:0:ffff:127.0.0.1]:PORT/", "http://[::127.0.0.1]:PORT/", "http://[::]:PORT/", "http://0.0.0.0:PORT/", "http://0:PORT/",
		"http://[64:ff9b::127.0.0.1]:PORT/", "http://[2002:7f00:1::]:PORT/", "http://127.0.0.1.nip.io:PORT/", "http://localtest.me:PORT/", "http://ip6-localhost:PORT/", "http://mapped.example:PORT/",
		"http://zero.example:PORT/", "http://nat64.example:PORT/", "http://sixtofour.example:PORT/", "http://rebind.example:PORT/", "http://ⓛocalhost:PORT/", "http://lоcalhost:PORT/",
		"http://localhost.localdomain:PORT/", "http://169.254.169.254:PORT/latest/meta-data/", "http://meta.example:PORT/", "http://metadata.google.internal:PORT/", "http://ula.example:PORT/",
		"http://[fe80::1%25lo]:PORT/", "http://10.0.0.1:PORT/", "http://192.168.0.1:PORT/", "http://172.16.5.4:PORT/", "http://100.64.0.1:PORT/", "http://[fc00::1]:PORT/", "http://224.0.0.1:PORT/", "http://255.255.255.255:PORT/",
		"http://example.com@127.0.0.1:PORT/", "http://127.0.0.1:PORT#@example.com/", "http://127.0.0.1:PORT\\@example.com/", "http://example.com:80@127.0.0.1:PORT/", "http://127.0.0.1%2f@evil.example:PORT/",
		"gopher://127.0.0.1:PORT/", "file:///etc/passwd", "http:127.0.0.1:PORT", "http:///127.0.0.1:PORT", "//127.0.0.1:PORT/", "http://127。0。0。1:PORT/", "http://①②⑦.0.0.1:PORT/", "http://localhost%00.example.com:PORT/",
	} {
		target := strings.ReplaceAll(raw, "PORT", port)
		resp, err := client.Get(target) // the client alone must hold, whether or not CheckURL was asked
		if err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s was fetched: %s", raw, resp.Status)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}

func TestMixedAnswersUseOnlyWhatIsPublic(t *testing.T) {
	_, hits := server(t, nil)
	d := dialer(t, nil, map[string][]string{"mixed.example": {"127.0.0.1", "10.9.9.9"}})
	if _, err := d.DialContext(context.Background(), "tcp", "mixed.example:80"); !errs.Is(err, errs.Denied) {
		t.Errorf("error = %v, want denied", err)
	}
	if hits.Load() != 0 {
		t.Error("the server was reached")
	}
}

func TestOperatorMayAllow(t *testing.T) {
	port, hits := server(t, nil)
	names := map[string][]string{"hooks.local": {"127.0.0.1"}, "other.local": {"127.0.0.1"}, "meta.local": {"169.254.169.254"}}
	for _, c := range []struct {
		allow []string
		url   string
		ok    bool
	}{
		{[]string{"127.0.0.0/8"}, "http://127.0.0.1:PORT/", true},
		{[]string{"127.0.0.1"}, "http://other.local:PORT/", true},
		{[]string{"hooks.local"}, "http://hooks.local:PORT/", true},
		{[]string{"HOOKS.local."}, "http://Hooks.Local.:PORT/", true},
		{[]string{"hooks.local"}, "http://other.local:PORT/", false},
		{[]string{"hooks.local"}, "http://127.0.0.1:PORT/", false},
		{[]string{"10.0.0.0/8"}, "http://127.0.0.1:PORT/", false},
		{[]string{"meta.local"}, "http://meta.local:PORT/", false},
		{[]string{"127.0.0.0/8"}, "http://[::ffff:127.0.0.1]:PORT/", true},
	} {
		before := hits.Load()
		resp, err := dialer(t, c.allow, names).Client(5 * time.Second).Get(strings.ReplaceAll(c.url, "PORT", port))
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != c.ok || (hits.Load() > before) != c.ok {
			t.Errorf("allow %v, %s: error %v, want ok %v", c.allow, c.url, err, c.ok)
		}
	}
	for _, bad := range []string{"http://x", "a b", "*.local", "10.0.0.0/99", "", "user@host"} {
		if _, err := New([]string{bad}); !errs.Is(err, errs.Invalid) {
			t.Errorf("New(%q): %v, want invalid", bad, err)
		}
	}
}

func TestRedirectsStayAtHome(t *testing.T) {
	other, otherHits := server(t, nil)
	port, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "http://127.0.0.1:"+other+"/", http.StatusTemporaryRedirect)
		case "/home":
			http.Redirect(w, r, "/end", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		}
	})
	d := dialer(t, []string{"127.0.0.1"}, nil)
	for path, ok := range map[string]bool{"/away": false, "/home": true, "/loop": false} {
		resp, err := d.Client(5 * time.Second).Get("http://127.0.0.1:" + port + path)
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != ok {
			t.Errorf("%s: error %v, want ok %v", path, err, ok)
		}
	}
	if otherHits.Load() != 0 {
		t.Error("the redirect to another origin was followed")
	}
}

func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	proxy, hits := server(t, nil)
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:"+proxy)
	t.Setenv("http_proxy", "http://127.0.0.1:"+proxy)
	if resp, err := dialer(t, []string{"127.0.0.1"}, nil).Client(time.Second).Get("http://unknown.example/"); err == nil {
		_ = resp.Body.Close()
		t.Error("a name that does not resolve was fetched")
	}
	if hits.Load() != 0 {
		t.Error("the proxy was used")
	}
}

func TestPublic(t *testing.T) {
	for s, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700::1111": true, "64:ff9b::808:808": true, "2002:808:808::": true, "::ffff:8.8.8.8": true,
		"192.168.1.1": false, "100.100.100.200": false, "168.63.129.16": false, "198.18.0.1": false, "203.0.113.9": false, "240.0.0.1": false, "::": false, "::1": false, "fec0::1": false,
		"2001::1": false, "2001:db8::1": false, "3fff::1": false, "4000::1": false, "ff02::1": false, "64:ff9b::a00:1": false, "2002:a00:1::": false, "fe80::1%eth0": false, "64:ff9b:1::808:808": false,
	} {
		if got := public(netip.MustParseAddr(s)); got != want {
			t.Errorf("public(%s) = %v, want %v", s, got, want)
		}
	}
}

func TestCheckURL(t *testing.T) {
	for _, s := range []string{"https://example.com/hook?x=1", "http://10.0.0.1:8080/"} {
		if _, err := CheckURL(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"", "ftp://x/", "https:///x", "https://u:p@x/", "https://u@x/", "http:x", "http://x\r\nHost: y/", "http://a\\b/", "javascript:alert(1)", "https://" + strings.Repeat("a", 3000)} {
		if _, err := CheckURL(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestOnlyTCP(t *testing.T) {
	d := dialer(t, []string{"127.0.0.1"}, nil)
	for _, n := range []string{"udp", "unix", "ip"} {
		if c, err := d.DialContext(context.Background(), n, net.JoinHostPort("127.0.0.1", "1")); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v %v", n, c, err)
		}
	}
}
