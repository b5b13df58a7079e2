package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/galen-health/galen/app"
	"github.com/galen-health/galen/platform/backup"
)

type backupCmd struct {
	Endpoint string `env:"AWS_ENDPOINT_URL" default:"http://127.0.0.1:8484" help:"The running server, when it is asked."`
	Region   string `default:"us-east-1" env:"GALEN_REGION" help:"Region that the server runs with."`
	DataDir  string `name:"data-dir" help:"Back up this data folder, its server stopped; without it the running server is asked to, which needs the right galen:Backup." type:"path"`
	KeysDir  string `name:"keys-dir" env:"GALEN_KEYS_DIR" type:"path" help:"Folder of the key ring that the server ran with; keys/ in the data folder when empty."`
	RootKey  string `name:"root-key" env:"GALEN_ROOT_KEY_FROM" help:"Where the root key is, as galen serve had it."`
	Records  string `env:"GALEN_RECORDS" help:"With --data-dir: the record back end that the server ran with."`
	Blobs    string `env:"GALEN_BLOBS" help:"With --data-dir: the blob back end that the server ran with."`
	Account  string `default:"000000000000" env:"GALEN_ACCOUNT_ID" help:"With --data-dir: the account id that the server ran with."`
	JSON     bool   `help:"Print one JSON document."`
	Dest     string `arg:"" help:"Folder on the server's machine, or s3://BUCKET/PREFIX?endpoint=URL&region=REGION with the credentials in the server's environment. What is there from earlier backups is not copied again."`
}

// place makes a folder's name absolute.
func place(at string) (string, error) {
	if strings.HasPrefix(at, "s3:") {
		return at, nil
	}
	return filepath.Abs(at)
}

// Run makes a backup and says what is in it.
func (c *backupCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dest, err := place(c.Dest)
	if err != nil {
		return err
	}
	show := newProgress("backup")
	var rep *backup.Report
	if c.DataDir != "" {
		var r backup.Report
		r, err = app.Backup(ctx, app.Config{DataDir: c.DataDir, KeysDir: c.KeysDir, RootKey: c.RootKey, Records: c.Records, Blobs: c.Blobs, Addr: "127.0.0.1:8484", Account: c.Account, Region: c.Region}, version, newLogger("error", "text"), dest, show.tell)
		rep = &r
	} else {
		err = target{c.Endpoint, c.Region}.follow(ctx, "/admin/backup", url.Values{"to": {dest}}, func(l app.Line) {
			if l.Progress != nil {
				show.tell(*l.Progress)
			}
			rep = l.Backup
		})
		if err == nil && rep == nil {
			err = errors.New("the server's answer broke off: run the backup again, it goes on from what is there")
		}
	}
	show.clear()
	if err != nil {
		return err
	}
	if c.JSON {
		printJSON(rep)
	} else {
		n := rep.Count
		fmt.Printf("%s shows %s: %d records in %d versions, %d blobs; new: %d bytes of records and files, %d blobs of %d bytes\n", rep.Point, rep.Time.Format(time.RFC3339Nano), n.Records, n.Versions, n.Blobs, rep.Written, rep.NewBlobs, rep.NewBytes)
		for _, f := range rep.Faults {
			fmt.Println("not in the backup: " + f + " → run galen verify")
		}
	}
	if len(rep.Faults) > 0 {
		return fmt.Errorf("%d blobs are damaged and are not in the backup", len(rep.Faults))
	}
	return nil
}

// rootFlag is where the root key comes from.
type rootFlag struct {
	RootKey string `name:"root-key" env:"GALEN_ROOT_KEY_FROM" help:"Where the root key is, as galen serve had it when the backup was made; without it GALEN_ROOT_KEY has it."`
}

type restoreCmd struct {
	rootFlag
	DataDir string `name:"data-dir" required:"" env:"GALEN_DATA_DIR" type:"path" help:"Empty folder to restore to, or one whose restore was cut off."`
	KeysDir string `name:"keys-dir" env:"GALEN_KEYS_DIR" type:"path" help:"Restore the key ring to this folder, which has none; keys/ in the data folder when empty."`
	Records string `env:"GALEN_RECORDS" help:"Restore the records to this back end (postgres://…), an empty database."`
	Blobs   string `env:"GALEN_BLOBS" help:"Restore the blobs to this back end (s3://…)."`
	Account string `default:"000000000000" env:"GALEN_ACCOUNT_ID" help:"Account id that the server ran with."`
	Region  string `default:"us-east-1" env:"GALEN_REGION" help:"Region that the server ran with."`
	At      string `help:"State of this time (2026-01-31T13:45:00Z); without it the newest backup's."`
	JSON    bool   `help:"Print one JSON document."`
	From    string `arg:"" help:"Where the backup is: a folder, or s3://…"`
}

// Run restores and says what.
func (c *restoreCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var at time.Time
	if c.At != "" {
		var err error
		if at, err = time.Parse(time.RFC3339Nano, c.At); err != nil {
			return fmt.Errorf("--at is a time such as 2026-01-31T13:45:00Z or 2026-01-31T13:45:00.123456+01:00, not %q", c.At)
		}
		if at.Nanosecond() == 0 { // a second is meant with all that was committed in it
			at = at.Add(time.Second - time.Microsecond)
		}
	}
	from, err := place(c.From)
	if err != nil {
		return err
	}
	show := newProgress("restore")
	r, err := app.Restore(ctx, app.Config{DataDir: c.DataDir, KeysDir: c.KeysDir, RootKey: c.RootKey, Records: c.Records, Blobs: c.Blobs, Account: c.Account, Region: c.Region}, from, at, show.tell)
	show.clear()
	if err != nil {
		return err
	}
	if c.JSON {
		printJSON(r)
		return nil
	}
	fmt.Printf("restored %s as of %s: %d records in %d versions, %d blobs\n", c.DataDir, r.At.Format(time.RFC3339Nano), r.Count.Records, r.Count.Versions, r.Count.Blobs)
	for _, s := range r.Lost {
		fmt.Printf("without %s: its key was deleted, so nobody can open it\n", s)
	}
	fmt.Println("next: galen verify --data-dir, then galen serve, both with the root key as here (--root-key or GALEN_ROOT_KEY)")
	return nil
}

type checkBackupCmd struct {
	rootFlag
	Account string `default:"000000000000" env:"GALEN_ACCOUNT_ID" help:"Account id that the server ran with."`
	Region  string `default:"us-east-1" env:"GALEN_REGION" help:"Region that the server ran with."`
	From    string `arg:"" help:"Where the backup is: a folder, or s3://…"`
}

// Run reads a whole backup, prints a line a fault and fails when there is one.
func (c *checkBackupCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	from, err := place(c.From)
	if err != nil {
		return err
	}
	show, faults := newProgress("check-backup"), 0
	points, files, err := app.CheckBackup(ctx, app.Config{RootKey: c.RootKey, Account: c.Account, Region: c.Region}, from, func(line string) {
		show.clear()
		faults++
		fmt.Println(line)
	}, show.tell)
	show.clear()
	if err != nil {
		return err
	}
	if faults > 0 {
		return fmt.Errorf("%d faults in %d points, %d files", faults, points, files)
	}
	fmt.Printf("all is whole: %d points, %d files\n", points, files)
	return nil
}

type pruneBackupCmd struct {
	rootFlag
	Account  string `default:"000000000000" env:"GALEN_ACCOUNT_ID" help:"Account id that the server ran with."`
	Region   string `default:"us-east-1" env:"GALEN_REGION" help:"Region that the server ran with."`
	KeepLast int    `name:"keep-last" default:"1" help:"Keep the newest so many points, at least one."`
	KeepDays int    `name:"keep-days" help:"Keep also the points of the last so many days."`
	DryRun   bool   `name:"dry-run" help:"Remove nothing, only say what would be removed."`
	JSON     bool   `help:"Print one JSON document."`
	From     string `arg:"" help:"Where the backup is: a folder, or s3://…"`
}

// Run removes points and what only they name, and says what.
func (c *pruneBackupCmd) Run() error {
	if c.KeepLast < 1 || c.KeepDays < 0 {
		return errors.New("--keep-last is at least 1, --keep-days at least 0: the newest point is never removed")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	from, err := place(c.From)
	if err != nil {
		return err
	}
	keep := backup.Keep{Last: c.KeepLast}
	if c.KeepDays > 0 {
		keep.Since = time.Now().AddDate(0, 0, -c.KeepDays)
	}
	show := newProgress("prune-backup")
	done, err := app.PruneBackup(ctx, app.Config{RootKey: c.RootKey, Account: c.Account, Region: c.Region}, from, keep, c.DryRun, show.tell)
	show.clear()
	if err != nil {
		return err
	}
	if c.JSON {
		printJSON(done)
		return nil
	}
	did := "removed"
	if c.DryRun {
		did = "would remove"
	}
	for _, p := range done.Points {
		fmt.Println(did, p)
	}
	fmt.Printf("%s %d points, %d chunks, %d blobs, %d sealed root keys; %d points are left\n", did, len(done.Points), done.Chunks, done.Blobs, done.Roots, done.Kept)
	return nil
}
