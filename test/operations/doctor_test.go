package operations

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/galen-health/galen/test/galen"
)

// TestDoctor: beside a server that is well the doctor finds no fault; what is wrong with the server, the port, the clock's or the caller's side is one line with what to do.
func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir)
	full := launch(t, t.TempDir(), "--min-free-bytes", "9000000000000000000")
	full.until("it answers", func() bool { status, _ := full.admin("/readyz"); return status == 503 })
	other, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing that a server of HTTP says
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	go func() {
		for {
			c, err := other.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("220 mail.example.org\r\n"))
			c.Close()
		}
	}()
	for _, c := range []struct {
		what, endpoint, secret string
		args                   []string
		status                 int
		says                   []string
	}{
		{"all is well", "http://" + p.Addr, galen.SecretAccessKey, []string{"--data-dir", dir}, 0, []string{"is ready", "credentials: you are arn:aws:iam::000000000000:root", "a server has it open", "clock: the same"}},
		{"a wrong secret", "http://" + p.Addr, "wrong", nil, 1, []string{"the server refuses them", "AWS_SECRET_ACCESS_KEY"}},
		{"a server without room", "http://" + full.Addr, galen.SecretAccessKey, nil, 1, []string{"not ready", "disk: exhausted", "read its log"}},
		{"nobody there", "http://127.0.0.1:1", galen.SecretAccessKey, nil, 1, []string{"nothing listens", "start galen serve"}},
		{"another program", "http://" + other.Addr().String(), galen.SecretAccessKey, nil, 1, []string{"something listens", "another --addr"}},
		{"TLS where there is none", "https://" + p.Addr, galen.SecretAccessKey, nil, 1, []string{"something listens"}},
	} {
		var wrong []string
		for range 5 { // on a machine that is busy with other things an engine may not answer the server's own probe in time, and then the server is truly not ready
			if wrong = doctor(t, c.endpoint, c.secret, c.status, c.says, c.args...); len(wrong) == 0 {
				break
			}
		}
		for _, w := range wrong {
			t.Errorf("%s: %s", c.what, w)
		}
	}
}

// doctor asks the doctor, and lists what is wrong with the answer.
func doctor(t *testing.T, endpoint, secret string, status int, says []string, args ...string) (wrong []string) {
	t.Helper()
	cmd := exec.Command(galen.Binary(t), append([]string{"doctor"}, args...)...)
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+endpoint, "AWS_ACCESS_KEY_ID="+galen.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+secret)
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	out := string(b)
	if got := cmd.ProcessState.ExitCode(); got != status {
		wrong = append(wrong, fmt.Sprintf("status %d, want %d: %s", got, status, out))
	}
	for _, s := range says {
		if !strings.Contains(out, s) {
			wrong = append(wrong, fmt.Sprintf("without %q: %s", s, out))
		}
	}
	if strings.Contains(out, galen.SecretAccessKey) {
		t.Errorf("the doctor shows the secret: %s", out)
	}
	return wrong
}
