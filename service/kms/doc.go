// Package kms is the AWS KMS of Galen: customers' keys with their policies, grants, aliases and tags.
//
// It owns who may use a key; what a key is (material, state, versions, aliases) is the key ring's (platform/key/keyring), which decides on state at
// every use. Other services ask MayUse before they pass a customer's key to the ring. Authorize tells the edge, for each operation, the key, its
// policy and the grants that fit, always with ResourceMustAllow: nobody uses a key that its own policy or a grant does not give to them.
//
// It promises: a key policy, grant or state change holds when its operation returns; ciphertexts open only with the same encryption context;
// plaintexts and key material are never kept, logged or put into events. Symmetric keys only: others answer UnsupportedOperationException.
// Contract: KMS 2014-11-01.
package kms
