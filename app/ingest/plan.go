package ingest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"

	"github.com/galen-health/galen/app/catalogue"
	"github.com/galen-health/galen/standard/sniff"
)

// File is one file of the folder, routed.
type File struct {
	Path    string
	Rel     string // below the folder, with slashes
	Size    int64
	Verdict sniff.Verdict
	Service string // SDK service id of the owner, "" when none
	Hash    string // SHA-256 of the content, hex
}

// Item is what is landed as one: a file, or the two files of a read pair.
type Item struct {
	Files []File
	Kind  sniff.Kind
}

// Key names the item in the ledger: the hashes of its files in order.
func (it Item) Key() string {
	if len(it.Files) == 1 {
		return it.Files[0].Hash
	}
	h := sha256.New()
	for _, f := range it.Files {
		fmt.Fprintln(h, f.Hash)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// scan routes and hashes every regular file below dir, in path order. Links are not followed: a folder of patients' data must not pull in what lies
// outside of it.
func scan(dir string, each func(done int)) ([]File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var files []File
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := root.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		v, err := sniff.Reader(io.TeeReader(f, h))
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		if _, err := io.Copy(h, f); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		st, err := f.Stat()
		if err != nil {
			return err
		}
		out := File{Path: filepath.Join(dir, filepath.FromSlash(p)), Rel: p, Size: st.Size(), Verdict: v, Hash: hex.EncodeToString(h.Sum(nil))}
		if owner := catalogue.Owner(v.Kind); owner != nil {
			out.Service = owner.ID
		}
		files = append(files, out)
		if each != nil {
			each(len(files))
		}
		return nil
	})
	return files, err
}

// mate splits a read file's name into what both mates share and which mate it is.
var mate = regexp.MustCompile(`^(.*?)([_.]R?)([12])((?:_\d{3})?\.(?:fastq|fq)(?:\.gz)?)$`)

// group pairs FASTQ files: two in one folder whose names differ only in the mate number, as sequencers write them. Everything else stands alone. The
// order is the order in which items must land: references before what is aligned to them.
func group(files []File) []Item {
	pairs := map[string][]File{}
	var items []Item
	for _, f := range files {
		if f.Service == "" {
			continue
		}
		if f.Verdict.Kind == sniff.FASTQ {
			if m := mate.FindStringSubmatch(f.Rel); m != nil {
				k := m[1] + m[2] + "?" + m[4]
				pairs[k] = append(pairs[k], f)
				continue
			}
		}
		items = append(items, Item{Files: []File{f}, Kind: f.Verdict.Kind})
	}
	for _, p := range pairs {
		if len(p) == 2 {
			sort.Slice(p, func(i, j int) bool { return p[i].Rel < p[j].Rel })
			items = append(items, Item{Files: p, Kind: sniff.FASTQ})
			continue
		}
		for _, f := range p {
			items = append(items, Item{Files: []File{f}, Kind: sniff.FASTQ})
		}
	}
	sort.SliceStable(items, func(i, j int) bool {
		if a, b := rank(items[i].Kind), rank(items[j].Kind); a != b {
			return a < b
		}
		return items[i].Files[0].Rel < items[j].Files[0].Rel
	})
	return items
}

// rank puts records first (others link to them), then references, then the rest.
func rank(k sniff.Kind) int {
	switch k {
	case sniff.FHIRJSON, sniff.FHIRNDJSON:
		return 0
	case sniff.FASTA:
		return 1
	}
	return 2
}
