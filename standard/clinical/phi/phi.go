package phi

import (
	"regexp"
	"sort"
	"strings"

	"github.com/galen-health/galen/standard/clinical/lexicon"
	"github.com/galen-health/galen/standard/clinical/text"
)

// Type of an identifier, with the words of Amazon Comprehend Medical.
type Type string

// The types.
const (
	Name       Type = "NAME"
	Age        Type = "AGE"
	Date       Type = "DATE"
	Address    Type = "ADDRESS"
	Phone      Type = "PHONE_OR_FAX"
	Email      Type = "EMAIL"
	URL        Type = "URL"
	ID         Type = "ID"
	Profession Type = "PROFESSION"
)

// Span is bytes [Begin, End) of the text.
type Span struct {
	Begin, End int
	Type       Type
	Score      float32
}

const months = `(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)`

// rules are forms that identify by themselves; of overlapping spans the first rule's wins. The group named v, where there is one, is the span. needs are
// texts of which a line must hold one (in small letters; "0" stands for any digit) before the rule is tried: most lines hold none.
var rules = []struct {
	kind  Type
	score float32
	needs string
	re    *regexp.Regexp
}{
	{Email, 0.99, "@", regexp.MustCompile(`(?i)\b[a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}\b`)},
	{URL, 0.98, "http www.", regexp.MustCompile(`(?i)\b(?:https?://|www\.)[^\s<>()"']+[a-z0-9/]`)},
	{ID, 0.97, "0", regexp.MustCompile(`\b\d{3}-\d{2}-\d{4}\b`)},
	{Phone, 0.97, "0", regexp.MustCompile(`(?:\+?1[-. ])?(?:\(\d{3}\) ?|\b\d{3}[-. ])\d{3}[-. ]\d{4}\b(?: ?(?:x|ext\.?) ?\d{1,5}\b)?`)},
	{Phone, 0.90, "phone tel fax pager cell ext", regexp.MustCompile(`(?i)\b(?:phone|telephone|tel|fax|pager|cell|ext)[.:#]* *(?:is |number |at )*(?P<v>\d{3}[-. ]?\d{4}|\d{10})\b`)},
	{ID, 0.95, "mrn record account acct member policy license ssn social id case accession", regexp.MustCompile(`(?i)\b(?:mrn|medical record(?: number)?|record number|account(?: number)?|acct|member id|policy(?: number)?|license(?: number)?|ssn|social security(?: number)?|id|case(?: number)?|accession(?: number)?)\b ?[:#]* ?(?:is |no\.? |number )?#? ?(?P<v>[a-z]{0,4}-?\d[\d-]{3,}[a-z0-9-]*)\b`)},
	{Date, 0.97, "0", regexp.MustCompile(`\b(?:19|20)\d{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])\b`)},
	{Date, 0.97, "0", regexp.MustCompile(`\b(?:0?[1-9]|1[0-2])[/.-](?:0?[1-9]|[12]\d|3[01])[/.-](?:(?:19|20)\d{2}|\d{2})\b`)},
	{Date, 0.95, "jan feb mar apr may jun jul aug sep oct nov dec", regexp.MustCompile(`(?i)\b` + months + `\.? ?\d{1,2}(?:st|nd|rd|th)?(?:,? ?(?:19|20)\d{2})?\b`)},
	{Date, 0.95, "jan feb mar apr may jun jul aug sep oct nov dec", regexp.MustCompile(`(?i)\b\d{1,2}(?:st|nd|rd|th)?(?: of)? ` + months + `\.?(?:,? (?:19|20)\d{2})?\b`)},
	{Date, 0.95, "jan feb mar apr may jun jul aug sep oct nov dec", regexp.MustCompile(`(?i)\b` + months + `\.?,? (?:of )?(?:19|20)\d{2}\b`)},
	{Date, 0.85, "0", regexp.MustCompile(`(?i)\b(?:on|since|dated?|seen|until|from|in|of) (?P<v>(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01]))\b`)},
	{Date, 0.85, "0", regexp.MustCompile(`(?i)\b(?:in|since|of|from|until|year|around) (?P<v>(?:19|20)\d{2})\b`)},
	{Date, 0.80, "day", regexp.MustCompile(`(?i)\b(?:on|last|next|this|since|by|until) (?P<v>(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b`)},
	{Age, 0.97, "0", regexp.MustCompile(`(?i)\b(?P<v>\d{1,3})[ -]*(?:years?|yrs?|y\.?|months?|weeks?|days?)[ -/]*(?:old\b|o\b)`)},
	{Age, 0.95, "old", regexp.MustCompile(`(?i)\b(?P<v>(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)[ -]*(?:one|two|three|four|five|six|seven|eight|nine)?)[ -]*(?:years?|yrs?)[ -]*old\b`)},
	{Age, 0.93, "age turned", regexp.MustCompile(`(?i)\b(?:age|aged|turned|age of|age:) (?P<v>\d{1,3})\b`)},
	{Address, 0.96, "0", regexp.MustCompile(`\b\d{1,6} (?:[NSEW]\.? )?(?:[A-Z0-9][A-Za-z0-9'.]* ){1,4}(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Drive|Dr|Lane|Ln|Court|Ct|Way|Place|Pl|Highway|Hwy|Terrace|Circle|Parkway|Pkwy)\b\.?(?:,? (?:Apt|Apartment|Suite|Unit|#)\.? ?#?[A-Za-z0-9-]+)?(?:, [A-Z][A-Za-z .]+?, [A-Z]{2}(?: \d{5}(?:-\d{4})?)?)?`)},
	{Address, 0.93, "0", regexp.MustCompile(`\b[A-Z][a-z]+(?: [A-Z][a-z]+)?, [A-Z]{2},? \d{5}(?:-\d{4})?\b`)},
	{Address, 0.90, "zip postal", regexp.MustCompile(`(?i)\b(?:zip(?: ?code)?|postal code)[: ]+(?:is )?(?P<v>\d{5}(?:-\d{4})?)\b`)},
	{Address, 0.90, "box", regexp.MustCompile(`\bP\.?O\.? Box \d+\b`)},
	{Name, 0.97, "mr ms miss dr prof doctor nurse father rev", regexp.MustCompile(`\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Doctor|Nurse|Father|Rev)\b\.? (?P<v>[A-Z][a-zA-Z'-]+(?: (?:[A-Z]\.? )?[A-Z][a-zA-Z'-]+)?)`)},
	{Name, 0.95, ":", regexp.MustCompile(`\b(?i:patient(?: name)?|name|attending(?: physician)?|physician|provider|signed by|dictated by|referring md) ?: ?(?P<v>[A-Z][a-zA-Z'-]+(?:,? (?:[A-Z]\.?,? ?)?[A-Z][a-zA-Z'-]+)?)`)},
	{Name, 0.93, "name call", regexp.MustCompile(`\b(?i:my name is|named|name's|i am called|call me) (?P<v>[A-Z][a-zA-Z'-]+(?: [A-Z][a-zA-Z'-]+)?)`)},
}

// Find returns the identifiers of a text.
func Find(s string) []Span {
	lines := cut(s)
	var all []Span
	for _, r := range rules {
		v := r.re.SubexpIndex("v")
		needs := strings.Fields(r.needs)
		for _, l := range lines {
			if !l.holds(needs) {
				continue
			}
			for _, m := range r.re.FindAllStringSubmatchIndex(l.text, -1) {
				b, e := m[0], m[1]
				if v > 0 {
					b, e = m[2*v], m[2*v+1]
				}
				if r.kind == Age && v > 0 && e-b == 3 && l.text[b:e] > "125" {
					continue
				}
				all = append(all, Span{l.begin + b, l.begin + e, r.kind, r.score})
			}
		}
	}
	all = append(all, words(s, text.Tokenize(s))...)
	return keep(s, all)
}

// line is a stretch of text that no identifier goes beyond.
type line struct {
	begin       int
	text, lower string
	digit       bool
}

// cut divides a text at line ends, and long lines after sentences.
func cut(s string) []line {
	const long = 400
	var out []line
	for begin := 0; begin < len(s); {
		end := strings.IndexByte(s[begin:], '\n')
		if end < 0 {
			end = len(s)
		} else {
			end += begin + 1
		}
		if end-begin > long {
			if i := strings.Index(s[begin+long:end], ". "); i >= 0 && begin+long+i+2 < end {
				end = begin + long + i + 2
			}
		}
		text := s[begin:end]
		out = append(out, line{begin, text, strings.ToLower(text), strings.ContainsAny(text, "0123456789")})
		begin = end
	}
	return out
}

func (l *line) holds(needs []string) bool {
	for _, n := range needs {
		if n == "0" && l.digit || n != "0" && strings.Contains(l.lower, n) {
			return true
		}
	}
	return false
}

// keep resolves overlaps: earlier in the list of rules wins.
func keep(s string, all []Span) []Span {
	var out []Span
	for _, a := range all {
		a.Begin += len(s[a.Begin:a.End]) - len(strings.TrimLeft(s[a.Begin:a.End], " ,.-"))
		a.End = a.Begin + len(strings.TrimRight(s[a.Begin:a.End], " ,-"))
		free := a.End > a.Begin
		for _, o := range out {
			free = free && (a.End <= o.Begin || a.Begin >= o.End)
		}
		if free {
			out = append(out, a)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Begin < out[j].Begin })
	return out
}

// common are given names and surnames that are everyday or clinical words too: they count only beside another name.
var common = map[string]bool{}

func init() {
	for _, w := range strings.Fields(`will mark rose may april june grace faith hope joy art rob sue bill frank jack jean dawn drew pat chase dale gene glen guy lance max miles
		nick penny ray rich robin sandy skip terry victor wade ward young long brown green white black gray grant hill hunt king knight lane little love marsh page park price reed
		rice stone wells west wood woods ford fox banks bell bishop burns butler cook day dean field fields fields fisher hunter mason miller porter summer weaver wheeler
		carter cole cross hart hayes hicks liver eve amber crystal ruby violet iris ivy olive pearl daisy heather holly jasmine ginger cherry angel misty autumn summer
		drew earl gale kitty lily major rusty sunny woody austin charlotte dallas virginia georgia florence jordan phoenix carolina madison savannah sierra kelly case norm sterling roman
		gray lee kim an do so long chance don see eva leo van carol pierce francis payne ellis ross grace sharp curry duke basil teal moody short`) {
		common[w] = true
	}
}

// words finds names, places and professions by lists and capitals.
func words(s string, toks []text.Token) []Span {
	var out []Span
	for i := 0; i < len(toks); i++ {
		t := toks[i]
		w := t.Lower
		capital := t.Kind == text.Word && s[t.Begin] >= 'A' && s[t.Begin] <= 'Z'
		if t.Kind != text.Word {
			continue
		}
		switch {
		case lexicon.FirstName(w) && (capital || greeted(toks, i)):
			end := i + 1
			j := end
			if j+1 < len(toks) && toks[j].Kind == text.Word && toks[j].End-toks[j].Begin == 1 && toks[j+1].Lower == "." {
				j += 2 // a middle initial
			}
			if j < len(toks) && toks[j].Kind == text.Word && s[toks[j].Begin] >= 'A' && s[toks[j].Begin] <= 'Z' && (lexicon.LastName(toks[j].Lower) || !common[w] && !lexicon.FirstName(toks[j].Lower) && mixed(s, toks[j])) {
				end = j + 1
			}
			if common[w] && end == i+1 {
				continue
			}
			score := float32(0.85)
			if end > i+1 {
				score = 0.95
			}
			out = append(out, Span{t.Begin, toks[end-1].End, Name, score})
			i = end - 1
		case capital && lexicon.LastName(w) && !common[w] && i+2 < len(toks) && toks[i+1].Lower == "," && lexicon.FirstName(toks[i+2].Lower): // Smith, John
			out = append(out, Span{t.Begin, toks[i+2].End, Name, 0.93})
			i += 2
		case i > 0 && lexicon.LastName(w) && titled(toks, i): // mr. smith in a transcript without capitals
			out = append(out, Span{t.Begin, t.End, Name, 0.93})
		case capital && lexicon.Place(w):
			out = append(out, Span{t.Begin, t.End, Address, 0.8})
		case lexicon.Profession(w) && works(toks, i):
			out = append(out, Span{t.Begin, t.End, Profession, 0.85})
		}
	}
	return out
}

// mixed reports whether a word is written as a name: a capital and small letters.
func mixed(s string, t text.Token) bool {
	w := s[t.Begin:t.End]
	return len(w) > 2 && strings.ToUpper(w) != w && !lexiconWord(w)
}

func lexiconWord(w string) bool {
	toks := text.Tokenize(w)
	_, ok := lexicon.Default().Longest(w, toks, 0)
	return ok
}

// titled reports whether a courtesy title stands before token i.
func titled(toks []text.Token, i int) bool {
	j := i - 1
	if toks[j].Lower == "." && j > 0 {
		j--
	}
	switch toks[j].Lower {
	case "mr", "mrs", "ms", "dr", "miss", "doctor":
		return true
	}
	return false
}

// greeted reports whether a lower-case name is addressed: "hi , andrew".
func greeted(toks []text.Token, i int) bool {
	j := i - 1
	if j >= 0 && toks[j].Lower == "," {
		j--
	}
	if j < 0 {
		return false
	}
	switch toks[j].Lower {
	case "hi", "hello", "hey", "mister", "thanks", "morning", "afternoon":
		return true
	}
	return false
}

// works reports whether a profession is somebody's: "works as a teacher", "a retired nurse", "is an engineer".
func works(toks []text.Token, i int) bool {
	for j := i - 1; j >= 0 && j >= i-4; j-- {
		switch toks[j].Lower {
		case "as", "retired", "occupation", "profession", "job", "works", "employed", "worked", "former", "man", "woman", "lady", "gentleman":
			return true
		case ".", ";", "the", "see", "your":
			return false
		case "is", "am", "'m", "was", "m":
			return j >= i-3
		}
	}
	return false
}
