// Package icd10cm reads the ICD-10-CM tabular list and finds codes for the words of a clinical text.
//
// Load takes the CDC's tabular XML. Only codes that can be billed are found: leaves, with the seventh character A (initial encounter) where one is
// needed. Search compares words with every description and inclusion term: words weigh by their rarity, both what the query says and the code does not and what
// the code says and the query does not count against it. A list of clinical words and abbreviations for which the classification has its own wording
// was written for this package. Scores lie in (0, 1] and order candidates; they are no probabilities. Excludes notes and sequencing rules are not applied: a
// coder decides.
package icd10cm
