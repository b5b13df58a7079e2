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

// Run serves until SIGINT or SIGTERM, then drains.
func (c *serveCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a, err := app.New(ctx, c.Config, version, newLogger(c.LogLevel))
	if err != nil {
		return err
	}
	addr, err := a.Listen()
	if err != nil {
		return joinClose(err, a)
	}
	if g := a.Generated; g.AccessKeyID != "" {
		fmt.Printf("Root credentials, shown this once (keep them; make users with IAM for daily work):\n  export AWS_ACCESS_KEY_ID=%s\n  export AWS_SECRET_ACCESS_KEY=%s\n", g.AccessKeyID, g.SecretAccessKey)
	}
	fmt.Printf("galen %s serves http://%s\n  export AWS_ENDPOINT_URL=http://%s AWS_REGION=%[4]s AWS_DEFAULT_REGION=%[4]s AWS_DISABLE_HOST_PREFIX_INJECTION=true\n", version, addr, addr, c.Region)
	return a.Serve(ctx)
}

func joinClose(err error, a *app.App) error {
	if cerr := a.Close(); cerr != nil {
		return fmt.Errorf("%w; and closing: %w", err, cerr)
	}
	return err
}

func newLogger(level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l}))
}
