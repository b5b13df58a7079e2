// Package rootkey opens the root key, 32 bytes that seal the key ring, from where its owner keeps it: the key folder, a file, the environment, a passphrase, HashiCorp
// Vault or OpenBao (Transit), or a PKCS#11 token.
//
// A passphrase, Vault and a token do not hold the root key: they seal it, and the sealed form lies beside the ring (root.passphrase, root.vault, root.pkcs11;
// docs/formats/keys.md). So the ring can be moved from one to another without touching any data.
//
// Promises: a root key that cannot be opened is an error that says what to do, and nothing is written; a root key is made only for a folder without a ring; no
// root key, passphrase, token or PIN is in an error, a log or, but for the file that the operator asked for, on the disk.
package rootkey
