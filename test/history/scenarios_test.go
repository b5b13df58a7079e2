package history_test

import (
	"crypto/md5" //nolint:gosec // S3's ETag
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/test/galen"
)

func scenarios(t *testing.T, g *galen.Server) []scenario {
	t.Helper()
	ctx := t.Context()
	if _, err := s3.NewClient(g.Client()).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "history"}); err != nil {
		t.Fatal(err)
	}
	lake := healthlake.NewClient(g.Client())
	made, err := lake.CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4})
	if err != nil {
		t.Fatal(err)
	}
	for {
		d, err := lake.DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: made.DatastoreId})
		if err != nil {
			t.Fatal(err)
		}
		if d.DatastoreProperties.DatastoreStatus == healthlake.DatastoreStatusActive {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	r4 := "/datastore/" + made.DatastoreId + "/r4/"
	return []scenario{
		{"objects", 8, func(t *testing.T, g *galen.Server) { object(t, remote{g}, 8) }},
		{"resources", 8, func(t *testing.T, g *galen.Server) { resource(t, remote{g}, r4, 8) }},
		{"conditional creates", 4, func(t *testing.T, g *galen.Server) { created(t, remote{g}, r4, 4) }},
		{"updates by condition", 6, func(t *testing.T, g *galen.Server) { updated(t, remote{g}, r4, 6) }},
		{"client tokens", 2, func(t *testing.T, g *galen.Server) { tokens(t, remote{g}, 2) }},
	}
}

// object is about one key of a bucket: PUT, with If-None-Match: * and with If-Match, GET, DELETE, and the list of the bucket. A value is a body; an ETag stands for it.
func object(t *testing.T, c remote, each int) {
	t.Helper()
	path := "/history/" + fresh()
	etag := func(body string) string {
		sum := md5.Sum([]byte(body)) //nolint:gosec // as above
		return hex.EncodeToString(sum[:])
	}
	list := record(each, func(r *rand.Rand, seen answer) call {
		switch n := r.IntN(10); {
		case n < 2:
			return call{do: "create", value: fresh()}
		case n < 3:
			return call{do: "put", value: fresh()}
		case n < 6:
			return call{do: "swap", value: fresh(), expect: seen.value}
		case n < 8:
			return call{do: "get"}
		case n < 9:
			return call{do: "list"}
		}
		return call{do: "delete"}
	}, func(in call) answer {
		switch in.do {
		case "get":
			status, _, b := c.send("s3", "GET", path, nil, "")
			if status != 200 {
				b = nil
			}
			return answer{status, string(b)}
		case "list":
			status, _, b := c.send("s3", "GET", "/history?list-type=2&prefix="+path[len("/history/"):]+"&max-keys=1", nil, "")
			_, rest, _ := strings.Cut(string(b), "<ETag>")
			tag, _, _ := strings.Cut(rest, "</ETag>")
			return answer{status, strings.Trim(strings.ReplaceAll(tag, "&#34;", `"`), `"`)}
		case "delete":
			status, _, _ := c.send("s3", "DELETE", path, nil, "")
			return answer{status, ""}
		}
		h := map[string]string{}
		switch in.do {
		case "create":
			h["If-None-Match"] = "*"
		case "swap":
			h["If-Match"] = `"` + etag(in.expect) + `"`
		}
		status, _, _ := c.send("s3", "PUT", path, h, in.value)
		if status != 200 {
			return answer{status, ""}
		}
		return answer{status, in.value}
	})
	check(t, func(s string, in call, out answer) []string { // the state is the body, "" = none
		after := map[string]string{"create": in.value, "put": in.value, "swap": in.value, "delete": "", "get": s, "list": s}[in.do]
		may := map[string]bool{"create": s == "", "swap": s != "" && s == in.expect, "put": true, "delete": true, "get": true, "list": true}[in.do]
		switch {
		case out.status == 0 && may:
			return []string{s, after}
		case out.status == 0:
			return []string{s}
		case in.do == "get":
			if out.status == 200 && s == out.value && s != "" || out.status == 404 && s == "" {
				return []string{s}
			}
			return nil
		case in.do == "list":
			if out.status == 200 && (s == "" && out.value == "" || s != "" && out.value == etag(s)) {
				return []string{s}
			}
			return nil
		case out.status == 412 && !may, out.status == 404 && !may && s == "":
			return []string{s}
		case (out.status == 200 || out.status == 204) && may:
			return []string{after}
		}
		return nil
	}, list)
}

// stored is a FHIR resource: its version and its family name, "" when it was never there or is deleted.
type stored struct {
	version int
	name    string
}

// resource is about one Patient: PUT, with If-Match and with If-None-Match: *, GET, DELETE and a search that must see each write at once.
func resource(t *testing.T, c remote, r4 string, each int) {
	t.Helper()
	id := fresh()
	fhir := map[string]string{"Content-Type": "application/fhir+json"}
	read := func(b []byte) string {
		var p struct {
			Name []struct{ Family string }
			Meta struct{ VersionID string }
		}
		if json.Unmarshal(b, &p) != nil || len(p.Name) == 0 {
			return "unreadable"
		}
		return p.Meta.VersionID + " " + p.Name[0].Family
	}
	list := record(each, func(r *rand.Rand, seen answer) call {
		switch n := r.IntN(10); {
		case n < 2:
			return call{do: "create", value: fresh()}
		case n < 3:
			return call{do: "put", value: fresh()}
		case n < 6:
			version, _, _ := strings.Cut(seen.value, " ")
			return call{do: "swap", value: fresh(), expect: version}
		case n < 8:
			return call{do: "get"}
		case n < 9:
			return call{do: "search"}
		}
		return call{do: "delete"}
	}, func(in call) answer {
		switch in.do {
		case "get":
			status, _, b := c.send("healthlake", "GET", r4+"Patient/"+id, nil, "")
			if status != 200 {
				return answer{status, ""}
			}
			return answer{status, read(b)}
		case "search":
			status, _, b := c.send("healthlake", "GET", r4+"Patient?identifier=urn:history%7C"+id, nil, "")
			var bundle struct {
				Entry []struct{ Resource json.RawMessage }
			}
			if status != 200 {
				return answer{status, ""}
			}
			if err := json.Unmarshal(b, &bundle); err != nil || len(bundle.Entry) > 1 {
				return answer{status, fmt.Sprint(len(bundle.Entry), " entries")}
			}
			if len(bundle.Entry) == 0 {
				return answer{status, ""}
			}
			return answer{status, read(bundle.Entry[0].Resource)}
		case "delete":
			status, _, _ := c.send("healthlake", "DELETE", r4+"Patient/"+id, nil, "")
			return answer{status, ""}
		}
		h := map[string]string{"Content-Type": fhir["Content-Type"]}
		switch in.do {
		case "create":
			h["If-None-Match"] = "*"
		case "swap":
			h["If-Match"] = `W/"` + in.expect + `"`
		}
		status, _, b := c.send("healthlake", "PUT", r4+"Patient/"+id, h, fmt.Sprintf(`{"resourceType":"Patient","id":%q,"identifier":[{"system":"urn:history","value":%q}],"name":[{"family":%q}]}`, id, id, in.value))
		if status != 200 && status != 201 {
			return answer{status, ""}
		}
		return answer{status, read(b)}
	})
	check(t, func(s stored, in call, out answer) []stored {
		is := ""
		if s.name != "" {
			is = fmt.Sprint(s.version, " ", s.name)
		}
		after := s
		may := true
		switch in.do {
		case "create":
			may, after = s.name == "", stored{s.version + 1, in.value}
		case "put":
			after = stored{s.version + 1, in.value}
		case "swap":
			may, after = s.name != "" && fmt.Sprint(s.version) == in.expect, stored{s.version + 1, in.value}
		case "delete":
			if s.name != "" {
				after = stored{s.version + 1, ""}
			}
		}
		switch {
		case out.status == 0 && may:
			return []stored{s, after}
		case out.status == 0:
			return []stored{s}
		case in.do == "get" || in.do == "search":
			if out.status == 200 && out.value == is && (is != "" || in.do == "search") || (out.status == 404 && s.version == 0 || out.status == 410 && s.version > 0) && is == "" && in.do == "get" {
				return []stored{s}
			}
			return nil
		case out.status == 412 && !may:
			return []stored{s}
		case in.do == "delete":
			if out.status == 204 || out.status == 404 && s.version == 0 {
				return []stored{after}
			}
			return nil
		case may && out.value == fmt.Sprint(after.version, " ", after.name) && (out.status == 201) == (s.name == ""):
			return []stored{after}
		}
		return nil
	}, list)
}

// created is about the one resource that matches a condition: If-None-Exist and conditional updates make it at most once, however the condition is written, and a search
// knows it at once.
func created(t *testing.T, c remote, r4 string, each int) {
	t.Helper()
	value := fresh()
	body := fmt.Sprintf(`{"resourceType":"Organization","identifier":[{"system":"urn:history","value":%q}],"name":%q}`, value, value)
	conditions := []string{"identifier=urn:history|" + value, "identifier=" + value, "name:exact=" + value}
	list := record(each, func(r *rand.Rand, seen answer) call {
		return call{do: []string{"create", "create", "update", "search"}[r.IntN(4)], value: conditions[r.IntN(len(conditions))]}
	}, func(in call) answer {
		if in.do == "create" {
			status, _, b := c.send("healthlake", "POST", r4+"Organization", map[string]string{"Content-Type": "application/fhir+json", "If-None-Exist": in.value}, body)
			var o struct{ ID string }
			_ = json.Unmarshal(b, &o) // no id: no order explains it
			return answer{status, o.ID}
		}
		name, v, _ := strings.Cut(in.value, "=")
		if in.do == "update" {
			status, _, b := c.send("healthlake", "PUT", r4+"Organization?"+name+"="+url.QueryEscape(v), map[string]string{"Content-Type": "application/fhir+json"}, body)
			var o struct{ ID string }
			_ = json.Unmarshal(b, &o) // as above
			return answer{status, o.ID}
		}
		status, _, b := c.send("healthlake", "GET", r4+"Organization?"+name+"="+url.QueryEscape(v), nil, "")
		var bundle struct {
			Entry []struct{ Resource struct{ ID string } }
		}
		var ids []string
		if json.Unmarshal(b, &bundle) == nil {
			for _, e := range bundle.Entry {
				ids = append(ids, e.Resource.ID)
			}
		}
		return answer{status, strings.Join(ids, " ")}
	})
	check(t, func(s string, in call, out answer) []string { // the state is its id
		switch {
		case out.status == 0 && in.do != "search" && s == "":
			return []string{s, "unknown"}
		case out.status == 0:
			return []string{s}
		case s == "unknown" && out.value != "" && out.status == 200:
			return []string{out.value} // the one that nobody was told of
		case in.do == "search" && out.status == 200 && out.value == s:
			return []string{s}
		case in.do != "search" && out.status == 200 && out.value == s && s != "":
			return []string{s}
		case in.do != "search" && out.status == 201 && s == "" && out.value != "":
			return []string{out.value}
		}
		return nil
	}, list)
}

// updated is about one resource that is written by its id and by a condition at once: each write is done, and counts.
func updated(t *testing.T, c remote, r4 string, each int) {
	t.Helper()
	id := fresh()
	list := record(each, func(r *rand.Rand, _ answer) call {
		return call{do: []string{"put", "condition", "condition", "get"}[r.IntN(4)], value: fresh()}
	}, func(in call) answer {
		method, path := "PUT", "Organization/"+id
		body := fmt.Sprintf(`{"resourceType":"Organization","id":%q,"identifier":[{"value":%q}],"name":%q}`, id, id, in.value)
		switch in.do {
		case "condition":
			path = "Organization?identifier=" + id
		case "get":
			method, body = "GET", ""
		}
		status, _, b := c.send("healthlake", method, r4+path, map[string]string{"Content-Type": "application/fhir+json"}, body)
		var o struct {
			Name string
			Meta struct{ VersionID string }
		}
		_ = json.Unmarshal(b, &o) // no version: no order explains it
		if status != 200 && status != 201 {
			return answer{status, ""}
		}
		return answer{status, o.Meta.VersionID + " " + o.Name}
	})
	check(t, func(s stored, in call, out answer) []stored {
		after := stored{s.version + 1, in.value}
		switch {
		case in.do == "get" && (out.status == 0 || out.status == 404 && s.version == 0 || out.status == 200 && out.value == fmt.Sprint(s.version, " ", s.name)):
			return []stored{s}
		case in.do != "get" && out.status == 0:
			return []stored{s, after}
		case in.do != "get" && out.value == fmt.Sprint(after.version, " ", after.name) && (out.status == 201) == (s.version == 0):
			return []stored{after}
		}
		return nil
	}, list)
}

// tokens is about one client token: whoever uses it gets the one store that it stands for.
func tokens(t *testing.T, c remote, each int) {
	t.Helper()
	token := fresh()
	list := record(each, func(*rand.Rand, answer) call { return call{do: "make"} }, func(call) answer {
		status, _, b := c.send("omics", "POST", "/sequencestore", map[string]string{"Content-Type": "application/json"}, fmt.Sprintf(`{"name":"history","clientToken":"token-of-history-%s"}`, token))
		var o struct{ ID string }
		_ = json.Unmarshal(b, &o) // no id: no order explains it
		return answer{status, o.ID}
	})
	for _, o := range list { // an account has 20 at most
		id := o.Output.(answer).value
		for status := 0; id != "" && status != 200 && status != 404; {
			if status, _, _ = c.send("omics", "DELETE", "/sequencestore/"+id, nil, ""); status == 0 { // killed
				time.Sleep(50 * time.Millisecond)
			}
		}
	}
	check(t, func(s string, _ call, out answer) []string {
		switch {
		case out.status == 0 && s == "":
			return []string{s, "unknown"}
		case out.status == 0:
			return []string{s}
		case out.status == 200 && out.value != "" && (s == "" || s == "unknown" || s == out.value):
			return []string{out.value}
		}
		return nil
	}, list)
}
