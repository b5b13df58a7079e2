package speech

import (
	"fmt"
	"strings"
)

// Special tokens.
const (
	tokenStart = 1
	tokenEnd   = 2
	firstByte  = 3 // tokens 3 … 258 are raw bytes
)

// vocabulary is the tokens by id. "▁" stands for a space.
type vocabulary []string

// readVocabulary reads tokenizer.bin: each token's length in a byte (two, low seven bits first, when the first is over 127), then its bytes.
func readVocabulary(b []byte) (vocabulary, error) {
	var out vocabulary
	for i := 0; i < len(b); {
		n := int(b[i])
		i++
		if n > 127 {
			if i >= len(b) {
				return nil, fmt.Errorf("speech: the vocabulary is cut short")
			}
			n = n&127 | int(b[i])<<7
			i++
		}
		if i+n > len(b) {
			return nil, fmt.Errorf("speech: the vocabulary is cut short")
		}
		out = append(out, string(b[i:i+n]))
		i += n
	}
	if len(out) < firstByte+256 || out[tokenEnd] != "</s>" {
		return nil, fmt.Errorf("speech: not a vocabulary: %d tokens", len(out))
	}
	return out, nil
}

// text joins tokens.
func (v vocabulary) text(ids []int64) string {
	var b strings.Builder
	for _, id := range ids {
		if id > tokenEnd && int(id) < len(v) {
			b.WriteString(v[id])
		}
	}
	return strings.ToValidUTF8(strings.TrimSpace(strings.ReplaceAll(b.String(), "▁", " ")), "")
}
