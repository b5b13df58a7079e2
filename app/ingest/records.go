package ingest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/sniff"
)

// Bounds of what goes into one bundle.
const (
	maxEntries  = 200
	maxBundle   = 4 << 20
	maxFHIRFile = 256 << 20
	maxLine     = 16 << 20
)

// datastore finds or makes the FHIR data store.
func (r *run) datastore(ctx context.Context) (string, error) {
	return r.shared("datastore", func() (string, error) {
		id, next := "", ""
		for id == "" {
			list, err := r.records.ListFHIRDatastores(ctx, &healthlake.ListFHIRDatastoresInput{Filter: &healthlake.DatastoreFilter{DatastoreName: r.Name}, NextToken: next})
			if err != nil {
				return "", err
			}
			for _, d := range list.DatastorePropertiesList { // one that is being made was begun by a run that was killed
				if d.DatastoreStatus == healthlake.DatastoreStatusActive || d.DatastoreStatus == healthlake.DatastoreStatusCreating {
					id = d.DatastoreId
					break
				}
			}
			if next = list.NextToken; next == "" {
				break
			}
		}
		if id == "" {
			made, err := r.records.CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreName: r.Name, DatastoreTypeVersion: healthlake.FHIRVersionR4})
			if err != nil {
				return "", err
			}
			id = made.DatastoreId
		}
		return id, until(ctx, func() (bool, error) {
			d, err := r.records.DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: id})
			if err != nil {
				return false, err
			}
			if d.DatastoreProperties.DatastoreStatus == healthlake.DatastoreStatusCreateFailed {
				return false, errs.New(errs.Conflict, "the FHIR data store could not be made")
			}
			return d.DatastoreProperties.DatastoreStatus == healthlake.DatastoreStatusActive, nil
		})
	})
}

// until polls until ok, bounded by the context.
func until(ctx context.Context, ok func() (bool, error)) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		done, err := ok()
		if done || err != nil {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// landRecords sends a resource, a Bundle or lines of resources as transactions of PUTs with fixed ids, so that sending them again changes no content.
func (r *run) landRecords(ctx context.Context, it Item) (string, error) {
	store, err := r.datastore(ctx)
	if err != nil {
		return "", err
	}
	f := it.Files[0]
	if it.Kind == sniff.FHIRNDJSON {
		return r.landLines(ctx, store, f)
	}
	if f.Size > maxFHIRFile {
		return "", left{fmt.Sprintf("over %d MiB: split it into NDJSON", maxFHIRFile>>20)}
	}
	b, err := os.ReadFile(f.Path)
	if err != nil {
		return "", err
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	resources, err := flatten(b, f.Hash)
	if err != nil {
		return "", err
	}
	c := &bundler{r: r, ctx: ctx, store: store}
	for _, res := range resources {
		if err := c.add(res); err != nil {
			return "", err
		}
	}
	return where(store, resources), c.flush()
}

// resource is one resource with where it goes.
type resource struct {
	typ, id string
	body    []byte
}

// where names what to ask for: the one resource, or the data store.
func where(store string, resources []resource) string {
	for _, res := range resources {
		if res.typ == "Patient" {
			return "fhir:" + store + "/Patient/" + res.id
		}
	}
	if len(resources) > 0 {
		return "fhir:" + store + "/" + resources[0].typ + "/" + resources[0].id
	}
	return "fhir:" + store
}

// flatten takes the resources out of a collection-like Bundle, with references between them resolved; other resources and Bundles that are documents stay
// whole.
func flatten(b []byte, hash string) ([]resource, error) {
	var bundle struct {
		ResourceType, Type, ID string
		Entry                  []struct {
			FullURL  string
			Resource json.RawMessage
		}
	}
	if err := json.Unmarshal(b, &bundle); err != nil {
		return nil, errs.New(errs.Invalid, "the file is not one JSON document")
	}
	switch bundle.Type {
	case "transaction", "batch", "collection", "searchset", "history":
	default:
		bundle.Type = ""
	}
	if bundle.ResourceType != "Bundle" || bundle.Type == "" {
		res, err := identify(b, hash)
		return []resource{res}, err
	}
	var out []resource
	var replace []string
	for i, e := range bundle.Entry {
		if len(e.Resource) == 0 {
			continue
		}
		res, err := identify(e.Resource, fmt.Sprintf("%s%04d", hash, i))
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(e.FullURL, "urn:") {
			replace = append(replace, `"`+e.FullURL+`"`, `"`+res.typ+"/"+res.id+`"`)
		}
		out = append(out, res)
	}
	if len(replace) > 0 {
		rp := strings.NewReplacer(replace...)
		for i := range out {
			out[i].body = []byte(rp.Replace(string(out[i].body)))
		}
	}
	return out, nil
}

// identify reads type and id; a resource without an id gets one from the content.
func identify(b []byte, hash string) (resource, error) {
	var head struct{ ResourceType, ID string }
	if err := json.Unmarshal(b, &head); err != nil || head.ResourceType == "" {
		return resource{}, errs.New(errs.Invalid, "an entry is not a FHIR resource")
	}
	if head.ID == "" {
		n := len(hash)
		head.ID = hash[:24] + hash[max(24, n-8):]
		at := bytes.IndexByte(b, '{') + 1
		b = append(append(append([]byte{}, b[:at]...), fmt.Sprintf("%q:%q,", "id", head.ID)...), b[at:]...)
	}
	return resource{head.ResourceType, head.ID, b}, nil
}

func (r *run) landLines(ctx context.Context, store string, f File) (string, error) {
	in, err := os.Open(f.Path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	c := &bundler{r: r, ctx: ctx, store: store}
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 1<<20), maxLine)
	n := 0
	for sc.Scan() {
		n++
		line := bytes.TrimSpace(sc.Bytes())
		if len(line) == 0 {
			continue
		}
		res, err := identify(append([]byte(nil), line...), fmt.Sprintf("%s%08d", f.Hash, n))
		if err != nil {
			return "", errs.New(errs.Invalid, "line %d is not a FHIR resource", n)
		}
		if err := c.add(res); err != nil {
			return "", err
		}
	}
	if err := sc.Err(); err != nil {
		return "", errs.New(errs.Invalid, "line %d is over %d bytes", n+1, maxLine)
	}
	return "fhir:" + store, c.flush()
}

// bundler collects resources into transactions.
type bundler struct {
	r     *run
	ctx   context.Context
	store string
	buf   bytes.Buffer
	n     int
}

func (c *bundler) add(res resource) error {
	if c.n > 0 && (c.n == maxEntries || c.buf.Len()+len(res.body) > maxBundle) {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if c.n == 0 {
		c.buf.WriteString(`{"resourceType":"Bundle","type":"transaction","entry":[`)
	} else {
		c.buf.WriteByte(',')
	}
	fmt.Fprintf(&c.buf, `{"resource":%s,"request":{"method":"PUT","url":%q}}`, res.body, res.typ+"/"+res.id)
	c.n++
	return nil
}

func (c *bundler) flush() error {
	if c.n == 0 {
		return nil
	}
	c.buf.WriteString("]}")
	body := bytes.NewReader(c.buf.Bytes())
	status, answer, err := c.r.HTTP.Send(c.ctx, "healthlake", "POST", "/datastore/"+c.store+"/r4/", map[string]string{"Content-Type": "application/fhir+json"}, body, 64<<20)
	c.buf.Reset()
	c.n = 0
	if err != nil {
		return err
	}
	if status >= 300 {
		return outcome(status, answer)
	}
	return nil
}

// outcome turns an OperationOutcome into an error with its first diagnostics.
func outcome(status int, b []byte) error {
	var o struct {
		Issue []struct {
			Diagnostics string
			Expression  []string
			Details     struct{ Text string }
		}
	}
	text := fmt.Sprintf("the server answered %d", status)
	if json.Unmarshal(b, &o) == nil && len(o.Issue) > 0 {
		i := o.Issue[0]
		text = strings.TrimSpace(i.Diagnostics + " " + i.Details.Text)
		if len(i.Expression) > 0 {
			text += " (at " + i.Expression[0] + ")"
		}
	}
	code := errs.Invalid
	switch {
	case status == 401:
		code = errs.Unauthenticated
	case status == 403:
		code = errs.Denied
	case status >= 500:
		code = errs.Unavailable
	}
	return errs.New(code, "%s", text)
}
