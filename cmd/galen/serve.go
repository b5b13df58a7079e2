package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/galen-health/galen/app"
)

type serveCmd struct {
	app.Config
}

// Run serves until SIGINT or SIGTERM, then drains; a second signal ends the process at once, which loses nothing that was acknowledged.
func (c *serveCmd) Run() error {
	if err := noCore(); err != nil {
		return fmt.Errorf("core files cannot be turned off: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from the first signal on, signals do again what they do to any process
	a, err := app.New(ctx, c.Config, version, newLogger(c.LogLevel, c.LogFormat))
	if err != nil {
		return err
	}
	if g := a.Generated; g.AccessKeyID != "" {
		fmt.Printf("Root credentials, shown this once (keep them; make users with IAM for daily work):\n  export AWS_ACCESS_KEY_ID=%s\n  export AWS_SECRET_ACCESS_KEY=%s\n", g.AccessKeyID, g.SecretAccessKey)
	}
	fmt.Printf("galen %s serves %s\n  export AWS_ENDPOINT_URL=%[2]s AWS_REGION=%[3]s AWS_DEFAULT_REGION=%[3]s AWS_DISABLE_HOST_PREFIX_INJECTION=true\n", version, a.URL(), c.Region)
	return a.Serve(ctx)
}

// newLogger writes to the standard error. Nothing that goes there holds what callers sent.
func newLogger(level, format string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: l}
	if format == "text" {
		return slog.New(slog.NewTextHandler(os.Stderr, options))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, options))
}
