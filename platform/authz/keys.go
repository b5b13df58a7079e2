package authz

import (
	"strconv"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/call"
)

// keysOf are the condition keys of a request: the global ones from the call (IAM user guide, "AWS global condition context keys"), then those
// that the service gave. A service cannot override what is known of the caller.
func keysOf(c *call.Call, r *Request, region, account string) keySet {
	k := keySet{}
	for key, v := range r.Context {
		k[strings.ToLower(key)] = []string{v}
	}
	for key, v := range r.Values {
		k[strings.ToLower(key)] = v
	}
	set := func(key string, vals ...string) { k[key] = vals }
	p := &c.Principal
	set("aws:principalarn", principalARN(p))
	set("aws:principaltype", principalType(p.Kind))
	set("aws:principalisawsservice", strconv.FormatBool(p.Kind == call.AWSService))
	if p.Kind == call.AWSService {
		set("aws:principalservicename", p.ARN)
		set("aws:principalservicenameslist", p.ARN)
	}
	if p.Account != "" {
		set("aws:principalaccount", p.Account)
	}
	if p.ID != "" {
		set("aws:userid", p.ID)
	}
	if p.Kind == call.IAMUser {
		set("aws:username", p.Name)
	}
	for tag, v := range p.Tags {
		set("aws:principaltag/"+strings.ToLower(tag), v)
	}
	if p.Session != nil {
		set("aws:multifactorauthpresent", "false")
		if p.Session.Provider != "" {
			set("aws:federatedprovider", p.Session.Provider)
		}
		if p.Session.Identity != "" {
			set("aws:sourceidentity", p.Session.Identity)
		}
		if !p.Session.Created.IsZero() {
			set("aws:tokenissuetime", p.Session.Created.UTC().Format(time.RFC3339))
		}
	}
	if c.Source.IsValid() {
		set("aws:sourceip", c.Source.Unmap().WithZone("").String())
	}
	if c.UserAgent != "" {
		set("aws:useragent", c.UserAgent)
	}
	set("aws:securetransport", strconv.FormatBool(c.Secure))
	now := c.Time
	if now.IsZero() {
		now = time.Now()
	}
	set("aws:currenttime", now.UTC().Format(time.RFC3339Nano))
	set("aws:epochtime", strconv.FormatInt(now.Unix(), 10))
	set("aws:viaawsservice", strconv.FormatBool(c.Via != ""))
	if c.Via != "" {
		set("aws:calledvia", c.Via)
		set("aws:calledviafirst", c.Via)
		set("aws:calledvialast", c.Via)
	}
	set("aws:requestedregion", region)
	if a := accountOf(r.Resource); a != "" {
		set("aws:resourceaccount", a)
	} else {
		set("aws:resourceaccount", account)
	}
	return k
}

// principalARN is the role, not the session, for sessions of roles.
func principalARN(p *call.Principal) string {
	if p.RoleARN != "" {
		return p.RoleARN
	}
	return p.ARN
}

func principalType(k call.Kind) string {
	switch k {
	case call.Root:
		return "Account"
	case call.IAMUser:
		return "User"
	case call.AssumedRole:
		return "AssumedRole"
	case call.WebIdentity:
		return "WebIdentityUser"
	case call.AWSService:
		return "Service"
	}
	return "Anonymous"
}

// accountOf is the account in an ARN, "" when it names none.
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}
