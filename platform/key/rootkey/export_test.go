package rootkey

import (
	"os"
	"testing"

	"github.com/miekg/pkcs11"
)

// Cheap makes passphrases cheap to try for the tests after it.
func Cheap() { argon.Time, argon.Memory, argon.Threads = 1, 64, 1 }

// MakeTokenKey makes an AES-256 key in a token.
func MakeTokenKey(t testing.TB, module, label, key string) {
	t.Helper()
	p := pkcs11.New(module)
	if p == nil {
		t.Fatal("the module does not load")
	}
	defer p.Destroy()
	if err := p.Initialize(); err != nil {
		t.Fatal(err)
	}
	defer p.Finalize() //nolint:errcheck // the test is over
	slot, err := (&token{module: module, label: label}).slot(p)
	if err != nil {
		t.Fatal(err)
	}
	session, err := p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Login(session, pkcs11.CKU_USER, os.Getenv("GALEN_PKCS11_PIN")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.GenerateKey(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)}, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, key), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, true), pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, true), pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32)}); err != nil {
		t.Fatal(err)
	}
}
