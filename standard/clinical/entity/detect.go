package entity

import (
	"sort"
	"strings"

	"github.com/galen-health/galen/standard/clinical/assertion"
	"github.com/galen-health/galen/standard/clinical/phi"
	"github.com/galen-health/galen/standard/clinical/text"
)

// Version names the engine and its models; it changes whenever answers may.
const Version = "galen-1.0.0"

// Detect finds entities with attributes and traits.
func Detect(s string) Result {
	toks := text.Tokenize(s)
	ids := phi.Find(s)
	var out Result
	for n, r := range text.Sentences(s, toks) {
		sentence(&out, s, toks, r, n, ids)
	}
	number(&out)
	return out
}

// DetectIdentifying finds protected health information only.
func DetectIdentifying(s string) []Entity {
	out := []Entity{}
	for i, p := range phi.Find(s) {
		out = append(out, Entity{ID: i, Begin: p.Begin, End: p.End, Text: s[p.Begin:p.End], Category: Identifying, Type: string(p.Type), Score: p.Score})
	}
	return out
}

func sentence(out *Result, s string, toks []text.Token, r text.Range, n int, ids []phi.Span) {
	chosen := choose(candidates(s, toks, r, ids))
	var entities []placed
	var attrs []candidate
	for _, c := range chosen {
		if c.attr {
			attrs = append(attrs, c)
		} else {
			b, e := toks[c.begin].Begin, toks[c.end-1].End
			entities = append(entities, placed{c, Entity{Begin: b, End: e, Text: s[b:e], Category: c.category, Type: c.kind, Score: c.score, Preferred: c.preferred, Sentence: n}})
		}
	}
	assert(toks, r, entities)
	l := linker{s: s, toks: toks, r: r, entities: entities, out: out}
	l.values()
	l.attach(attrs)
	l.sites()
	l.times()
	for i := range entities {
		if e := &entities[i]; e.category != Time || e.kind != Time {
			out.Entities = append(out.Entities, e.Entity)
		}
	}
}

// placed is an entity with its tokens.
type placed struct {
	candidate
	Entity
}

// assert sets status and traits.
func assert(toks []text.Token, r text.Range, entities []placed) {
	ranges := make([]text.Range, len(entities))
	for i, e := range entities {
		ranges[i] = text.Range{Begin: e.begin - r.Begin, End: e.end - r.Begin}
	}
	for i, st := range assertion.Of(toks[r.Begin:r.End], ranges) {
		e := &entities[i]
		e.Status = st
		add := func(ok bool, name string, score float32) {
			if ok {
				e.Traits = append(e.Traits, Trait{name, score})
			}
		}
		switch e.Entity.Category {
		case Condition:
			add(e.trait != "", e.trait, e.Entity.Score*0.95)
			add(st.Negated, Negation, 0.95)
			add(st.Hypothetical, Supposed, 0.85)
			add(st.Family, OfFamily, 0.9)
			add(st.Uncertain && !st.Negated, Unsure, 0.8)
		case Medication:
			add(st.Negated, Negation, 0.9)
			add(st.Past, Past, 0.8)
		case Test:
			add(st.Negated, Negation, 0.9)
			add(st.Past, Past, 0.8)
			add(st.Hypothetical, Supposed, 0.85)
			add(st.Planned, Future, 0.85)
		case Social:
			if e.Entity.Type != Gender && e.Entity.Type != Race {
				add(st.Negated || strings.HasPrefix(e.Text, "non") || e.Text == "nkda" || e.Text == "NKDA", Negation, 0.92)
				add(st.Past, Past, 0.8)
			}
		}
	}
}

// number orders what was found and gives ids: a site that is entity and attribute has one.
func number(out *Result) {
	sort.SliceStable(out.Entities, func(i, j int) bool { return out.Entities[i].Begin < out.Entities[j].Begin })
	type span struct{ b, e int }
	seen := map[span]int{}
	var spans []span
	note := func(b, e int) {
		if _, ok := seen[span{b, e}]; !ok {
			seen[span{b, e}] = 0
			spans = append(spans, span{b, e})
		}
	}
	for i := range out.Entities {
		note(out.Entities[i].Begin, out.Entities[i].End)
		for _, a := range out.Entities[i].Attributes {
			note(a.Begin, a.End)
		}
	}
	for _, u := range out.Unmapped {
		note(u.Attribute.Begin, u.Attribute.End)
	}
	sort.Slice(spans, func(i, j int) bool {
		return spans[i].b < spans[j].b || spans[i].b == spans[j].b && spans[i].e < spans[j].e
	})
	for i, sp := range spans {
		seen[sp] = i
	}
	for i := range out.Entities {
		e := &out.Entities[i]
		e.ID = seen[span{e.Begin, e.End}]
		sort.SliceStable(e.Attributes, func(i, j int) bool { return e.Attributes[i].Begin < e.Attributes[j].Begin })
		for k := range e.Attributes {
			e.Attributes[k].ID = seen[span{e.Attributes[k].Begin, e.Attributes[k].End}]
		}
	}
	for i := range out.Unmapped {
		a := &out.Unmapped[i].Attribute
		a.ID = seen[span{a.Begin, a.End}]
	}
}
