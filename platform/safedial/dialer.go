package safedial

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// Dialer connects to addresses that are public or that the operator allows.
type Dialer struct {
	ranges []netip.Prefix
	hosts  map[string]bool
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// New returns a dialer. allow lists what the operator lets through although it is not public: address ranges (10.1.0.0/16), single addresses, and
// host names (hooks.local), which may then resolve to anything but link-local and metadata addresses.
func New(allow []string) (*Dialer, error) {
	d := &Dialer{hosts: map[string]bool{}, lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}}
	for _, s := range allow {
		if p, err := netip.ParsePrefix(s); err == nil {
			d.ranges = append(d.ranges, p.Masked())
			continue
		}
		if a, err := netip.ParseAddr(s); err == nil {
			d.ranges = append(d.ranges, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
			continue
		}
		h := canonical(s)
		if h == "" || strings.ContainsAny(h, "/:@ *") {
			return nil, errs.New(errs.Invalid, "the allowed host %q is neither an address, a range like 10.1.0.0/16, nor a host name", s)
		}
		d.hosts[h] = true
	}
	return d, nil
}

// canonical is a host name as it is compared: lower case, without the root's dot.
func canonical(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

func denied(host string) error {
	return errs.New(errs.Denied, "the host %q resolves to an address that this server may not connect to; an operator can allow it with --allow-host", host)
}

// may decides on one resolved address of a host.
func (d *Dialer) may(host string, a netip.Addr) bool {
	a = a.Unmap()
	zoneless := a.WithZone("")
	switch {
	case within(d.ranges, zoneless):
		return true
	case public(a):
		return true
	}
	return d.hosts[canonical(host)] && !within(linkLocal, zoneless) && !zoneless.IsUnspecified() && !zoneless.IsMulticast()
}

// DialContext is for http.Transport and whoever dials. network must be tcp, tcp4 or tcp6.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, errs.New(errs.Invalid, "network %q is not for callers' addresses", network)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errs.New(errs.Invalid, "the address is not host:port")
	}
	addrs, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	// The system is asked once more what it connects to: the check stands between the socket and the wire.
	nd := net.Dialer{Timeout: 10 * time.Second, ControlContext: func(_ context.Context, _, target string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(target)
		if err != nil || !d.may(host, ap.Addr()) {
			return denied(host)
		}
		return nil
	}}
	last := denied(host)
	for _, a := range addrs {
		if !d.may(host, a) {
			continue
		}
		conn, err := nd.DialContext(ctx, network, net.JoinHostPort(a.String(), port))
		if err == nil {
			return conn, nil
		}
		last = errs.Wrap(errs.Unavailable, err, "the host %q cannot be reached", host)
	}
	return nil, last
}

func (d *Dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	addrs, err := d.lookup(ctx, host)
	if err != nil || len(addrs) == 0 {
		return nil, errs.Wrap(errs.Unavailable, err, "the host %q cannot be resolved", host)
	}
	return addrs, nil
}

// Client returns an HTTP client on the dialer: no proxy, no cookies, no redirect to another origin, the time bound over the whole exchange.
func (d *Dialer) Client(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: d.DialContext, ForceAttemptHTTP2: true, MaxIdleConns: 32, MaxIdleConnsPerHost: 2,
			IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: timeout,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > 3 {
				return errs.New(errs.Denied, "the host redirects more than 3 times")
			}
			if origin(req.URL) != origin(via[0].URL) {
				return errs.New(errs.Denied, "the host redirects to another origin")
			}
			return nil
		},
	}
}

func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + canonical(u.Hostname()) + ":" + port
}

// CheckURL refuses what no caller's URL needs: schemes other than http and https, credentials in it, no host, control characters. It is for
// early messages; what protects is the dialer.
func CheckURL(s string) (*url.URL, error) {
	if len(s) > 2048 {
		return nil, errs.New(errs.TooLarge, "the URL is longer than 2048 characters")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errs.New(errs.Invalid, "the URL cannot be read")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errs.New(errs.Invalid, "the URL must begin with https:// or http://")
	case u.User != nil:
		return nil, errs.New(errs.Invalid, "the URL must not hold credentials")
	case u.Hostname() == "" || u.Opaque != "":
		return nil, errs.New(errs.Invalid, "the URL names no host")
	case strings.ContainsAny(u.Hostname(), "%\\ \t") || strings.ContainsAny(s, "\r\n\t\\"):
		return nil, errs.New(errs.Invalid, "the URL's host is malformed")
	}
	return u, nil
}
