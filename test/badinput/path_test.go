package badinput

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/galen-health/galen/test/galen"
	"github.com/galen-health/galen/test/sample"
)

// TestKeys stores objects under names that mean something elsewhere. A key is a name and no path: it comes back as it was sent, or is refused; nothing is made
// outside of the server's own layout.
func TestKeys(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	s3 := func(method, path, body string) answer {
		return call{service: "s3", method: method, path: path, body: body}.send(t, g)
	}
	s3("PUT", "/keys", "").accepted(t, "a bucket")
	before := tree(t, filepath.Dir(g.Dir))
	kept := []string{"../up", "../../../../etc/passwd", "/absolute", "//two", "a/../b", "a/./b", "a//b", ".", "..", "a\\..\\b", "C:\\x", "con", "a\nb", "a\tb", "%2e%2e%2f", "é/ü", "e\u0301", "\u202egnp.exe", "a b+c&d=e?f#g",
		"trailing/", strings.Repeat("k", 1024), strings.Repeat("d/", 500), "*", "[a-z]", "${x}", "$(x)", "`x`", "'; DROP TABLE objects; --", "<Key>", "]]>"}
	for _, key := range kept {
		path := "/keys/" + strings.ReplaceAll(url.PathEscape(key), "+", "%2B")
		if a := s3("PUT", path, key); a.status != 200 {
			t.Errorf("key %.40q: %d %.200s", key, a.status, a.body)
			continue
		}
		if a := s3("GET", path, ""); a.status != 200 || a.body != key {
			t.Errorf("key %.40q comes back as %d %.200s", key, a.status, a.body)
		}
	}
	for what, path := range map[string]string{
		"too long":           "/keys/" + strings.Repeat("k", 1025),
		"too long in UTF-8":  "/keys/" + strings.Repeat("%C3%A9", 600),
		"no UTF-8":           "/keys/a%ff%feb",
		"a NUL":              "/keys/a%00b",
		"a bucket of dots":   "/../x",
		"a bucket, escaped":  "/..%2f..%2fetc/x",
		"a bucket in CAPS":   "/KEYS/x",
		"a bucket's address": "/127.0.0.1/x",
		"half an escape":     "/keys/a%4",
	} {
		a := answer{}
		if what == "half an escape" { // no client library would send it
			a.status = exchange(t, g, []byte("PUT "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"))
		} else {
			a = s3("PUT", path, "x")
		}
		if a.status < 400 || a.status > 499 {
			t.Errorf("%s: %d %.200s", what, a.status, a.body)
		}
	}
	a := s3("GET", "/keys?list-type=2&encoding-type=url", "")
	if n := strings.Count(a.body, "<Key>"); n != len(kept) {
		t.Errorf("%d keys are listed, want %d: %.2000s", n, len(kept), a.body)
	}
	for _, source := range []string{"/keys/../keys/a", "keys/none", "../../etc/passwd", "/", "", "keys", "keys/%", "keys/a%00", "nobody/a"} {
		c := call{service: "s3", method: "PUT", path: "/keys/copy", header: map[string]string{"X-Amz-Copy-Source": source}}
		if a := c.send(t, g); source != "" && (a.status < 400 || a.status > 499 || a.code() == "") {
			t.Errorf("a copy of %q: %d %.200s", source, a.status, a.body)
		}
	}
	if after := tree(t, filepath.Dir(g.Dir)); after != before {
		t.Errorf("beside the data folder: %s, before %s", after, before)
	}
	sound(t, g)
}

// tree names what lies in a folder, the data folder apart.
func tree(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// TestResources asks for resources under names that try to leave their data store.
func TestResources(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	store := fhirStore(t, g)
	images := imagingStore(t, g)
	for _, c := range []call{
		{service: "healthlake", method: "GET", path: "/datastore/" + store + "/r4/Patient/%2e%2e%2f%2e%2e"},
		{service: "healthlake", method: "GET", path: "/datastore/%2e%2e/r4/Patient/x"},
		{service: "healthlake", method: "GET", path: "/datastore/" + store + "/r4/%2e%2e/metadata"},
		{service: "healthlake", method: "GET", path: "/datastore/" + store + "/r4/Patient/a%00b"},
		{service: "healthlake", method: "GET", path: "/datastore/" + store + "/r4/Patient/" + strings.Repeat("i", 5000)},
		{service: "healthlake", method: "GET", path: "/datastore/" + store + "/r4/Patient/x/_history/%2e%2e"},
		{service: "healthlake", method: "GET", path: "/datastore/" + strings.ToUpper(store) + "/r4/Patient/x"},
		{service: "medical-imaging", method: "GET", path: "/datastore/" + images + "/studies/%2e%2e/metadata"},
		{service: "medical-imaging", method: "GET", path: "/datastore/" + images + "/studies/1.2%00.3/metadata"},
		{service: "medical-imaging", method: "GET", path: "/datastore/" + images + "/studies/" + strings.Repeat("1.", 5000) + "1/metadata"},
		{service: "medical-imaging", method: "GET", path: "/datastore/" + images + "/studies/1.2/series/1.2/instances/1.2/frames/-1"},
		{service: "medical-imaging", method: "GET", path: "/datastore/" + images + "/studies/1.2/series/1.2/instances/1.2/frames/99999999999999999999"},
		{service: "omics", method: "GET", path: "/sequencestore/%2e%2e%2f1/readset/1"},
		{service: "omics", method: "GET", path: "/sequencestore/1234567890/readset/1234567890?partNumber=-1"},
		{service: "omics", method: "GET", path: "/sequencestore/1234567890/readset/1234567890?partNumber=99999999999999999999"},
	} {
		a := c.send(t, g)
		if a.status < 400 || a.status > 499 || a.header.Get("X-Amzn-Requestid") == "" {
			t.Errorf("%s: %d %.200s", c.path, a.status, a.body)
		}
	}
	// Dot segments that are not escaped are refused before anybody could read them in two ways.
	dots := call{service: "omics", method: "GET", path: "/sequencestore", after: func(r *http.Request) { r.URL.Opaque = "//" + r.URL.Host + "/sequencestore/../sequencestore" }}
	if a := dots.send(t, g); a.status < 400 {
		t.Errorf("dot segments: %d %s", a.status, a.body)
	}
	sound(t, g)
}

// TestFolders ingests a folder of tricks: what is no regular file of the folder itself is not followed, and everything else goes its way.
func TestFolders(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	dir, outside := t.TempDir(), t.TempDir()
	write := func(path string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	patient := func(id string) []byte {
		return []byte(fmt.Sprintf(`{"resourceType":"Patient","id":%q,"gender":"female"}`, id))
	}
	write(filepath.Join(dir, "good.json"), patient("good"))
	write(filepath.Join(dir, "..dots..json"), patient("dots"))
	write(filepath.Join(dir, "new\nline.json"), patient("newline"))
	write(filepath.Join(dir, "no\xffutf8.json"), patient("noutf8"))
	write(filepath.Join(dir, strings.Repeat("n", 250)+".json"), patient("long"))
	write(filepath.Join(dir, "-rf"), patient("dash"))
	write(filepath.Join(dir, "half.dcm"), sample.Slice(1, "HALF")[:500])
	write(filepath.Join(dir, "bomb.json.gz"), []byte(zeros(300<<20)))
	write(filepath.Join(dir, "secret.json"), patient("secret"))
	if err := os.Chmod(filepath.Join(dir, "secret.json"), 0); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(outside, "outside.json"), patient("outside"))
	for name, to := range map[string]string{"link.json": filepath.Join(outside, "outside.json"), "folder": outside, "loop": dir, "gone.json": filepath.Join(outside, "none"), "self": "self", "passwd": "/etc/passwd", "zero": "/dev/zero"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	deep := dir
	for range 60 {
		deep = filepath.Join(deep, strings.Repeat("d", 50))
	}
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(deep, "deep.json"), patient("deep"))

	out, err := g.Exec("ingest", "--json", dir)
	if err != nil {
		t.Errorf("ingest: %v\n%.1500s", err, out)
	}
	var stores struct {
		List []struct{ DatastoreId string } `json:"DatastorePropertiesList"`
	}
	a := call{service: "healthlake", header: target("HealthLake.ListFHIRDatastores", "1.0"), body: "{}"}.send(t, g).accepted(t, "the data stores")
	if err := json.Unmarshal([]byte(a.body), &stores); err != nil || len(stores.List) != 1 {
		t.Fatalf("%v: %s", err, a.body)
	}
	for id, want := range map[string]int{"good": 200, "dots": 200, "newline": 200, "noutf8": 200, "long": 200, "dash": 200, "deep": 200, "outside": 404} {
		if a := (call{service: "healthlake", method: "GET", path: "/datastore/" + stores.List[0].DatastoreId + "/r4/Patient/" + id}).send(t, g); a.status != want {
			t.Errorf("%s: %d %.200s, want %d", id, a.status, a.body, want)
		}
	}
	sound(t, g)
}
