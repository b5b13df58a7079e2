// Package dose reads how a medicine is to be taken: amounts, counts, forms, routes, frequencies, durations and rates, in prescriber's
// shorthand ("1 tab po bid prn x 5 days") and in speech ("two tablets by mouth every morning for ten days").
//
// It finds spans of tokens; it does not say which medicine they belong to. Number reads numbers in digits, fractions, ranges and words.
package dose
