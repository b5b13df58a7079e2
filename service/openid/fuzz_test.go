package openid

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/authz/smart"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/strictjson"
)

// FuzzRegistration: what a client says of itself is taken or refused as its own fault, and no token of it says more than was registered.
func FuzzRegistration(f *testing.F) {
	f.Add([]byte(`{"client_name":"ehr","galen_role":"arn:aws:iam::000000000000:role/ehr","grant_types":["client_credentials"],"token_endpoint_auth_method":"client_secret_basic","scope":"system/Patient.rs system/Observation.r"}`), "system/*.r")
	f.Add([]byte(`{"client_name":"ehr","galen_role":"arn:aws:iam::000000000000:role/ehr","jwks":{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}}`), "system/Patient.cruds openid")
	f.Add([]byte(`{"client_name":"ehr","galen_role":"arn:aws:iam::000000000000:role/ehr","jwks_uri":"http://10.0.0.1/keys"}`), "")
	f.Fuzz(func(t *testing.T, b []byte, asked string) {
		if strictjson.Check(b, strictjson.Limits{Size: maxClientDoc, Depth: 8}) != nil {
			return
		}
		var m metadata
		if json.Unmarshal(b, &m) != nil {
			return
		}
		c, err := newClient(&m, time.Unix(0, 0))
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("%q: %v", b, err)
			}
			return
		}
		got, err := c.scope(asked)
		if err != nil || c.Scopes == "" {
			return
		}
		granted, _ := smart.Parse(got)
		allowed, _ := smart.Parse(c.Scopes)
		if within := smart.Within(granted, allowed); smart.Text(within) != smart.Text(granted) {
			t.Fatalf("a client with %q asked for %q and got %q", c.Scopes, asked, got)
		}
	})
}
