package duck

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	galensql "github.com/galen-health/galen/platform/sql"
)

// Bounds of a page.
const (
	pageRows  = 1000
	pageBytes = 1 << 20
)

func pages(rows *sql.Rows, send func(*galensql.Message) error) error {
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	columns := make([]galensql.Column, len(types))
	for i, t := range types {
		columns[i] = galensql.Column{Name: t.Name(), Type: athenaType(t.DatabaseTypeName())}
	}
	if err := send(&galensql.Message{Columns: columns}); err != nil {
		return err
	}
	values := make([]any, len(types))
	targets := make([]any, len(types))
	for i := range values {
		targets[i] = &values[i]
	}
	var page [][]*string
	size := 0
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		row := make([]*string, len(values))
		for i, v := range values {
			if v != nil {
				s := text(v, types[i].DatabaseTypeName())
				row[i] = &s
				size += len(s)
			}
		}
		if page = append(page, row); len(page) >= pageRows || size >= pageBytes {
			if err := send(&galensql.Message{Rows: page}); err != nil {
				return err
			}
			page, size = nil, 0
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return send(&galensql.Message{Columns: columns, Rows: page, End: true})
}

// athenaType is the type that Athena's result metadata names.
func athenaType(t string) string {
	switch base, _, _ := strings.Cut(t, "("); {
	case strings.HasSuffix(t, "]"):
		return "array"
	case base == "MAP":
		return "map"
	case base == "STRUCT", base == "UNION":
		return "row"
	case base == "DECIMAL":
		return "decimal"
	default:
		switch t {
		case "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DOUBLE", "DATE":
			return strings.ToLower(t)
		case "UTINYINT", "USMALLINT":
			return "integer"
		case "UINTEGER":
			return "bigint"
		case "HUGEINT", "UHUGEINT", "UBIGINT":
			return "decimal"
		case "FLOAT":
			return "float"
		case "BLOB":
			return "varbinary"
		case "TIME":
			return "time"
		case "TIMESTAMPTZ":
			return "timestamp with time zone"
		}
		if strings.HasPrefix(t, "TIMESTAMP") {
			return "timestamp"
		}
	}
	return "varchar"
}

// duckType is DuckDB's type for a DDL type.
func duckType(t string) string {
	t = strings.ToLower(strings.TrimSpace(t))
	if in, ok := strings.CutPrefix(t, "array<"); ok {
		return duckType(strings.TrimSuffix(in, ">")) + "[]"
	}
	if in, ok := strings.CutPrefix(t, "map<"); ok {
		k, v, _ := strings.Cut(strings.TrimSuffix(in, ">"), ",")
		return "MAP(" + duckType(k) + ", " + duckType(v) + ")"
	}
	switch t {
	case "bigint", "boolean", "double", "float", "date", "timestamp", "smallint", "tinyint":
		return strings.ToUpper(t)
	case "int", "integer":
		return "INTEGER"
	}
	return "VARCHAR"
}

// text writes a value as Athena does.
func text(v any, typ string) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float32:
		return float(float64(v), 32)
	case float64:
		return float(v, 64)
	case []byte:
		return spaced(hex.EncodeToString(v))
	case *big.Int:
		return v.String()
	case time.Time:
		switch typ {
		case "DATE":
			return v.Format("2006-01-02")
		case "TIME":
			return v.Format("15:04:05.000")
		case "TIMESTAMPTZ":
			return v.UTC().Format("2006-01-02 15:04:05.000 UTC")
		}
		return v.Format("2006-01-02 15:04:05.000")
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = inner(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case duckdb.Map:
		parts := make([]string, 0, len(v))
		for k, e := range v {
			parts = append(parts, inner(k)+"="+inner(e))
		}
		sort.Strings(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	case duckdb.OrderedMap:
		parts := make([]string, 0, v.Len())
		keys, values := v.Keys(), v.Values()
		for i := range keys {
			parts = append(parts, inner(keys[i])+"="+inner(values[i]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case map[string]any: // a row; its order is not told
		parts := make([]string, 0, len(v))
		for k, e := range v {
			parts = append(parts, k+"="+inner(e))
		}
		sort.Strings(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

func inner(v any) string {
	if v == nil {
		return "null"
	}
	return text(v, "")
}

// float writes a number as Java does, as Athena's engine is Java: 1.0, 1.0E7, NaN, Infinity.
func float(f float64, bits int) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0 || math.Abs(f) >= 1e-3 && math.Abs(f) < 1e7:
		s := strconv.FormatFloat(f, 'f', -1, bits)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	m, e, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, bits), "E")
	if !strings.Contains(m, ".") {
		m += ".0"
	}
	n, _ := strconv.Atoi(e)
	return m + "E" + strconv.Itoa(n)
}

// spaced puts a space between bytes: 0a 1b.
func spaced(h string) string {
	var b strings.Builder
	for i := 0; i+1 < len(h); i += 2 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(h[i : i+2])
	}
	return b.String()
}
