// Package access tests who may what on the real binary: the built-in OpenID provider, an outside one, bearer tokens on the open standards' routes, web
// identities by the AWS SDK, and the operator's commands about access.
package access
