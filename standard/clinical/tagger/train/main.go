// Command train makes the tagger's committed model from BC5CDR and NCBI-disease in IOB form and prints its scores on their test parts.
//
//	go run ./standard/clinical/tagger/train -data DIR -out model.bin   (DIR holds BC5CDR-IOB/ and NCBI-disease-IOB/)
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/galen-health/galen/standard/clinical/tagger"
)

func main() {
	log.SetFlags(0)
	dir := flag.String("data", "", "folder with BC5CDR-IOB and NCBI-disease-IOB")
	out := flag.String("out", "model.bin", "where the model is written")
	keep := flag.Int("keep", 300000, "features kept")
	epochs := flag.Int("epochs", 8, "passes over the data")
	only := flag.String("only", "", "BC5CDR or NCBI: train on one")
	flag.Parse()
	read := func(corpus, part string) []tagger.Sentence {
		f, err := os.Open(filepath.Join(*dir, corpus+"-IOB", part+".tsv"))
		if err != nil {
			log.Fatal(err)
		}
		defer f.Close()
		s, err := tagger.ReadIOB(f)
		if err != nil {
			log.Fatal(err)
		}
		return s
	}
	var all []tagger.Sentence
	if *only != "NCBI" {
		all = append(read("BC5CDR", "train"), read("BC5CDR", "devel")...)
	}
	if *only != "BC5CDR" {
		for _, s := range append(read("NCBI-disease", "train"), read("NCBI-disease", "devel")...) {
			s.Unknown = map[string]bool{"Chemical": true}
			all = append(all, s)
		}
	}
	t, err := tagger.Train(all, []string{"Chemical", "Disease"}, *epochs, *keep)
	if err != nil {
		log.Fatal(err)
	}
	f, err := os.Create(*out)
	if err != nil {
		log.Fatal(err)
	}
	if err := t.Write(f); err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
	bc, ncbi := read("BC5CDR", "test"), read("NCBI-disease", "test")
	fmt.Printf("BC5CDR  F1 %.4f (chemicals %.4f, diseases %.4f)\n", t.Evaluate(bc).F1(), t.Evaluate(bc, "Chemical").F1(), t.Evaluate(bc, "Disease").F1())
	fmt.Printf("NCBI    F1 %.4f\n", t.Evaluate(ncbi, "Disease").F1())
}
