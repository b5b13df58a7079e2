package app

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/galen-health/galen/platform/backup"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
)

// What an operator asks of a running server that takes long: the answer is a line of JSON now and then, and the last one has the report or the error.
const (
	backupPath = "/admin/backup"
	verifyPath = "/admin/verify"
)

// Line is one line of such an answer.
type Line struct {
	Progress *backup.Progress `json:"progress,omitempty"`
	Fault    *Fault           `json:"fault,omitempty"`
	Backup   *backup.Report   `json:"backup,omitempty"`
	Verified *Verified        `json:"verified,omitempty"`
	Error    string           `json:"error,omitempty"`
}

// teller writes lines. Many may tell at once.
type teller struct {
	mu sync.Mutex
	w  http.ResponseWriter
}

func (t *teller) tell(l Line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if json.NewEncoder(t.w).Encode(l) == nil { // a client that is gone ends the request's context
		_ = http.NewResponseController(t.w).Flush()
	}
}

// maintainRoutes are for root and for whom a policy lets do galen:Backup or galen:Verify.
func maintainRoutes(e *engines, cfg *Config, s *services) []httproute.Route {
	arn := "arn:aws:galen:" + cfg.Region + ":" + cfg.Account + ":data"
	route := func(pattern, name string, readOnly bool, run func(r *http.Request, t *teller) error) httproute.Route {
		return httproute.Route{Service: "iam", Method: "POST", Pattern: pattern, Name: name, Action: "galen:" + name, ReadOnly: readOnly,
			Resource: func(*http.Request) string { return arn },
			Handle: func(w http.ResponseWriter, r *http.Request) error {
				w.Header().Set("Content-Type", "application/x-ndjson")
				t := &teller{w: w}
				if err := run(r, t); err != nil {
					t.tell(Line{Error: errs.As(err).Message})
				}
				return nil
			},
			Fail: failPlain,
		}
	}
	return []httproute.Route{
		route(backupPath, "Backup", false, func(r *http.Request, t *teller) error {
			rep, err := e.backup(r.Context(), cfg, r.URL.Query().Get("to"), func(p backup.Progress) { t.tell(Line{Progress: &p}) })
			if err != nil {
				return err
			}
			t.tell(Line{Backup: &rep})
			return nil
		}),
		route(verifyPath, "Verify", true, func(r *http.Request, t *teller) error {
			v, err := e.verifyOnline(r.Context(), cfg, s, func(f Fault) { t.tell(Line{Fault: &f}) }, func(p backup.Progress) { t.tell(Line{Progress: &p}) })
			if err != nil {
				return err
			}
			t.tell(Line{Verified: &v})
			return nil
		}),
	}
}
