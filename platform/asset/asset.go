// Package asset finds the folders of third-party parts that the set-up installs and the repository does not hold (models, code sets).
//
// A part may be absent: whoever needs it says then what to install. Nothing is fetched at run time.
package asset

import (
	"os"
	"path/filepath"
)

// Dir is the folder of a part: the environment variable's, else .cache/<name> of the working directory, of the program's folder or of the nearest folder
// above them that has the file probe in it, else .cache/<name>.
func Dir(variable, name, probe string) string {
	if d := os.Getenv(variable); d != "" {
		return d
	}
	var starts []string
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	for _, at := range starts {
		for range 8 {
			d := filepath.Join(at, ".cache", name)
			if _, err := os.Stat(filepath.Join(d, probe)); err == nil {
				return d
			}
			at = filepath.Dir(at)
		}
	}
	return filepath.Join(".cache", name)
}
