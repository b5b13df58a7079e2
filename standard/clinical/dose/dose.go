package dose

import (
	"strings"

	"github.com/galen-health/galen/standard/clinical/text"
)

// Part is a kind of dosing span.
type Part string

// The parts.
const (
	Amount    Part = "AMOUNT"    // a mass, volume or activity: 500 mg
	Count     Part = "COUNT"     // how many of a form: two tablets, 2 puffs
	Form      Part = "FORM"      // tablet, cream
	Route     Part = "ROUTE"     // by mouth
	Frequency Part = "FREQUENCY" // twice daily
	Duration  Part = "DURATION"  // for ten days
	Rate      Part = "RATE"      // 5 ml/hr
)

// Span is tokens [Begin, End) of one part.
type Span struct {
	Begin, End int
	Part       Part
}

func set(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

var (
	units = set(`mg mgs milligram milligrams mcg mcgs ug µg microgram micrograms g gm gms gram grams kg ml mls milliliter milliliters cc ccs l liter liters iu
		unit units meq milliequivalents mmol percent %`)
	forms = set(`tablet tablets tab tabs capsule capsules cap caps pill pills cream ointment gel patch patches inhaler drop drops spray sprays solution syrup
		suspension lotion powder suppository suppositories lozenge lozenges shampoo elixir vial vials`)
	counted = set(`puff puffs dose doses application applications teaspoon teaspoons tsp tablespoon tablespoons tbsp packet packets scoop scoops injection injections`)
	routes  = set(`po orally oral iv intravenous intravenously im intramuscular intramuscularly sc sq subq subcutaneous subcutaneously topical topically sublingual
		sublingually inhaled rectally intranasal intranasally transdermal ophthalmic nasally vaginally`)
	shorthand = set(`bid tid qid qd qhs qam qpm qod hs prn daily nightly weekly monthly hourly biweekly`)
	periods   = set(`day days week weeks month months night nights hour hours morning mornings evening evenings year years minute minutes`)
	mealtimes = set(`bedtime breakfast lunch dinner supper meals meal food night noon`)
)

// Find returns the dosing spans of a sentence's tokens, in order, without overlaps.
func Find(toks []text.Token) []Span {
	var out []Span
	for i := 0; i < len(toks); {
		end, part := at(toks, i)
		if end == i {
			i++
			continue
		}
		if n := len(out) - 1; n >= 0 && part == Frequency && out[n].Part == Frequency && joined(toks, out[n].End, i) {
			out[n].End = end
		} else {
			out = append(out, Span{i, end, part})
		}
		i = end
	}
	return out
}

// joined reports whether two frequencies are one: nothing or "," or "and" lies between them.
func joined(toks []text.Token, a, b int) bool {
	return a == b || b == a+1 && (toks[a].Lower == "and" || toks[a].Lower == ",")
}

func at(toks []text.Token, i int) (int, Part) {
	if e := frequency(toks, i); e > i {
		return e, Frequency
	}
	if e := duration(toks, i); e > i {
		return e, Duration
	}
	if e := route(toks, i); e > i {
		return e, Route
	}
	if _, e := Number(toks, i); e > i {
		return amount(toks, i, e)
	}
	if forms[toks[i].Lower] && toks[i].Lower != "drop" && toks[i].Lower != "drops" && toks[i].Lower != "cap" && toks[i].Lower != "caps" {
		return i + 1, Form
	}
	return i, ""
}

// amount reads what follows a number that ends at e.
func amount(toks []text.Token, i, e int) (int, Part) {
	if lower(toks, e) == "-" { // 500-mg
		e++
	}
	u := lower(toks, e)
	switch {
	case units[u]:
		end := e + 1
		if lower(toks, end) == "/" || lower(toks, end) == "per" {
			switch per := lower(toks, end+1); {
			case per == "hr" || per == "hour" || per == "h" || per == "min" || per == "minute":
				return end + 2, Rate
			case per == "ml" || per == "kg" || per == "actuation" || per == "dose":
				return end + 2, Amount
			case per == "dl" || per == "l": // a laboratory value, not a dose
				return i, ""
			}
		}
		return end, Amount
	case forms[u] || counted[u]:
		return e + 1, Count
	}
	return i, ""
}

func route(toks []text.Token, i int) int {
	w := lower(toks, i)
	switch {
	case routes[w]:
		return i + 1
	case w == "p" && lower(toks, i+1) == "." && lower(toks, i+2) == "o":
		return dot(toks, i+3)
	case w == "by" && (lower(toks, i+1) == "mouth" || lower(toks, i+1) == "injection" || lower(toks, i+1) == "inhalation"):
		return i + 2
	case w == "under" && lower(toks, i+1) == "the" && lower(toks, i+2) == "tongue":
		return i + 3
	case w == "per" && lower(toks, i+1) == "rectum":
		return i + 2
	}
	return i
}

func dot(toks []text.Token, i int) int {
	if lower(toks, i) == "." && i < len(toks) && i > 0 && toks[i].Begin == toks[i-1].End {
		return i + 1
	}
	return i
}

// duration reads "for 10 days", "for the next two weeks", "x 5 days", "times 7 days".
func duration(toks []text.Token, i int) int {
	j := i + 1
	switch lower(toks, i) {
	case "for", "x", "over", "times":
	default:
		return i
	}
	for k := 0; k < 4; k++ {
		switch lower(toks, j) {
		case "the", "next", "past", "last", "about", "approximately", "another", "around", "at", "least", "up", "to", "like", "almost", "over":
			j++
		}
	}
	_, e := Number(toks, j)
	if e == j && (lower(toks, j) == "a" || lower(toks, j) == "an") {
		e = j + 1
	}
	if lower(toks, e) == "-" {
		e++
	}
	if e > j && periods[lower(toks, e)] {
		return e + 1
	}
	return i
}

func frequency(toks []text.Token, i int) int {
	w := lower(toks, i)
	switch {
	case shorthand[w]:
		return i + 1
	case w == "as" && (lower(toks, i+1) == "needed" || lower(toks, i+1) == "directed"):
		return i + 2
	case len(w) == 1 && strings.Contains("btq", w) && lower(toks, i+1) == "." && lower(toks, i+2) == "i" && lower(toks, i+3) == "." && lower(toks, i+4) == "d":
		return dot(toks, i+5) // b.i.d.
	case w == "q" && lower(toks, i+1) == "." && (lower(toks, i+2) == "d" || lower(toks, i+2) == "h"):
		e := i + 3
		if lower(toks, i+2) == "h" && lower(toks, i+3) == "." && lower(toks, i+4) == "s" {
			e = i + 5
		}
		return dot(toks, e)
	case len(w) > 2 && w[0] == 'q' && w[len(w)-1] == 'h' && strings.Trim(w[1:len(w)-1], "0123456789") == "": // q6h
		return i + 1
	case w == "q":
		if _, e := Number(toks, i+1); e > i+1 && (periods[lower(toks, e)] || lower(toks, e) == "h" || lower(toks, e) == "hrs") {
			return e + 1
		}
	case w == "every" || w == "each":
		j := i + 1
		if lower(toks, j) == "other" || lower(toks, j) == "single" {
			j++
		}
		if _, e := Number(toks, j); e > j {
			j = e
		}
		if periods[lower(toks, j)] || lower(toks, j) == "hrs" || lower(toks, j) == "meal" {
			return j + 1
		}
	case w == "once" || w == "twice" || w == "thrice":
		return per(toks, i+1, i)
	case w == "in" && lower(toks, i+1) == "the" && (lower(toks, i+2) == "morning" || lower(toks, i+2) == "evening" || lower(toks, i+2) == "afternoon"):
		return i + 3
	case w == "at" || w == "with" || w == "before" || w == "after":
		if m := lower(toks, i+1); mealtimes[m] || w == "before" && m == "bed" {
			return i + 2
		}
	default:
		if _, e := Number(toks, i); e > i && (lower(toks, e) == "times" || lower(toks, e) == "time") {
			return per(toks, e+1, i)
		}
	}
	return i
}

// per reads "a day", "per week", "daily", "every 8 hours" after a count of times; none gives no.
func per(toks []text.Token, j, no int) int {
	switch w := lower(toks, j); w {
	case "a", "per", "each", "every", "in", "/":
		if periods[lower(toks, j+1)] {
			return j + 2
		}
	case "daily", "weekly", "monthly", "nightly":
		return j + 1
	}
	return no
}
