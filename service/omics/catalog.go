package omics

import (
	"context"
	"io"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/sql"
)

// Catalog publishes every variant store as a database of one table, named as HealthOmics names them: variant_<account>_<store id> and the store's name.
type Catalog struct{ s *Service }

var _ sql.Catalog = Catalog{}

// Catalog is what this service publishes to SQL.
func (s *Service) Catalog() Catalog { return Catalog{s} }

// readAction is what a caller needs on a variant store's ARN to read its rows.
const readAction = "lakeformation:GetDataAccess"

func (c Catalog) database(v *variantStore) string { return "variant_" + c.s.cfg.Account + "_" + v.ID }

// stores reads all variant stores, of which there are few.
func (c Catalog) stores(ctx context.Context) (out []*variantStore, err error) {
	err = c.s.view(ctx, func(view record.View) error {
		page, err := view.Query(ctx, record.Query{Kind: variantStores.Name, Limit: 10 * maxVariantStores})
		if err != nil {
			return err
		}
		for i := range page.Hits {
			v, err := variantStores.Decode(page.Hits[i].Body)
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		return nil
	})
	return out, err
}

func (c Catalog) find(ctx context.Context, database string) (*variantStore, error) {
	all, err := c.stores(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if c.database(v) == database {
			return v, nil
		}
	}
	return nil, errs.New(errs.NotFound, "there is no database with this name")
}

// Databases implements sql.Catalog.
func (c Catalog) Databases(ctx context.Context) ([]sql.Database, error) {
	all, err := c.stores(ctx)
	out := make([]sql.Database, 0, len(all))
	for _, v := range all {
		out = append(out, sql.Database{Name: c.database(v), Description: "variant store " + v.Name})
	}
	return out, err
}

func (c Catalog) table(v *variantStore) sql.Table {
	return sql.Table{Database: c.database(v), Name: v.Name, Description: v.Description, Columns: variantColumns, Created: v.Created, Action: readAction, Resource: c.s.variantStoreARN(v.Name), Key: v.SSE.Key}
}

// Tables implements sql.Catalog.
func (c Catalog) Tables(ctx context.Context, database string) ([]sql.Table, error) {
	v, err := c.find(ctx, database)
	if err != nil {
		return nil, err
	}
	return []sql.Table{c.table(v)}, nil
}

// Table implements sql.Catalog.
func (c Catalog) Table(ctx context.Context, database, name string) (*sql.Table, error) {
	v, err := c.find(ctx, database)
	if err != nil {
		return nil, err
	}
	if v.Name != name {
		return nil, errs.New(errs.NotFound, "there is no table with this name in the database")
	}
	if err := c.s.mayRead(ctx, v.SSE); err != nil {
		return nil, err
	}
	t := c.table(v)
	err = c.s.view(ctx, func(view record.View) error {
		files, err := filesOf(func(q record.Query) (*record.Page, error) { return view.Query(ctx, q) }, v.Name, "")
		for _, f := range files {
			t.Files = append(t.Files, sql.File{Size: f.File.Size, Open: func(ctx context.Context) (io.ReadCloser, error) {
				return c.s.cfg.Blobs.Open(ctx, f.File.Blob, blob.All)
			}})
		}
		return err
	})
	return &t, err
}
