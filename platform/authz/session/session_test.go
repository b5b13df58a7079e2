package session_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/authz/session"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
)

var ctx = context.Background()

func ring(t testing.TB) *keyring.Ring {
	t.Helper()
	r, err := keyring.Open(t.TempDir(), nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

var now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func principal() call.Principal {
	return call.Principal{Kind: call.AssumedRole, ARN: "arn:s", ID: "AROA:s", Name: "r", Tags: map[string]string{"a": "b"}, Session: &call.Session{Name: "s", Expires: now.Add(time.Hour), Policies: []string{"{}"}, Identity: "me"}}
}

func TestIssueAndOpen(t *testing.T) {
	r := ring(t)
	c, err := session.Issue(ctx, r, principal())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.AccessKeyID, "ASIA") || len(c.AccessKeyID) != 20 || len(c.SecretAccessKey) != 40 || !c.Expires.Equal(now.Add(time.Hour)) {
		t.Errorf("credentials %+v", c)
	}
	raw, err := base64.StdEncoding.DecodeString(c.Token)
	if err != nil || strings.Contains(string(raw), c.SecretAccessKey) || strings.Contains(string(raw), "arn:s") {
		t.Error("the token shows what it seals")
	}
	got, err := session.Open(ctx, r, c.AccessKeyID, c.Token, now)
	if err != nil || got.Secret != c.SecretAccessKey || got.Principal.ARN != "arn:s" || got.Principal.Tags["a"] != "b" || got.Principal.Session.Identity != "me" || got.Principal.AccessKeyID != c.AccessKeyID {
		t.Errorf("opened %+v, %v", got, err)
	}
	for i := range raw { // every byte is covered
		bad := append([]byte(nil), raw...)
		bad[i] ^= 1
		if _, err := session.Open(ctx, r, c.AccessKeyID, base64.StdEncoding.EncodeToString(bad), now); !errs.Is(err, errs.Unauthenticated) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
	if _, err := session.Open(ctx, ring(t), c.AccessKeyID, c.Token, now); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("under another ring: %v", err)
	}
	if _, err := session.Open(ctx, r, c.AccessKeyID, c.Token, now.Add(time.Hour)); errs.As(err).Name != "ExpiredToken" {
		t.Errorf("at its end: %v", err)
	}
	large := principal()
	large.Session.Policies = []string{strings.Repeat("x", session.MaxToken)}
	if _, err := session.Issue(ctx, r, large); !errs.Is(err, errs.TooLarge) {
		t.Errorf("a token over the bound: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	r := ring(f)
	c, err := session.Issue(ctx, r, principal())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Token)
	f.Add("AQ==")
	f.Add("AQABAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, token string) {
		_, err := session.Open(ctx, r, c.AccessKeyID, token, now)
		if err != nil && !errs.Is(err, errs.Unauthenticated) {
			t.Fatalf("error %v is of another kind", err)
		}
		if err == nil {
			a, _ := base64.StdEncoding.DecodeString(token)
			b, _ := base64.StdEncoding.DecodeString(c.Token)
			if string(a) != string(b) {
				t.Fatal("a token that was not issued was opened")
			}
		}
	})
}
