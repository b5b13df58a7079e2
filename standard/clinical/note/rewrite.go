package note

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Person is how the patient is spoken of.
type Person struct{ Subject, Object, Possessive, Reflexive string }

// The persons by the pronouns of the contract (HE_HIM, SHE_HER, THEY_THEM); Unknown when nothing is known.
var (
	He      = Person{"he", "him", "his", "himself"}
	She     = Person{"she", "her", "her", "herself"}
	They    = Person{"they", "them", "their", "themselves"}
	Unknown = Person{"the patient", "the patient", "the patient's", "themselves"}
)

var (
	joinedParts = strings.NewReplacer(" n't", "n't", " 's", "'s", " 're", "'re", " 've", "'ve", " 'll", "'ll", " 'm", "'m", " 'd", "'d", "’", "'", "gon na", "going to", "wan na", "want to",
		"got ta", "got to", "gonna", "going to", "wanna", "want to", " - ", "-", "kinda", "kind of", "'cause", "because")
	spoken = regexp.MustCompile(`\b(?:uh-huh|mm-hmm|mhm|uhm|um|uh|hmm|ah|oh|er|you know|i mean|kind of|sort of|basically|obviously|okay|ok|all right|alright|hey ,? ?dragon|hey,? ?siri)\b[ ,]*`)
	lead   = regexp.MustCompile(`^(?:(?:so|and|but|well|yeah|yes|yep|yup|no|nope|right|now|then|like|sure|great|good|perfect|exactly|absolutely|alright|again|because|or|actually|anyway|also|awesome|wonderful|excellent|just)\b[ ,.!]*)+`)
	broken = regexp.MustCompile(`\b[a-z]+- ?(?:, ?)?`)
	spaces = regexp.MustCompile(`\s+`)
	before = regexp.MustCompile(` +([,.!?;:%])`)
	commas = regexp.MustCompile(`(?:, ?){2,}`)
	trail  = regexp.MustCompile(`(?:[ ,]+(?:okay|right|you know|so|and|but|too|though|yeah|um|uh))+ ?[,?.!]*$`)
)

// present maps verbs in the first person to the third; others that end like a verb's base form are left alone.
var present = func() map[string]string {
	m := map[string]string{"have": "has", "do": "does", "go": "goes", "am": "is", "are": "is", "were": "was", "don't": "does not", "do not": "does not", "haven't": "has not", "aren't": "is not", "weren't": "was not",
		"ain't": "is not", "try": "tries", "carry": "carries", "worry": "worries", "watch": "watches", "catch": "catches", "miss": "misses", "push": "pushes", "didn't": "did not", "can't": "cannot", "won't": "will not",
		"couldn't": "could not", "wouldn't": "would not", "hadn't": "had not", "wasn't": "was not", "study": "studies", "guess": "guesses"}
	for _, v := range strings.Fields(`feel think take get want need know use work notice drink smoke eat sleep live like start see say come keep make seem look remember believe walk run play
		experience wake sit stand lift exercise monitor vape check understand love hope prefer stay tend mean cough wheeze hear find bring wear help enjoy deny complain cook travel sweat snore call
		put hold move turn bend swallow breathe urinate pee throw lose gain give tell ask wonder suffer avoid continue stop drive struggle follow weigh`) {
		m[v] = v + "s"
	}
	return m
}()

// auxiliary words keep their form after a changed subject.
var adverbs = map[string]bool{"just": true, "also": true, "usually": true, "always": true, "never": true, "really": true, "still": true, "only": true, "sometimes": true, "often": true, "probably": true,
	"definitely": true, "actually": true, "already": true, "mostly": true, "currently": true, "normally": true}

// objectBefore are words after which "you" is an object.
var objectBefore = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`continue continuing to for with of on at by from about give gave let see start tell ask refer put get help want like send show keep bothering hurting bother have had let's call
		prescribe told asked giving putting starting seeing sending wants schedule make makes made bring brings brought take treat examine order write over against behind into around`) {
		m[w] = true
	}
	return m
}()

// rewrite puts what someone said into the third person: clean sentence, "" when nothing is left.
func rewrite(s string, clinician bool, p Person) string {
	s = joinedParts.Replace(strings.ToLower(s))
	s = broken.ReplaceAllStringFunc(s, func(m string) string {
		if strings.HasSuffix(strings.TrimRight(m, ", "), "-") && !strings.HasSuffix(m, "-") {
			return "" // "mon- , i": a word that was broken off
		}
		return m
	})
	s = spoken.ReplaceAllString(s, "")
	s = before.ReplaceAllString(spaces.ReplaceAllString(strings.TrimSpace(s), " "), "$1")
	s = strings.ReplaceAll(s, "...", ",")
	s = commas.ReplaceAllString(s, ", ")
	s = lead.ReplaceAllString(strings.TrimLeft(s, " ,.;:-"), "")
	s = trail.ReplaceAllString(s, "")
	s = strings.TrimRight(strings.TrimLeft(s, " ,.;:-"), " ,.;:?!-")
	words := unstutter(strings.Fields(s))
	out := make([]string, 0, len(words))
	third := ""
	for i := 0; i < len(words); i++ {
		w, mark := punctuation(words[i])
		if third != "" { // the verb of a changed subject
			switch {
			case adverbs[w]:
				out = append(out, words[i])
				continue
			case present[w] != "":
				if p == They {
					out = append(out, w+mark)
				} else {
					out = append(out, present[w]+mark)
				}
				third = ""
				continue
			}
			third = ""
		}
		prev := ""
		if len(out) > 0 {
			prev, _ = punctuation(out[len(out)-1])
		}
		if said, verb := person(w, prev, clinician, p); said != "" {
			out = append(out, said+mark)
			if verb && mark == "" {
				third = said
			}
			continue
		}
		if w == "i" || strings.HasPrefix(w, "i'") {
			w = strings.ToUpper(w[:1]) + w[1:]
		}
		out = append(out, w+mark)
	}
	return sentence(strings.Join(out, " "))
}

// unstutter drops words that are said twice: "i , i just", "the the".
func unstutter(words []string) []string {
	var out []string
	for _, w := range words {
		if n := len(out); n > 0 && strings.TrimRight(out[n-1], ",") == strings.TrimRight(w, ",") {
			out[n-1] = w
			continue
		}
		if n := len(out); n > 1 && strings.TrimRight(out[n-2]+" "+out[n-1], ",") == "" {
			continue
		}
		if w != "," || len(out) > 0 {
			out = append(out, w)
		}
	}
	return out
}

func punctuation(w string) (word, mark string) {
	i := len(strings.TrimRight(w, ",.;:!?"))
	return w[:i], w[i:]
}

// person gives what stands for a word that names the patient in the speaker's words; verb says that a verb in agreement may follow.
func person(w, prev string, clinician bool, p Person) (said string, verb bool) {
	is, has, will, would := " is", " has", " will", " would"
	if p == They {
		is, has = " are", " have"
	}
	if clinician {
		switch w {
		case "you":
			if objectBefore[prev] {
				return p.Object, false
			}
			return p.Subject, true
		case "you're":
			return p.Subject + is, false
		case "you've":
			return p.Subject + has, false
		case "you'll":
			return p.Subject + will, false
		case "you'd":
			return p.Subject + would, false
		case "your":
			return p.Possessive, false
		case "yourself":
			return p.Reflexive, false
		}
		return "", false
	}
	switch w {
	case "i":
		return p.Subject, true
	case "i'm":
		return p.Subject + is, false
	case "i've":
		return p.Subject + has, false
	case "i'll":
		return p.Subject + will, false
	case "i'd":
		return p.Subject + would, false
	case "my", "mine":
		return p.Possessive, false
	case "me":
		return p.Object, false
	case "myself":
		return p.Reflexive, false
	}
	return "", false
}

// sentence gives a capital and a full stop.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return ""
	}
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:] + "."
}

// Added are the words that the rewriter may put into a sentence that are not in its evidence.
var Added = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`the patient patient's s he she they him her them his their himself herself themselves is are has have will would does do not was were cannot could did had i denies deny reports report and or to
		going want got because kind of`) {
		m[w] = true
	}
	for _, v := range present {
		for _, w := range strings.Fields(v) {
			m[w] = true
		}
	}
	return m
}()
