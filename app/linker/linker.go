package linker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"

	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event"
)

// Tag names the FHIR data store that a store or job is linked to.
const Tag = "galen:fhir-datastore"

// Linker writes linking resources.
type Linker struct {
	http    *client.HTTP // signs as the linker's principal
	base    string       // of the endpoint, as clients outside reach it
	account string
	region  string
	images  medicalimaging.Service
	genomes omics.Service
	scribe  transcribe.Service
	objects s3.Service
	log     *slog.Logger
}

// New returns a linker that acts through h. base is the address that resources name.
func New(h *client.HTTP, base, account, region string, log *slog.Logger) *Linker {
	return &Linker{http: h, base: base, account: account, region: region, images: medicalimaging.NewClient(h), genomes: omics.NewClient(h), scribe: transcribe.NewClient(h), objects: s3.NewClient(h), log: log}
}

// Subscribe registers the linker with the bus; before the bus runs.
func (l *Linker) Subscribe(bus *event.Bus) error {
	for _, s := range []struct {
		name, pattern string
		fn            func(context.Context, json.RawMessage) error
	}{
		{"galen.linker.images", `{"source":["aws.medical-imaging"],"detail-type":["Image Set Created","Image Set Updated","Image Set Copied"]}`, l.image},
		{"galen.linker.reads", `{"source":["aws.omics"],"detail-type":["Read Set Status Change"],"detail":{"status":["ACTIVE"]}}`, l.readSet},
		{"galen.linker.visits", `{"source":["aws.transcribe"],"detail-type":["MedicalScribe Job State Change"]}`, l.visit},
	} {
		err := bus.Subscribe(s.name, s.pattern, func(ctx context.Context, e *event.Event) error {
			err := s.fn(ctx, e.Detail)
			if permanent(err) {
				l.log.Warn("something was not linked", "subscriber", s.name, "event", e.ID, "code", errs.CodeOf(err).String(), "message", errs.As(err).Message)
				return nil // what was to be linked is gone, or cannot be linked: another try changes nothing
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func permanent(err error) bool {
	switch errs.CodeOf(err) {
	case errs.NotFound, errs.Gone, errs.Invalid, errs.Unsupported, errs.Conflict:
		return err != nil
	}
	return false
}

type object = map[string]any

// shortID makes a FHIR id of a name: readable prefix, then a hash (R4 datatypes.html#id allows 64 characters).
func shortID(prefix, name string) string {
	sum := sha256.Sum256([]byte(name))
	return prefix + "-" + hex.EncodeToString(sum[:16])
}

var fhirID = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// subject finds the patient that an id of another standard means: by that FHIR id, else by an identifier with that value; else it stays a logical reference.
func (l *Linker) subject(ctx context.Context, store, id string) (object, error) {
	if id == "" {
		return nil, nil
	}
	if fhirID.MatchString(id) {
		status, _, err := l.fhir(ctx, store, "GET", "Patient/"+id, nil)
		if err != nil {
			return nil, err
		}
		if status == 200 {
			return object{"reference": "Patient/" + id}, nil
		}
	}
	status, b, err := l.fhir(ctx, store, "GET", "Patient?_count=2&identifier="+url.QueryEscape(id), nil)
	if err != nil {
		return nil, err
	}
	var found struct {
		Entry []struct{ Resource struct{ ID string } }
	}
	if status == 200 && json.Unmarshal(b, &found) == nil && len(found.Entry) == 1 { // more than one match is no match
		return object{"reference": "Patient/" + found.Entry[0].Resource.ID}, nil
	}
	return object{"identifier": object{"value": id}}, nil
}

func (l *Linker) fhir(ctx context.Context, store, method, path string, body []byte) (int, []byte, error) {
	header := map[string]string{"Accept": "application/fhir+json"}
	if body != nil {
		header["Content-Type"] = "application/fhir+json"
	}
	return l.http.Send(ctx, "healthlake", method, "/datastore/"+store+"/r4/"+path, header, bytes.NewReader(body), 16<<20)
}

// put writes a resource unless it already says the same.
func (l *Linker) put(ctx context.Context, store string, r object) error {
	path := fmt.Sprintf("%s/%s", r["resourceType"], r["id"])
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	status, old, err := l.fhir(ctx, store, "GET", path, nil)
	if err != nil {
		return err
	}
	if status == 200 && same(old, body) {
		return nil
	}
	status, answer, err := l.fhir(ctx, store, "PUT", path, body)
	switch {
	case err != nil:
		return err
	case status < 300:
		return nil
	case status == 404 || status == 400 || status == 410 || status == 422:
		return errs.New(errs.Invalid, "the FHIR data store does not take %s: status %d", path, status)
	}
	return errs.New(errs.Unavailable, "the FHIR data store answered %d with %d bytes", status, len(answer))
}

// same compares two resources without meta.
func same(a, b []byte) bool {
	var x, y object
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	delete(x, "meta")
	delete(y, "meta")
	p, err1 := json.Marshal(x)
	q, err2 := json.Marshal(y)
	return err1 == nil && err2 == nil && bytes.Equal(p, q)
}

func (l *Linker) arn(service, resource string) string {
	return strings.Join([]string{"arn:aws", service, l.region, l.account, resource}, ":")
}

func coded(system, code, text string) object {
	return object{"coding": []object{{"system": system, "code": code, "display": text}}, "text": text}
}
