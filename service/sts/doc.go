// Package sts gives temporary credentials: the Security Token Service.
//
// It keeps nothing: a session lives in its sealed token (package authz/session). A session never outlives its expiry, and its rights are those
// that its role or user has at the moment of use, narrowed by its session policies. The token of an OpenID provider opens a session of a role that
// trusts the provider: for a while by AssumeRoleWithWebIdentity, or for one request as a bearer token. Multi-factor devices and SAML are not offered.
//
// Contract: STS 2011-06-15.
package sts
