// Package rouge scores a text against a reference by shared words and word pairs: ROUGE-1 and ROUGE-2 F1 as the published clinical note
// benchmarks compute them (C.-Y. Lin, 2004): lower case, runs of [a-z0-9], no stemming, counts clipped.
package rouge

import "strings"

// Words are a text's tokens.
func Words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}

// F1 is ROUGE-n F1 in 0–1; 0 when either text has no n-gram.
func F1(n int, candidate, reference string) float64 {
	a, b := grams(n, Words(candidate)), grams(n, Words(reference))
	hit, na, nb := 0, 0, 0
	for g, c := range a {
		na += c
		hit += min(c, b[g])
	}
	for _, c := range b {
		nb += c
	}
	if hit == 0 {
		return 0
	}
	return 2 * float64(hit) / float64(na+nb)
}

func grams(n int, w []string) map[string]int {
	m := map[string]int{}
	for i := 0; i+n <= len(w); i++ {
		m[strings.Join(w[i:i+n], " ")]++
	}
	return m
}
