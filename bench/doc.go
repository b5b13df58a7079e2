// Package bench measures Galen's hot paths beside real peers, on the same data, in one run on one machine.
//
// It runs only when asked (GALEN_BENCH=1 go test ./bench -v, or make bench), because its figures mean nothing on a busy machine. Figures are ratios to a peer, or work a
// CPU second of the server; medians are quoted. Results stand in RESULTS.md with the command that made them.
package bench
