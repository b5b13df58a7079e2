package entity

import (
	"strings"

	"github.com/galen-health/galen/standard/clinical/dose"
	"github.com/galen-health/galen/standard/clinical/text"
)

// modifiers are single words that are attributes of a condition or site.
var modifiers = func() map[string]string {
	m := map[string]string{}
	for kind, words := range map[string]string{
		Acuity:    `acute chronic sudden subacute gradual persistent recurrent intermittent ongoing acutely chronically constant occasional longstanding episodic new`,
		Direction: `left right bilateral bilaterally medial lateral anterior posterior proximal distal upper lower superior inferior unilateral ipsilateral contralateral dorsal ventral`,
		Quality:   `mild moderate severe slight slightly minimal sharp dull achy aching throbbing stabbing shooting radiating worsening uncontrolled controlled stable advanced metastatic terrible intense mildly moderately severely`,
	} {
		for _, w := range strings.Fields(words) {
			m[w] = kind
		}
	}
	return m
}()

// phrases are short patterns of words, | between alternatives, for social history, demographics and times.
var phrases = map[string]string{
	Tobacco: `smokes|smoke|smoking|smoker|smoked|tobacco|cigarettes|cigarette|cigars|nicotine|vape|vapes|vaping|chewing tobacco|e - cigarettes|nonsmoker|non - smoker|packs a day|pack per day|pack a day|
		packs per day|pack - year|pack year`,
	Alcohol:   `alcohol|alcoholic beverages|drinks alcohol|drinking|drinker|beer|beers|wine|liquor|whiskey|vodka|etoh|alcohol use|social drinker`,
	Drugs:     `illicit drugs|recreational drugs|street drugs|drug use|illicit drug use|recreational drug use|iv drug use|marijuana|cannabis|weed|cocaine|heroin|methamphetamine|meth|ecstasy|lsd|edibles`,
	Allergies: `allergic|allergies|allergy|drug allergies|food allergies|nkda`,
	Gender:    `male|female|man|woman|gentleman|lady|boy|girl`,
	Race:      `caucasian|african american|african - american|hispanic|latino|latina|asian|native american|pacific islander|white female|white male|black female|black male`,
	Time: `yesterday|today|tonight|this morning|last night|last week|last month|last year|two days ago|recently|currently|tomorrow|next week|next month|next year|this week|this month|
		this weekend|over the weekend|last weekend|the other day|a while ago|long time ago`,
}

type phrase struct {
	words []string
	kind  string
}

var phraseTable = func() map[string][]phrase {
	m := map[string][]phrase{}
	for kind, list := range phrases {
		for _, p := range strings.Split(list, "|") {
			w := strings.Fields(p)
			m[w[0]] = append(m[w[0]], phrase{w, kind})
		}
	}
	return m
}()

// patterns are candidates found by words and small grammars.
func patterns(toks []text.Token, r text.Range) []candidate {
	var out []candidate
	for i := r.Begin; i < r.End; i++ {
		w := toks[i].Lower
		if kind := modifiers[w]; kind != "" && !(w == "right" && answer(toks, r, i)) {
			out = append(out, candidate{begin: i, end: i + 1, category: Condition, kind: kind, attr: true, score: 0.9})
		}
		for _, p := range phraseTable[w] {
			if end := i + len(p.words); end <= r.End && same(toks[i:end], p.words) {
				c := candidate{begin: i, end: end, category: Social, kind: p.kind, score: 0.92, rank: 3}
				if p.kind == Time {
					c.category = Time
				}
				out = append(out, c)
			}
		}
		if end := ago(toks[:r.End], i); end > i {
			out = append(out, candidate{begin: i, end: end, category: Time, kind: Time, score: 0.93, rank: 3})
		}
		if n, end := dose.Number(toks[:r.End], i); end > i && n > 0 && end < r.End && amountOf[toks[end].Lower] {
			end++
			for end+1 < r.End && (toks[end].Lower == "a" || toks[end].Lower == "per" || toks[end].Lower == "/") && (toks[end+1].Lower == "day" || toks[end+1].Lower == "week") {
				end += 2
			}
			out = append(out, candidate{begin: i, end: end, category: Social, kind: Amount, attr: true, score: 0.9, rank: 5})
		}
	}
	return out
}

var amountOf = map[string]bool{"pack": true, "packs": true, "cigarettes": true, "beers": true, "drinks": true, "glasses": true, "bottles": true, "cans": true, "joints": true}

// answer reports whether "right" is a word of agreement: ", right ?", "all right", "right now".
func answer(toks []text.Token, r text.Range, i int) bool {
	if i > r.Begin && (toks[i-1].Lower == "all" || toks[i-1].Lower == ",") {
		return true
	}
	if i+1 >= r.End {
		return true
	}
	switch toks[i+1].Lower {
	case "now", "?", ".", ",", "there", "here", "?!", "away", "after", "before":
		return true
	}
	return false
}

func same(toks []text.Token, words []string) bool {
	for i, w := range words {
		if toks[i].Lower != w {
			return false
		}
	}
	return true
}

var spans = map[string]bool{"day": true, "days": true, "week": true, "weeks": true, "month": true, "months": true, "year": true, "years": true, "hour": true, "hours": true, "minutes": true}

// ago reads "two weeks ago", "3 years prior", "a month ago", "about a week or so ago".
func ago(toks []text.Token, i int) int {
	_, e := dose.Number(toks, i)
	if e == i && (toks[i].Lower == "a" || toks[i].Lower == "an") {
		e = i + 1
	}
	if e == i || e >= len(toks) || !spans[toks[e].Lower] {
		return i
	}
	e++
	if e+1 < len(toks) && toks[e].Lower == "or" && toks[e+1].Lower == "so" {
		e += 2
	}
	if e < len(toks) && (toks[e].Lower == "ago" || toks[e].Lower == "prior" || toks[e].Lower == "earlier" || toks[e].Lower == "back") {
		return e + 1
	}
	return i
}

var (
	valueLinks = map[string]bool{"of": true, "is": true, "was": true, "at": true, ":": true, "=": true, "were": true, "been": true, "has": true, "to": true, "are": true, "today": true, "level": true,
		"around": true, "about": true, "elevated": true, "high": true, "low": true, "reading": true, "your": true, "running": true, "currently": true, "it": true, "'": true, "s": true, "came": true, "back": true,
		",": true, "in": true, "the": true, "slightly": true, "-": true, "only": true, "up": true, "down": true, "increased": true, "decreased": true, "from": true, "a": true, "little": true, "value": true}
	testUnits = map[string]bool{"mg": true, "g": true, "mmol": true, "meq": true, "percent": true, "%": true, "bpm": true, "mmhg": true, "pounds": true, "lbs": true, "lb": true, "kg": true, "kilograms": true,
		"degrees": true, "°": true, "ng": true, "pg": true, "iu": true, "u": true, "units": true, "ml": true, "cm": true, "inches": true, "feet": true, "mcg": true, "k": true, "beats": true, "mm": true, "breaths": true}
	results = map[string]bool{"negative": true, "positive": true, "normal": true, "abnormal": true, "unremarkable": true, "elevated": true, "high": true, "low": true, "stable": true, "clear": true, "fine": true}
)

// value finds the value and unit that follow a test whose name ends at token i: "blood pressure is 120 / 80", "a1c of 7.2 %", "x-ray was normal".
func value(toks []text.Token, i, limit int) (v, unit text.Range) {
	word := -1
	for j := i; j < limit && j < i+6; j++ {
		if toks[j].Kind == text.Number || isNumberWord(toks, j) {
			_, e := dose.Number(toks[:limit], j)
			if e <= j || e < limit && (spans[toks[e].Lower] || toks[e].Lower == "times" || toks[e].Lower == "-" && e+1 < limit && toks[e+1].Lower == "year") {
				return
			}
			if e+1 < limit && (toks[e].Lower == "/" || toks[e].Lower == "over") {
				if _, e2 := dose.Number(toks[:limit], e+1); e2 > e+1 {
					e = e2
				}
			}
			v = text.Range{Begin: j, End: e}
			if e < limit && testUnits[toks[e].Lower] {
				ue := e + 1
				if ue+1 < limit && (toks[ue].Lower == "/" || toks[ue].Lower == "per") && toks[ue+1].Kind == text.Word {
					ue += 2
				} else if ue < limit && (toks[ue].Lower == "f" || toks[ue].Lower == "c" || toks[ue].Lower == "fahrenheit" || toks[ue].Lower == "hg") {
					ue++
				}
				unit = text.Range{Begin: e, End: ue}
			}
			return
		}
		if results[toks[j].Lower] && word < 0 {
			word = j
		}
		if !valueLinks[toks[j].Lower] && !results[toks[j].Lower] {
			break
		}
	}
	if word >= 0 {
		v = text.Range{Begin: word, End: word + 1}
	}
	return
}

func isNumberWord(toks []text.Token, j int) bool {
	if toks[j].Lower == "a" || toks[j].Lower == "several" || toks[j].Lower == "half" {
		return false
	}
	_, e := dose.Number(toks, j)
	return e > j
}
