// Package operations holds the real binary to what an operator relies on: probes that are true, a drain that loses nothing, TLS that is renewed without a restart,
// metrics, logs and traces that tell of every call and of nobody's data.
package operations
