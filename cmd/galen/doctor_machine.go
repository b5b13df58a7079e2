package main

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/asset"
	"github.com/galen-health/galen/platform/key/rootkey"
)

// port says what is at an endpoint that does not speak HTTP as Galen does: nothing, or something else.
func port(endpoint string) finding {
	const set = "set AWS_ENDPOINT_URL to where galen serve listens"
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" {
		return finding{fail, fmt.Sprintf("server: %s is no URL", endpoint), set}
	}
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), map[string]string{"https": "443"}[u.Scheme])
		if u.Scheme == "http" {
			addr = net.JoinHostPort(u.Hostname(), "80")
		}
	}
	c, err := net.DialTimeout("tcp", addr, 3*time.Second)
	if err != nil {
		return finding{fail, fmt.Sprintf("server: nothing listens on %s", addr), "start galen serve, or " + set}
	}
	_ = c.Close() // only tried
	return finding{fail, fmt.Sprintf("server: something listens on %s that does not answer as Galen over %s", addr, u.Scheme), "stop it or give galen serve another --addr; where Galen serves TLS, " + set + " with https://"}
}

// rootKeyAt looks at where galen serve --root-key says that the root key is; "" = GALEN_ROOT_KEY, or the data folder's own.
func rootKeyAt(dir, from string) finding {
	kind, rest, _ := strings.Cut(from, ":")
	const mend = "correct --root-key or GALEN_ROOT_KEY_FROM, or restore what it names"
	switch kind {
	case "":
		return rootKeyGiven(dir)
	case "file":
		info, err := os.Stat(rest)
		if err != nil {
			return finding{fail, "root key: the file " + rest + " cannot be looked at", mend}
		}
		if info.Mode().Perm()&0o077 != 0 {
			return finding{fail, fmt.Sprintf("root key: others than its owner have rights on %s (%v)", rest, info.Mode().Perm()), "chmod 600 " + rest}
		}
		text, err := os.ReadFile(rest)
		if err != nil {
			return finding{fail, "root key: the file " + rest + " cannot be read", "run as the user who owns it"}
		}
		defer clear(text)
		raw, err := rootkey.Parse(string(text))
		clear(raw)
		if err != nil {
			return finding{fail, "root key: the file " + rest + " does not hold 32 bytes in base64", mend}
		}
		return finding{ok, "root key: in the file " + rest, ""}
	case "env":
		raw, err := rootkey.Parse(os.Getenv(rest))
		clear(raw)
		if err != nil {
			return finding{fail, "root key: the variable " + rest + " is not set to 32 bytes in base64", mend}
		}
		return finding{ok, "root key: in the variable " + rest, ""}
	}
	return finding{ok, "root key: from " + kind + ", which galen serve asks at its start", ""}
}

// rootKeyGiven looks at the root key of the environment.
func rootKeyGiven(dir string) finding {
	given := os.Getenv("GALEN_ROOT_KEY")
	ring, err := filepath.Glob(filepath.Join(dir, "keys", "*"))
	made := err == nil && len(ring) > 0
	_, err = os.Stat(filepath.Join(dir, "keys", "root.key"))
	beside := err == nil
	switch {
	case given == "" && dir != "" && made && !beside:
		return finding{fail, "root key: the keys of " + dir + " are sealed by a root key that is not here", "give GALEN_ROOT_KEY as it was at the first start"}
	case given == "":
		return finding{ok, "root key: none in the environment; the one of the data folder is used", ""}
	}
	raw, err := rootkey.Parse(given)
	if err != nil {
		return finding{fail, "root key: GALEN_ROOT_KEY is not 32 bytes in base64", "give it as it was; make a new one, for a new data folder, with: head -c 32 /dev/urandom | base64"}
	}
	defer clear(raw)
	if bytes.Count(raw, raw[:1]) == len(raw) { // the keys of examples
		return finding{warn, "root key: GALEN_ROOT_KEY repeats one byte", "make a random one, for a new data folder, with: head -c 32 /dev/urandom | base64"}
	}
	return finding{ok, "root key: GALEN_ROOT_KEY is well-formed", ""}
}

// future finds out that this machine's clock is behind what is stored: signatures, leases and times of commits would be off.
func future(dir string, now time.Time) finding {
	var newest time.Time
	for _, pattern := range []string{"records/*", "records/db/*", "keys/*", "audit/*", "blobs/*"} {
		list, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			continue
		}
		for _, name := range list {
			if info, err := os.Stat(name); err == nil && info.ModTime().After(newest) {
				newest = info.ModTime()
			}
		}
	}
	if ahead := newest.Sub(now); ahead > maxSkew {
		return finding{fail, fmt.Sprintf("clock: files of the data folder are from %s in the future", ahead.Round(time.Second)), "set this machine's clock (NTP) before galen serve runs"}
	}
	return finding{ok, "clock: not behind what is stored", ""}
}

// codes says whether codes of diagnoses can be inferred here.
func codes() finding {
	const file = "icd10cm-tabular.xml"
	dir := asset.Dir("GALEN_CODES_DIR", "codes", file)
	if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
		return finding{warn, "codes: the ICD-10-CM list is not installed; InferICD10CM says so, everything else works", "run make assets, or set GALEN_CODES_DIR to where it is"}
	}
	return finding{ok, "codes: the ICD-10-CM list is in " + dir, ""}
}

// testTools are what make test and make demo install when it is absent, by the packages that they come in.
var testTools = []struct{ tool, pack string }{{"gcc", "gcc"}, {"g++", "g++"}, {"npm", "npm"}, {"python3", "python3"}, {"curl", "curl"}, {"samtools", "samtools"}, {"flite", "flite"}, {"bcftools", "bcftools"}, {"tabix", "tabix"},
	{"dcmdump", "dcmtk"}, {"opj_decompress", "libopenjp2-tools"}}

// tools says what a developer lacks; a server needs none of them.
func tools() finding {
	var missing []string
	for _, t := range testTools {
		if _, err := exec.LookPath(t.tool); err != nil {
			missing = append(missing, t.pack)
		}
	}
	if len(missing) > 0 {
		return finding{warn, "tools: make test needs " + strings.Join(missing, ", ") + "; the server does not", "make test installs them, or: apt-get install " + strings.Join(missing, " ")}
	}
	return finding{ok, "tools: all that make test uses is here", ""}
}
