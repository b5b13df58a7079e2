package crash_test

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/galen-health/galen/test/galen"
)

// A start that cannot succeed ends with a line that says why, and changes nothing: the next good one does.
func TestStartThatCannotSucceed(t *testing.T) {
	t.Setenv("GALEN_ROOT_KEY", "") // set below for single starts
	g := galen.Start(t, "--log-level", "error")
	g.Stop()
	for say, env := range map[string]string{
		"root key": "GALEN_ROOT_KEY=" + strings.Repeat("ab", 32),
		"region":   "GALEN_BLOBS=s3:bucket",
	} {
		cmd := exec.Command(galen.Binary(t), "serve", "--data-dir", g.Dir, "--addr", "127.0.0.1:0")
		cmd.Env = append(append(cmd.Environ(), galen.RecordsEnv(t, g.Dir)...), env)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err == nil || strings.Contains(out.String(), "goroutine") || !strings.Contains(out.String(), say) {
			t.Errorf("%s: %v\n%s", env, err, out.String())
		}
	}
	g.Run()
	g.Stop()
	verified(t, g)
}
