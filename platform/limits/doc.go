// Package limits holds what bounds work on bytes that nobody vouches for: bytes, depth, expansion, time and the products of sizes.
//
// A bound that is passed is errs.TooLarge (errs.Timeout for time) with a message that names it. Nothing here allocates by what the input
// says; a reader that has failed keeps failing. Callers and Budget bound what is asked for at a time: past them it is errs.Throttled, and how long to wait.
package limits
