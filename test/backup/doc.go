// Package backup holds `galen admin backup` and `restore` to their word, on the real binary: what the server acknowledged comes back, on an empty machine, as of the
// time that was asked for, whatever was written, killed or damaged meanwhile.
package backup
