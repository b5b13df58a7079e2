package tagger

import (
	"bytes"
	_ "embed"
	"sync"
)

// model.bin is made by: go run ./standard/clinical/tagger/train -data DIR -out standard/clinical/tagger/model.bin
//
//go:embed model.bin
var model []byte

// Default is the committed model; its types are Chemical and Disease.
var Default = sync.OnceValue(func() *Tagger {
	t, err := Read(bytes.NewReader(model))
	if err != nil {
		panic(err) // the embedded bytes are part of the program
	}
	return t
})
