// Package text cuts clinical English into tokens and sentences and keeps where each lies in the source.
//
// Invariants, for any string: the tokens are in order, do not overlap, are never empty and hold no white space; source[t.Begin:t.End] is the
// token; what lies between tokens is white space or control characters only; sentences cover all tokens, in order. Offsets are in bytes;
// Offsets turns them into characters (Unicode code points), which is what AWS's clinical contracts count.
package text
