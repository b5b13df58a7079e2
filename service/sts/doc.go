// Package sts gives temporary credentials: the Security Token Service.
//
// It keeps nothing: a session lives in its sealed token (package authz/session). A session never outlives its expiry, and its rights are those
// that its role or user has at the moment of use, narrowed by its session policies. Web identities and transitive session tags are not offered.
//
// Contract: STS 2011-06-15.
package sts
