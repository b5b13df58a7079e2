// Package cohort synthesises a small cohort for demonstrations and tests: patients with years of FHIR history, CT and CR phantoms, sequencing reads and
// variants, and visit conversations, all of the same people.
//
// Everything is made from a seed, so the same seed gives the same bytes. Nobody in it exists; names say so. It writes plain files of the open
// standards and knows nothing of Galen's services.
package cohort

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// Cohort says what to make.
type Cohort struct {
	Seed     uint64
	Patients int
	Slices   int       // CT slices a study
	Until    time.Time // the day the history ends; fixed so that files do not change from day to day
}

// Default is what `galen demo` uses: small enough for a laptop, large enough to look at.
var Default = Cohort{Seed: 7, Patients: 6, Slices: 24, Until: time.Date(2026, 6, 30, 9, 0, 0, 0, time.UTC)}

// Person is one synthetic patient.
type Person struct {
	ID       string // FHIR id, DICOM Patient ID and subject id of the reads
	Given    string
	Family   string
	Female   bool
	Born     time.Time
	problems []problem
	rng      *rand.Rand
}

var (
	givenF = []string{"Ada", "Beatrix", "Clara", "Dorothea", "Edith", "Florence", "Greta", "Helene"}
	givenM = []string{"Albert", "Bruno", "Caspar", "Dietrich", "Emil", "Frederick", "Gustav", "Hugo"}
	family = []string{"Testmann", "Sampleton", "Fictive", "Mockridge", "Examplar", "Demoson", "Synthwell", "Placebo"}
)

// People returns the persons of the cohort.
func (c Cohort) People() []*Person {
	out := make([]*Person, c.Patients)
	for i := range out {
		rng := rand.New(rand.NewPCG(c.Seed, uint64(i)))
		p := &Person{ID: fmt.Sprintf("demo-%d-%03d", c.Seed, i+1), Female: i%2 == 0, Family: family[(i+int(c.Seed))%len(family)], rng: rng}
		names := givenM
		if p.Female {
			names = givenF
		}
		p.Given = names[rng.IntN(len(names))]
		p.Born = c.Until.AddDate(-30-rng.IntN(45), -rng.IntN(12), -rng.IntN(28)).Truncate(24 * time.Hour)
		for _, pr := range problems {
			if rng.Float64() < pr.share {
				p.problems = append(p.problems, pr)
			}
		}
		if len(p.problems) == 0 {
			p.problems = problems[:1]
		}
		out[i] = p
	}
	return out
}

// Write makes the whole cohort below dir and returns the number of files. Existing files are overwritten with the same bytes.
func (c Cohort) Write(dir string, progress func(done, total int)) (int, error) {
	people := c.People()
	total := len(people)*4 + 1
	files, done := 0, 0
	step := func(name string, body []byte) error {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		files++
		return os.WriteFile(path, body, 0o644)
	}
	tick := func() {
		if done++; progress != nil {
			progress(done, total)
		}
	}
	ref := newReference(c.Seed)
	if err := step("genomics/reference.fa", ref.fasta()); err != nil {
		return files, err
	}
	tick()
	for i, p := range people {
		bundle, err := p.bundle(c.Until)
		if err != nil {
			return files, err
		}
		if err := step("records/"+p.ID+".json", bundle); err != nil {
			return files, err
		}
		tick()
		if err := p.images(i, c.Slices, c.Until, func(name string, b []byte) error { return step("imaging/"+p.ID+"/"+name, b) }); err != nil {
			return files, err
		}
		tick()
		if err := p.genome(ref, func(name string, b []byte) error { return step("genomics/"+p.ID+name, b) }); err != nil {
			return files, err
		}
		tick()
		if err := p.visit(func(name string, b []byte) error { return step("visits/"+p.ID+name, b) }); err != nil {
			return files, err
		}
		tick()
	}
	return files, nil
}
