package speech

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/galen-health/galen/platform/asset"
	"github.com/galen-health/galen/platform/errs"
)

// Files of the recogniser, as fetch.sh names them.
const (
	libraryFile    = "libonnxruntime.so.1.32.0"
	encoderFile    = "encoder_model.ort"
	decoderFile    = "decoder_model_merged.ort"
	vocabularyFile = "tokenizer.bin"
)

// The model's shape.
const (
	layers, heads, headSize, hidden = 6, 8, 36, 288
	tokensPerSecond                 = 6.5 // more is the model repeating itself
	minSamples                      = Rate / 10
)

// Moonshine is the local recogniser. It loads its model at first use and keeps it.
type Moonshine struct {
	dir     string
	threads int

	mu      sync.Mutex // one utterance at a time
	encoder *ort.DynamicAdvancedSession
	decoder *ort.DynamicAdvancedSession
	vocab   vocabulary
}

// Dir is where fetch.sh puts the recogniser's files: $GALEN_SPEECH_DIR, else .cache/speech of the checkout.
func Dir() string { return asset.Dir("GALEN_SPEECH_DIR", "speech", encoderFile) }

// NewMoonshine returns the recogniser whose files are in dir. threads bounds what it computes with; 0 = at most two.
func NewMoonshine(dir string, threads int) *Moonshine {
	if threads <= 0 {
		threads = min(2, runtime.NumCPU())
	}
	return &Moonshine{dir: dir, threads: threads}
}

// Ready implements Recognizer.
func (m *Moonshine) Ready() error {
	for _, f := range []string{libraryFile, encoderFile, decoderFile, vocabularyFile} {
		if _, err := os.Stat(filepath.Join(m.dir, f)); err != nil {
			return errs.Wrap(errs.Unavailable, err, "the speech recogniser is not installed (%s is missing): run platform/speech/fetch.sh, or set GALEN_SPEECH_DIR to where it was installed; a transcript needs no recogniser", f)
		}
	}
	return nil
}

// environment is ONNX Runtime's own, once in a process.
var environment struct {
	once sync.Once
	err  error
}

func (m *Moonshine) load() error {
	if m.decoder != nil {
		return nil
	}
	if err := m.Ready(); err != nil {
		return err
	}
	environment.once.Do(func() {
		ort.SetSharedLibraryPath(filepath.Join(m.dir, libraryFile))
		environment.err = ort.InitializeEnvironment(ort.WithLogLevelError())
	})
	if environment.err != nil {
		return errs.Wrap(errs.Unavailable, environment.err, "the speech recogniser's library cannot be loaded: run platform/speech/fetch.sh again")
	}
	broken := func(err error, file string) error {
		return errs.Wrap(errs.Unavailable, err, "the speech recogniser's %s cannot be loaded: run platform/speech/fetch.sh again", file)
	}
	b, err := os.ReadFile(filepath.Join(m.dir, vocabularyFile))
	if err != nil {
		return broken(err, vocabularyFile)
	}
	if m.vocab, err = readVocabulary(b); err != nil {
		return broken(err, vocabularyFile)
	}
	opts, err := ort.NewSessionOptions()
	if err != nil {
		return broken(err, libraryFile)
	}
	defer opts.Destroy()
	if err := opts.SetIntraOpNumThreads(m.threads); err != nil {
		return broken(err, libraryFile)
	}
	encoder, err := ort.NewDynamicAdvancedSession(filepath.Join(m.dir, encoderFile), []string{"input_values", "attention_mask"}, []string{"last_hidden_state"}, opts)
	if err != nil {
		return broken(err, encoderFile)
	}
	in := []string{"encoder_attention_mask", "input_ids", "encoder_hidden_states"}
	out := []string{"logits"}
	for l := range layers {
		for _, part := range []string{".decoder.key", ".decoder.value", ".encoder.key", ".encoder.value"} {
			in = append(in, "past_key_values."+strconv.Itoa(l)+part)
			out = append(out, "present."+strconv.Itoa(l)+part)
		}
	}
	decoder, err := ort.NewDynamicAdvancedSession(filepath.Join(m.dir, decoderFile), append(in, "use_cache_branch"), out, opts)
	if err != nil {
		return broken(err, decoderFile)
	}
	m.encoder, m.decoder = encoder, decoder
	return nil
}

// Recognize implements Recognizer.
func (m *Moonshine) Recognize(ctx context.Context, samples []int16, progress func(done, total int)) ([]Utterance, error) {
	var out []Utterance
	for _, s := range voiced(samples) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		text, confidence, err := m.decode(ctx, samples[s.begin:s.end])
		if err != nil {
			return nil, err
		}
		if text != "" {
			u := Utterance{Begin: float64(s.begin) / Rate, End: float64(s.end) / Rate, Confidence: confidence}
			u.Text, u.Repairs = RepairMedicines(text, nil)
			out = append(out, u)
		}
		if progress != nil {
			progress(s.end, len(samples))
		}
	}
	return out, nil
}

// decode transcribes one stretch.
func (m *Moonshine) decode(ctx context.Context, samples []int16) (string, float64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.load(); err != nil {
		return "", 0, err
	}
	ids, confidence, err := m.greedy(ctx, samples)
	if err != nil {
		if ctx.Err() != nil {
			return "", 0, context.Cause(ctx)
		}
		return "", 0, errs.Wrap(errs.Internal, err, "the speech recogniser failed")
	}
	return unrepeat(m.vocab.text(ids)), confidence, nil
}

// tensors are values to be destroyed.
type tensors []ort.Value

func (t *tensors) keep(v ort.Value) ort.Value {
	*t = append(*t, v)
	return v
}

func (t *tensors) destroy() {
	for _, v := range *t {
		if v != nil {
			_ = v.Destroy() // memory only
		}
	}
	*t = nil
}

// greedy runs the encoder once and the decoder a token at a time over its cache of keys and values.
func (m *Moonshine) greedy(ctx context.Context, samples []int16) ([]int64, float64, error) {
	if len(samples) < minSamples {
		samples = append(append([]int16(nil), samples...), make([]int16, minSamples-len(samples))...)
	}
	var all tensors
	defer all.destroy()
	wave := make([]float32, len(samples))
	for i, v := range samples {
		wave[i] = float32(v) / 32768
	}
	input, err := ort.NewTensor(ort.NewShape(1, int64(len(wave))), wave)
	if err != nil {
		return nil, 0, err
	}
	all.keep(input)
	mask, err := onesLike(len(wave))
	if err != nil {
		return nil, 0, err
	}
	all.keep(mask)
	encoded := []ort.Value{nil}
	if err := m.encoder.Run([]ort.Value{input, mask}, encoded); err != nil {
		return nil, 0, err
	}
	states := all.keep(encoded[0])
	frames := int(states.GetShape()[1])
	stateMask, err := onesLike(frames)
	if err != nil {
		return nil, 0, err
	}
	all.keep(stateMask)

	past := make([]ort.Value, 4*layers)
	var first, current tensors // the encoder's keys and values stay, the decoder's are replaced by each step
	defer func() { current.destroy(); first.destroy() }()
	for i := range past {
		t, err := ort.NewEmptyTensor[float32](ort.NewShape(1, heads, 1, headSize))
		if err != nil {
			return nil, 0, err
		}
		past[i] = current.keep(t)
	}
	most := int(math.Ceil(float64(len(samples))/Rate*tokensPerSecond)) + 2
	var ids []int64
	logSum, token := 0.0, int64(tokenStart)
	for step := 0; step < most; step++ {
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		id, p, err := m.step(token, step > 0, stateMask, states, past, &first, &current)
		if err != nil {
			return nil, 0, err
		}
		if id == tokenEnd {
			break
		}
		logSum += math.Log(max(p, 1e-9))
		ids = append(ids, id)
		token = id
	}
	if len(ids) == 0 {
		return nil, 0, nil
	}
	return ids, math.Exp(logSum / float64(len(ids))), nil
}

// step decodes one token and moves the cache on.
func (m *Moonshine) step(token int64, cached bool, mask, states ort.Value, past []ort.Value, first, current *tensors) (int64, float64, error) {
	var mine tensors
	defer mine.destroy()
	ids, err := ort.NewTensor(ort.NewShape(1, 1), []int64{token})
	if err != nil {
		return 0, 0, err
	}
	mine.keep(ids)
	flag := byte(0)
	if cached {
		flag = 1
	}
	branch, err := ort.NewCustomDataTensor(ort.NewShape(1), []byte{flag}, ort.TensorElementDataTypeBool)
	if err != nil {
		return 0, 0, err
	}
	mine.keep(branch)
	in := append([]ort.Value{mask, ids, states}, past...)
	out := make([]ort.Value, 1+len(past))
	if err := m.decoder.Run(append(in, branch), out); err != nil {
		return 0, 0, err
	}
	logits, ok := mine.keep(out[0]).(*ort.Tensor[float32])
	if !ok {
		return 0, 0, fmt.Errorf("logits are of type %T", out[0])
	}
	var next tensors
	for i := range past {
		encoder := i%4 >= 2
		switch {
		case encoder && cached:
			mine.keep(out[1+i]) // empty: the first step's stay
		case encoder:
			past[i] = first.keep(out[1+i])
		default:
			past[i] = next.keep(out[1+i])
		}
	}
	current.destroy()
	*current = next
	data := logits.GetData()
	return argmax(data[len(data)-len(data)/int(logits.GetShape()[1]):])
}

// argmax is the likeliest token and its probability.
func argmax(logits []float32) (int64, float64, error) {
	best := 0
	for i, v := range logits {
		if v > logits[best] {
			best = i
		}
	}
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v - logits[best]))
	}
	return int64(best), 1 / sum, nil
}

func onesLike(n int) (*ort.Tensor[int64], error) {
	x := make([]int64, n)
	for i := range x {
		x[i] = 1
	}
	return ort.NewTensor(ort.NewShape(1, int64(n)), x)
}

// unrepeat ends a text where it begins to say the same words again and again.
func unrepeat(s string) string {
	w := strings.Fields(s)
	for size := 1; size <= 6; size++ {
		for i := 0; i+4*size <= len(w); i++ {
			same := true
			for k := size; same && k < 4*size; k++ {
				same = strings.EqualFold(w[i+k], w[i+k-size])
			}
			if same {
				return strings.Join(w[:i+size], " ")
			}
		}
	}
	return s
}
