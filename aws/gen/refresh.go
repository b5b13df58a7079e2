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
	"sort"
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
		docs := map[string]map[string]json.RawMessage{}
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

func member(z *zip.Reader, name string) (map[string]json.RawMessage, error) {
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
		var doc map[string]json.RawMessage
		return doc, json.NewDecoder(in).Decode(&doc)
	}
	return map[string]json.RawMessage{}, nil
}

// rewrite keeps the operations that the old file has, and of the shapes those that they reach.
func rewrite(path string, docs map[string]map[string]json.RawMessage) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var keep struct{ Operations map[string]json.RawMessage }
	if err := json.Unmarshal(old, &keep); err != nil {
		return err
	}
	var ops, shapes map[string]any
	for into, raw := range map[*map[string]any]json.RawMessage{&ops: docs["service-2"]["operations"], &shapes: docs["service-2"]["shapes"]} {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if err := dec.Decode(into); err != nil {
			return err
		}
	}
	outOps, outShapes := map[string]any{}, map[string]any{}
	for name := range keep.Operations {
		op, ok := ops[name]
		if !ok {
			return fmt.Errorf("operation %s is gone from botocore %s", name, botocoreVersion)
		}
		outOps[name] = op
		reach(op, shapes, outShapes)
	}
	doc := map[string]any{"metadata": docs["service-2"]["metadata"], "operations": strip(outOps), "shapes": strip(outShapes)}
	for from, to := range map[string]string{"paginators-1": "pagination", "waiters-2": "waiters"} {
		var all map[string]any
		if raw := docs[from][to]; raw != nil {
			if err := json.Unmarshal(raw, &all); err != nil {
				return err
			}
			for n, v := range all {
				op := n
				if m, ok := v.(map[string]any); ok && to == "waiters" {
					op, _ = m["operation"].(string)
				}
				if _, ok := outOps[op]; !ok {
					delete(all, n)
				}
			}
			if len(all) > 0 {
				doc[to] = strip(all)
			}
		}
	}
	b, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// reach collects every shape that v names, and what those name.
func reach(v any, shapes, into map[string]any) {
	switch t := v.(type) {
	case map[string]any:
		if n, ok := t["shape"].(string); ok && into[n] == nil && shapes[n] != nil {
			into[n] = shapes[n]
			reach(shapes[n], shapes, into)
		}
		keys := make([]string, 0, len(t))
		for k := range t {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			reach(t[k], shapes, into)
		}
	case []any:
		for _, x := range t {
			reach(x, shapes, into)
		}
	}
}

// strip leaves the prose out.
func strip(v any) any {
	switch t := v.(type) {
	case map[string]any:
		for k, x := range t {
			if _, text := x.(string); text && (k == "documentation" || k == "documentationUrl" || k == "description") {
				delete(t, k)
				continue
			}
			t[k] = strip(x)
		}
	case []any:
		for i, x := range t {
			t[i] = strip(x)
		}
	}
	return v
}
