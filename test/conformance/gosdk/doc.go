// Package gosdk runs the AWS SDK for Go v2 against the real binary: every operation of Galen that the SDK has a client for, with the SDK's own paginators,
// waiters, typed errors, presigner, transfer manager and event streams. Nothing of the SDK is replaced but the address, the credentials and the host prefix.
package gosdk
