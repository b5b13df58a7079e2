package speech

import "context"

// Rate is the sample rate that recognisers take.
const Rate = 16000

// Utterance is a stretch of speech.
type Utterance struct {
	Begin, End float64 // seconds
	Text       string
	Confidence float64 // mean probability of its tokens, 0–1
	Repairs    []Repair
}

// Repair is a stretch of an utterance's text that was heard otherwise.
type Repair struct {
	Begin, End int // bytes of Text
	Heard      string
}

// Recognizer transcribes one channel of speech.
type Recognizer interface {
	// Ready returns nil, or errs.Unavailable with what is missing and how to install it.
	Ready() error
	// Recognize transcribes 16 kHz samples. progress (may be nil) is told samples done and in all.
	Recognize(ctx context.Context, samples []int16, progress func(done, total int)) ([]Utterance, error)
}
