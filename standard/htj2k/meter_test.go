package htj2k

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// loops is a module with a function that turns round as often as it is told, and for ever when told 0. It needs a global section, which
// codecs have: one i32.
var loops = []byte{
	0, 'a', 's', 'm', 1, 0, 0, 0,
	1, 5, 1, 0x60, 1, 0x7F, 0, // type: i32 → nothing
	3, 2, 1, 0, // one function
	6, 6, 1, 0x7F, 1, 0x41, 0, 0x0B, // global
	7, 7, 1, 3, 'r', 'u', 'n', 0, 0, // export
	10, 16, 1, 14, 0, // code
	0x03, 0x40, 0x20, 0, 0x41, 1, 0x6B, 0x22, 0, 0x0D, 0, 0x0B, // loop: n−1, again unless 0
	0x0B,
}

func TestLoopsAreCounted(t *testing.T) {
	metered, err := meter(loops)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	mod, err := r.Instantiate(ctx, metered)
	if err != nil {
		t.Fatal(err)
	}
	fuel := mod.ExportedGlobal(fuelExport).(api.MutableGlobal)
	fuel.Set(1000)
	if _, err := mod.ExportedFunction("run").Call(ctx, 600); err != nil || fuel.Get() != 400 {
		t.Errorf("600 turns: %v, %d left", err, fuel.Get())
	}
	if _, err := mod.ExportedFunction("run").Call(ctx, 600); err == nil {
		t.Error("600 turns with fuel for 400 came to an end")
	}
	fuel.Set(5000)
	if _, err := mod.ExportedFunction("run").Call(ctx, 0); err == nil {
		t.Error("4 billion turns came to an end")
	}
}

func FuzzMeter(f *testing.F) {
	f.Add(loops)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = meter(b)
		_, _ = hostSlots(b)
	})
}
