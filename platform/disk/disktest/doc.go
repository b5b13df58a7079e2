// Package disktest gives disks for crash and fault tests: one in memory that can be cut off at any moment and loses what was not synced,
// and one that fails its n-th operation.
package disktest
