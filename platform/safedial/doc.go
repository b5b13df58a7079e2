// Package safedial makes connections to addresses that callers name (webhooks, manifests, discovery documents) without letting them reach
// what only the server may reach.
//
// What is checked is the resolved address, at the moment of connecting, on each connect: names, rebinding and odd spellings of an address make
// no difference. Denied unless the operator allows them: loopback, private, shared, link-local (with the clouds' metadata addresses),
// multicast, documentation and reserved ranges, in IPv4 and wherever IPv6 embeds them. A redirect to another scheme, host or port is refused, so
// credentials go nowhere else. Proxies of the environment are not used.
package safedial
