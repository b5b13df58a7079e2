// Package iam owns users, groups, roles, managed policies and access keys: the IAM service of the account.
//
// It promises that a change holds for the next request everywhere in the process: nothing is cached. It is the Directory and the RoleSource
// of package authz. The secret of an access key is sealed under the key ring; it is told once, by CreateAccessKey, and never again. Names are
// unique without regard to case and are found in their exact spelling only.
//
// It never decides access itself, ships no AWS managed policies, and has no console passwords.
//
// Contract: IAM 2010-05-08.
package iam
