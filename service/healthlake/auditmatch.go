package healthlake

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/standard/fhir"
)

// An auditSearch is a search of the view: what the log finds by itself, and what is decided on each entry.
type auditSearch struct {
	*fhir.Query
	filter audit.Filter
}

// auditParams are the search parameters of R4's AuditEvent that the view answers, each with the values that an event has of it.
var auditParams = map[string]func(a *auditEvent) []auditValue{
	"_id":    func(a *auditEvent) []auditValue { return codes("", a.ID) },
	"action": func(a *auditEvent) []auditValue { return codes("http://hl7.org/fhir/audit-event-action", a.Action) },
	"outcome": func(a *auditEvent) []auditValue {
		return codes("http://hl7.org/fhir/audit-event-outcome", a.Outcome)
	},
	"type":    func(a *auditEvent) []auditValue { return codings(a.Type) },
	"subtype": func(a *auditEvent) []auditValue { return codings(a.Subtype...) },
	"site":    func(a *auditEvent) []auditValue { return codes("", a.Source.Site) },
	"address": func(a *auditEvent) (out []auditValue) {
		for _, g := range a.Agent {
			if g.Network != nil {
				out = append(out, auditValue{code: g.Network.Address})
			}
		}
		return out
	},
	"agent": func(a *auditEvent) (out []auditValue) {
		for _, g := range a.Agent {
			out = append(out, referred(g.Who))
		}
		return out
	},
	"agent-name": func(a *auditEvent) (out []auditValue) {
		for _, g := range a.Agent {
			out = append(out, auditValue{code: g.Name})
		}
		return out
	},
	"altid": func(a *auditEvent) (out []auditValue) {
		for _, g := range a.Agent {
			out = append(out, auditValue{code: g.AltID})
		}
		return out
	},
	"policy": func(a *auditEvent) (out []auditValue) {
		for _, g := range a.Agent {
			for _, p := range g.Policy {
				out = append(out, auditValue{code: p})
			}
		}
		return out
	},
	"entity": func(a *auditEvent) (out []auditValue) {
		for _, n := range a.Entity {
			out = append(out, referred(n.What))
		}
		return out
	},
	"entity-name": func(a *auditEvent) (out []auditValue) {
		for _, n := range a.Entity {
			out = append(out, auditValue{code: n.Name})
		}
		return out
	},
	"entity-type": func(a *auditEvent) (out []auditValue) {
		for _, n := range a.Entity {
			out = append(out, codings(n.Type)...)
		}
		return out
	},
	"entity-role": func(a *auditEvent) (out []auditValue) {
		for _, n := range a.Entity {
			if n.Role != nil {
				out = append(out, codings(*n.Role)...)
			}
		}
		return out
	},
}

func init() { auditParams["patient"] = auditParams["entity"] } // the term says that it is a Patient

// auditValue is one value of a parameter: a code with its system, a text, or a reference as type and id, or by the identifier alone.
type auditValue struct {
	system, code string
	identified   bool
}

func codes(system, code string) []auditValue { return []auditValue{{system: system, code: code}} }

func codings(list ...coding) (out []auditValue) {
	for _, c := range list {
		out = append(out, auditValue{system: c.System, code: c.Code})
	}
	return out
}

func referred(r *auditReference) auditValue {
	switch {
	case r == nil:
	case r.Identifier != nil:
		return auditValue{system: r.Identifier.System, code: r.Identifier.Value, identified: true}
	default:
		typ, id, _ := strings.Cut(r.Reference, "/")
		return auditValue{system: typ, code: id}
	}
	return auditValue{}
}

// readAuditSearch reads the parameters of a search of the view. What it does not answer is refused, never passed over: a list of who saw something must not be the wrong one.
func readAuditSearch(params url.Values) (*auditSearch, error) {
	q, err := fhir.ParseQuery("AuditEvent", params, false)
	if err != nil {
		return nil, err
	}
	s := &auditSearch{Query: q}
	refuse := func(param, why string) (*auditSearch, error) { return nil, unsupported(param, why) }
	switch {
	case len(q.Include)+len(q.RevInclude) > 0:
		return refuse("_include", "the audit log has nothing to include")
	case q.Elements != nil || q.Summary != "" && q.Summary != "false":
		return refuse("_summary", "the audit log answers whole events")
	case q.Total == "accurate" || q.Total == "estimate":
		return refuse("_total", "the audit log is not counted")
	}
	for _, k := range q.Sort {
		if k.Param.Code != "date" || !k.Desc || len(q.Sort) > 1 {
			return refuse("_sort", "the audit log answers the newest first: _sort=-date")
		}
	}
	for i := range q.Clauses {
		c := &q.Clauses[i]
		if c.Has != nil || len(c.Chain) > 0 {
			return refuse("_has", "the audit log is not joined with resources")
		}
		if auditParams[c.Param.Code] == nil && c.Param.Code != "date" || c.Modifier == "missing" || c.Modifier == "text" || c.Modifier == "below" {
			return refuse(c.Param.Code, "this parameter is not one that the audit log answers; its metadata lists them")
		}
		s.narrow(c)
	}
	s.filter.Where = func(e *audit.Entry) bool {
		a := auditEventOf(e)
		return !slices.ContainsFunc(q.Clauses, func(c fhir.Clause) bool { return !holds(&c, a, e) })
	}
	return s, nil
}

// narrow hands the log what it can look up: fewer entries are read then.
func (s *auditSearch) narrow(c *fhir.Clause) {
	if len(c.Values) != 1 || c.Modifier != "" && c.Modifier != "identifier" {
		return
	}
	f, t := &s.filter, &c.Values[0]
	switch c.Param.Code {
	case "_id":
		f.ID = t.Code
	case "entity", "patient":
		if t.Text == "" && c.Modifier == "" && t.System != "" {
			f.Entity = t.System + "/" + t.Code
		}
	case "altid":
		f.AccessKeyID = t.Code
	case "date":
		low, high := time.UnixMicro(t.When.Low), time.UnixMicro(t.When.High)
		switch t.Prefix {
		case "eq":
			later(f, low)
			sooner(f, high)
		case "ge", "gt", "sa":
			later(f, low)
		case "le", "lt", "eb":
			sooner(f, high)
		}
	}
}

func later(f *audit.Filter, t time.Time) {
	if f.Start.IsZero() || t.After(f.Start) {
		f.Start = t
	}
}

func sooner(f *audit.Filter, t time.Time) {
	if f.End.IsZero() || t.Before(f.End) {
		f.End = t
	}
}

// holds decides on one event: one of the values, or, with :not, none of them.
func holds(c *fhir.Clause, a *auditEvent, e *audit.Entry) bool {
	var has []auditValue
	if c.Param.Code != "date" {
		has = auditParams[c.Param.Code](a)
	}
	any := slices.ContainsFunc(c.Values, func(t fhir.Term) bool {
		if c.Param.Code == "date" {
			return dated(&t, e.Time.UnixMicro())
		}
		return slices.ContainsFunc(has, func(v auditValue) bool { return v.is(c, &t) })
	})
	return any != (c.Modifier == "not")
}

func (v auditValue) is(c *fhir.Clause, t *fhir.Term) bool {
	if v.code == "" {
		return false
	}
	switch c.Param.Type {
	case fhir.StringParam:
		have, want := fhir.Fold(v.code), fhir.Fold(t.Text)
		switch c.Modifier {
		case "exact":
			return v.code == t.Text
		case "contains":
			return strings.Contains(have, want)
		}
		return strings.HasPrefix(have, want)
	case fhir.URIParam:
		return v.code == t.Text
	case fhir.ReferenceParam:
		if t.Text != "" { // an ARN where R4 wants a reference: nothing else names the caller
			return v.identified && v.code == t.Text
		}
		if c.Modifier != "identifier" {
			return !v.identified && (t.System == "" || t.System == v.system) && t.Code == v.code
		}
		if !v.identified {
			return false
		}
	}
	return (t.AnySystem || t.System == v.system) && (t.AnyCode || t.Code == v.code)
}

// dated compares an instant with a search's date (R4 search #prefix).
func dated(t *fhir.Term, at int64) bool {
	switch t.Prefix {
	case "eq":
		return at >= t.When.Low && at <= t.When.High
	case "ne":
		return at < t.When.Low || at > t.When.High
	case "gt", "sa":
		return at > t.When.High
	case "lt", "eb":
		return at < t.When.Low
	case "ge":
		return at >= t.When.Low
	case "le":
		return at <= t.When.High
	}
	margin := (t.When.High - t.When.Low) / 10 // ap
	return at >= t.When.Low-margin && at <= t.When.High+margin
}
