// Package keyring is the local back end of package key: KMS keys in one sealed file, kept twice, below a root key.
//
// It owns key material and what decides over its use: state, versions, the date of deletion, aliases. It does not know who may use a key
// (key policies and grants are the kms service's) and it caches no opened data key, so a state change holds from the moment it returns.
//
// Promises: a change that returned survives a crash; material of a deleted key is in neither copy any more; no key is on disk in the clear;
// a damaged copy is repaired from the other, two damaged copies or another root key are an error and nothing is overwritten.
// Format: docs/formats/keys.md.
package keyring
