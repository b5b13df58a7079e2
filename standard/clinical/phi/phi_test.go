package phi_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/galen-health/galen/standard/clinical/phi"
)

func TestFind(t *testing.T) {
	for in, want := range map[string]string{
		"Mr. John Smith, phone 555-123-4567, was seen on 01/02/2024.":         "NAME:John Smith PHONE_OR_FAX:555-123-4567 DATE:01/02/2024",
		"Call (617) 555-0123 ext 44 or write to j.doe@example.org":            "PHONE_OR_FAX:(617) 555-0123 ext 44 EMAIL:j.doe@example.org",
		"A 45-year-old female, MRN: 00123456, SSN 123-45-6789":                "AGE:45 ID:00123456 ID:123-45-6789",
		"lives at 12 Elm Street, Springfield, IL 62704 in Boston":             "ADDRESS:12 Elm Street, Springfield, IL 62704 ADDRESS:Boston",
		"Blood pressure 120/80, pain 5/10, took 1/2 tablet of 500 mg":         "",
		"Born March 3, 1960; admitted 2024-05-06; stroke in 2019":             "DATE:March 3, 1960 DATE:2024-05-06 DATE:2019",
		"hi , andrew . how are you ? mr. johnson is here":                     "NAME:andrew NAME:johnson",
		"Will you mark the rose? Parkinson Disease and Crohn were discussed.": "",
		"She works as a teacher. Seen by Dr. Maria Garcia.":                   "PROFESSION:teacher NAME:Maria Garcia",
		"see www.example.com/path and https://a.example":                      "URL:www.example.com/path URL:https://a.example",
		"Patient: Doe, Jane  Attending: Robert Lee":                           "NAME:Doe, Jane NAME:Robert Lee",
		"forty five year old man, age 52":                                     "AGE:forty five AGE:52",
		"67 y.o. man, 70 yo woman, 3 months old; zip code 02139; P.O. Box 12": "AGE:67 AGE:70 AGE:3 ADDRESS:02139 ADDRESS:P.O. Box 12",
		"": "",
	} {
		var got []string
		for _, s := range phi.Find(in) {
			got = append(got, string(s.Type)+":"+in[s.Begin:s.End])
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("Find(%q)\n got %s\nwant %s", in, s, want)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add("Dr. Ménière, 12 Elm Street, born 1/2/60, jane@x.org, mr. smith\xff")
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1<<14 {
			return
		}
		last := 0
		for _, sp := range phi.Find(s) {
			if sp.Begin < last || sp.End <= sp.Begin || sp.End > len(s) || utf8.ValidString(s) && !utf8.ValidString(s[sp.Begin:sp.End]) {
				t.Fatalf("%q: %+v after %d", s, sp, last)
			}
			last = sp.End
		}
	})
}
