package icd10cm_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/galen-health/galen/standard/clinical/icd10cm"
)

var whole = sync.OnceValues(func() (*icd10cm.Index, error) {
	dir := os.Getenv("GALEN_CODES_DIR")
	if dir == "" {
		_, file, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(file), "..", "..", "..", ".cache", "codes")
	}
	f, err := os.Open(filepath.Join(dir, "icd10cm-tabular.xml"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return icd10cm.Load(f)
})

func list(t testing.TB) *icd10cm.Index {
	t.Helper()
	ix, err := whole()
	if os.IsNotExist(err) {
		t.Skip("the code set is not installed: run standard/clinical/fetch.sh")
	}
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

// gold are findings as clinicians write them with the code that a coder gives who knows no more, written by hand for this test. None of them is in the
// list of aliases: this grades the search.
var gold = [][2]string{
	{"type 2 diabetes mellitus with diabetic nephropathy", "E11.21"}, {"type 2 diabetes with hyperglycemia", "E11.65"}, {"vitamin d deficiency", "E55.9"}, {"hyponatremia", "E87.1"},
	{"morbid obesity", "E66.01"}, {"essential tremor", "G25.0"}, {"restless legs syndrome", "G25.81"}, {"bell's palsy", "G51.0"}, {"trigeminal neuralgia", "G50.0"},
	{"acute bronchitis", "J20.9"}, {"acute sinusitis", "J01.90"}, {"aspiration pneumonia", "J69.0"}, {"pleural effusion", "J90"}, {"acute respiratory failure with hypoxia", "J96.01"},
	{"paroxysmal atrial fibrillation", "I48.0"}, {"atrial flutter", "I48.92"}, {"unstable angina", "I20.0"}, {"aortic stenosis", "I35.0"}, {"chronic systolic heart failure", "I50.22"},
	{"acute diastolic heart failure", "I50.31"}, {"orthostatic hypotension", "I95.1"}, {"varicose veins of left leg with ulcer", "I83.029"}, {"acute cystitis", "N30.00"}, {"pyelonephritis", "N12"},
	{"chronic kidney disease stage 3a", "N18.31"}, {"end stage renal disease", "N18.6"}, {"erectile dysfunction", "N52.9"}, {"endometriosis", "N80.9"}, {"polycystic ovarian syndrome", "E28.2"},
	{"diverticulosis of large intestine", "K57.30"}, {"inguinal hernia", "K40.90"}, {"celiac disease", "K90.0"}, {"acute appendicitis", "K35.80"}, {"gastroparesis", "K31.84"}, {"esophageal varices", "I85.00"},
	{"plantar fasciitis", "M72.2"}, {"lumbar spinal stenosis", "M48.061"}, {"lateral epicondylitis of right elbow", "M77.11"}, {"osteoarthritis of left knee", "M17.12"}, {"adhesive capsulitis of right shoulder", "M75.01"},
	{"rotator cuff tear", "M75.100"}, {"low back strain", "S39.012A"}, {"sprain of right ankle", "S93.401A"}, {"concussion", "S06.0X0A"}, {"fracture of right distal radius", "S52.501A"},
	{"contact dermatitis", "L25.9"}, {"urticaria", "L50.9"}, {"rosacea", "L71.9"}, {"actinic keratosis", "L57.0"}, {"onychomycosis", "B35.1"},
	{"herpes simplex", "B00.9"}, {"hiv disease", "B20"}, {"lyme disease", "A69.20"}, {"tuberculosis", "A15.9"}, {"generalized anxiety disorder", "F41.1"}, {"panic disorder", "F41.0"}, {"alcohol dependence", "F10.20"},
	{"opioid dependence", "F11.20"}, {"nicotine dependence cigarettes", "F17.210"}, {"autism", "F84.0"}, {"age-related cataract", "H25.9"}, {"glaucoma", "H40.9"}, {"tinnitus of left ear", "H93.12"}, {"vertigo", "R42"},
	{"hematuria", "R31.9"}, {"dysphagia", "R13.10"}, {"hemoptysis", "R04.2"}, {"epistaxis", "R04.0"}, {"urinary frequency", "R35.0"}, {"elevated liver enzymes", "R74.8"}, {"melanoma of skin", "C43.9"}, {"multiple myeloma", "C90.00"},
}

func TestOwnGold(t *testing.T) {
	ix := list(t)
	first, five := 0, 0
	for _, g := range gold {
		got := ix.Search([]string{g[0]}, "", 5)
		var codes []string
		hit := false
		for i, c := range got {
			codes = append(codes, c.Code.Code)
			if c.Code.Code == g[1] {
				hit = true
				if i == 0 {
					first++
				}
			}
		}
		if hit {
			five++
		}
		if len(codes) == 0 || codes[0] != g[1] {
			t.Logf("%s: want %s, got %s", g[0], g[1], strings.Join(codes, " "))
		}
	}
	n := float64(len(gold))
	t.Logf("%d findings: first %.3f, in the first five %.3f", len(gold), float64(first)/n, float64(five)/n)
	if float64(first)/n < 0.55 || float64(five)/n < 0.80 {
		t.Errorf("first %.3f, first five %.3f: want at least 0.55 and 0.80", float64(first)/n, float64(five)/n)
	}
}

func TestSearchRules(t *testing.T) {
	ix := list(t)
	for query, want := range map[string]string{"heart attack": "I21.9", "hypertension": "I10", "type two diabetes": "E11.9", "asthma": "J45.909", "copd": "J44.9", "headache": "R51.9", "uti": "N39.0", "chest pain": "R07.9",
		"depression": "F32.A", "covid": "U07.1", "shortness of breath": "R06.02", "hypothyroidism": "E03.9"} {
		got := ix.Search([]string{query}, "", 5)
		if len(got) == 0 || got[0].Code.Code != want {
			t.Errorf("%s: %+v, want %s", query, got, want)
		}
		for i, c := range got {
			if c.Score <= 0 || c.Score > 1 || i > 0 && c.Score > got[i-1].Score || c.Description == "" {
				t.Errorf("%s: candidate %d is %+v", query, i, c)
			}
		}
	}
	right := ix.Search([]string{"knee pain"}, "right", 1)
	if len(right) == 0 || right[0].Code.Code != "M25.561" {
		t.Errorf("knee pain, right: %+v", right)
	}
	for _, nothing := range []string{"", "zzz qqq", "the of and", strings.Repeat("pain ", 100)} {
		if got := ix.Search([]string{nothing}, "", 5); len(got) > 0 && nothing != strings.Repeat("pain ", 100) {
			t.Errorf("%q: %+v", nothing, got)
		}
	}
}

const small = `<?xml version="1.0"?><ICD10CM.tabular><chapter><name>1</name><section id="A"><diag><name>J45</name><desc>Asthma</desc><includes><note>allergic asthma</note></includes>
<diag><name>J45.9</name><desc>Other and unspecified asthma</desc><diag><name>J45.909</name><desc>Unspecified asthma, uncomplicated</desc></diag></diag></diag>
<diag><name>S93</name><desc>Sprain</desc><sevenChrDef><extension char="A">initial encounter</extension></sevenChrDef><diag><name>S93.4</name><desc>Sprain of ankle</desc></diag></diag></section></chapter></ICD10CM.tabular>`

func TestLoad(t *testing.T) {
	ix, err := icd10cm.Load(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	if got := ix.Search([]string{"allergic asthma"}, "", 1); len(got) != 1 || got[0].Code.Code != "J45.909" {
		t.Errorf("a category's inclusion term: %+v", got)
	}
	if got := ix.Search([]string{"ankle sprain"}, "", 1); len(got) != 1 || got[0].Code.Code != "S93.4XXA" || !strings.HasSuffix(got[0].Description, "initial encounter") {
		t.Errorf("a seventh character: %+v", got)
	}
	for _, bad := range []string{"", "<a>", "<a></a>", small[:200], strings.Repeat("<a>", 100)} {
		if _, err := icd10cm.Load(strings.NewReader(bad)); err == nil {
			t.Errorf("%.40q was read as a list", bad)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(small)
	f.Fuzz(func(t *testing.T, s string) {
		if ix, err := icd10cm.Load(strings.NewReader(s)); err == nil {
			ix.Search([]string{"asthma"}, "left", 5)
		}
	})
}
