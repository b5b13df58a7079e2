// Package oidc verifies the tokens of OpenID providers: who issued one, for whom, until when, by which key.
//
// A token is taken only when all of it is right: a signature by a key that its issuer publishes, by an asymmetric algorithm, an issuer that the directory
// knows, an audience that the directory lists for it, and a time that has begun and not ended. Nothing of a token is believed before that, and no token
// makes this server connect to an address that the operator did not allow. What a token may do is decided elsewhere: by the trust policy of a role.
//
// Standards: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7519 (JWT), RFC 8725 (best practices), OpenID Connect Discovery 1.0.
package oidc
