package s3

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/galen-health/galen/aws/sigv4"
)

// Target is where blobs are: s3://BUCKET/PREFIX?endpoint=URL&region=REGION&timeout=DURATION.
type Target struct {
	Bucket   string
	Prefix   string        // "" or ends with a slash
	Endpoint string        // http(s)://host[:port]; AWS's of the region when not given
	Region   string        // of the argument, else AWS_REGION, else AWS_DEFAULT_REGION, else us-east-1
	Timeout  time.Duration // for one request with all its repetitions; and for a body that does not go on
	sigv4.Credentials
}

const defaultTimeout = time.Minute

// Parse reads a target; the environment gives the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN) and, when the argument
// does not, region and endpoint (AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL).
func Parse(s string, env func(string) string) (Target, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return Target{}, fmt.Errorf("the blob store is not s3://BUCKET/PREFIX?endpoint=URL&region=REGION: no credentials in it, they come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	t := Target{Bucket: u.Host, Timeout: defaultTimeout, Credentials: sigv4.Credentials{AccessKeyID: env("AWS_ACCESS_KEY_ID"), SecretAccessKey: env("AWS_SECRET_ACCESS_KEY"), SessionToken: env("AWS_SESSION_TOKEN")}}
	if t.Prefix = strings.Trim(u.Path, "/"); t.Prefix != "" {
		t.Prefix += "/"
	}
	first := func(names ...string) string {
		for _, n := range names {
			if v := env(n); v != "" {
				return v
			}
		}
		return ""
	}
	t.Region, t.Endpoint = first("AWS_REGION", "AWS_DEFAULT_REGION"), first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Target{}, fmt.Errorf("the blob store's address ends in what is no query: write endpoint=URL&region=REGION")
	}
	for name, values := range query {
		switch v := values[0]; {
		case len(values) > 1 || v == "":
			return Target{}, fmt.Errorf("the blob store's %s is to be given once", name)
		case name == "endpoint":
			t.Endpoint = v
		case name == "region":
			t.Region = v
		case name == "timeout":
			if t.Timeout, err = time.ParseDuration(v); err != nil || t.Timeout < time.Second || t.Timeout > time.Hour {
				return Target{}, fmt.Errorf("the blob store's timeout is a duration from 1s to 1h, not %q", v)
			}
		default:
			return Target{}, fmt.Errorf("the blob store has no option %q: endpoint, region and timeout are what there is", name)
		}
	}
	if t.Region == "" {
		t.Region = "us-east-1"
	}
	if t.Endpoint == "" {
		t.Endpoint = "https://s3." + t.Region + ".amazonaws.com"
	}
	if e, err := url.Parse(t.Endpoint); err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil || strings.Trim(e.Path, "/") != "" || e.RawQuery != "" {
		return Target{}, fmt.Errorf("the blob store's endpoint is http://HOST[:PORT] or https://HOST[:PORT], not %q", t.Endpoint)
	}
	if t.AccessKeyID == "" || t.SecretAccessKey == "" {
		return Target{}, fmt.Errorf("the blob store on S3 needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	return t, nil
}
