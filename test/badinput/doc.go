// Package badinput sends the real binary what it must refuse: broken signatures, malformed documents of each protocol, bombs, lying lengths and types, names
// that try to leave their place, and uploads that are cut in the middle. Each refusal is the contract's own (name, status, request id), changes nothing, and
// after it all the data folder verifies and the server has kept to its memory.
package badinput
