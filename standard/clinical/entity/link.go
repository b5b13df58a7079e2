package entity

import (
	"github.com/galen-health/galen/standard/clinical/dose"
	"github.com/galen-health/galen/standard/clinical/text"
)

// linker joins attributes to entities within one sentence.
type linker struct {
	s        string
	toks     []text.Token
	r        text.Range
	entities []placed
	out      *Result
}

func (l *linker) attribute(b, e int, category, kind, relationship string, score, relation float32) Attribute {
	from, to := l.toks[b].Begin, l.toks[e-1].End
	return Attribute{Begin: from, End: to, Text: l.s[from:to], Category: category, Type: kind, Relationship: relationship, Score: score, RelationshipScore: relation}
}

// nearness is a relationship's score by the tokens between the two.
func nearness(gap int) float32 { return max(0.5, 0.99-0.03*float32(gap)) }

// values gives tests their values.
func (l *linker) values() {
	for i := range l.entities {
		e := &l.entities[i]
		if e.Entity.Type != TestName {
			continue
		}
		limit := l.r.End
		if i+1 < len(l.entities) {
			limit = l.entities[i+1].begin
		}
		v, unit := value(l.toks, e.end, limit)
		if v.End > v.Begin {
			e.Attributes = append(e.Attributes, l.attribute(v.Begin, v.End, Test, TestValue, TestValue, 0.93, nearness(v.Begin-e.end)))
		}
		if unit.End > unit.Begin {
			e.Attributes = append(e.Attributes, l.attribute(unit.Begin, unit.End, Test, TestUnit, TestUnit, 0.93, nearness(unit.Begin-e.end)))
		}
	}
}

// taken reports whether tokens are part of an attribute already.
func (l *linker) taken(b, e int) bool {
	from, to := l.toks[b].Begin, l.toks[e-1].End
	for _, x := range l.entities {
		for _, a := range x.Attributes {
			if from < a.End && a.Begin < to {
				return true
			}
		}
	}
	return false
}

// attach joins dosing spans to medicines, modifiers to conditions and sites, amounts to habits.
func (l *linker) attach(attrs []candidate) {
	for _, a := range attrs {
		if l.taken(a.begin, a.end) {
			continue
		}
		switch a.category {
		case Medication:
			l.dosing(a, attrs)
		case Condition:
			l.modifier(a)
		case Social:
			if e, gap := l.nearest(a, func(e *placed) bool { return e.Entity.Category == Social && habits[e.Entity.Type] }, true); e != nil {
				e.Attributes = append(e.Attributes, l.attribute(a.begin, a.end, Social, Amount, Amount, a.score, nearness(gap)))
			}
		}
	}
}

var habits = map[string]bool{Tobacco: true, Alcohol: true, Drugs: true}

// nearest finds the entity that fits nearest to a; when before counts, one that stands before a goes first if nothing of its kind lies between.
func (l *linker) nearest(a candidate, fits func(*placed) bool, before bool) (*placed, int) {
	var prev, next *placed
	for i := range l.entities {
		e := &l.entities[i]
		switch {
		case !fits(e):
		case e.end <= a.begin:
			prev = e
		case e.begin >= a.end && next == nil:
			next = e
		}
	}
	switch {
	case prev == nil && next == nil:
		return nil, 0
	case prev == nil || next != nil && (next.begin-a.end < a.begin-prev.end && !before || next.begin-a.end <= 1 && a.begin-prev.end > 2 && !l.broken(a.end, next.begin)):
		return next, next.begin - a.end
	}
	return prev, a.begin - prev.end
}

func (l *linker) dosing(a candidate, all []candidate) {
	kind := a.kind
	fits := func(e *placed) bool { return e.Entity.Category == Medication }
	e, gap := l.nearest(a, fits, true)
	if e != nil && e.begin >= a.end && gap > 6 && kind != Route {
		e = nil // "every day I … and take aspirin"
	}
	if kind == Duration {
		// "chest pain for two days" belongs to the condition when that is nearer.
		if c, cgap := l.nearest(a, func(e *placed) bool { return e.Entity.Category == Condition }, true); c != nil && (e == nil || cgap < gap) {
			c.Attributes = append(c.Attributes, l.attribute(a.begin, a.end, Time, timePrefix+Dx, Overlap, a.score, nearness(cgap)))
			l.time(a, Dx)
			return
		}
		if e == nil {
			return
		}
	}
	if kind == Dosage && a.preferred == string(dose.Amount) && l.strength(a, e, all) {
		kind = Strength
	}
	if e == nil {
		if kind == Dosage || kind == Route || kind == Form || kind == Rate {
			l.out.Unmapped = append(l.out.Unmapped, Unmapped{Medication, l.attribute(a.begin, a.end, Medication, kind, "", a.score, 0)})
		}
		return
	}
	e.Attributes = append(e.Attributes, l.attribute(a.begin, a.end, Medication, kind, kind, a.score, nearness(gap)))
}

// strength reports whether an amount is the strength of a form: "500 mg tablet", "0.2 mg … 2 tabs".
func (l *linker) strength(a candidate, e *placed, all []candidate) bool {
	for _, o := range all {
		if o.kind == Form && o.begin == a.end {
			return true
		}
		if o.preferred == string(dose.Count) && e != nil && o.begin >= a.end && o.begin-a.end < 8 {
			between := false
			for _, x := range l.entities {
				between = between || x.Entity.Category == Medication && x.begin >= a.end && x.end <= o.begin
			}
			if !between {
				return true
			}
		}
	}
	return false
}

// modifier joins acuity, quality and direction to a condition or site close by.
func (l *linker) modifier(a candidate) {
	const reach = 4
	var best *placed
	gap := reach + 1
	for i := range l.entities {
		e := &l.entities[i]
		if e.Entity.Category != Condition && (e.Entity.Category != Anatomy || a.kind != Direction) {
			continue
		}
		if g := e.begin - a.end; g >= 0 && g < gap && !l.broken(a.end, e.begin) {
			best, gap = e, g
		}
		if g := a.begin - e.end; g >= 0 && g+1 < gap && !l.broken(e.end, a.begin) {
			best, gap = e, g+1
		}
	}
	if best != nil {
		best.Attributes = append(best.Attributes, l.attribute(a.begin, a.end, best.Entity.Category, a.kind, a.kind, a.score, nearness(gap)))
	}
}

// broken reports whether punctuation or a conjunction lies between.
func (l *linker) broken(b, e int) bool {
	for _, t := range l.toks[b:e] {
		switch t.Lower {
		case ",", ";", ".", ":", "and", "but", "or", "?", "no", "not", "denies", "without":
			return true
		}
	}
	return false
}

// sites makes anatomy near a condition its attribute too: "rash on the face and leg", "pain in my left knee", "knee pain".
func (l *linker) sites() {
	for i := range l.entities {
		a := &l.entities[i]
		if a.Entity.Category != Anatomy {
			continue
		}
		join := func(c *placed, gap int) {
			c.Attributes = append(c.Attributes, l.attribute(a.begin, a.end, Anatomy, Site, Site, a.Entity.Score, nearness(gap)))
		}
		if i+1 < len(l.entities) && l.entities[i+1].Entity.Category == Condition && l.entities[i+1].begin-a.end <= 1 && !l.broken(a.end, l.entities[i+1].begin) {
			join(&l.entities[i+1], l.entities[i+1].begin-a.end)
			continue
		}
		for j := i - 1; j >= 0; j-- {
			c := &l.entities[j]
			if c.Entity.Category == Anatomy && a.begin-c.end <= 3 {
				continue // "face and leg"
			}
			if c.Entity.Category == Condition && l.locates(c.end) && a.begin-c.end <= 8 {
				join(c, a.begin-c.end)
			}
			break
		}
	}
}

// locates reports whether the words from token i say where: "on", "in my", "of the".
func (l *linker) locates(i int) bool {
	if i >= l.r.End {
		return false
	}
	switch l.toks[i].Lower {
	case "in", "on", "of", "at", "over", "to", "along", "around", "down", "near", "behind", "under", "across":
		return true
	}
	return false
}

// times turns time expressions into entities of the event next to them.
func (l *linker) times() {
	for i := range l.entities {
		t := &l.entities[i]
		if t.Entity.Category != Time {
			continue
		}
		c := t.candidate
		e, gap := l.nearest(c, func(e *placed) bool {
			return e.Entity.Category == Condition || e.Entity.Category == Medication || e.Entity.Category == Test
		}, false)
		if e == nil || gap > 10 {
			continue
		}
		kind := e.Entity.Type
		if e.Entity.Category == Medication {
			kind = "MEDICATION_NAME"
		}
		e.Attributes = append(e.Attributes, l.attribute(c.begin, c.end, Time, timePrefix+kind, Overlap, c.score, nearness(gap)))
		l.time(c, kind)
	}
}

// time adds a time expression as an entity.
func (l *linker) time(c candidate, kind string) {
	a := l.attribute(c.begin, c.end, Time, timePrefix+kind, "", c.score, 0)
	l.out.Entities = append(l.out.Entities, Entity{Begin: a.Begin, End: a.End, Text: a.Text, Category: Time, Type: a.Type, Score: c.score})
}
