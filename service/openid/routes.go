package openid

import (
	"net/http"

	"github.com/go-jose/go-jose/v4"

	"github.com/galen-health/galen/platform/httproute"
	"github.com/galen-health/galen/platform/oidc"
)

// capabilities are those of SMART App Launch that hold here.
var capabilities = []string{"client-confidential-symmetric", "client-confidential-asymmetric", "permission-v1", "permission-v2"}

// Routes registers the provider's addresses with the edge. Whoever registers clients signs the request (SigV4 service iam); the rest is open, and what
// needs proof proves itself.
func (s *Service) Routes() []httproute.Route {
	arn := func(*http.Request) string { return s.ARN() }
	client := func(r *http.Request) string {
		id := r.PathValue("clientId")
		if id == "" {
			id = "*"
		}
		return "arn:aws:iam::" + s.cfg.Account + ":oauth-client/" + id
	}
	open := func(method, pattern, name string, body int64, h func(http.ResponseWriter, *http.Request) error) httproute.Route {
		return httproute.Route{Service: "sts", Method: method, Pattern: pattern, Name: name, Action: "sts:" + name, ReadOnly: method == "GET", Open: true, Resource: arn, MaxBody: body, Handle: h, Fail: fail}
	}
	signed := func(method, pattern, name string, body int64, h func(http.ResponseWriter, *http.Request) error) httproute.Route {
		return httproute.Route{Service: "iam", Method: method, Pattern: pattern, Name: name, Action: "iam:" + name, ReadOnly: method == "GET", Resource: client, MaxBody: body, Handle: h, Fail: fail}
	}
	return []httproute.Route{
		open("GET", "/.well-known/openid-configuration", "GetOpenIDConfiguration", 0, s.configuration),
		open("GET", "/.well-known/oauth-authorization-server", "GetOpenIDConfiguration", 0, s.configuration),
		open("GET", "/fhir/{datastoreId}/.well-known/smart-configuration", "GetSMARTConfiguration", 0, s.configuration),
		open("GET", "/datastore/{datastoreId}/r4/.well-known/smart-configuration", "GetSMARTConfiguration", 0, s.configuration),
		open("GET", "/oauth2/jwks", "GetPublicKeys", 0, s.jwks),
		open("POST", tokenPath, "IssueToken", maxForm, s.token),
		signed("POST", "/oauth2/register", "CreateOAuthClient", maxClientDoc, s.register),
		signed("GET", "/oauth2/register", "ListOAuthClients", 0, s.listClients),
		signed("GET", "/oauth2/register/{clientId}", "GetOAuthClient", 0, s.getClient),
		signed("DELETE", "/oauth2/register/{clientId}", "DeleteOAuthClient", 0, s.deleteClient),
	}
}

// configuration is the discovery document of OpenID Connect, of RFC 8414 and of SMART: one set of facts.
func (s *Service) configuration(w http.ResponseWriter, _ *http.Request) error {
	algs := make([]string, len(oidc.Algorithms))
	for i, a := range oidc.Algorithms {
		algs[i] = string(a)
	}
	return answer(w, http.StatusOK, map[string]any{
		"issuer": s.cfg.Issuer, "jwks_uri": s.cfg.Issuer + "/oauth2/jwks", "token_endpoint": s.cfg.Issuer + tokenPath, "registration_endpoint": s.cfg.Issuer + "/oauth2/register",
		"grant_types_supported": []string{grantType}, "response_types_supported": []string{}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{string(jose.ES256)}, "token_endpoint_auth_methods_supported": []string{byKey, byBasic, byPost},
		"token_endpoint_auth_signing_alg_values_supported": algs, "scopes_supported": []string{"system/*.cruds", "system/*.rs", "user/*.cruds"}, "capabilities": capabilities,
	})
}

// jwks are the public keys.
func (s *Service) jwks(w http.ResponseWriter, r *http.Request) error {
	set, err := s.public(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: set})
}
