package record

// Query asks for a page of records of one kind.
type Query struct {
	Kind  string
	Where Expr    // nil = all
	Order []Order // nil = by pid ascending (order of creation); pid always breaks ties
	After Cursor  // "" = from the start; opaque, made by a previous Page of the same query
	Limit int     // 1 … 10,000
	// IDsOnly leaves bodies out.
	IDsOnly bool
}

// Order sorts by an index: ascending by a record's smallest value, descending by its largest. Records without the index come last.
type Order struct {
	Index string // "" = by pid; "@time" = by commit time of the current version
	Desc  bool
}

// Cursor is where a page ended. It is plain bytes without secrets; a service that hands it out authenticates or validates it itself.
type Cursor string

// Page is one page of matches. Bodies may be kept.
type Page struct {
	Hits []Version
	Next Cursor // "" = no more
}

// Expr is a node of the query algebra. The node types below are all there are.
type Expr interface{ expr() }

type (
	// And matches when all do; an empty And matches everything.
	And []Expr
	// Or matches when any does; an empty Or matches nothing.
	Or []Expr
	// Not matches records (of the query's kind) that its operand does not.
	Not struct{ Expr Expr }
	// Match matches records with exactly this value in the index. For tokens, the value says which part must be equal:
	// Token(system, code), TokenCode(code) in any system, TokenSystem(system) with any code.
	Match struct {
		Index string
		Value Value
	}
	// Prefix matches String and URI values that start so.
	Prefix struct {
		Index string
		Value Value
	}
	// Contains matches String values that contain the text; it scans the index.
	Contains struct {
		Index string
		Text  string
	}
	// Range matches values v of an ordered type with Low ≤ v ≤ High (or strict, by the Open flags). nil = unbounded. For Period values Range
	// bounds the start, and End (when set) bounds the end of the same value. Head, when set, restricts to Pair values whose
	// first component equals it, the bounds then applying to the second.
	Range struct {
		Index             string
		Low, High         Value // "" = unbounded
		LowOpen, HighOpen bool
		EndLow, EndHigh   Value // "" = unbounded; for Period values only, inclusive
		Head              Value // "" = not a Pair
	}
	// Missing matches records with no entry in the index.
	Missing struct{ Index string }
	// IDs matches the records with these ids.
	IDs []string
	// Join matches records whose reference values in Index point to a record of Kind that matches Where.
	Join struct {
		Index string
		Kind  string
		Where Expr
	}
	// JoinBack matches records that a record of Kind matching Where points to by its Index.
	JoinBack struct {
		Kind  string
		Index string
		Where Expr
	}
	// TimeRange matches records whose current version was committed in [Low, High], microseconds since 1970 UTC.
	TimeRange struct{ Low, High int64 }
)

func (And) expr()       {}
func (Or) expr()        {}
func (Not) expr()       {}
func (Match) expr()     {}
func (Prefix) expr()    {}
func (Contains) expr()  {}
func (Range) expr()     {}
func (Missing) expr()   {}
func (IDs) expr()       {}
func (Join) expr()      {}
func (JoinBack) expr()  {}
func (TimeRange) expr() {}
