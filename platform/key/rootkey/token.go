package rootkey

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/galen-health/galen/platform/errs"
)

// token seals by an AES-256 key that never leaves a PKCS#11 token: C_Encrypt and C_Decrypt with CKM_AES_GCM (PKCS #11 v2.40 §2.12.3), a fresh nonce of 12 bytes.
type token struct{ module, label, key string }

const tokenPurpose = "galen root key in a token 1"

func newToken(s string) (*token, error) {
	module, query, _ := strings.Cut(s, "?")
	q, err := url.ParseQuery(query)
	if err != nil || module == "" || q.Get("token") == "" || q.Get("key") == "" {
		return nil, errs.New(errs.Invalid, "the root key's token is named pkcs11:/path/to/module.so?token=LABEL&key=LABEL")
	}
	return &token{module: module, label: q.Get("token"), key: q.Get("key")}, nil
}

func (*token) name() string { return "root.pkcs11" }

// with calls fn with a session that is logged in, and the key.
func (t *token) with(fn func(p *pkcs11.Ctx, session pkcs11.SessionHandle, key pkcs11.ObjectHandle) error) error {
	pin := os.Getenv("GALEN_PKCS11_PIN")
	if pin == "" {
		return errs.New(errs.Invalid, "the root key is sealed by the token %q, and GALEN_PKCS11_PIN is not set: give the user's PIN of the token", t.label)
	}
	p := pkcs11.New(t.module)
	if p == nil {
		return errs.New(errs.Unavailable, "the PKCS#11 module %s cannot be loaded: install it, or name where it is", t.module)
	}
	defer p.Destroy()
	if err := p.Initialize(); err != nil && !isPKCS11(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		return errs.Wrap(errs.Unavailable, err, "the PKCS#11 module %s does not start", t.module)
	}
	defer p.Finalize() //nolint:errcheck // nothing is left to do with it
	slot, err := t.slot(p)
	if err != nil {
		return err
	}
	session, err := p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "the token %q takes no session", t.label)
	}
	defer p.CloseSession(session) //nolint:errcheck // the module is ended next
	if err := p.Login(session, pkcs11.CKU_USER, pin); err != nil && !isPKCS11(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN) {
		return errs.Wrap(errs.Invalid, err, "the token %q refuses the PIN in GALEN_PKCS11_PIN: give the user's PIN; a token locks itself after a few wrong ones", t.label)
	}
	key, err := t.find(p, session)
	if err != nil {
		return err
	}
	return fn(p, session, key)
}

func isPKCS11(err error, code uint) bool {
	var e pkcs11.Error
	return errors.As(err, &e) && uint(e) == code
}

func (t *token) slot(p *pkcs11.Ctx) (uint, error) {
	slots, err := p.GetSlotList(true)
	if err != nil {
		return 0, errs.Wrap(errs.Unavailable, err, "the slots of the PKCS#11 module %s cannot be listed", t.module)
	}
	for _, s := range slots {
		if info, err := p.GetTokenInfo(s); err == nil && strings.TrimRight(info.Label, " \x00") == t.label {
			return s, nil
		}
	}
	return 0, errs.New(errs.Unavailable, "the PKCS#11 module %s has no token %q: plug it in, or check its label", t.module, t.label)
}

func (t *token) find(p *pkcs11.Ctx, session pkcs11.SessionHandle) (pkcs11.ObjectHandle, error) {
	template := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES), pkcs11.NewAttribute(pkcs11.CKA_LABEL, t.key)}
	if err := p.FindObjectsInit(session, template); err != nil {
		return 0, errs.Wrap(errs.Unavailable, err, "the token %q cannot be searched", t.label)
	}
	found, _, err := p.FindObjects(session, 2)
	if err = errors.Join(err, p.FindObjectsFinal(session)); err != nil {
		return 0, errs.Wrap(errs.Unavailable, err, "the token %q cannot be searched", t.label)
	}
	if len(found) != 1 {
		return 0, errs.New(errs.Invalid, "the token %q has %d AES keys with the label %q, not one: make it, or name another", t.label, len(found), t.key)
	}
	return found[0], nil
}

func (t *token) seal(_ context.Context, root []byte) (*sealed, error) {
	s := &sealed{Nonce: make([]byte, 12)}
	_, _ = rand.Read(s.Nonce) // never fails
	err := t.with(func(p *pkcs11.Ctx, session pkcs11.SessionHandle, key pkcs11.ObjectHandle) error {
		params := pkcs11.NewGCMParams(s.Nonce, []byte(tokenPurpose), 128)
		defer params.Free()
		err := p.EncryptInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key)
		if err == nil {
			s.Sealed, err = p.Encrypt(session, root)
		}
		if err != nil {
			return errs.Wrap(errs.Unavailable, err, "the token %q does not encrypt by AES-GCM with the key %q", t.label, t.key)
		}
		if iv := params.IV(); len(iv) > 0 { // some tokens take a nonce of their own
			s.Nonce = iv
		}
		return nil
	})
	return s, err
}

func (t *token) open(_ context.Context, s *sealed) (root []byte, err error) {
	err = t.with(func(p *pkcs11.Ctx, session pkcs11.SessionHandle, key pkcs11.ObjectHandle) error {
		params := pkcs11.NewGCMParams(s.Nonce, []byte(tokenPurpose), 128)
		defer params.Free()
		err := p.DecryptInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key)
		if err == nil {
			root, err = p.Decrypt(session, s.Sealed)
		}
		if err != nil {
			return errs.Wrap(errs.Invalid, err, "the key %q of the token %q does not open %s: it is another key than the one that sealed it; nothing was changed", t.key, t.label, t.name())
		}
		return nil
	})
	return root, err
}
