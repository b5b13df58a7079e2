package events

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	api "github.com/galen-health/galen/aws/events"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
)

// post calls a webhook.
func (s *Service) post(ctx context.Context, target string, params *api.HttpParameters, d *delivery, body []byte, isJSON bool) error {
	u, err := url.Parse(target)
	if err != nil {
		return permanent{errs.New(errs.Invalid, "the URL cannot be read")}
	}
	if params != nil && len(params.QueryStringParameters) > 0 {
		q := u.Query()
		for k, v := range params.QueryStringParameters {
			q.Set(k, v)
		}
		u.RawQuery = q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return permanent{errs.New(errs.Invalid, "the URL cannot be called")}
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	if !isJSON {
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	req.Header.Set("User-Agent", "Galen-Events")
	req.Header.Set("X-Galen-Event-Id", d.EventID)
	req.Header.Set("X-Galen-Attempt", strconv.Itoa(d.Tries+1))
	if params != nil {
		for k, v := range params.HeaderParameters {
			req.Header.Set(k, v)
		}
	}
	resp, err := s.http.Do(req)
	if err != nil {
		var denied *errs.Error
		if errors.As(err, &denied) && denied.Code == errs.Denied {
			return permanent{denied}
		}
		return errs.Wrap(errs.Unavailable, err, "the webhook cannot be reached")
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	_ = resp.Body.Close()
	answer := errs.New(errs.Unavailable, "the webhook answered %d", resp.StatusCode)
	switch c := resp.StatusCode; {
	case c >= 200 && c < 300:
		return nil
	case c >= 500, c == 401, c == 407, c == 408, c == 409, c == 425, c == 429:
		return answer
	}
	return permanent{answer}
}

// enqueue puts an object below the prefix. Its key sorts by time and is the same whenever the delivery is repeated.
func (s *Service) enqueue(ctx context.Context, p place, role string, d *delivery, body []byte) error {
	as, err := s.cfg.Roles.As(ctx, role, principal, "events-"+d.Rule)
	if err != nil {
		return err
	}
	key := d.Time.UTC().Format("20060102T150405.000000Z") + "-" + d.EventID + ".json"
	if p.prefix != "" {
		key = p.prefix + "/" + key
	}
	size := int64(len(body))
	_, err = s.cfg.S3.PutObject(as, &s3.PutObjectInput{Bucket: p.bucket, Key: key, Body: bytes.NewReader(body), ContentLength: &size, ContentType: "application/json"})
	if errs.Is(err, errs.NotFound) {
		return permanent{err}
	}
	return err
}

// appendLine appends a JSON line to a file log and syncs it. A line is written by one write: a crash may cut it, and the next begins anew.
func (s *Service) appendLine(name string, body []byte) error {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	f, err := s.files.OpenFile(name+".ndjson", os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "the event log cannot be opened")
	}
	line := append(bytes.ReplaceAll(bytes.TrimSpace(body), []byte("\n"), []byte(" ")), '\n')
	if end, err := f.Seek(0, io.SeekEnd); err == nil && end > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, end-1); err == nil && last[0] != '\n' {
			line = append([]byte("\n"), line...)
		}
	}
	_, err = f.Write(line)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errs.Wrap(errs.Unavailable, err, "the event log %s cannot be written", strings.TrimSpace(name))
	}
	return nil
}
