// Package arch holds the rules of the architecture as tests: who may import whom, that every package says what it is for, that files stay small, and
// that the list of dependencies is a reviewed file.
package arch
