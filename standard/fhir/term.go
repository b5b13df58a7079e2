package fhir

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Term is one value of a search parameter, after its prefix was taken off.
type Term struct {
	Prefix string // "eq" (also when none was given), "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"; numbers, dates and quantities only

	Missing bool   // :missing=true
	Text    string // string, uri, :text; of a reference: an absolute or canonical URL

	System    string // token and quantity unit; of a reference: the type, "" = not given
	Code      string // token and quantity unit; of a reference: the id
	AnySystem bool   // no "|" was given
	AnyCode   bool   // "system|" only; of a quantity: no unit was given

	Number    float64 // exactly as given
	Low, High float64 // the range [Low, High) that its precision implies (R4 search #number)
	When      Span
	Parts     []Term // composite
}

func parseTerm(p *Param, mod, target, s string) (Term, error) {
	if s == "" {
		return Term{}, errors.New("the value is empty")
	}
	if p.Type == CompositeParam {
		parts := splitEscaped(s, '$')
		if len(parts) != len(p.Components) {
			return Term{}, fmt.Errorf("a value of %s has %d parts joined by $", p.Code, len(p.Components))
		}
		t := Term{}
		for k, part := range parts {
			sub, err := parseTerm(&Param{Code: p.Code, Type: p.Components[k]}, "", "", part)
			if err != nil {
				return Term{}, err
			}
			t.Parts = append(t.Parts, sub)
		}
		return t, nil
	}
	typ := p.Type
	switch mod {
	case "text":
		return Term{Text: unescapeTerm(s)}, nil
	case "identifier":
		typ = TokenParam
	}
	switch typ {
	case TokenParam:
		return tokenTerm(s)
	case StringParam, URIParam:
		return Term{Text: unescapeTerm(s)}, nil
	case ReferenceParam:
		return referenceTerm(p, target, unescapeTerm(s))
	case DateParam:
		t, s := prefix(s)
		var ok bool
		// A "+" that the sender did not escape arrives as a space.
		if t.When, ok = parseDate(strings.Replace(s, " ", "+", 1), searchDate); !ok {
			return Term{}, errors.New("a date is YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm[:ss][zone], with a prefix such as ge")
		}
		return t, nil
	case NumberParam:
		t, s := prefix(s)
		return t, t.number(s)
	case QuantityParam:
		t, s := prefix(s)
		f := splitEscaped(s, '|')
		if len(f) != 1 && len(f) != 3 {
			return Term{}, errors.New("a quantity is number, number|system|code or number||code")
		}
		t.AnyCode = len(f) == 1
		if len(f) == 3 {
			t.System, t.Code = unescapeTerm(f[1]), unescapeTerm(f[2])
			t.AnySystem = t.System == ""
			t.AnyCode = t.Code == "" && t.System == ""
		}
		return t, t.number(f[0])
	}
	return Term{}, fmt.Errorf("%s parameters are not supported", p.Type)
}

func tokenTerm(s string) (Term, error) {
	f := splitEscaped(s, '|')
	switch len(f) {
	case 1:
		return Term{Code: unescapeTerm(f[0]), AnySystem: true}, nil
	case 2:
		t := Term{System: unescapeTerm(f[0]), Code: unescapeTerm(f[1]), AnyCode: f[1] == ""}
		if t.AnyCode && t.System == "" {
			return Term{}, errors.New("a token is code, system|code, |code or system|")
		}
		return t, nil
	}
	return Term{}, errors.New("a token is code, system|code, |code or system|")
}

func referenceTerm(p *Param, target, s string) (Term, error) {
	if typ, id, ok := localReference(s); ok {
		if target != "" && target != typ {
			return Term{}, fmt.Errorf("the reference is to %s, the parameter says %s", typ, target)
		}
		return Term{System: typ, Code: id}, nil
	}
	if strings.ContainsAny(s, ":/|") {
		return Term{Text: s}, nil
	}
	if !IsID(s) {
		return Term{}, errors.New("a reference is id, Type/id or a URL")
	}
	t := Term{System: target, Code: s}
	if target == "" && len(p.Targets) == 1 {
		t.System = p.Targets[0]
	}
	return t, nil
}

func prefix(s string) (Term, string) {
	if len(s) > 2 {
		switch s[:2] {
		case "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap":
			return Term{Prefix: s[:2]}, s[2:]
		}
	}
	return Term{Prefix: "eq"}, s
}

var errNumber = errors.New("a number is expected, such as 5.40 or 1e-3, with a prefix such as ge")

// number reads decimal text and the range that its precision implies: 100 is [99.5, 100.5), 100.00 is [99.995, 100.005), 1e2 is [95, 105).
func (t *Term) number(s string) error {
	mantissa, exp, hasExp := strings.Cut(strings.ToLower(s), "e")
	e := 0
	if hasExp {
		var err error
		if e, err = strconv.Atoi(exp); err != nil || e > 300 || e < -300 {
			return errNumber
		}
		e--
	}
	whole, frac, _ := strings.Cut(strings.TrimLeft(mantissa, "+-"), ".")
	if whole == "" || len(whole)+len(frac) > 100 || strings.Trim(whole+frac, "0123456789") != "" {
		return errNumber
	}
	v, ok := new(big.Rat).SetString(s)
	if !ok {
		return errNumber
	}
	half := new(big.Rat).SetFrac64(1, 2)
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(e-len(frac), len(frac)-e))), nil)
	if e >= len(frac) {
		half.Mul(half, new(big.Rat).SetInt(scale))
	} else {
		half.Quo(half, new(big.Rat).SetInt(scale))
	}
	t.Number, _ = v.Float64()
	t.Low, _ = new(big.Rat).Sub(v, half).Float64()
	t.High, _ = new(big.Rat).Add(v, half).Float64()
	return nil
}

// splitEscaped splits at sep where no backslash stands before it (R4 search #escaping).
func splitEscaped(s string, sep byte) []string {
	var out []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

func unescapeTerm(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`,|$\`, s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
