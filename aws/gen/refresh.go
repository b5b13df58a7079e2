package main

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// botocoreVersion is the release whose models the contracts are.
const botocoreVersion = "1.44.5"

// folders maps a model file to its folder in botocore; the newest version below it counts.
var folders = map[string]string{
	"athena.json": "athena", "cloudtrail.json": "cloudtrail", "comprehendmedical.json": "comprehendmedical", "connecthealth.json": "connecthealth", "ecr.json": "ecr",
	"events.json": "events", "healthlake.json": "healthlake", "iam.json": "iam", "kms.json": "kms", "logs.json": "logs", "medical-imaging.json": "medical-imaging",
	"omics.json": "omics", "pricing.json": "pricing", "s3.json": "s3", "sts.json": "sts", "transcribe.json": "transcribe",
}

// refresh downloads botocore by its package manager and rewrites each model: the same operations as before, prose left out.
func refresh(dir string) error {
	tmp, err := os.MkdirTemp("", "botocore")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	cmd := exec.Command("pip", "download", "--no-deps", "--quiet", "--dest", tmp, "botocore=="+botocoreVersion)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("pip download botocore: %w", err)
	}
	wheels, err := filepath.Glob(filepath.Join(tmp, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return fmt.Errorf("pip brought %d wheels, want one", len(wheels))
	}
	z, err := zip.OpenReader(wheels[0])
	if err != nil {
		return err
	}
	defer z.Close()
	for file, folder := range folders {
		docs := map[string]*node{}
		newest := ""
		for _, f := range z.File { // botocore/data/<folder>/<date>/<name>.json.gz
			parts := strings.Split(f.Name, "/")
			if len(parts) == 5 && parts[0] == "botocore" && parts[1] == "data" && parts[2] == folder && parts[3] > newest {
				newest = parts[3]
			}
		}
		for _, name := range []string{"service-2", "paginators-1", "waiters-2"} {
			doc, err := member(&z.Reader, fmt.Sprintf("botocore/data/%s/%s/%s.json", folder, newest, name))
			if err != nil {
				return err
			}
			docs[name] = doc
		}
		if err := rewrite(filepath.Join(dir, file), docs); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func member(z *zip.Reader, name string) (*node, error) {
	for _, f := range z.File {
		if f.Name != name && f.Name != name+".gz" {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		var in io.Reader = r
		if strings.HasSuffix(f.Name, ".gz") {
			if in, err = gzip.NewReader(r); err != nil {
				return nil, err
			}
		}
		b, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		doc := &node{}
		return doc, json.Unmarshal(b, doc)
	}
	return &node{object: true}, nil
}

// node is a JSON value that keeps the order of its members: the order of members is the order of fields and of XML elements.
type node struct {
	object bool
	keys   []string
	values []*node
	list   []*node
	scalar json.RawMessage // neither object nor list
}

func (n *node) get(key string) *node {
	if i := slices.Index(n.keys, key); i >= 0 {
		return n.values[i]
	}
	return nil
}

func (n *node) text() string {
	var s string
	if n == nil || n.scalar == nil || json.Unmarshal(n.scalar, &s) != nil {
		return ""
	}
	return s
}

func (n *node) add(key string, v *node) { n.keys, n.values = append(n.keys, key), append(n.values, v) }

// keep removes the members that want says no to.
func (n *node) keep(want func(key string, v *node) bool) {
	out := &node{object: true}
	for i, k := range n.keys {
		if want(k, n.values[i]) {
			out.add(k, n.values[i])
		}
	}
	*n = *out
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *node) UnmarshalJSON(b []byte) error {
	switch b = bytes.TrimSpace(b); b[0] {
	case '[':
		n.list = []*node{}
		return json.Unmarshal(b, &n.list)
	case '{':
		n.object = true
		dec := json.NewDecoder(bytes.NewReader(b))
		if _, err := dec.Token(); err != nil {
			return err
		}
		for dec.More() {
			k, err := dec.Token()
			if err != nil {
				return err
			}
			v := &node{}
			if err := dec.Decode(v); err != nil {
				return err
			}
			n.add(k.(string), v)
		}
		return nil
	}
	n.scalar = bytes.Clone(b)
	return nil
}

// MarshalJSON implements json.Marshaler.
func (n *node) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	switch {
	case n.object:
		b.WriteByte('{')
		for i, k := range n.keys {
			if i > 0 {
				b.WriteByte(',')
			}
			v, err := n.values[i].MarshalJSON()
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&b, "%q:%s", k, v)
		}
		b.WriteByte('}')
	case n.list != nil:
		b.WriteByte('[')
		for i, x := range n.list {
			if i > 0 {
				b.WriteByte(',')
			}
			v, err := x.MarshalJSON()
			if err != nil {
				return nil, err
			}
			b.Write(v)
		}
		b.WriteByte(']')
	default:
		b.Write(n.scalar)
	}
	return b.Bytes(), nil
}

// rewrite keeps the operations that the old file has, and of the shapes those that they reach.
func rewrite(path string, docs map[string]*node) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var had struct{ Operations map[string]json.RawMessage }
	if err := json.Unmarshal(old, &had); err != nil {
		return err
	}
	service := docs["service-2"]
	operations, shapes := service.get("operations"), service.get("shapes")
	if operations == nil || shapes == nil {
		return fmt.Errorf("botocore %s has no such service", botocoreVersion)
	}
	for name := range had.Operations {
		if operations.get(name) == nil {
			return fmt.Errorf("operation %s is gone from botocore %s", name, botocoreVersion)
		}
	}
	kept := func(name string) bool { return had.Operations[name] != nil }
	operations.keep(func(name string, _ *node) bool { return kept(name) })
	reached := map[string]bool{}
	reach(operations, shapes, reached)
	shapes.keep(func(name string, _ *node) bool { return reached[name] })
	doc := &node{object: true}
	doc.add("metadata", service.get("metadata"))
	doc.add("operations", operations)
	doc.add("shapes", shapes)
	if all := docs["paginators-1"].get("pagination"); all != nil {
		all.keep(func(name string, _ *node) bool { return kept(name) })
		doc.add("pagination", all)
	}
	if all := docs["waiters-2"].get("waiters"); all != nil {
		all.keep(func(_ string, v *node) bool { return kept(v.get("operation").text()) })
		doc.add("waiters", all)
	}
	strip(doc)
	b, err := doc.MarshalJSON() // not json.Marshal, which would escape what patterns are made of
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", " "); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

// reach collects the names of every shape that n names, and of those that they name.
func reach(n *node, shapes *node, into map[string]bool) {
	if name := n.get("shape").text(); name != "" && !into[name] {
		if sh := shapes.get(name); sh != nil {
			into[name] = true
			reach(sh, shapes, into)
		}
	}
	for _, v := range n.values {
		reach(v, shapes, into)
	}
	for _, v := range n.list {
		reach(v, shapes, into)
	}
}

// strip leaves the prose out.
func strip(n *node) {
	if n.object {
		n.keep(func(key string, v *node) bool {
			return v.text() == "" || key != "documentation" && key != "documentationUrl" && key != "description"
		})
	}
	for _, v := range n.values {
		strip(v)
	}
	for _, v := range n.list {
		strip(v)
	}
}
