package page

import (
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/errs"
)

func TestTokenIsOfItsRequest(t *testing.T) {
	tokens, others := Tokens{key: []byte("one key")}, Tokens{key: []byte("another")}
	if tokens.Token("List", "") != "" {
		t.Error("no cursor has a token")
	}
	token := tokens.Token("List/a", "position 7")
	if got, err := tokens.Cursor("List/a", token); err != nil || got != "position 7" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := tokens.Cursor("List/a", ""); err != nil || got != "" {
		t.Errorf("the first page is %q, %v", got, err)
	}
	for what, try := range map[string]func() (string, error){
		"of another listing":       func() (string, error) { return tokens.Cursor("List/b", token) },
		"of another server":        func() (string, error) { return others.Cursor("List/a", token) },
		"with its cursor changed":  func() (string, error) { return tokens.Cursor("List/a", token[:len(token)-2]+"zz") },
		"cut short":                func() (string, error) { return tokens.Cursor("List/a", token[:8]) },
		"that is not in base 64":   func() (string, error) { return tokens.Cursor("List/a", "***") },
		"with the parts displaced": func() (string, error) { return tokens.Cursor("List/a\x00position", strings.TrimSpace(token)) },
	} {
		if got, err := try(); !errs.Is(err, errs.Invalid) || got != "" {
			t.Errorf("a token %s gives %q, %v", what, got, err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	tokens := Tokens{key: []byte("key")}
	f.Add("List", tokens.Token("List", "x"))
	f.Add("List", "AAAA")
	f.Fuzz(func(t *testing.T, of, token string) {
		cursor, err := tokens.Cursor(of, token)
		if err == nil && cursor != "" {
			if again, err := tokens.Cursor(of, tokens.Token(of, cursor)); err != nil || again != cursor {
				t.Errorf("%q is read as %q, then %q, %v", token, cursor, again, err)
			}
		}
	})
}
