package icd10cm

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed aliases.txt
var aliasFile string

var aliases = sync.OnceValue(func() map[string]string {
	m := map[string]string{}
	for _, l := range strings.Split(aliasFile, "\n") {
		if said, official, ok := strings.Cut(l, " = "); ok && !strings.HasPrefix(l, "#") {
			m[said] = official
		}
	}
	return m
})
