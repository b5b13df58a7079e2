package audit

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/galen-health/galen/platform/errs"
)

// errLater: the process lacks something for the moment, and nothing is wrong with the log. The entries wait in the journal.
var errLater = errors.New("not now")

// ground looks at what the tree's writer takes for granted, right before it is given entries: that its lock can be opened (it panics otherwise) and that its state is the one it
// left (it takes a lost state for a new log, and writes over the entries from number 0). Only who grows the tree may call it.
func (m *Merkle) ground() error {
	lock, err := os.OpenFile(filepath.Join(m.cfg.Dir, logFolder, ".state", "treeState.lock"), os.O_RDWR, 0)
	if err == nil {
		err = lock.Close()
	}
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM) {
		return errors.Join(errLater, err)
	}
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "the folder of the audit log is gone or cannot be written; nothing is served without it")
	}
	s, there, err := readState(m.cfg.Dir)
	switch {
	case err != nil:
		return err
	case !there:
		return errs.New(errs.Corrupt, "the state of the audit log's tree is gone; nothing is served without it")
	case s.Size != m.size:
		return errs.New(errs.Corrupt, "the state of the audit log's tree has %d entries, not the %d that were written: the folder was exchanged while the server ran", s.Size, m.size)
	}
	return nil
}

// lockable makes the lock of the tree's writer, or says why it cannot be opened: the writer panics then.
func lockable(dir string) error {
	state := filepath.Join(dir, logFolder, ".state")
	err := os.MkdirAll(state, 0o700)
	if err == nil {
		var lock *os.File
		if lock, err = os.OpenFile(filepath.Join(state, "treeState.lock"), os.O_RDWR|os.O_CREATE, 0o600); err == nil {
			err = lock.Close()
		}
	}
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "the folder of the audit log cannot be written")
	}
	return nil
}
