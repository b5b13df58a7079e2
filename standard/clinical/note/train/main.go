// Command train makes the note's committed model from ACI-Bench and MTS-Dialog and prints its scores on ACI-Bench's first test part.
//
//	go run ./standard/clinical/note/train -data DIR -out model.bin   (DIR holds aci-bench/ and mts-dialog/)
package main

import (
	"encoding/csv"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"

	"github.com/galen-health/galen/standard/clinical/note"
)

func main() {
	log.SetFlags(0)
	dir := flag.String("data", "", "folder with aci-bench and mts-dialog")
	out := flag.String("out", "model.bin", "where the model is written")
	keep := flag.Int("keep", 60000, "features kept")
	snippet := flag.Float64("snippet", 0.15, "weight of the MTS-Dialog examples")
	epochs := flag.Int("epochs", 6, "passes over the data")
	decay := flag.Float64("decay", 1e-4, "weight decay")
	flag.Parse()
	read := func(name string) [][]string {
		f, err := os.Open(filepath.Join(*dir, name))
		if err != nil {
			log.Fatal(err)
		}
		defer f.Close()
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil {
			log.Fatal(err)
		}
		return rows[1:]
	}
	var examples []note.Example
	for _, part := range []string{"train", "valid"} {
		for _, r := range read("aci-bench/data/challenge_data/" + part + ".csv") {
			ex, err := note.Label(r[2], r[3])
			if err != nil {
				log.Fatal(err)
			}
			examples = append(examples, ex...)
		}
	}
	for _, r := range read("mts-dialog/Main-Dataset/MTS-Dialog-TrainingSet.csv") {
		examples = append(examples, note.LabelSnippet(r[3], r[1], *snippet)...)
	}
	known, sections := 0, map[int]int{}
	for _, e := range examples {
		if !math.IsNaN(e.Worth) {
			known++
		}
		sections[e.Section]++
	}
	log.Printf("%d examples, %d with a worth, by section %v", len(examples), known, sections)
	t := note.Train(examples, *epochs, *keep, *decay)
	f, err := os.Create(*out)
	if err != nil {
		log.Fatal(err)
	}
	if err := note.WriteModel(f, t); err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
	var dialogues, notes []string
	right, labelled := 0, 0
	for _, r := range read("aci-bench/data/challenge_data/clinicalnlp_taskB_test1.csv") {
		dialogues, notes = append(dialogues, r[2]), append(notes, r[3])
		ex, err := note.Label(r[2], r[3])
		if err != nil {
			log.Fatal(err)
		}
		a, b := note.SectionAccuracy(t, ex)
		right, labelled = right+a, labelled+b
	}
	r1, r2, err := note.Score(t, dialogues, notes)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("ACI-Bench test 1: ROUGE-1 %.4f ROUGE-2 %.4f, sections %.4f\n", r1, r2, float64(right)/float64(labelled))
}
