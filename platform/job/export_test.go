package job

import (
	"context"
	"time"

	"github.com/galen-health/galen/platform/record"
)

// LeftBy makes a job look as a process of a server left it that died: running under that owner until a time, or waiting for one.
func LeftBy(ctx context.Context, s record.Store, space record.Space, kind, id string, state State, server string, until time.Time) error {
	_, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
		_, err := jobs.Change(tx, recordID(kind, id), func(j *stored) error {
			j.State, j.NotBefore, j.Attempt = state, until, 1
			if state == Running {
				j.Owner, j.Until, j.NotBefore = server+"/its process", until, time.Time{}
			}
			return nil
		})
		return err
	})
	return err
}
