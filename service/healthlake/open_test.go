package healthlake

import (
	"testing"

	"github.com/galen-health/galen/platform/record"
)

func openRecords(t testing.TB) record.Store { return newMem() }
