package dose

import (
	"strconv"
	"strings"

	"github.com/galen-health/galen/standard/clinical/text"
)

var words = map[string]int{"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
	"eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19,
	"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}

var scales = map[string]int{"hundred": 100, "thousand": 1000, "million": 1000000}

func lower(toks []text.Token, i int) string {
	if i < 0 || i >= len(toks) {
		return ""
	}
	return toks[i].Lower
}

// Number reads the number that begins at token i: "500", "1,000", "1/2", "1 and 1/2", "5-10", "one hundred twenty five", "one and a half",
// "half a", "a couple of". end is i when there is none; value is of a range its upper end.
func Number(toks []text.Token, i int) (value float64, end int) {
	value, end = single(toks, i)
	if end == i {
		switch {
		case lower(toks, i) == "half" && lower(toks, i+1) == "a":
			return 0.5, i + 2
		case lower(toks, i) == "a" && lower(toks, i+1) == "couple":
			end = i + 2
			if lower(toks, end) == "of" {
				end++
			}
			return 2, end
		case lower(toks, i) == "a" && lower(toks, i+1) == "few", lower(toks, i) == "several":
			end = i + 1
			if lower(toks, i) == "a" {
				end++
			}
			return 3, end
		}
		return 0, i
	}
	if lower(toks, end) == "/" && adjacentOrSpaced(toks, end) {
		if d, e := digits(toks, end+1); e > end+1 && d != 0 && d <= 8 && value < d {
			return value / d, e
		}
	}
	if lower(toks, end) == "and" {
		if lower(toks, end+1) == "a" && lower(toks, end+2) == "half" {
			return value + 0.5, end + 3
		}
		if n, e := digits(toks, end+1); e > end+1 && lower(toks, e) == "/" {
			if d, e2 := digits(toks, e+1); e2 > e+1 && d > n {
				return value + n/d, e2
			}
		}
	}
	if w := lower(toks, end); w == "-" || w == "to" || w == "or" {
		if v, e := single(toks, end+1); e > end+1 && v > value {
			return v, e
		}
	}
	return value, end
}

func adjacentOrSpaced(toks []text.Token, i int) bool {
	return i+1 < len(toks) && toks[i+1].Kind == text.Number
}

func digits(toks []text.Token, i int) (float64, int) {
	if i >= len(toks) || i < 0 || toks[i].Kind != text.Number {
		return 0, i
	}
	v, err := strconv.ParseFloat(strings.ReplaceAll(toks[i].Lower, ",", ""), 64)
	if err != nil {
		return 0, i
	}
	return v, i + 1
}

// single reads digits or number words, without ranges and fractions.
func single(toks []text.Token, i int) (float64, int) {
	if v, e := digits(toks, i); e > i {
		if s, ok := scales[lower(toks, e)]; ok {
			return v * float64(s), e + 1
		}
		return v, e
	}
	total, current, end := 0, 0, i
	for j := i; j < len(toks); j++ {
		w := toks[j].Lower
		if v, ok := words[w]; ok {
			if current%10 != 0 || current%100 != 0 && (v >= 10 || v == 0) {
				break
			}
			current += v
			end = j + 1
			continue
		}
		if s, ok := scales[w]; ok && end == j && j > i {
			if s == 100 {
				current *= 100
			} else {
				total, current = total+current*s, 0
			}
			end = j + 1
			continue
		}
		if (w == "and" || w == "-") && end == j && j > i && current%10 == 0 && current > 0 && j+1 < len(toks) {
			if v, ok := words[toks[j+1].Lower]; ok && (w == "and" && current%100 == 0 || w == "-" && v < 10 && v > 0) {
				continue
			}
		}
		break
	}
	return float64(total + current), end
}
