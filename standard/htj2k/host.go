package htj2k

import (
	"context"
	"errors"
	"strings"

	"github.com/tetratelabs/wazero/api"
)

// errThrown is what a C++ exception becomes: the call fails and its instance with it.
var errThrown = errors.New("the codec refused the code stream")

type hostFunc func(ctx context.Context, in *instance, a []uint64)

func (f hostFunc) module() api.GoModuleFunction {
	return api.GoModuleFunc(func(ctx context.Context, _ api.Module, stack []uint64) {
		f(ctx, ctx.Value(instanceKey{}).(*instance), stack)
	})
}

// hostFunction answers an import: the part of emscripten's runtime and of embind that the codecs use. a holds the parameters, of which
// only the lower half counts when they are 32 bits wide, and takes the result at its start.
func hostFunction(what string) (hostFunc, error) {
	var f hostFunc
	switch what {
	case "":
		return nil, errors.New("it is not known")
	case "___cxa_throw", "___cxa_rethrow", "___resumeException":
		f = func(_ context.Context, in *instance, a []uint64) { panic(errThrown) }
	case "__abort_js":
		f = func(context.Context, *instance, []uint64) { panic(errors.New("the codec aborted")) }
	case "__embind_register_class":
		f = func(_ context.Context, in *instance, a []uint64) {
			in.classOf(uint32(a[0])).name = in.text(uint32(a[10]))
		}
	case "__embind_register_class_constructor":
		f = func(_ context.Context, in *instance, a []uint64) {
			c := in.classOf(uint32(a[0]))
			if uint32(a[1]) == 1 { // without arguments
				c.construct = method{in.text(uint32(a[3])), uint32(a[4]), 0}
				c.constructor = uint32(a[5])
			}
		}
	case "__embind_register_class_function":
		f = func(_ context.Context, in *instance, a []uint64) {
			in.classOf(uint32(a[0])).methods[in.text(uint32(a[1]))] = method{in.text(uint32(a[4])), uint32(a[5]), uint32(a[6])}
		}
	case "__embind_register_value_object":
		f = func(_ context.Context, in *instance, a []uint64) {
			in.records[uint32(a[0])] = &record{name: in.text(uint32(a[1])), make: method{in.text(uint32(a[2])), uint32(a[3]), 0}, fields: map[string]field{}}
		}
	case "__embind_register_value_object_field":
		f = func(_ context.Context, in *instance, a []uint64) {
			if r := in.records[uint32(a[0])]; r != nil {
				r.fields[in.text(uint32(a[1]))] = field{
					get: method{in.text(uint32(a[3])), uint32(a[4]), uint32(a[5])},
					set: method{in.text(uint32(a[7])), uint32(a[8]), uint32(a[9])},
				}
			}
		}
	case "__emval_take_value": // (type, argv): argv of a memory view is its size and place
		f = func(_ context.Context, in *instance, a []uint64) {
			in.view = view{in.u32(uint32(a[1])), in.u32(uint32(a[1]) + 4)}
			a[0] = viewHandle
		}
	case "__emval_call": // (caller, handle, destructors, args): makes a view from size and place
		f = func(_ context.Context, in *instance, a []uint64) {
			in.view = view{in.u32(uint32(a[3])), in.u32(uint32(a[3]) + 4)}
			a[0] = api.EncodeF64(viewHandle)
		}
	case "__emval_get_global", "__emval_get_method_caller":
		f = func(_ context.Context, _ *instance, a []uint64) { a[0] = viewHandle }
	case "_emscripten_resize_heap":
		f = func(_ context.Context, in *instance, a []uint64) {
			want, have := uint64(uint32(a[0])), uint64(in.memory.Size())
			a[0] = 1
			if want > have {
				if _, ok := in.memory.Grow(uint32((want - have + 65535) / 65536)); !ok {
					a[0] = 0
				}
			}
		}
	case "_emscripten_get_heap_max":
		f = func(_ context.Context, _ *instance, a []uint64) { a[0] = memoryPages*65536 - 1 }
	case "__emscripten_memcpy_js": // (dest, src, n)
		f = func(_ context.Context, in *instance, a []uint64) {
			src, ok := in.memory.Read(uint32(a[1]), uint32(a[2]))
			if !ok || !in.memory.Write(uint32(a[0]), src) {
				panic(errors.New("the codec copies outside of its memory"))
			}
		}
	case "_fd_write": // (fd, iovs, n, written): messages of the codec are dropped, but counted, else it would print for ever
		f = func(_ context.Context, in *instance, a []uint64) {
			total := uint32(0)
			for i := uint32(0); i < min(uint32(a[2]), 1024); i++ {
				total += in.u32(uint32(a[1]) + 8*i + 4)
			}
			in.memory.WriteUint32Le(uint32(a[3]), total)
			a[0] = 0
		}
	case "_environ_sizes_get":
		f = func(_ context.Context, in *instance, a []uint64) {
			in.memory.WriteUint32Le(uint32(a[0]), 0)
			in.memory.WriteUint32Le(uint32(a[1]), 0)
			a[0] = 0
		}
	case "_fd_close", "_environ_get", "___cxa_begin_catch", "_llvm_eh_typeid_for",
		"___cxa_find_matching_catch_2", "___cxa_find_matching_catch_3", "___cxa_find_matching_catch_5":
		f = func(_ context.Context, _ *instance, a []uint64) { a[0] = 0 }
	case "_fd_seek":
		f = func(_ context.Context, _ *instance, a []uint64) { a[0] = 70 } // not a seekable file
	default:
		sig, isInvoke := strings.CutPrefix(what, "invoke_")
		switch {
		case isInvoke: // call through the table; in the browser it would catch exceptions, here they end the instance
			f = func(ctx context.Context, in *instance, a []uint64) {
				out, err := in.callTable(ctx, uint32(a[0]), sig, append([]uint64(nil), a[1:len(sig)]...))
				if err != nil {
					panic(err)
				}
				if len(out) > 0 {
					a[0] = out[0]
				}
			}
		case strings.HasPrefix(what, "__embind_"), strings.HasPrefix(what, "__emval_"), what == "___cxa_end_catch":
			f = func(context.Context, *instance, []uint64) {} // registrations and reference counts that nothing here needs
		default:
			return nil, errors.New("nothing answers " + what)
		}
	}
	return f, nil
}

// viewHandle stands for every JavaScript value: the only ones that the codecs hand out are memory views.
const viewHandle = 11

func (in *instance) classOf(raw uint32) *class {
	c := in.classes[raw]
	if c == nil {
		c = &class{methods: map[string]method{}}
		in.classes[raw] = c
	}
	return c
}
