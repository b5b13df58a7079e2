package htj2k

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental/table"
)

// ErrAssets says that the codec modules were not there when the program was built.
var ErrAssets = errors.New("htj2k: the codec modules are not part of this build: run make assets, then build again")

//go:embed assets
var assets embed.FS

//go:embed assets.sha256
var checksums string

// engine is one codec module, compiled once; instances of it are lent out.
type engine struct {
	file    string
	ctors   string            // export that runs the static constructors
	imports map[string]string // name in the module → what it is
	classes []string          // made once in each instance

	once     sync.Once
	err      error
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	slots    map[uint32]uint32
	host     []hostFunc // imports, by index
	free     chan *instance
}

// load compiles the module.
func (e *engine) load(ctx context.Context) error {
	e.once.Do(func() { e.err = e.compile(context.WithoutCancel(ctx)) })
	return e.err
}

func (e *engine) compile(ctx context.Context) error {
	wasm, err := assets.ReadFile("assets/" + e.file)
	if err != nil {
		return ErrAssets
	}
	sum := sha256.Sum256(wasm)
	if !strings.Contains(checksums, hex.EncodeToString(sum[:])+"  "+e.file) {
		return fmt.Errorf("htj2k: %s is not the module that was pinned: run make assets, then build again", e.file)
	}
	if e.slots, err = hostSlots(wasm); err != nil {
		return err
	}
	if wasm, err = meter(wasm); err != nil {
		return err
	}
	e.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithMemoryLimitPages(memoryPages))
	if e.compiled, err = e.runtime.CompileModule(ctx, wasm); err != nil {
		return fmt.Errorf("htj2k: %s: %w", e.file, err)
	}
	host := e.runtime.NewHostModuleBuilder("a")
	for _, def := range e.compiled.ImportedFunctions() {
		_, name, _ := def.Import()
		what := e.imports[name]
		fn, err := hostFunction(what)
		if err != nil {
			return fmt.Errorf("htj2k: %s imports %q: %w", e.file, name, err)
		}
		e.host = append(e.host, fn)
		host.NewFunctionBuilder().WithGoModuleFunction(fn.module(), def.ParamTypes(), def.ResultTypes()).Export(name)
	}
	if _, err = host.Instantiate(ctx); err != nil {
		return fmt.Errorf("htj2k: %s: %w", e.file, err)
	}
	e.free = make(chan *instance, runtime.GOMAXPROCS(0))
	return nil
}

// startFuel is what the start of an instance may use, and refuel what a frame may: turns of loops, many times what the codecs take.
const startFuel = 1 << 30

func (in *instance) refuel(f Frame) { in.fuel.Set(fuelBase + fuelPerByte*uint64(f.Bytes())) }

const (
	fuelBase    = 1 << 27
	fuelPerByte = 2000
)

const (
	memoryPages = 32768             // 2 GiB of linear memory at most
	keepPages   = 256 << 20 / 65536 // an instance that grew beyond is not kept
)

// instance is one sandbox with its codec objects. It serves one call at a time.
type instance struct {
	engine  *engine
	module  api.Module
	memory  api.Memory
	fuel    api.MutableGlobal
	table   map[uint32]api.Function
	classes map[uint32]*class  // by raw type
	objects map[string]*object // by class name
	records map[uint32]*record // value objects by raw type
	view    view               // the last memory view that the codec handed out
}

// class and record are what the codec registered of itself.
type class struct {
	name        string
	construct   method
	methods     map[string]method
	constructor uint32
}

type method struct {
	signature        string
	invoker, context uint32
}

type record struct {
	name   string
	make   method
	fields map[string]field
}

type field struct{ get, set method }

type view struct{ size, at uint32 }

// object is a codec object: its class and where it lies.
type object struct {
	*class
	at uint32
}

type instanceKey struct{}

// borrow lends an instance; give it back with release.
func (e *engine) borrow(ctx context.Context) (*instance, error) {
	if err := e.load(ctx); err != nil {
		return nil, err
	}
	select {
	case in := <-e.free:
		return in, nil
	default:
	}
	in := &instance{engine: e, table: map[uint32]api.Function{}, classes: map[uint32]*class{}, objects: map[string]*object{}, records: map[uint32]*record{}}
	ctx = context.WithValue(context.WithoutCancel(ctx), instanceKey{}, in)
	mod, err := e.runtime.InstantiateModule(ctx, e.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, fmt.Errorf("htj2k: %s: %w", e.file, err)
	}
	in.module, in.memory = mod, mod.Memory()
	in.fuel = mod.ExportedGlobal(fuelExport).(api.MutableGlobal) // meter made it
	in.fuel.Set(startFuel)
	if _, err = mod.ExportedFunction(e.ctors).Call(ctx); err == nil {
		err = in.construct(ctx)
	}
	if err != nil {
		mod.Close(ctx)
		return nil, fmt.Errorf("htj2k: %s: %w", e.file, err)
	}
	return in, nil
}

// release takes an instance back, or throws it away when its call failed or it has grown large.
func (e *engine) release(in *instance, err error) {
	if err == nil && in.memory.Size() <= keepPages*65536 {
		select {
		case e.free <- in:
			return
		default:
		}
	}
	in.module.Close(context.Background())
}

// construct makes one object of each class that the engine names.
func (in *instance) construct(ctx context.Context) error {
	for _, name := range in.engine.classes {
		for _, c := range in.classes {
			if c.name != name {
				continue
			}
			if c.construct.signature == "" {
				return fmt.Errorf("class %s has no constructor", name)
			}
			at, err := in.invoke(ctx, c.construct, uint64(c.constructor))
			if err != nil {
				return err
			}
			in.objects[name] = &object{c, uint32(at)}
		}
		if in.objects[name] == nil {
			return fmt.Errorf("no class %s", name)
		}
	}
	return nil
}

// invoke calls a function of the table by its signature.
func (in *instance) invoke(ctx context.Context, m method, args ...uint64) (uint64, error) {
	out, err := in.callTable(ctx, m.invoker, m.signature, args)
	if err != nil || len(out) == 0 {
		return 0, err
	}
	return out[0], nil
}

// callTable calls slot i of the function table; the signature is emscripten's: result, then parameters.
func (in *instance) callTable(ctx context.Context, i uint32, signature string, args []uint64) ([]uint64, error) {
	f := in.table[i]
	if f == nil {
		if imp, ok := in.engine.slots[i]; ok {
			stack := append(append([]uint64(nil), args...), 0) // room for the result
			in.engine.host[imp](ctx, in, stack)
			return stack[:1], nil
		}
		var params, results []api.ValueType
		for k, c := range signature {
			t := valueType(c)
			switch {
			case k == 0 && c != 'v':
				results = append(results, t)
			case k > 0:
				params = append(params, t)
			}
		}
		f = table.LookupFunction(in.module, 0, i, params, results)
		in.table[i] = f
	}
	return f.Call(ctx, args...)
}

func valueType(c rune) api.ValueType {
	switch c {
	case 'j':
		return api.ValueTypeI64
	case 'f':
		return api.ValueTypeF32
	case 'd':
		return api.ValueTypeF64
	}
	return api.ValueTypeI32
}

// call runs a method of an object. Whatever goes wrong in the sandbox is an error, and the instance must not be used again.
func (in *instance) call(ctx context.Context, o *object, name string, args ...uint64) (v uint64, err error) {
	m, ok := o.methods[name]
	if !ok {
		return 0, fmt.Errorf("%s has no method %s", o.name, name)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	if len(m.signature) != len(args)+3 {
		return 0, fmt.Errorf("%s.%s has signature %q, called with %d arguments", o.name, name, m.signature, len(args))
	}
	return in.invoke(context.WithValue(ctx, instanceKey{}, in), m, append([]uint64{uint64(m.context), uint64(o.at)}, args...)...)
}

// buffer calls a method that answers with a memory view and returns the bytes, which alias the sandbox.
func (in *instance) buffer(ctx context.Context, o *object, name string, args ...uint64) ([]byte, error) {
	in.view = view{}
	if _, err := in.call(ctx, o, name, args...); err != nil {
		return nil, err
	}
	b, ok := in.memory.Read(in.view.at, in.view.size)
	if !ok {
		return nil, fmt.Errorf("%s.%s answered with bytes outside of its memory", o.name, name)
	}
	return b, nil
}

// frameInfo finds the value object that describes a frame.
func (in *instance) frameInfo() (*record, error) {
	for _, r := range in.records {
		if r.name == "FrameInfo" {
			return r, nil
		}
	}
	return nil, errors.New("no FrameInfo")
}

// text reads a C string.
func (in *instance) text(at uint32) string {
	b, ok := in.memory.Read(at, min(256, in.memory.Size()-at))
	if !ok {
		return ""
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return string(b[:i])
	}
	return ""
}

func (in *instance) u32(at uint32) uint32 {
	b, ok := in.memory.Read(at, 4)
	if !ok {
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}
