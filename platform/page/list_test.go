package page_test

import (
	"slices"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/test/testbed"
)

type bed struct {
	Name, Ward string
	Made       time.Time
}

var (
	beds = record.Kind[bed]{Name: "test.bed", Indexes: record.Indexes[bed]{
		record.ByToken("ward", func(b *bed) string { return b.Ward }), record.ByTime("made", func(b *bed) time.Time { return b.Made })}}
	secret = page.Kind("test.secret")
)

func TestList(t *testing.T) {
	e := testbed.Open(t, t.TempDir())
	if err := e.Records.Declare(beds.Def(), secret.Def()); err != nil {
		t.Fatal(err)
	}
	if err := e.Records.CreateSpace(e.Ctx, "test", key.Ref{}); err != nil {
		t.Fatal(err)
	}
	tokens, err := page.Open(e.Ctx, e.Records, "test", secret)
	if err != nil {
		t.Fatal(err)
	}
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	for i, b := range []bed{{"a", "7", day(1)}, {"b", "8", day(2)}, {"c", "7", day(3)}, {"d", "9", day(4)}, {"e", "7", day(5)}} {
		if _, err := e.Records.Update(e.Ctx, "test", nil, func(tx record.Tx) error { return beds.Create(tx, b.Name, &b) }); err != nil {
			t.Fatal(i, err)
		}
	}
	list := func(r page.Request) (out []string, next string) {
		t.Helper()
		next, err := page.List(e.Ctx, tokens, beds, r, func(b *bed) { out = append(out, b.Name) })
		if err != nil {
			t.Fatal(err)
		}
		return out, next
	}
	for what, c := range map[string]struct {
		where page.Filter
		want  []string
	}{
		"all, in the order of creation":          {nil, []string{"a", "b", "c", "d", "e"}},
		"conditions that ask for nothing":        {page.Filter{}.Is("ward", "").OneOf("ward", nil).Between("made", time.Time{}, time.Time{}), []string{"a", "b", "c", "d", "e"}},
		"one ward":                               {page.Filter{}.Is("ward", "7"), []string{"a", "c", "e"}},
		"one of two wards":                       {page.Filter{}.OneOf("ward", []string{"8", "9"}), []string{"b", "d"}},
		"between, without the ends":              {page.Filter{}.Between("made", day(2), day(5)), []string{"c", "d"}},
		"after":                                  {page.Filter{}.Between("made", day(4), time.Time{}), []string{"e"}},
		"before, and a ward, which must both be": {page.Filter{}.Between("made", time.Time{}, day(5)).Is("ward", "7"), []string{"a", "c"}},
		"nothing":                                {page.Filter{}.Is("ward", "10"), nil},
	} {
		if got, next := list(page.Request{Where: c.where}); !slices.Equal(got, c.want) || next != "" {
			t.Errorf("%s: %v, next %q; want %v", what, got, next, c.want)
		}
	}

	two := int32(2)
	var all []string
	r := page.Request{Operation: "ListBeds", Asked: "7", Where: page.Filter{}.Is("ward", "7"), Limit: &two}
	for pages := 1; ; pages++ {
		got, next := list(r)
		all = append(all, got...)
		if pages == 1 && len(got) != 2 {
			t.Errorf("the first page is %v", got)
		}
		if next == "" {
			break
		}
		other := r
		other.Token, other.Asked = next, "8"
		if _, err := page.List(e.Ctx, tokens, beds, other, func(*bed) {}); !errs.Is(err, errs.Invalid) {
			t.Errorf("the token of another request: %v", err)
		}
		r.Token = next
	}
	if !slices.Equal(all, []string{"a", "c", "e"}) {
		t.Errorf("the pages are %v", all)
	}
	if got, next := list(page.Request{Usual: 4}); len(got) != 4 || next == "" {
		t.Errorf("a usual page is %v, next %q", got, next)
	}
}
