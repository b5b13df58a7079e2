package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/galen-health/galen/app"
	"github.com/galen-health/galen/aws/sts"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/speech"
	"github.com/galen-health/galen/standard/htj2k"
)

type doctorCmd struct {
	Endpoint string `env:"AWS_ENDPOINT_URL" default:"http://127.0.0.1:8484" help:"The running server."`
	Region   string `env:"AWS_REGION,AWS_DEFAULT_REGION" default:"us-east-1"`
	DataDir  string `name:"data-dir" env:"GALEN_DATA_DIR" type:"path" help:"Also look at this data folder."`
	Records  string `env:"GALEN_RECORDS" help:"Also look at this PostgreSQL, as galen serve --records takes it."`
	RootKey  string `name:"root-key" env:"GALEN_ROOT_KEY_FROM" help:"Where the root key is, as galen serve --root-key takes it."`
	Blobs    string `env:"GALEN_BLOBS" help:"Also look at this S3, as galen serve --blobs takes it."`
}

// finding is the outcome of one check. do says what to do about it.
type finding struct{ state, what, do string }

const (
	ok   = "ok"
	warn = "warn"
	fail = "fail"
)

// Limits of the checks.
const (
	maxSkew   = 5 * time.Minute // SigV4 refuses what is further off
	smallSkew = 30 * time.Second
	lowSpace  = 10 << 30 // bytes free
	noSpace   = 1 << 30
)

// Run makes every check, prints a line each and fails when one failed.
func (c *doctorCmd) Run() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	failed := 0
	show := func(list ...finding) {
		for _, f := range list {
			line := fmt.Sprintf("%-4s  %s", f.state, f.what)
			if f.do != "" {
				line += " → " + f.do
			}
			fmt.Println(line)
			if f.state == fail {
				failed++
			}
		}
	}
	server, reached := c.server(ctx)
	show(server...)
	if reached {
		show(c.credentials(ctx))
	}
	show(codecs(ctx), recogniser(), codes(), samtools(ctx), tools(), rootKeyAt(c.DataDir, c.RootKey))
	if c.DataDir != "" {
		show(dataDir(c.DataDir)...)
	}
	if c.Records != "" {
		show(recordsAt(ctx, c.Records))
	}
	if c.Blobs != "" {
		show(blobsAt(ctx, c.Blobs))
	}
	if failed > 0 {
		return fmt.Errorf("%d checks failed", failed)
	}
	return nil
}

// server asks whether it is ready, and compares its clock with ours.
func (c *doctorCmd) server(ctx context.Context) (list []finding, reached bool) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.Endpoint, "/")+"/readyz", nil)
	if err != nil {
		return []finding{{fail, fmt.Sprintf("server: %s is no URL", c.Endpoint), "set AWS_ENDPOINT_URL=http://127.0.0.1:8484, or where galen serve listens"}}, false
	}
	before := time.Now()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return []finding{port(c.Endpoint)}, false
	}
	unready := "not ready"
	if why, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10)); err == nil && len(why) > 0 && resp.StatusCode == http.StatusServiceUnavailable {
		unready = strings.ReplaceAll(strings.TrimSpace(string(why)), "\n", ", ") // the engines that failed
	}
	resp.Body.Close()
	middle := before.Add(time.Since(before) / 2)
	switch resp.StatusCode {
	case http.StatusOK:
		list = append(list, finding{ok, fmt.Sprintf("server: %s is ready", c.Endpoint), ""})
	case http.StatusServiceUnavailable:
		list = append(list, finding{fail, fmt.Sprintf("server: %s is %s", c.Endpoint, unready), "wait for its start to end, and read its log, which says why; stop it and run galen verify if that says damage"})
	default:
		return append(list, finding{fail, fmt.Sprintf("server: %s answers %d on /readyz", c.Endpoint, resp.StatusCode), "something else than Galen listens there: set AWS_ENDPOINT_URL"}), false
	}
	return append(list, clock(resp.Header.Get("Date"), middle)), resp.StatusCode == http.StatusOK
}

// clock compares the server's Date, which counts whole seconds, with our time at that moment.
func clock(date string, now time.Time) finding {
	at, err := http.ParseTime(date)
	if err != nil {
		return finding{warn, "clock: the server does not tell its time", "compare both machines' clocks yourself"}
	}
	skew := now.Truncate(time.Second).Sub(at).Abs()
	switch {
	case skew > maxSkew:
		return finding{fail, fmt.Sprintf("clock: %s apart from the server; signatures are refused beyond %s", skew, maxSkew), "set both clocks (NTP)"}
	case skew > smallSkew:
		return finding{warn, fmt.Sprintf("clock: %s apart from the server", skew), "set both clocks (NTP) before signatures are refused"}
	}
	return finding{ok, "clock: the same as the server's", ""}
}

func (c *doctorCmd) credentials(ctx context.Context) finding {
	h, err := httpClient(c.Endpoint, c.Region)
	if err != nil {
		return finding{fail, "credentials: there are none in the environment", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; galen serve prints root's at its first start"}
	}
	who, err := sts.NewClient(h).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return finding{fail, "credentials: the server refuses them: " + strings.ReplaceAll(err.Error(), "\n", " "), "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_REGION"}
	}
	return finding{ok, "credentials: you are " + who.Arn, ""}
}

// codecs says whether this binary can encode and decode compressed images.
func codecs(ctx context.Context) finding {
	for _, f := range []htj2k.Format{htj2k.HTJ2K, htj2k.JPEG2000, htj2k.JPEGLS} {
		err := htj2k.Ready(ctx, f)
		if errors.Is(err, htj2k.ErrAssets) {
			return finding{warn, "image codecs: not part of this binary; compressed images are refused", "build with make build, which fetches them"}
		}
		if err != nil {
			return finding{fail, "image codecs: they do not load: " + err.Error(), "build again with make build"}
		}
	}
	return finding{ok, "image codecs: HTJ2K, JPEG 2000 and JPEG-LS are built in", ""}
}

// recogniser says whether recordings can be turned into text here.
func recogniser() finding {
	dir := speech.Dir()
	if err := speech.NewMoonshine(dir, 0).Ready(); err != nil {
		return finding{warn, "speech: the recogniser is not installed; recordings are refused, transcripts are not", "run platform/speech/fetch.sh, or set GALEN_SPEECH_DIR to where it is"}
	}
	return finding{ok, "speech: the recogniser is in " + dir, ""}
}

// samtools is what users compare read sets with; the server itself does without.
func samtools(ctx context.Context) finding {
	path, err := exec.LookPath("samtools")
	if err != nil {
		return finding{warn, "samtools: not on the PATH; only checks of read sets with a foreign tool need it", "install the package samtools"}
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return finding{warn, "samtools: " + path + " does not run", "install the package samtools again"}
	}
	version, _, _ := strings.Cut(string(out), "\n")
	return finding{ok, "samtools: " + version, ""}
}

// dataDir looks at a data folder without opening it: a running server holds it.
func dataDir(dir string) []finding {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []finding{{warn, "data folder: " + dir + " does not exist", "galen serve makes it; otherwise check --data-dir"}}
	case err != nil:
		return []finding{{fail, "data folder: " + dir + " cannot be looked at", "give the user of galen serve its permissions"}}
	case !info.IsDir():
		return []finding{{fail, "data folder: " + dir + " is a file", "check --data-dir"}}
	}
	if err := app.CheckWritable(dir); err != nil { // then there is no more to see
		what, do, _ := strings.Cut(errs.As(err).Message, ": ")
		return []finding{{fail, "data folder: " + what, do}, space(dir)}
	}
	return []finding{permissions(dir, info), wholeness(dir), rootKeyFile(dir), space(dir), future(dir, time.Now())}
}

// permissions holds the folder to its owner: keys lie in it.
func permissions(dir string, info fs.FileInfo) finding {
	if info.Mode().Perm()&0o077 != 0 {
		return finding{warn, fmt.Sprintf("data folder: others than its owner have rights on %s (%v)", dir, info.Mode().Perm()), "chmod 700 " + dir}
	}
	return finding{ok, "data folder: " + dir + " is its owner's alone", ""}
}

// rootKeyFile says when the root key lies beside what it seals.
func rootKeyFile(dir string) finding {
	name := filepath.Join(dir, "keys", "root.key")
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return finding{ok, "root key: not in the data folder", ""}
	case err != nil:
		return finding{fail, "root key: " + name + " cannot be looked at", "run as the user who owns it"}
	case info.Mode().Perm()&0o077 != 0:
		return finding{fail, fmt.Sprintf("root key: others than its owner have rights on %s (%v)", name, info.Mode().Perm()), "chmod 600 " + name}
	}
	return finding{warn, "root key: it lies in the data folder, so whoever copies the folder can read the data", "keep it elsewhere and give it as GALEN_ROOT_KEY"}
}

func space(dir string) finding {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return finding{warn, "disk: its free space is not known: " + err.Error(), "look with df"}
	}
	free := st.Bavail * uint64(st.Bsize)
	what := fmt.Sprintf("disk: %.1f GiB are free", float64(free)/(1<<30))
	switch {
	case free < noSpace:
		return finding{fail, what, "make room: writes will fail soon"}
	case free < lowSpace:
		return finding{warn, what, "make room before it runs out"}
	}
	return finding{ok, what, ""}
}
