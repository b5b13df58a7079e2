package healthlake

import (
	"strings"

	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/fhir"
)

// unsupported is a search that R4 knows and this service does not answer; the message says which parameter.
func unsupported(param, msg string) error {
	return fhir.Issues{{Severity: "error", Code: "not-supported", Diagnostics: msg, Expression: "http." + param}}
}

// compile turns the conditions of a search on one resource type into the engine's algebra. nil means all.
func compile(clauses []fhir.Clause) (record.Expr, error) {
	if len(clauses) == 0 {
		return nil, nil
	}
	out := make(record.And, 0, len(clauses))
	for i := range clauses {
		e, err := clause(&clauses[i])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	if len(out) == 1 {
		return out[0], nil
	}
	return out, nil
}

func clause(c *fhir.Clause) (record.Expr, error) {
	if c.Has != nil {
		where, err := clause(&c.Has.Clause)
		if err != nil {
			return nil, err
		}
		var any record.Or
		for _, p := range kept(c.Has.Param) {
			any = append(any, record.JoinBack{Kind: kindOf(c.Has.Clause.Type), Index: p.Code, Where: where})
		}
		return simple(any), nil
	}
	if len(c.Chain) > 0 {
		return chain(c)
	}
	if c.Modifier == "missing" {
		e := missing(c.Param)
		if !c.Values[0].Missing {
			e = record.Not{Expr: e}
		}
		return e, nil
	}
	var any record.Or
	for i := range c.Values {
		for _, p := range kept(c.Param) {
			e, err := term(c, p, &c.Values[i])
			if err != nil {
				return nil, err
			}
			any = append(any, e)
		}
	}
	if c.Modifier == "not" {
		return record.Not{Expr: simple(any)}, nil
	}
	return simple(any), nil
}

// kept are the parameters under which p's values are indexed.
func kept(p *fhir.Param) []*fhir.Param {
	if len(p.Same) > 0 {
		return p.Same
	}
	return []*fhir.Param{p}
}

func simple(any record.Or) record.Expr {
	if len(any) == 1 {
		return any[0]
	}
	return any
}

func chain(c *fhir.Clause) (record.Expr, error) {
	var any record.Or
	for i := range c.Chain {
		next := &c.Chain[i]
		if c.Param.SameTarget != "" && next.Type != c.Param.SameTarget {
			continue
		}
		where, err := clause(next)
		if err != nil {
			return nil, err
		}
		for _, p := range kept(c.Param) {
			any = append(any, record.Join{Index: p.Code, Kind: kindOf(next.Type), Where: where})
		}
	}
	return simple(any), nil
}

// missing matches resources without any value of p.
func missing(p *fhir.Param) record.Expr {
	switch p.Code {
	case "_id", "_lastUpdated":
		return record.Or{} // every resource has them
	}
	var all record.And
	for _, k := range kept(p) {
		all = append(all, record.Missing{Index: k.Code})
		switch p.Type {
		case fhir.TokenParam:
			all = append(all, record.Missing{Index: k.Code + ":text"})
		case fhir.ReferenceParam:
			all = append(all, record.Missing{Index: k.Code + ":url"}, record.Missing{Index: k.Code + ":identifier"})
		}
	}
	if p.SameTarget != "" {
		return record.Or{all, record.Match{Index: p.Code + ":absent", Value: record.Token("", "true")}}
	}
	return all
}

// term matches one value of parameter p, which keeps the values of c.Param.
func term(c *fhir.Clause, p *fhir.Param, t *fhir.Term) (record.Expr, error) {
	ix := p.Code
	switch {
	case ix == "_id":
		return record.IDs{t.Code}, nil
	case ix == "_lastUpdated":
		return lastUpdated(t), nil
	case c.Modifier == "text":
		return record.Prefix{Index: ix + ":text", Value: record.String(bounded(fhir.Fold(t.Text)))}, nil
	case c.Modifier == "identifier":
		return token(ix+":identifier", t), nil
	}
	switch p.Type {
	case fhir.TokenParam:
		return token(ix, t), nil
	case fhir.StringParam:
		switch c.Modifier {
		case "exact":
			return record.Match{Index: ix + ":exact", Value: record.String(bounded(t.Text))}, nil
		case "contains":
			return record.Contains{Index: ix, Text: bounded(fhir.Fold(t.Text))}, nil
		}
		return record.Prefix{Index: ix, Value: record.String(bounded(fhir.Fold(t.Text)))}, nil
	case fhir.URIParam:
		if c.Modifier == "below" {
			return record.Or{record.Match{Index: ix, Value: record.URI(t.Text)}, record.Prefix{Index: ix, Value: record.URI(strings.TrimSuffix(t.Text, "/") + "/")}}, nil
		}
		return record.Match{Index: ix, Value: record.URI(bounded(t.Text))}, nil
	case fhir.ReferenceParam:
		return reference(c, p, t), nil
	case fhir.DateParam:
		return date(ix, "", t), nil
	case fhir.NumberParam:
		return numeric(ix, "", t), nil
	case fhir.QuantityParam:
		switch {
		case t.AnyCode:
			return numeric(ix, "", t), nil
		case t.AnySystem:
			return numeric(ix+":code", record.Token("", t.Code), t), nil
		}
		return numeric(ix+":unit", record.Token(t.System, t.Code), t), nil
	case fhir.CompositeParam:
		return composite(p, t)
	}
	return nil, unsupported(c.Param.Code, "this type of parameter is not searched")
}

func token(ix string, t *fhir.Term) record.Expr {
	switch {
	case t.AnySystem:
		return record.Match{Index: ix, Value: record.TokenCode(t.Code)}
	case t.AnyCode:
		return record.Match{Index: ix, Value: record.TokenSystem(t.System)}
	}
	return record.Match{Index: ix, Value: record.Token(t.System, t.Code)}
}

func reference(c *fhir.Clause, p *fhir.Param, t *fhir.Term) record.Expr {
	ix := p.Code
	if t.Text != "" {
		return record.Match{Index: ix + ":url", Value: record.URI(bounded(t.Text))}
	}
	if t.System != "" {
		return record.Match{Index: ix, Value: record.Reference(kindOf(t.System), t.Code)}
	}
	targets := c.Param.Targets
	if c.Param.SameTarget != "" {
		targets = []string{c.Param.SameTarget}
	}
	if targets == nil {
		targets = fhir.ResourceTypes()
	}
	var any record.Or
	if p.Canonical {
		any = append(any, record.Match{Index: ix + ":url", Value: record.URI(t.Code)})
	}
	for _, typ := range targets {
		any = append(any, record.Match{Index: ix, Value: record.Reference(kindOf(typ), t.Code)})
	}
	return simple(any)
}

// numeric compares a number (R4 search #number: eq and ne use the range that the precision implies, the others the exact value).
func numeric(ix string, head record.Value, t *fhir.Term) record.Expr {
	r := record.Range{Index: ix, Head: head}
	switch t.Prefix {
	case "gt", "sa":
		r.Low, r.LowOpen = record.Number(t.Number), true
	case "ge":
		r.Low = record.Number(t.Number)
	case "lt", "eb":
		r.High, r.HighOpen = record.Number(t.Number), true
	case "le":
		r.High = record.Number(t.Number)
	case "ap":
		tenth := max(t.Number, -t.Number) / 10
		r.Low, r.High = record.Number(t.Number-tenth), record.Number(t.Number+tenth)
	case "ne":
		low, high := r, r
		low.High, low.HighOpen = record.Number(t.Low), true
		high.Low, high.LowOpen = record.Number(t.High), t.High <= t.Number
		return record.Or{low, high}
	default: // where the range is too narrow for a float64, it is the number itself
		r.Low, r.High, r.HighOpen = record.Number(t.Low), record.Number(t.High), t.High > t.Number
	}
	return r
}

// date compares spans of time (R4 search #prefix): eq when the resource's lies within the one asked for, and so on.
func date(ix string, head record.Value, t *fhir.Term) record.Expr {
	low, high := t.When.Low, t.When.High
	within := func(lo, hi int64) record.Expr {
		return span(ix, head, lo, fhir.End, fhir.Beginning, hi)
	}
	after := span(ix, head, fhir.Beginning, fhir.End, high+1, fhir.End)       // some of it is after
	before := span(ix, head, fhir.Beginning, low-1, fhir.Beginning, fhir.End) // some of it is before
	switch t.Prefix {
	case "ne":
		return record.Or{before, after}
	case "gt":
		return after
	case "lt":
		return before
	case "ge":
		return record.Or{within(low, high), after}
	case "le":
		return record.Or{within(low, high), before}
	case "sa":
		return span(ix, head, high+1, fhir.End, fhir.Beginning, fhir.End)
	case "eb":
		return span(ix, head, fhir.Beginning, fhir.End, fhir.Beginning, low-1)
	case "ap": // a tenth of the span on either side, a day at the least
		margin := max((high-low)/10, 86_400e6)
		return span(ix, head, fhir.Beginning, high+margin, low-margin, fhir.End)
	}
	return within(low, high)
}

// span matches periods that start in [startLow, startHigh] and end in [endLow, endHigh].
func span(ix string, head record.Value, startLow, startHigh, endLow, endHigh int64) record.Expr {
	r := record.Range{Index: ix, Head: head}
	if startLow != fhir.Beginning {
		r.Low = record.PeriodMicros(startLow, fhir.Beginning)
	}
	if startHigh != fhir.End {
		r.High = record.PeriodMicros(startHigh, fhir.End)
	}
	if endLow != fhir.Beginning {
		r.EndLow = record.PeriodMicros(endLow, endLow)
	}
	if endHigh != fhir.End {
		r.EndHigh = record.PeriodMicros(endHigh, endHigh)
	}
	return r
}

// lastUpdated compares the commit time, a point.
func lastUpdated(t *fhir.Term) record.Expr {
	low, high := t.When.Low, t.When.High
	switch t.Prefix {
	case "ne":
		return record.Not{Expr: record.TimeRange{Low: low, High: high}}
	case "gt", "sa":
		return record.TimeRange{Low: high + 1, High: fhir.End}
	case "lt", "eb":
		return record.TimeRange{Low: fhir.Beginning, High: low - 1}
	case "ge":
		return record.TimeRange{Low: low, High: fhir.End}
	case "le":
		return record.TimeRange{Low: fhir.Beginning, High: high}
	case "ap":
		return record.TimeRange{Low: low - 86_400e6, High: high + 86_400e6}
	}
	return record.TimeRange{Low: low, High: high}
}

// composite matches one combination; only the last part may be compared other than by equality.
func composite(p *fhir.Param, t *fhir.Term) (record.Expr, error) {
	letters, head := "", record.Value("")
	for k := range t.Parts {
		part, last := &t.Parts[k], k == len(t.Parts)-1
		if !last && part.Prefix != "" && part.Prefix != "eq" {
			return nil, unsupported(p.Code, "only the last part of a composite may have a prefix")
		}
		switch p.Components[k] {
		case fhir.TokenParam:
			if part.AnyCode {
				return nil, unsupported(p.Code, "a composite needs the code, not only the system")
			}
			v := record.Token(part.System, part.Code)
			if part.AnySystem {
				letters, v = letters+"c", record.Token("", part.Code)
			} else {
				letters += "s"
			}
			head = paired(head, v)
		case fhir.ReferenceParam:
			if part.System == "" {
				return nil, unsupported(p.Code, "a reference in a composite is Type/id")
			}
			letters += "r"
			head = paired(head, record.Reference(kindOf(part.System), part.Code))
		case fhir.NumberParam:
			letters += "n"
			if last {
				return numeric(p.Code+":"+letters, head, part), nil
			}
			head = paired(head, record.Number(part.Number))
		case fhir.QuantityParam:
			switch {
			case part.AnyCode:
				letters += "n"
			case part.AnySystem:
				letters, head = letters+"v", paired(head, record.Token("", part.Code))
			default:
				letters, head = letters+"u", paired(head, record.Token(part.System, part.Code))
			}
			if !last {
				return nil, unsupported(p.Code, "a quantity is the last part of a composite")
			}
			return numeric(p.Code+":"+letters, head, part), nil
		case fhir.DateParam:
			if !last {
				return nil, unsupported(p.Code, "a date is the last part of a composite")
			}
			return date(p.Code+":"+letters+"d", head, part), nil
		case fhir.StringParam:
			if !last {
				return nil, unsupported(p.Code, "a string is the last part of a composite")
			}
			// A string is searched by its beginning: all strings from it on to the last that begins so.
			text := bounded(fhir.Fold(part.Text))
			return record.Range{Index: p.Code + ":" + letters + "t", Head: head, Low: record.String(text), High: record.String(text + "\U0010FFFF")}, nil
		default:
			return nil, unsupported(p.Code, "this composite is not searched")
		}
	}
	return record.Match{Index: p.Code + ":" + letters, Value: head}, nil
}

// order turns sort keys into the engine's.
func order(keys []fhir.SortKey) ([]record.Order, error) {
	var out []record.Order
	for _, k := range keys {
		o := record.Order{Index: kept(k.Param)[0].Code, Desc: k.Desc}
		switch {
		case k.Param.Code == "_lastUpdated":
			o.Index = "@time"
		case len(k.Param.Same) > 1 || k.Param.Type == fhir.CompositeParam:
			return nil, unsupported("_sort", "results cannot be sorted by "+k.Param.Code)
		}
		out = append(out, o)
	}
	return out, nil
}
