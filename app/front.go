package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/galen-health/galen/app/edge"
	"github.com/galen-health/galen/aws/sigv4"
)

const (
	headerLimit = 15 * time.Second // to send a request's header
	idleLimit   = 2 * time.Minute  // between requests of one connection
	headerBytes = 64 << 10
	// cutWait is how long handlers whose connection was cut may take to notice, before the engines close under them.
	cutWait = 5 * time.Second
)

// front is what listens: the endpoint, and the operator's own address when there is one.
type front struct {
	endpoint, admin *http.Server
	edge            atomic.Pointer[edge.Edge] // nil until the engines are open
	inProgress      sync.WaitGroup
	running         atomic.Int64
	failed          chan error // a listener ended by itself
}

// openFront binds the addresses and answers probes. The configuration gets the address that was bound.
func openFront(a *App) (*front, error) {
	f := &front{failed: make(chan error, 2)}
	var tlsConfig *tls.Config
	if a.cfg.TLSCert != "" {
		cert, err := openCertificate(a.cfg.TLSCert, a.cfg.TLSKey, a.log)
		if err != nil {
			return nil, err
		}
		tlsConfig = cert.config()
	}
	main, err := net.Listen("tcp", a.cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", a.cfg.Addr, err)
	}
	a.cfg.Addr = main.Addr().String()
	f.endpoint = newServer(f.dispatch(a.operator(false)), a.log)
	f.endpoint.TLSConfig = tlsConfig
	if a.cfg.AdminAddr != "" {
		own, err := net.Listen("tcp", a.cfg.AdminAddr)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen on --admin-addr %s: %w", a.cfg.AdminAddr, err), main.Close())
		}
		a.cfg.AdminAddr = own.Addr().String()
		f.admin = newServer(a.operator(true), a.log)
		go f.serve(f.admin, own)
	}
	go f.serve(f.endpoint, main)
	return f, nil
}

func newServer(h http.Handler, log *slog.Logger) *http.Server {
	s := &http.Server{Handler: h, ReadHeaderTimeout: headerLimit, IdleTimeout: idleLimit, MaxHeaderBytes: headerBytes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true) // event streams of SDKs ask for HTTP/2, also where no TLS stands before us
	return s
}

func (f *front) serve(s *http.Server, l net.Listener) {
	var err error
	if s.TLSConfig != nil {
		err = s.ServeTLS(l, "", "")
	} else {
		err = s.Serve(l)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		f.failed <- err
	}
}

// dispatch keeps the few operator's paths apart from the edge, whose paths must reach it as they were sent.
func (f *front) dispatch(operator http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The edge leaves a deadline for the end of its answers, which is none of the next one's.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // a writer without deadlines has none to forget
		if operatorPath(r.URL.Path) && !sigv4.IsSigned(r) {             // a signed request may mean a bucket of that name
			operator.ServeHTTP(w, r)
			return
		}
		e := f.edge.Load()
		if e == nil {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "the server is starting: try again", http.StatusServiceUnavailable)
			return
		}
		f.inProgress.Add(1)
		f.running.Add(1)
		defer f.inProgress.Done()
		defer f.running.Add(-1)
		e.ServeHTTP(w, r)
	})
}

// open lets requests in.
func (f *front) open(e *edge.Edge) { f.edge.Store(e) }

// drain takes no more connections and waits for the requests in progress; those that outlast ctx are cut off, and counted.
func (f *front) drain(ctx context.Context) (cut int64) {
	if err := f.endpoint.Shutdown(ctx); err == nil {
		return 0
	}
	cut = f.running.Load()
	_ = f.endpoint.Close() // what it could not close it no longer serves
	ended := make(chan struct{})
	go func() { f.inProgress.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(cutWait):
	}
	return cut
}

// close closes both listeners and every connection.
func (f *front) close() error {
	err := f.endpoint.Close()
	if f.admin != nil {
		err = errors.Join(err, f.admin.Close())
	}
	return err
}
