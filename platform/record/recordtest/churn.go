package recordtest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// churn puts, reads and purges the same volatile records from many sides without locks: a reader sees a whole record or none.
func churn(t *testing.T, b Backend) {
	s := b.open(t)
	defer s.Close() //nolint:errcheck // test
	must(t, s.CreateSpace(t.Context(), "a", ref()))
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 150 {
				id := fmt.Sprint(i % 3)
				_, err := s.Update(t.Context(), "a", nil, func(tx record.Tx) error {
					v, err := tx.Get("test.lease", id)
					if err == nil && string(v.Body) != id {
						return errs.New(errs.Internal, "record %s holds %q", id, v.Body)
					}
					if err != nil && !errs.Is(err, errs.NotFound) {
						return err
					}
					if (g+i)%3 == 0 {
						if err := tx.Purge("test.lease", id); !errs.Is(err, errs.NotFound) {
							return err
						}
						return nil
					}
					_, err = tx.Put(record.Put{Kind: "test.lease", ID: id, Body: []byte(id), Expect: record.Any})
					return err
				})
				if err != nil && !errs.Is(err, errs.Throttled) {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
}
