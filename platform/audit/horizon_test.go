package audit

import (
	"crypto/rand"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// FuzzHorizon: a signed note is taken only when it is the one way to write what it says; an unsigned one never is.
func FuzzHorizon(f *testing.F) {
	secret, public, err := note.GenerateKey(rand.Reader, "galen/test")
	if err != nil {
		f.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		f.Fatal(err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		f.Fatal(err)
	}
	good := horizon{First: 768, Before: time.Unix(1_700_000_000, 5), Nodes: [][]byte{make([]byte, 32), make([]byte, 32)}}
	f.Add(good.text("galen/test"))
	f.Add("galen/test retention\n256\n2020-01-01T00:00:00Z\nAAAA\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := parseHorizon([]byte(text), verifier); err == nil {
			t.Fatal("an unsigned note was taken")
		}
		raw, err := note.Sign(&note.Note{Text: text}, signer)
		if err != nil {
			return
		}
		if c, err := parseHorizon(raw, verifier); err == nil && c.text("galen/test") != text {
			t.Fatalf("%q was taken for %q", text, c.text("galen/test"))
		}
	})
}
