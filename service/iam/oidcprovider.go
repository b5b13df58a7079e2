package iam

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/oidc"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/safedial"
)

// oidcProvider is an outside issuer of tokens that roles of the account may trust.
type oidcProvider struct {
	URL         string    `json:"url"` // the issuer, exactly as its tokens say it
	ARN         string    `json:"arn"`
	Clients     []string  `json:"clients"` // audiences
	Thumbprints []string  `json:"thumbprints"`
	Created     time.Time `json:"created"`
	Tags        []api.Tag `json:"tags,omitempty"`
}

// Providers are found by their issuer without its scheme, as in their ARN.
var oidcProviders = record.Kind[oidcProvider]{Name: "iam.oidcprovider", Indexes: record.Indexes[oidcProvider]{
	record.ByString("name", func(p *oidcProvider) string { return p.ARN }),
}}

// Quotas of providers: IAM's own.
const (
	maxProviders   = 100
	maxClients     = 100
	maxThumbprints = 5
)

// RoleTag is the tag of a provider that names the role which its bearer tokens act under on the routes of the open standards.
const RoleTag = "galen:role"

func (s *Service) providerARN(host string) string {
	return "arn:aws:iam::" + s.cfg.Account + ":oidc-provider/" + host
}

// providerID is the record id of an ARN.
func (s *Service) providerID(arn string) (string, error) {
	host, ok := strings.CutPrefix(arn, s.providerARN(""))
	if !ok || host == "" {
		return "", errs.Named(errs.Invalid, "ValidationError", "The ARN is not that of an OpenID Connect provider of this account.")
	}
	return host, nil
}

func noProvider(arn string) error {
	return errs.Named(errs.NotFound, "NoSuchEntity", "OpenIDConnect Provider not found for arn %s", arn)
}

// issuerHost checks an issuer's URL: HTTPS, but for one on this machine, and nothing that is not part of an issuer (OpenID Connect Discovery §2).
func issuerHost(issuer string) (string, error) {
	u, err := safedial.CheckURL(issuer)
	if err != nil {
		return "", errInput("Invalid Open ID Connect Provider URL: %s", errs.As(err).Message)
	}
	local := u.Hostname() == "localhost"
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		local = a.IsLoopback()
	}
	if u.Scheme != "https" && !local || u.RawQuery != "" || u.Fragment != "" || u.User != nil || len(issuer) > 255 {
		return "", errInput("Invalid Open ID Connect Provider URL: it begins with https:// and has neither a query nor a fragment, in at most 255 characters.")
	}
	_, host, _ := strings.Cut(issuer, "://")
	return strings.TrimSuffix(host, "/"), nil
}

// CreateOpenIDConnectProvider implements the contract. Thumbprints are kept and told; the issuer's certificate is checked against the system's authorities.
func (s *Service) CreateOpenIDConnectProvider(ctx context.Context, in *api.CreateOpenIDConnectProviderInput) (*api.CreateOpenIDConnectProviderOutput, error) {
	host, err := issuerHost(in.Url)
	if err != nil {
		return nil, err
	}
	if len(in.ClientIDList) > maxClients || len(in.ThumbprintList) > maxThumbprints {
		return nil, limit("Cannot exceed quota of %d client IDs and %d thumbprints.", maxClients, maxThumbprints)
	}
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	p := &oidcProvider{URL: in.Url, ARN: s.providerARN(host), Clients: in.ClientIDList, Thumbprints: in.ThumbprintList, Tags: tags}
	err = s.change(ctx, func(tx record.Tx) error {
		all, err := tx.Query(record.Query{Kind: oidcProviders.Name, Limit: maxProviders, IDsOnly: true})
		if err != nil {
			return err
		}
		if len(all.Hits) == maxProviders {
			return limit("Cannot exceed quota for OpenIdConnectProvidersPerAccount: %d", maxProviders)
		}
		p.Created = tx.Time()
		err = oidcProviders.Create(tx, host, p)
		if errs.Is(err, errs.Conflict) {
			return errs.Named(errs.Conflict, "EntityAlreadyExists", "Provider with url %s already exists.", in.Url)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateOpenIDConnectProviderOutput{OpenIDConnectProviderArn: p.ARN, Tags: tags}, nil
}

// provider reads one.
func (s *Service) provider(ctx context.Context, arn string) (p *oidcProvider, err error) {
	id, err := s.providerID(arn)
	if err != nil {
		return nil, err
	}
	err = s.view(ctx, func(v record.View) error {
		p, _, err = oidcProviders.Get(v, id)
		if absent(err) {
			return noProvider(arn)
		}
		return err
	})
	return p, err
}

// editProvider changes one in its own batch.
func (s *Service) editProvider(ctx context.Context, arn string, fn func(*oidcProvider) error) error {
	id, err := s.providerID(arn)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx record.Tx) error {
		p, version, err := oidcProviders.Get(tx, id)
		if absent(err) {
			return noProvider(arn)
		} else if err != nil {
			return err
		}
		if err := fn(p); err != nil {
			return err
		}
		return oidcProviders.Replace(tx, id, p, version)
	})
}

// GetOpenIDConnectProvider implements the contract; the URL is told without its scheme, as IAM does.
func (s *Service) GetOpenIDConnectProvider(ctx context.Context, in *api.GetOpenIDConnectProviderInput) (*api.GetOpenIDConnectProviderOutput, error) {
	p, err := s.provider(ctx, in.OpenIDConnectProviderArn)
	if err != nil {
		return nil, err
	}
	_, host, _ := strings.Cut(p.URL, "://")
	return &api.GetOpenIDConnectProviderOutput{Url: host, ClientIDList: p.Clients, ThumbprintList: p.Thumbprints, CreateDate: p.Created, Tags: p.Tags}, nil
}

// ListOpenIDConnectProviders implements the contract.
func (s *Service) ListOpenIDConnectProviders(ctx context.Context, _ *api.ListOpenIDConnectProvidersInput) (*api.ListOpenIDConnectProvidersOutput, error) {
	out := &api.ListOpenIDConnectProvidersOutput{OpenIDConnectProviderList: []api.OpenIDConnectProviderListEntry{}}
	return out, s.view(ctx, func(v record.View) error {
		hits, _, _, err := pageOf(v, ctx, oidcProviders.Name, nil, "", aws.Ptr(int32(maxProviders)))
		for _, h := range hits {
			p, err := oidcProviders.Decode(h.Body)
			if err != nil {
				return err
			}
			out.OpenIDConnectProviderList = append(out.OpenIDConnectProviderList, api.OpenIDConnectProviderListEntry{Arn: p.ARN})
		}
		return err
	})
}

// DeleteOpenIDConnectProvider implements the contract. Its tokens open nothing from then on; one that is not there is no error.
func (s *Service) DeleteOpenIDConnectProvider(ctx context.Context, in *api.DeleteOpenIDConnectProviderInput) (*api.DeleteOpenIDConnectProviderOutput, error) {
	id, err := s.providerID(in.OpenIDConnectProviderArn)
	if err != nil {
		return nil, err
	}
	return &api.DeleteOpenIDConnectProviderOutput{}, s.change(ctx, func(tx record.Tx) error {
		if err := tx.Purge(oidcProviders.Name, id); err != nil && !absent(err) {
			return err
		}
		return nil
	})
}

// AddClientIDToOpenIDConnectProvider implements the contract; one that is there already is no error.
func (s *Service) AddClientIDToOpenIDConnectProvider(ctx context.Context, in *api.AddClientIDToOpenIDConnectProviderInput) (*api.AddClientIDToOpenIDConnectProviderOutput, error) {
	return &api.AddClientIDToOpenIDConnectProviderOutput{}, s.editProvider(ctx, in.OpenIDConnectProviderArn, func(p *oidcProvider) error {
		if slices.Contains(p.Clients, in.ClientID) {
			return nil
		}
		if len(p.Clients) >= maxClients {
			return limit("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: %d", maxClients)
		}
		p.Clients = append(p.Clients, in.ClientID)
		return nil
	})
}

// RemoveClientIDFromOpenIDConnectProvider implements the contract; one that is not there is no error.
func (s *Service) RemoveClientIDFromOpenIDConnectProvider(ctx context.Context, in *api.RemoveClientIDFromOpenIDConnectProviderInput) (*api.RemoveClientIDFromOpenIDConnectProviderOutput, error) {
	return &api.RemoveClientIDFromOpenIDConnectProviderOutput{}, s.editProvider(ctx, in.OpenIDConnectProviderArn, func(p *oidcProvider) error {
		p.Clients = slices.DeleteFunc(p.Clients, func(c string) bool { return c == in.ClientID })
		return nil
	})
}

// UpdateOpenIDConnectProviderThumbprint implements the contract.
func (s *Service) UpdateOpenIDConnectProviderThumbprint(ctx context.Context, in *api.UpdateOpenIDConnectProviderThumbprintInput) (*api.UpdateOpenIDConnectProviderThumbprintOutput, error) {
	if len(in.ThumbprintList) > maxThumbprints {
		return nil, limit("Cannot exceed quota of %d thumbprints.", maxThumbprints)
	}
	return &api.UpdateOpenIDConnectProviderThumbprintOutput{}, s.editProvider(ctx, in.OpenIDConnectProviderArn, func(p *oidcProvider) error {
		p.Thumbprints = in.ThumbprintList
		return nil
	})
}

// TagOpenIDConnectProvider implements the contract.
func (s *Service) TagOpenIDConnectProvider(ctx context.Context, in *api.TagOpenIDConnectProviderInput) (*api.TagOpenIDConnectProviderOutput, error) {
	return &api.TagOpenIDConnectProviderOutput{}, s.editProvider(ctx, in.OpenIDConnectProviderArn, func(p *oidcProvider) (err error) {
		p.Tags, err = mergeTags(p.Tags, in.Tags)
		return err
	})
}

// UntagOpenIDConnectProvider implements the contract.
func (s *Service) UntagOpenIDConnectProvider(ctx context.Context, in *api.UntagOpenIDConnectProviderInput) (*api.UntagOpenIDConnectProviderOutput, error) {
	return &api.UntagOpenIDConnectProviderOutput{}, s.editProvider(ctx, in.OpenIDConnectProviderArn, func(p *oidcProvider) error {
		p.Tags = dropTags(p.Tags, in.TagKeys)
		return nil
	})
}

// ListOpenIDConnectProviderTags implements the contract.
func (s *Service) ListOpenIDConnectProviderTags(ctx context.Context, in *api.ListOpenIDConnectProviderTagsInput) (*api.ListOpenIDConnectProviderTagsOutput, error) {
	p, err := s.provider(ctx, in.OpenIDConnectProviderArn)
	if err != nil {
		return nil, err
	}
	i := identity{Tags: p.Tags}
	out := &api.ListOpenIDConnectProviderTagsOutput{}
	out.Tags, out.IsTruncated, out.Marker = i.tags(in.Marker, in.MaxItems)
	return out, nil
}

// Provider implements oidc.Directory. Keys are fetched when a token needs them, and kept by issuer.
func (s *Service) Provider(ctx context.Context, issuer string) (*oidc.Provider, error) {
	host, err := issuerHost(issuer)
	if err != nil {
		return nil, errs.New(errs.NotFound, "the issuer is not a URL that a provider could have")
	}
	p, err := s.provider(ctx, s.providerARN(host))
	if err != nil {
		return nil, err
	}
	if p.URL != issuer {
		return nil, noProvider(p.ARN)
	}
	out := &oidc.Provider{ARN: p.ARN, Issuer: p.URL, Audiences: p.Clients}
	role := slices.IndexFunc(p.Tags, func(t api.Tag) bool { return t.Key == RoleTag })
	out.Role = func(context.Context, *oidc.Claims) (string, error) {
		if role < 0 {
			return "", errs.New(errs.Denied, "bearer tokens of this provider act under no role: tag the provider with %s and the role's ARN", RoleTag)
		}
		return p.Tags[role].Value, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, ok := s.keys[issuer]
	if !ok {
		if len(s.keys) > 2*maxProviders {
			clear(s.keys)
		}
		keys = oidc.Discovered(s.cfg.Dial, issuer)
		s.keys[issuer] = keys
	}
	out.Keys = keys
	return out, nil
}
