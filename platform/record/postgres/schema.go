package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/errs"
)

// parts are the tables, columns and indexes of the newest format, which the migrations make.
const parts = `dropped.space
format.made format.name format.version
line.at line.one line.outbox line.pid line.seq line.space
lock.seq lock.slot
name.name name.no
outbox.at outbox.message outbox.seq
posting.index posting.kind posting.part posting.pid posting.rest posting.space posting.target posting.value
record.at record.deleted record.digest record.entries record.id record.kind record.pid record.seq record.space record.version
settled.made settled.token
space.context space.id space.key_arn space.name space.ref_key space.wrapped
store.id store.key_arn store.one store.wrapped
version.at version.body version.kind version.line version.pid version.seq version.space version.version
dropped_pkey format_pkey line_pkey lock_pkey name_name_key name_pkey outbox_pkey posting_pkey posting_record posting_target record_at
record_pkey record_space_kind_digest_key settled_made settled_pkey space_name_key space_pkey store_pkey version_history version_pkey`

// whole refuses a schema that lacks a table, column or index: somebody has changed it, or it was brought back by half. What is there too many harms nobody.
func whole(ctx context.Context, c *pgx.Conn) error {
	rows, err := c.Query(ctx, `SELECT part FROM unnest($1::text[]) part
		WHERE part NOT IN (SELECT t.relname || '.' || a.attname FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid WHERE t.relnamespace = 'galen'::regnamespace AND t.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped)
		AND part NOT IN (SELECT t.relname FROM pg_class t JOIN pg_index i ON i.indexrelid = t.oid WHERE t.relnamespace = 'galen'::regnamespace AND i.indisvalid)`, strings.Fields(parts))
	if err != nil {
		return err
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(missing) == 0 {
		return err
	}
	more := ""
	if len(missing) > 5 {
		missing, more = missing[:5], fmt.Sprintf(" and %d more", len(missing)-5)
	}
	return errs.New(errs.Corrupt, "the schema galen of the record database lacks %s%s: somebody has changed it, or it was restored by half. Restore the database from a backup", strings.Join(missing, ", "), more)
}
