package sql

import (
	"context"
	"io"
	"time"
)

// Database is a named set of tables.
type Database struct{ Name, Description string }

// Column of a table or of a result; Type is a type of Athena's DDL: "string", "bigint", "array<string>", "map<string,string>".
type Column struct{ Name, Type, Comment string }

// Table is a table as a service publishes it.
type Table struct {
	Database, Name, Description string
	Columns                     []Column
	Created                     time.Time
	// Action on Resource is what a caller needs to read rows.
	Action, Resource string
	// Key is the ARN of the KMS key that the rows are under: what is computed from them is kept under it too.
	Key   string
	Files []File
}

// File is one Parquet file of a table.
type File struct {
	Size int64
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Catalog is what a service publishes. It gives what exists; whether the caller may read a table's rows is asked by who runs the query.
type Catalog interface {
	Databases(ctx context.Context) ([]Database, error)
	// Tables are those of a database, without files. errs.NotFound.
	Tables(ctx context.Context, database string) ([]Table, error)
	// Table is one of them with its files, as of one moment. errs.NotFound.
	Table(ctx context.Context, database, name string) (*Table, error)
}
