package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/galen-health/galen/platform/errs"
)

// lost reports that the connection is gone, or the server is about to end it: what was asked may be asked again on another one.
func lost(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !mute(err) {
		return false
	}
	if errors.Is(err, errLost) {
		return true
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "57P01", "57P02", "57P03", "57P05", "25P03": // shut down, crashed, starting, ended for being idle
			return true
		}
		return strings.HasPrefix(pg.Code, "08")
	}
	var refused *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &refused) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		strings.Contains(err.Error(), "conn closed")
}

// mute reports that a server did not answer to a new connection in time, which is no time limit of the caller's.
func mute(err error) bool {
	var refused *pgconn.ConnectError
	return errors.As(err, &refused) && !errors.Is(err, context.Canceled)
}

// scarce reports that the server has no connection left: another client's may end soon.
func scarce(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "53300"
}

// repeatable reports that the server asks for another try.
func repeatable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// failure gives the driver's errors our codes; errors that have one keep it. The server's own words may quote values, so they stay causes, which nobody is shown.
func failure(err error) error {
	var ours *errs.Error
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !mute(err):
		return err
	case errors.As(err, &pg):
		return answer(pg)
	}
	return errs.Wrap(errs.Unavailable, err, "the record database cannot be reached: see that PostgreSQL runs and that --records names it")
}

// answer translates what PostgreSQL answered (its manual, appendix A).
func answer(pg *pgconn.PgError) error {
	switch pg.Code {
	case "28P01", "28000":
		return errs.Wrap(errs.Denied, pg, "PostgreSQL refuses the user or password of --records: correct them, or the server's pg_hba.conf")
	case "3D000":
		return errs.Wrap(errs.NotFound, pg, "the database of --records does not exist: make it with CREATE DATABASE, owned by Galen's user")
	case "42501":
		return errs.Wrap(errs.Denied, pg, "the user of --records lacks rights in the database: make it the owner, or GRANT it CREATE on the database and all on the schema galen")
	case "25006":
		return errs.Wrap(errs.Unavailable, pg, "the record database takes no writes: it is a standby (name the primary in --records), or default_transaction_read_only is on (set it off; some hosts set it when the disk is full)")
	case "53300":
		return errs.Wrap(errs.Unavailable, pg, "PostgreSQL has no connection left: raise max_connections, or lower pool_max_conns in --records")
	case "53100":
		return errs.Wrap(errs.Exhausted, pg, "the disk of the record database is full")
	case "57014":
		return errs.Wrap(errs.Timeout, pg, "PostgreSQL ended a statement for taking too long")
	case "42P01", "42703", "3F000":
		return errs.Wrap(errs.Corrupt, pg, "a table or column of the schema galen is missing: restore the database from a backup")
	case "XX001", "XX002":
		return errs.Wrap(errs.Corrupt, pg, "PostgreSQL reports damaged data (%s): restore the database from a backup", pg.Code)
	}
	return errs.Wrap(errs.Unavailable, pg, "the record database cannot serve (SQLSTATE %s): see PostgreSQL's log", pg.Code)
}
