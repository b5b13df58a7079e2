package catalogue_test

import (
	"testing"

	"github.com/galen-health/galen/app/catalogue"
	"github.com/galen-health/galen/standard/sniff"
)

func TestEveryKindHasOneOwner(t *testing.T) {
	kinds := []sniff.Kind{sniff.FHIRJSON, sniff.FHIRXML, sniff.FHIRNDJSON, sniff.HL7v2, sniff.CCDA, sniff.DICOM, sniff.DICOMJSON, sniff.FASTQ, sniff.FASTA, sniff.SAM, sniff.BAM,
		sniff.CRAM, sniff.VCF, sniff.BCF, sniff.GFF, sniff.WDL, sniff.CWL, sniff.Nextflow, sniff.Audio, sniff.Transcript, sniff.Note}
	owners := map[sniff.Kind]int{}
	for _, s := range catalogue.Services {
		for _, k := range s.Kinds {
			owners[k]++
		}
	}
	for _, k := range kinds {
		if owners[k] != 1 {
			t.Errorf("kind %s has %d owners, want 1", k, owners[k])
		}
	}
	if len(owners) != len(kinds) {
		t.Errorf("the catalogue names %d kinds, sniff knows %d", len(owners), len(kinds))
	}
	if catalogue.Owner(sniff.None) != nil {
		t.Error("nobody owns what is no health data")
	}
}

func TestTheFourQuestionsAreAnswered(t *testing.T) {
	ids := map[string]bool{}
	for _, s := range catalogue.Services {
		if ids[s.ID] || s.ID == "" || s.Package == "" || s.Signing == "" || s.Object == "" || s.Role == "" || len(s.Contracts) == 0 {
			t.Errorf("%q is incomplete or twice there", s.ID)
		}
		ids[s.ID] = true
		if s.Role != catalogue.Companion && (len(s.Survives) == 0 || len(s.ToBuild) == 0) {
			t.Errorf("%s does not say what survives and what is left to build", s.ID)
		}
		for _, f := range s.Features {
			if (f.Availability == catalogue.ExistingCustomersOnly || f.Availability == catalogue.Closed) && f.Migration == "" {
				t.Errorf("%s: %s has no migration path", s.ID, f.Name)
			}
		}
	}
}

func TestFeatureOfAnOperation(t *testing.T) {
	f, ok := catalogue.BySigning("omics").Feature("StartVariantImportJob")
	if !ok || f.Availability != catalogue.ExistingCustomersOnly || f.Since.Year() != 2025 {
		t.Errorf("StartVariantImportJob: %+v", f)
	}
	if _, ok := catalogue.BySigning("omics").Feature("GetReadSet"); ok {
		t.Error("GetReadSet has no restriction")
	}
}
