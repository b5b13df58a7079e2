package assertion

import "github.com/galen-health/galen/standard/clinical/text"

// Status is how a finding is meant. The zero Status is: present, now, of the patient.
type Status struct {
	Negated      bool // denied, absent, ruled out
	Uncertain    bool // possible, suspected
	Hypothetical bool // if, in case of, risk of
	Past         bool // history of
	Family       bool // of a relative
	Planned      bool // ordered, recommended: for tests and treatments
}

type hit struct {
	begin, end int // tokens
	cues       []cue
}

// Of judges findings, each a range of tokens, within one sentence.
func Of(toks []text.Token, findings []text.Range) []Status {
	out := make([]Status, len(findings))
	if len(findings) == 0 {
		return out
	}
	hits := find(toks)
	for k, f := range findings {
		for n, h := range hits {
			if h.begin < f.End && f.Begin < h.end {
				continue // the cue's words are part of the finding
			}
			for _, c := range h.cues {
				if governs(hits, n, h, c, f) {
					out[k].set(c.effect)
				}
			}
		}
	}
	return out
}

func (s *Status) set(e effect) {
	switch e {
	case negate:
		s.Negated = true
	case doubt:
		s.Uncertain = true
	case suppose:
		s.Hypothetical = true
	case past:
		s.Past = true
	case family:
		s.Family = true
	case plan:
		s.Planned = true
	}
}

// find returns the longest cues, left to right.
func find(toks []text.Token) []hit {
	var out []hit
	for i := 0; i < len(toks); {
		n, end := cues(), i
		var found []cue
		for j := i; j < len(toks); j++ {
			if n = n.next[toks[j].Lower]; n == nil {
				break
			}
			if n.cues != nil {
				found, end = n.cues, j+1
			}
		}
		if found == nil {
			i++
			continue
		}
		out = append(out, hit{i, end, found})
		i = end
	}
	return out
}

func governs(hits []hit, n int, h hit, c cue, f text.Range) bool {
	switch {
	case c.effect == pseudo || c.effect == stop:
		return false
	case f.Begin >= h.end && c.dir != backward:
		if c.reach > 0 && f.Begin-h.end > c.reach {
			return false
		}
		for _, s := range hits[n+1:] {
			if s.begin < f.Begin && s.stops(c.effect) {
				return false
			}
		}
		return true
	case f.End <= h.begin && c.dir != forward:
		if c.reach > 0 && h.begin-f.End > c.reach {
			return false
		}
		for _, s := range hits[:n] {
			if s.begin >= f.End && s.stops(c.effect) {
				return false
			}
		}
		return true
	}
	return false
}

// stops reports whether a cue between another and its finding ends that one's reach.
func (h hit) stops(e effect) bool {
	for _, c := range h.cues {
		if c.effect == stop {
			return true
		}
	}
	return false
}
