// Package openid is the built-in OpenID provider: it gives programs short bearer tokens for the routes of the open standards.
//
// It owns the registered clients, the keys that sign tokens, and the identifiers of assertions that were used. It promises that a client proves who it is
// (by a key that only it has, or by a secret), that no assertion is taken twice, that a token never says more than its client was registered for, and that
// what a token may do is decided when it is used: by the client's role, the role's trust policy and the token's scopes. It never signs people in: there are
// no passwords, and the grants that need a person's browser are not offered.
//
// Standards: RFC 6749 (client credentials), RFC 7523 (private-key JWT), RFC 7591 and 7592 (registration), RFC 9068 (access tokens), OpenID Connect Discovery 1.0,
// SMART App Launch 2.2 "Backend Services".
package openid
