package entity_test

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/galen-health/galen/standard/clinical/entity"
	"github.com/galen-health/galen/test/testdata"
)

// say writes a result on lines: text, category/type, +traits, [attributes].
func say(r entity.Result) string {
	var b strings.Builder
	for _, e := range r.Entities {
		fmt.Fprintf(&b, "%s %s/%s", e.Text, e.Category, e.Type)
		for _, t := range e.Traits {
			b.WriteString(" +" + t.Name)
		}
		for _, a := range e.Attributes {
			fmt.Fprintf(&b, " [%s %s]", a.Type, a.Text)
		}
		b.WriteString("\n")
	}
	for _, u := range r.Unmapped {
		fmt.Fprintf(&b, "? %s %s %s\n", u.Category, u.Attribute.Type, u.Attribute.Text)
	}
	return b.String()
}

func TestDetect(t *testing.T) {
	for in, want := range map[string]string{
		"Patient denies chest pain. Started on metformin 500 mg twice daily for type 2 diabetes.": `
chest pain MEDICAL_CONDITION/DX_NAME +SYMPTOM +NEGATION
metformin MEDICATION/GENERIC_NAME [DOSAGE 500 mg] [FREQUENCY twice daily]
type 2 diabetes MEDICAL_CONDITION/DX_NAME +DIAGNOSIS`,
		"Vyvanse 50 mgs po at breakfast daily, Clonidine 0.2 mgs -- 1 and 1 / 2 tabs po qhs": `
Vyvanse MEDICATION/BRAND_NAME [DOSAGE 50 mgs] [ROUTE_OR_MODE po] [FREQUENCY at breakfast daily]
Clonidine MEDICATION/GENERIC_NAME [STRENGTH 0.2 mgs] [DOSAGE 1 and 1 / 2 tabs] [ROUTE_OR_MODE po] [FREQUENCY qhs]`,
		"Severe rash on face and leg, slightly itchy": `
rash MEDICAL_CONDITION/DX_NAME +SYMPTOM [QUALITY Severe] [SYSTEM_ORGAN_SITE face] [SYSTEM_ORGAN_SITE leg]
face ANATOMY/SYSTEM_ORGAN_SITE
leg ANATOMY/SYSTEM_ORGAN_SITE
itchy MEDICAL_CONDITION/DX_NAME +SYMPTOM [QUALITY slightly]`,
		"her blood pressure is 120/80 mmHg , heart rate 72 bpm and a1c was 8.1 % . chest x-ray was normal": `
blood pressure TEST_TREATMENT_PROCEDURE/TEST_NAME [TEST_VALUE 120/80] [TEST_UNIT mmHg]
heart rate TEST_TREATMENT_PROCEDURE/TEST_NAME [TEST_VALUE 72] [TEST_UNIT bpm]
a1c TEST_TREATMENT_PROCEDURE/TEST_NAME [TEST_VALUE 8.1] [TEST_UNIT %]
chest x-ray TEST_TREATMENT_PROCEDURE/TEST_NAME [TEST_VALUE normal]`,
		"i have had a sharp pain in my left knee for two weeks": `
pain MEDICAL_CONDITION/DX_NAME +SYMPTOM [QUALITY sharp] [SYSTEM_ORGAN_SITE knee] [TIME_TO_DX_NAME for two weeks]
knee ANATOMY/SYSTEM_ORGAN_SITE [DIRECTION left]
for two weeks TIME_EXPRESSION/TIME_TO_DX_NAME`,
		"His mother had breast cancer. He smokes two packs a day and denies alcohol. No known drug allergies.": `
breast cancer MEDICAL_CONDITION/DX_NAME +DIAGNOSIS +PERTAINS_TO_FAMILY
smokes BEHAVIORAL_ENVIRONMENTAL_SOCIAL/TOBACCO_USE [AMOUNT two packs a day]
alcohol BEHAVIORAL_ENVIRONMENTAL_SOCIAL/ALCOHOL_CONSUMPTION +NEGATION
drug allergies BEHAVIORAL_ENVIRONMENTAL_SOCIAL/ALLERGIES +NEGATION`,
		"Possible pneumonia. Return if you develop fever. We will order an MRI.": `
pneumonia MEDICAL_CONDITION/DX_NAME +DIAGNOSIS +LOW_CONFIDENCE
fever MEDICAL_CONDITION/DX_NAME +SYMPTOM +HYPOTHETICAL
MRI TEST_TREATMENT_PROCEDURE/TEST_NAME +FUTURE`,
		"Take 2 tablets by mouth.": `
? MEDICATION DOSAGE 2 tablets
? MEDICATION ROUTE_OR_MODE by mouth`,
		"vancomycin-induced nephrotoxicity": `
vancomycin MEDICATION/GENERIC_NAME
nephrotoxicity MEDICAL_CONDITION/DX_NAME +DIAGNOSIS`,
		"Mr. John Smith, 45-year-old male, seen on 01/02/2024": `
John Smith PROTECTED_HEALTH_INFORMATION/NAME
45 PROTECTED_HEALTH_INFORMATION/AGE
male BEHAVIORAL_ENVIRONMENTAL_SOCIAL/GENDER
01/02/2024 PROTECTED_HEALTH_INFORMATION/DATE`,
		"all right , that is right , mm-hmm .": "",
	} {
		if got := "\n" + strings.TrimSpace(say(entity.Detect(in))); strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("Detect(%q)%s\nwant%s", in, got, want)
		}
	}
}

// types of the contract, by category.
var types = map[string]string{
	entity.Medication:  "BRAND_NAME GENERIC_NAME",
	entity.Condition:   "DX_NAME",
	entity.Identifying: "ADDRESS AGE EMAIL ID NAME PHONE_OR_FAX PROFESSION DATE URL",
	entity.Test:        "PROCEDURE_NAME TEST_NAME TREATMENT_NAME",
	entity.Anatomy:     "SYSTEM_ORGAN_SITE",
	entity.Time:        "TIME_TO_MEDICATION_NAME TIME_TO_DX_NAME TIME_TO_TEST_NAME TIME_TO_PROCEDURE_NAME TIME_TO_TREATMENT_NAME",
	entity.Social:      "ALCOHOL_CONSUMPTION ALLERGIES GENDER RACE_ETHNICITY REC_DRUG_USE TOBACCO_USE",
}

// attributes that an entity of a category may have.
var attributes = map[string]string{
	entity.Medication:  "DOSAGE DURATION FORM FREQUENCY RATE ROUTE_OR_MODE STRENGTH TIME_TO_MEDICATION_NAME",
	entity.Condition:   "ACUITY DIRECTION SYSTEM_ORGAN_SITE QUALITY TIME_TO_DX_NAME",
	entity.Test:        "TEST_VALUE TEST_UNIT TIME_TO_TEST_NAME TIME_TO_PROCEDURE_NAME TIME_TO_TREATMENT_NAME",
	entity.Anatomy:     "DIRECTION",
	entity.Social:      "AMOUNT",
	entity.Time:        "",
	entity.Identifying: "",
}

// invariants checks what the package promises for any text.
func invariants(t *testing.T, s string) int {
	r := entity.Detect(s)
	has := func(list, w string) bool { return strings.Contains(" "+list+" ", " "+w+" ") }
	ids := map[[2]int]int{}
	check := func(id, b, e int, what string, score float32) {
		if b < 0 || e <= b || e > len(s) || s[b:e] != what || utf8.ValidString(s) && !utf8.ValidString(what) {
			t.Fatalf("%q: [%d:%d] is not %q", s, b, e, what)
		}
		if score <= 0 || score > 1 {
			t.Fatalf("%q: %q has score %v", s, what, score)
		}
		if old, ok := ids[[2]int{b, e}]; ok && old != id {
			t.Fatalf("%q: %q has ids %d and %d", s, what, old, id)
		}
		ids[[2]int{b, e}] = id
	}
	last := -1
	for _, e := range r.Entities {
		check(e.ID, e.Begin, e.End, e.Text, e.Score)
		if e.Begin < last {
			t.Fatalf("%q: %q begins before %d", s, e.Text, last)
		}
		last = e.Begin
		if !has(types[e.Category], e.Type) {
			t.Fatalf("%q: %q is %s/%s", s, e.Text, e.Category, e.Type)
		}
		for _, a := range e.Attributes {
			check(a.ID, a.Begin, a.End, a.Text, a.Score)
			if a.RelationshipScore <= 0 || a.RelationshipScore > 1 || a.Relationship == "" || !has(attributes[e.Category], a.Type) {
				t.Fatalf("%q: %q has attribute %+v", s, e.Text, a)
			}
		}
	}
	for _, u := range r.Unmapped {
		check(u.Attribute.ID, u.Attribute.Begin, u.Attribute.End, u.Attribute.Text, u.Attribute.Score)
	}
	seen := map[int]bool{}
	for _, id := range ids {
		if id < 0 || id >= len(ids) || seen[id] {
			t.Fatalf("%q: ids are not 0 … %d", s, len(ids)-1)
		}
		seen[id] = true
	}
	return len(r.Entities)
}

func TestInvariantsOnPublicDialogues(t *testing.T) {
	n := 0
	for _, name := range []string{"aci-bench/data/challenge_data/valid.csv", "mts-dialog/Main-Dataset/MTS-Dialog-ValidationSet.csv"} {
		f, err := os.Open(filepath.Join(testdata.Dir(t, "conversation"), name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows[1:] {
			n += invariants(t, row[len(row)-1])
			n += invariants(t, row[len(row)-2])
		}
	}
	if n < 2000 {
		t.Errorf("%d entities in all dialogues and notes, there are more", n)
	}
}

// Text without a full stop must not cost more than text with them: the work within a sentence is bounded.
func TestNoSentenceIsTooLong(t *testing.T) {
	for _, s := range []string{strings.Repeat("no chest pain if history of left knee 5 mg daily mother ", 350), strings.Repeat("a ", 10000), strings.Repeat("aspirin 1 mg ", 1500), strings.Repeat("(", 20000)} {
		invariants(t, s)
	}
}

func FuzzDetect(f *testing.F) {
	f.Add("Severe rash on face, metformin 500 mg bid × 5 days for Ménière’s; bp 120/80 mmHg two weeks ago\n\nMr. John Smith smokes 2 packs a day")
	f.Add("\xff left left knee knee pain pain for two for two days ago ago")
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) < 1<<13 {
			invariants(t, s)
		}
	})
}

func BenchmarkDetect(b *testing.B) {
	s := strings.Repeat("Patient denies chest pain. Started on metformin 500 mg twice daily for type 2 diabetes. Blood pressure was 120/80. ", 50)
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		entity.Detect(s)
	}
}
