// Package keys tests the keys of the real binary from outside: a key that is disabled or waits for its deletion opens nothing from that moment on, what was read before
// included; no key is in the clear on the disk; the root key is kept where its owner says, and a wrong one is refused with nothing changed.
package keys
