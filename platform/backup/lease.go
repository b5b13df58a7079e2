package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// A folder is held by a lock. A bucket knows none, so there who writes says so in a file that it writes anew all the time: backups may run beside one another, but
// nothing runs beside a prune, which removes what a backup may count on. Each first says that it is there and looks for the others then, so that of two at least one
// sees the other. No clock is asked: whoever's beat, a second file, does not change for long has ended, or stands still; should it go on, it finds its file gone and
// gives up.
const (
	leaseFolder = "leases/"
	backups     = "backup"
	prunes      = "prune"
)

// How often a lease is written, and how long it may stay the same. Tests shorten them.
var leaseBeat, leaseStill = 15 * time.Second, time.Minute

// lease is one such file.
type lease struct {
	place Place
	name  string // "" = none is needed
	stop  context.CancelFunc
	ended chan struct{}
}

// hold says that a backup or a prune runs. errs.Conflict: what may not run beside it does.
func hold(ctx context.Context, place Place, kind string) (*lease, error) {
	if _, locked := place.(*Folder); locked {
		return &lease{}, nil
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	l := &lease{place: place, name: leaseFolder + kind + "-" + hex.EncodeToString(id[:]), ended: make(chan struct{})}
	if err := l.place.Put(ctx, l.name, strings.NewReader(kind)); err != nil {
		return nil, err
	}
	beating, stop := context.WithCancel(ctx)
	l.stop = stop
	go l.keep(beating)
	if err := l.alone(ctx, kind); err != nil {
		return nil, errors.Join(err, l.release(ctx))
	}
	return l, nil
}

// beatSuffix is that of the file that changes.
const beatSuffix = ".beat"

// keep writes the beat until it is stopped.
func (l *lease) keep(ctx context.Context) {
	defer close(l.ended)
	for n := uint64(1); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(leaseBeat):
		}
		_ = l.place.Put(ctx, l.name+beatSuffix, bytes.NewReader(binary.BigEndian.AppendUint64(nil, n))) // who misses it takes the lease for ended, and its holder finds out
	}
}

// alone makes sure that nothing runs that may not run beside this.
func (l *lease) alone(ctx context.Context, kind string) error {
	var others []string
	if err := l.place.List(ctx, leaseFolder, func(name string) error {
		if name != l.name && !strings.HasSuffix(name, beatSuffix) && (kind == prunes || strings.HasPrefix(name, leaseFolder+prunes)) {
			others = append(others, name)
		}
		return nil
	}); err != nil || len(others) == 0 {
		return err
	}
	beat := func(name string) (string, error) {
		b, err := readAll(ctx, l.place, name+beatSuffix, maxMarker)
		if errs.Is(err, errs.NotFound) {
			err = nil
		}
		return string(b), err
	}
	was := map[string]string{}
	for _, name := range others {
		var err error
		if was[name], err = beat(name); err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(leaseStill):
	}
	for _, name := range others {
		now, err := beat(name)
		if err != nil {
			return err
		}
		if now != was[name] && now != "" { // its end removes it
			what, _, _ := strings.Cut(strings.TrimPrefix(name, leaseFolder), "-")
			return errs.New(errs.Conflict, "a %s of %s runs: wait for it to end", what, l.place)
		}
		if err := remove(ctx, l.place, name); err != nil {
			return err
		}
	}
	return nil
}

func remove(ctx context.Context, place Place, lease string) error {
	return errors.Join(place.Remove(ctx, lease), place.Remove(ctx, lease+beatSuffix))
}

// still tells whether the lease is there: errs.Conflict when another took it for ended.
func (l *lease) still(ctx context.Context) error {
	if l.name == "" {
		return nil
	}
	_, err := readAll(ctx, l.place, l.name, maxMarker)
	if errs.Is(err, errs.NotFound) {
		return errs.New(errs.Conflict, "it stood still for so long that a prune of %s took it for ended: run it again", l.place)
	}
	return err
}

// release ends the lease.
func (l *lease) release(ctx context.Context) error {
	if l.name == "" {
		return nil
	}
	l.stop()
	<-l.ended
	return remove(context.WithoutCancel(ctx), l.place, l.name)
}
