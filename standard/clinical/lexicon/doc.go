// Package lexicon holds the words of clinical English that the engine knows by heart: medicines, problems, anatomy, tests, procedures,
// names, and finds them in tokens.
//
// The lists were written for this package; they are embedded and read once. A match is the longest one that begins at a token; hyphens and
// apostrophes do not matter, a plural matches its singular. Abbreviations that are common words too match only in capitals.
package lexicon
