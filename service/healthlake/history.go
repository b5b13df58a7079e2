package healthlake

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/fhir"
)

// Page sizes of searches and histories.
const (
	defaultCount = 10
	maxCount     = 100
)

func pageSize(count int) (int, error) {
	if count < 0 {
		return defaultCount, nil
	}
	if count == 0 || count > maxCount {
		return 0, fhir.Issues{{Severity: "error", Code: "invalid", Diagnostics: "_count is 1 to 100", Expression: "http._count"}}
	}
	return count, nil
}

// history is GET …/_history of a resource, a type or the whole store: versions newest first, deletions included.
func (q *request) history() error {
	params, err := url.ParseQuery(q.r.URL.RawQuery)
	if err != nil {
		return errs.New(errs.Invalid, "the query of the URL is malformed")
	}
	size, since, err := parseHistory(params)
	if err != nil {
		return err
	}
	of := strings.TrimSuffix(q.r.URL.Path, "/") + "?_since=" + params.Get("_since")
	cursor, err := q.pages.Cursor(of, params.Get("page"))
	if err != nil {
		return err
	}
	v, err := q.records.View(q.r.Context(), q.space)
	if err != nil {
		return err
	}
	defer v.Close()
	page, next, err := q.historyPage(v, size, since, cursor)
	if err != nil {
		return err
	}
	if q.id != "" && len(page) == 0 && cursor == "" && since.IsZero() {
		return errs.New(errs.NotFound, "there is no %s with this id", q.typ)
	}
	q.w.Header().Set("Content-Type", fhirJSON)
	b := fhir.NewBundleWriter(q.w, "history", -1, time.Now(), q.links(params, q.pages.Token(of, next))...)
	for i := range page {
		q.historyEntry(b, &page[i])
	}
	return gone(b.Close())
}

func parseHistory(params url.Values) (size int, since time.Time, err error) {
	count := -1
	for name := range params {
		value := params.Get(name)
		switch name {
		case "_count":
			if count, err = strconv.Atoi(value); err != nil {
				count = 0
			}
		case "_since":
			s, ok := fhir.ParseDate(value)
			if !ok {
				return 0, since, fhir.Issues{{Severity: "error", Code: "invalid", Diagnostics: "_since is an instant", Expression: "http._since"}}
			}
			since = time.UnixMicro(s.Low)
		case "page", "_format", "_pretty":
		default:
			return 0, since, unsupported(name, "histories take _count and _since")
		}
	}
	size, err = pageSize(count)
	return size, since, err
}

// historyPage reads up to size versions. A cursor is the commit to go on at, and how many of its versions are behind it; next is "" at the end.
func (q *request) historyPage(v record.View, size int, since time.Time, cursor string) (page []record.Version, next string, err error) {
	var commit, skip, before uint64
	if cursor != "" {
		if _, err := fmt.Sscanf(cursor, "%d:%d", &commit, &skip); err != nil {
			return nil, "", errs.Wrap(errs.Internal, err, "a page token of ours cannot be read")
		}
	}
	if commit > 0 {
		before = commit + 1
	}
	kind := ""
	if q.typ != "" {
		kind = kindOf(q.typ)
	}
	inCommit, passed := commit, uint64(0)
	for ver, err := range v.History(kind, q.id, before, since) {
		if err != nil {
			return nil, "", err
		}
		if !strings.HasPrefix(ver.Kind, "fhir.") {
			continue
		}
		if ver.Commit == commit && skip > 0 {
			skip--
			passed++
			continue
		}
		if len(page) == size {
			return page, fmt.Sprintf("%d:%d", inCommit, passed), nil
		}
		if ver.Commit != inCommit {
			inCommit, passed = ver.Commit, 0
		}
		passed++
		c := *ver
		c.Body = append([]byte(nil), ver.Body...)
		page = append(page, c)
	}
	return page, "", nil
}

// historyEntry tells of one version, and of the interaction that made it.
func (q *request) historyEntry(b *fhir.BundleWriter, ver *record.Version) {
	typ := typeOf(ver.Kind)
	r := fhir.Response{Method: http.MethodPut, URL: typ + "/" + ver.ID, Status: "200 OK", ETag: fhir.ETag(ver.Version), LastModified: ver.Time}
	switch {
	case ver.Deleted:
		r.Method, r.Status = http.MethodDelete, "204 No Content"
	case ver.Version == 1:
		r.Method, r.URL, r.Status = http.MethodPost, typ, "201 Created"
	}
	var resource func([]byte) []byte
	if !ver.Deleted {
		resource = func(dst []byte) []byte { return fhir.Present(dst, ver.Body, ver.Version, ver.Time) }
	}
	b.Entry(q.base+"/"+typ+"/"+ver.ID, resource, "", r)
}

// links are those of a page: to itself and, when there is a token, to the next.
func (q *request) links(params url.Values, token string) []fhir.Link {
	links := []fhir.Link{{Relation: "self", URL: q.link(params, "")}}
	if token != "" {
		links = append(links, fhir.Link{Relation: "next", URL: q.link(params, token)})
	}
	return links
}

// link is this request's URL with its parameters in a fixed order, at a page.
func (q *request) link(params url.Values, page string) string {
	p := url.Values{}
	for k, v := range params {
		if k != "page" {
			p[k] = v
		}
	}
	if page != "" {
		p.Set("page", page)
	}
	u := q.base + strings.TrimSuffix(strings.TrimPrefix(q.r.URL.EscapedPath(), rootPath(q.base)), "/_search")
	if len(p) > 0 {
		u += "?" + p.Encode()
	}
	return u
}

func rootPath(base string) string {
	_, rest, _ := strings.Cut(base, "://")
	return rest[strings.IndexByte(rest, '/'):]
}

// gone is the error of writing to a client; the answer has begun, so it can only be counted.
func gone(err error) error {
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "the client went away")
	}
	return nil
}
