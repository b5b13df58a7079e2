package omics

import (
	"github.com/galen-health/galen/platform/record"
)

// empty reports whether no record of a kind has this code.
func empty(tx record.Tx, kind, index, code string, more ...record.Expr) (bool, error) {
	where := append(record.And{record.Match{Index: index, Value: record.Token("", code)}}, more...)
	p, err := tx.Query(record.Query{Kind: kind, Where: where, Limit: 1, IDsOnly: true})
	return err == nil && len(p.Hits) == 0, err
}

// count counts the records of a kind up to a bound.
func count(tx record.Tx, kind string, most int) (int, error) {
	p, err := tx.Query(record.Query{Kind: kind, Limit: most, IDsOnly: true})
	if err != nil {
		return 0, err
	}
	return len(p.Hits), nil
}
