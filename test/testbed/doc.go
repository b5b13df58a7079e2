// Package testbed is what a service stands on while it is tested alone: the real engines in a folder, and stand-ins for the services beside it, whose decisions are
// not what is tested (S3 as far as jobs use it, roles, the key policy). It never stands in for an engine, and the black-box tests do not use it.
package testbed
