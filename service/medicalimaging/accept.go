package medicalimaging

import (
	"mime"
	"net/http"
	"sort"
	"strconv"
	"strings"

	"github.com/galen-health/galen/platform/errs"
)

// accepted is one media type that a client takes (PS3.18 §8.7.5).
type accepted struct {
	multipart bool
	media     string // of the part when multipart; lower case
	syntax    string // transfer-syntax parameter, "" when absent
	q         float64
}

// accepts reads the Accept header and the accept query parameter, best first; nil when there are none. Quotes around parameter
// values may be missing, as several viewers leave them out.
func accepts(r *http.Request) []accepted {
	values := r.Header.Values("Accept")
	if v := r.URL.Query()["accept"]; len(v) > 0 {
		values = v
	}
	var out []accepted
	for _, v := range values {
		for _, one := range splitQuoted(v) {
			media, params, err := mime.ParseMediaType(loose(one))
			if err != nil {
				continue
			}
			a := accepted{media: media, syntax: params["transfer-syntax"], q: 1}
			if media == "multipart/related" {
				a.multipart, a.media = true, strings.ToLower(params["type"])
			}
			if q, err := strconv.ParseFloat(params["q"], 64); err == nil {
				a.q = q
			}
			if a.q > 0 {
				out = append(out, a)
			}
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].q > out[j].q })
	return out
}

// splitQuoted splits at commas outside of quotes.
func splitQuoted(s string) []string {
	var out []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				out = append(out, s[start:i])
				start = i + 1
			}
		}
	}
	return append(out, s[start:])
}

// loose puts quotes around parameter values that need them and have none: type=application/dicom.
func loose(s string) string {
	parts := strings.Split(s, ";")
	for i, p := range parts[1:] {
		k, v, ok := strings.Cut(p, "=")
		if v = strings.TrimSpace(v); ok && v != "" && v[0] != '"' && strings.ContainsAny(v, "/*") {
			parts[i+1] = k + `="` + v + `"`
		}
	}
	return strings.Join(parts, ";")
}

// json refuses clients that do not take DICOM JSON.
func (q *request) json() error {
	list := accepts(q.r)
	if len(list) == 0 {
		return nil
	}
	for _, a := range list {
		switch a.media {
		case dicomJSON, "application/json", "*/*", "application/*":
			if !a.multipart {
				return nil
			}
		}
	}
	return errs.New(errs.NotAcceptable, "the answer is given as %s only", dicomJSON)
}
