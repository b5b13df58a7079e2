package cohort

import (
	"encoding/json"
	"fmt"
	"time"
)

// problem is a chronic condition with what belongs to it. Codes are ICD-10-CM, LOINC short lists and RxNorm-free drug texts: only freely usable
// code systems appear.
type problem struct {
	code, name string
	share      float64 // of people who have it
	drug, dose string
	lab        lab
}

type lab struct {
	loinc, name, unit string
	low, high         float64
}

var problems = []problem{
	{"I10", "Essential (primary) hypertension", 0.6, "Lisinopril", "10 mg once daily", lab{"8480-6", "Systolic blood pressure", "mm[Hg]", 118, 164}},
	{"E11.9", "Type 2 diabetes mellitus without complications", 0.4, "Metformin", "500 mg twice daily", lab{"4548-4", "Hemoglobin A1c", "%", 5.4, 9.2}},
	{"E78.5", "Hyperlipidemia, unspecified", 0.5, "Atorvastatin", "20 mg once daily", lab{"2089-1", "LDL cholesterol", "mg/dL", 70, 190}},
	{"J45.909", "Unspecified asthma, uncomplicated", 0.3, "Albuterol", "2 puffs as needed", lab{"2708-6", "Oxygen saturation", "%", 91, 99}},
	{"N18.3", "Chronic kidney disease, stage 3", 0.2, "Losartan", "50 mg once daily", lab{"2160-0", "Creatinine", "mg/dL", 0.8, 2.2}},
}

type object = map[string]any

func coded(system, code, text string) object {
	return object{"coding": []object{{"system": system, "code": code, "display": text}}, "text": text}
}

// bundle is the person's history as a FHIR R4 transaction: PUT with fixed ids, so that sending it twice changes nothing but versions.
func (p *Person) bundle(until time.Time) ([]byte, error) {
	var entries []object
	add := func(kind, id string, r object) string {
		r["resourceType"], r["id"] = kind, id
		entries = append(entries, object{"fullUrl": "http://demo.invalid/" + kind + "/" + id, "resource": r, "request": object{"method": "PUT", "url": kind + "/" + id}})
		return kind + "/" + id
	}
	gender, subject := "male", object{"reference": "Patient/" + p.ID}
	if p.Female {
		gender = "female"
	}
	add("Patient", p.ID, object{
		"identifier": []object{{"system": "urn:galen:demo:mrn", "value": p.ID, "type": coded("http://terminology.hl7.org/CodeSystem/v2-0203", "MR", "Medical Record Number")}},
		"active":     true, "gender": gender, "birthDate": p.Born.Format("2006-01-02"),
		"name":    []object{{"use": "official", "family": p.Family, "given": []string{p.Given}}},
		"address": []object{{"line": []string{fmt.Sprintf("%d Example Street", 1+p.rng.IntN(99))}, "city": "Nowhere", "postalCode": fmt.Sprintf("%05d", 10000+p.rng.IntN(80000)), "country": "US"}},
	})
	start := until.AddDate(-8, -p.rng.IntN(12), 0)
	for i, pr := range p.problems {
		onset := start.AddDate(0, i*7, p.rng.IntN(20))
		cond := add("Condition", fmt.Sprintf("%s-c%d", p.ID, i), object{
			"clinicalStatus": coded("http://terminology.hl7.org/CodeSystem/condition-clinical", "active", "Active"),
			"code":           coded("http://hl7.org/fhir/sid/icd-10-cm", pr.code, pr.name), "subject": subject, "onsetDateTime": onset.Format(time.RFC3339), "recordedDate": onset.Format("2006-01-02")})
		add("MedicationRequest", fmt.Sprintf("%s-m%d", p.ID, i), object{"status": "active", "intent": "order", "medicationCodeableConcept": object{"text": pr.drug}, "subject": subject,
			"authoredOn": onset.Format("2006-01-02"), "dosageInstruction": []object{{"text": pr.dose}}, "reasonReference": []object{{"reference": cond}}})
	}
	for visit, day := 0, start; day.Before(until); visit, day = visit+1, day.AddDate(0, 5+p.rng.IntN(4), p.rng.IntN(25)) {
		id := fmt.Sprintf("%s-e%02d", p.ID, visit)
		at := day.Add(time.Duration(8+p.rng.IntN(8)) * time.Hour)
		enc := add("Encounter", id, object{"status": "finished", "class": object{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB", "display": "ambulatory"},
			"subject": subject, "period": object{"start": at.Format(time.RFC3339), "end": at.Add(20 * time.Minute).Format(time.RFC3339)}})
		for i, pr := range p.problems {
			v := pr.lab.low + (pr.lab.high-pr.lab.low)*(p.rng.Float64()+p.rng.Float64())/2
			add("Observation", fmt.Sprintf("%s-o%02d-%d", p.ID, visit, i), object{"status": "final",
				"category": []object{coded("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory", "Laboratory")},
				"code":     coded("http://loinc.org", pr.lab.loinc, pr.lab.name), "subject": subject, "encounter": object{"reference": enc}, "effectiveDateTime": at.Format(time.RFC3339),
				"valueQuantity": object{"value": json.Number(fmt.Sprintf("%.1f", v)), "unit": pr.lab.unit, "system": "http://unitsofmeasure.org", "code": pr.lab.unit}})
		}
	}
	if p.rng.IntN(2) == 0 {
		add("AllergyIntolerance", p.ID+"-a0", object{"clinicalStatus": coded("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active", "Active"),
			"patient": subject, "code": object{"text": "Penicillin"}, "criticality": "high"})
	}
	return json.MarshalIndent(object{"resourceType": "Bundle", "type": "transaction", "entry": entries}, "", " ")
}
