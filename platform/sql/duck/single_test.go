package duck

import "testing"

func TestSingle(t *testing.T) {
	for text, want := range map[string]bool{
		"select 1": true, "select 1;": true, "select 1 ; \n;": true, "": true, "select ';'": true, `select ";" from "a;b"`: true, "select 'it''s; one'": true,
		"select 1 -- ; no\n": true, "select /* ; */ 1": true, "select $$;$$": true, "select $x$;$$;$x$": true, "select '": true,
		"select 1; select 2": false, "select ';'; drop view x": false, "select 1 -- x\n; select 2": false, "select 1;-- comment": false, "select $1; select 2": false,
	} {
		if _, ok := single(text); ok != want {
			t.Errorf("%q: one statement is %v, want %v", text, ok, want)
		}
	}
}

func FuzzSingle(f *testing.F) {
	f.Add("select ';' -- x\n; $a$;$a$ /* */ \"")
	f.Fuzz(func(t *testing.T, text string) {
		one, _ := single(text)
		if again, ok := single(one); again != one || !ok {
			t.Fatalf("%q is cut to %q, which is cut to %q", text, one, again)
		}
	})
}
