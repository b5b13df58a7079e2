package transcript

import (
	"strings"
	"unicode/utf8"
)

// Heard is a stretch of a segment's text that was recognised as other words first.
type Heard struct {
	Begin, End int // bytes
	Words      string
}

// ItemsOf makes the items of a segment's text: words and punctuation marks. The recogniser gives times to segments only, so its words share them in
// proportion to their length; a word that was put right has what was heard as its second alternative.
func ItemsOf(s *Segment, confidence float64, heard []Heard) []Item {
	total := 0
	fields := strings.Fields(s.Content)
	for _, w := range fields {
		total += utf8.RuneCountInString(w)
	}
	out := []Item{}
	done, at := 0, 0
	span := s.EndAudioTime - s.BeginAudioTime
	time := func(n int) float64 {
		t := s.BeginAudioTime + span*float64(n)/float64(max(1, total))
		return float64(int(t*1000+0.5)) / 1000
	}
	for _, w := range fields {
		at += strings.Index(s.Content[at:], w)
		n := utf8.RuneCountInString(w)
		begin, end := time(done), time(done+n)
		word := strings.TrimRight(w, ".,?!;:")
		if word != "" {
			it := Item{Alternatives: []Alternative{{round(confidence), word}}, BeginAudioTime: begin, EndAudioTime: end, Type: "PRONUNCIATION"}
			for _, h := range heard {
				if at >= h.Begin && at < h.End {
					it.Alternatives = append(it.Alternatives, Alternative{0, h.Words})
				}
			}
			out = append(out, it)
		}
		for _, mark := range w[len(word):] {
			out = append(out, Item{Alternatives: []Alternative{{0, string(mark)}}, BeginAudioTime: end, EndAudioTime: end, Type: "PUNCTUATION"})
		}
		done += n
		at += len(w)
	}
	return out
}

func round(v float64) float64 { return float64(int(v*10000+0.5)) / 10000 }
