// Package demo_test runs `galen demo` as a newcomer would, and then every recipe that it prints, as printed.
package demo_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/galen-health/galen/test/galen"
)

// recipe is one command of the demo's output with its continued lines, or the Python program.
type recipe struct{ kind, text string }

// recipes takes the exports and the recipes out of the demo's output.
func recipes(out string) (exports []string, all []recipe) {
	_, out, _ = strings.Cut(out, "\n4. ")
	var python []string
	var command string
	kind := ""
	for _, l := range strings.Split(out, "\n") {
		text := strings.TrimSpace(l)
		switch {
		case strings.HasPrefix(text, "export "):
			exports = append(exports, text)
		case strings.HasPrefix(text, "AWS CLI"), strings.HasPrefix(text, "curl ("), strings.HasPrefix(text, "Python ("):
			kind = strings.ToLower(strings.Fields(text)[0])
		case text == "" || !strings.HasPrefix(l, "     "):
			kind = ""
		case kind == "python":
			python = append(python, text)
		case kind != "":
			command += strings.TrimSuffix(text, "\\") + " "
			if !strings.HasSuffix(text, "\\") {
				all, command = append(all, recipe{kind, command}), ""
			}
		}
	}
	if len(python) > 0 {
		all = append(all, recipe{"python", strings.Join(python, "\n")})
	}
	return exports, all
}

func TestDemo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	args := []string{"demo", "--patients", "2", "--slices", "3", "--dir", t.TempDir(), "--addr", addr}

	// once: to its end, with what was promised in between
	once := exec.Command(galen.Binary(t), append(args, "--once")...)
	out, err := once.CombinedOutput()
	if err != nil {
		t.Fatalf("galen demo --once: %v\n%s", err, out)
	}
	for _, want := range []string{"2 synthetic patients", "FHIR       2 patients", "imaging    4 image sets through SearchImageSets, 8 instances", "genomics   2 read sets", "SQL over 2 samples", "4 ImagingStudy"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("the demo does not say %q", want)
		}
	}
	if t.Failed() {
		t.Fatalf("the demo said\n%s", out)
	}

	// again over the same folder, and serving on: nothing is taken twice, and the recipes run
	cmd := exec.Command(galen.Binary(t), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var failures bytes.Buffer
	cmd.Stderr = &failures
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(5*time.Minute, func() { _ = cmd.Process.Kill() }) // then the output ends
	defer stuck.Stop()
	var said strings.Builder
	sc := bufio.NewScanner(pipe)
	for serving := false; !serving && sc.Scan(); {
		said.WriteString(sc.Text() + "\n")
		serving = strings.HasPrefix(sc.Text(), "Serving until")
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		if err := cmd.Wait(); err != nil {
			t.Errorf("galen demo ended with %v\n%s%s", err, said.String(), failures.String())
		}
	}()
	if strings.Contains(said.String(), "\nlanded ") {
		t.Errorf("the second demo over the same folder landed files again:\n%s", said.String())
	}
	exports, all := recipes(said.String())
	kinds := map[string]int{}
	for _, r := range all {
		kinds[r.kind]++
	}
	if len(exports) < 2 || kinds["aws"] < 4 || kinds["curl"] < 2 || kinds["python"] != 1 {
		t.Fatalf("the demo prints %d exports and %v recipes:\n%s", len(exports), kinds, said.String())
	}
	for _, r := range all {
		t.Run(r.kind, func(t *testing.T) { run(t, exports, r) })
	}
}

// want are words of each recipe's answer.
var want = map[string]string{
	"aws healthlake list-fhir-datastores": `"DatastoreStatus": "ACTIVE"`, "aws medical-imaging search-image-sets": `"DICOMPatientId": "demo-7-001"`, "aws omics list-read-sets": `"status": "ACTIVE"`,
	"aws cloudtrail lookup-events": `"EventName"`, "/$everything": `"Observation"`, "/studies": `"0020000D"`, "import boto3": "/r4",
}

func run(t *testing.T, exports []string, r recipe) {
	tool := map[string]string{"aws": "aws", "curl": "curl", "python": "python3"}[r.kind]
	tool = galen.Tool(t, tool)
	script := "set -eu\n" + strings.Join(exports, "\n") + "\n"
	if r.kind == "python" {
		script += tool + " - <<'END'\n" + r.text + "\nEND\n"
	} else {
		script += r.text + "\n"
	}
	cmd := exec.Command("bash", "-c", script)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(tool)+":"+os.Getenv("PATH"), "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_PAGER=")
	var failures bytes.Buffer
	cmd.Stderr = &failures
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", r.text, err, out, failures.String())
	}
	known := false
	for start, word := range want {
		if strings.HasPrefix(r.text, start) || strings.Contains(strings.ReplaceAll(r.text, `\$`, "$"), start) {
			known = true
			if !strings.Contains(strings.ReplaceAll(string(out), `":"`, `": "`), strings.ReplaceAll(word, `":"`, `": "`)) {
				t.Errorf("%s: no %s in\n%.2000s", r.text, word, out)
			}
		}
	}
	if !known {
		t.Errorf("this test does not know the recipe %s", r.text)
	}
	if r.kind == "curl" && !json.Valid(out) {
		t.Errorf("%s: the answer is no JSON document", r.text)
	}
}
