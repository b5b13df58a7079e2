package wire

import (
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/athena"
	"github.com/galen-health/galen/aws/cloudtrail"
	"github.com/galen-health/galen/aws/comprehendmedical"
	"github.com/galen-health/galen/aws/connecthealth"
	"github.com/galen-health/galen/aws/ecr"
	"github.com/galen-health/galen/aws/events"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/aws/logs"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/pricing"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/sts"
	"github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/aws/transcribestreaming"
)

var contracts = []*aws.Service{athena.Contract, cloudtrail.Contract, comprehendmedical.Contract, connecthealth.Contract, ecr.Contract, events.Contract, healthlake.Contract,
	iam.Contract, kms.Contract, logs.Contract, medicalimaging.Contract, omics.Contract, pricing.Contract, s3.Contract, sts.Contract, transcribe.Contract,
	transcribestreaming.Contract}

// TestPatterns holds that every pattern of every model is enforced, none passed over because Go's engine lacks its syntax.
func TestPatterns(t *testing.T) {
	n := 0
	for _, s := range contracts {
		for name, sh := range s.Shapes {
			if sh.Pattern == "" {
				continue
			}
			n++
			if _, err := compile(sh.Pattern); err != nil {
				t.Errorf("%s %s: %v", s.Package, name, err)
			}
		}
	}
	if n < 300 {
		t.Errorf("only %d patterns in the models", n)
	}
}

// HealthOmics' pattern for a Range header has no letters: taken at its word it refuses every range there is.
func TestRangeHeaders(t *testing.T) {
	for _, s := range contracts {
		for name, op := range s.Operations {
			for _, m := range op.Input.Members {
				if m.Location == "header" && m.LocationName == "Range" && !compiled(m.Shape.Pattern).matches("bytes=0-9") {
					t.Errorf("%s %s refuses the Range bytes=0-9", s.Package, name)
				}
			}
		}
	}
}

func TestPatternLanguage(t *testing.T) {
	long := func(n int) string { return "s3://bucket/" + strings.Repeat("k", n) }
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{`s3://([a-z0-9][a-z0-9-.]{1,61}[a-z0-9])/(.{1,1024})`, long(1), true},
		{`s3://([a-z0-9][a-z0-9-.]{1,61}[a-z0-9])/(.{1,1024})`, long(0), false},
		{`s3://([a-z0-9][a-z0-9-.]{1,61}[a-z0-9])/(.{1,1024})`, long(1001), true},
		{`s3://([a-z0-9][a-z0-9-.]{1,61}[a-z0-9])/(.{1,1024})`, long(1024), true},
		{`s3://([a-z0-9][a-z0-9-.]{1,61}[a-z0-9])/(.{1,1024})`, long(1025), false},
		{`\p{ASCII}{0,8192}`, strings.Repeat("a", 8192), true},
		{`\p{ASCII}{0,8192}`, strings.Repeat("a", 8193), false},
		{`\p{ASCII}{0,8192}`, "é", false},
		{`[\P{M}\p{M}]{1,5000}`, strings.Repeat("é", 5000), true},
		{`[\P{M}\p{M}]{1,5000}`, "", false},
		{`^[A-Za-z0-9][A-Za-z0-9:_/+=,@.-]{0,2048}$`, strings.Repeat("a", 2049), true},
		{`^[A-Za-z0-9][A-Za-z0-9:_/+=,@.-]{0,2048}$`, strings.Repeat("a", 2050), false},
		{`(x|yz){1500,1600}`, strings.Repeat("yz", 1500), true},
		{`(x|yz){1500,1600}`, strings.Repeat("yz", 1499), false},
		{`(?!aws:)[a-zA-Z+-=._:/]+`, "aws:reserved", false},
		{`(?!aws:)[a-zA-Z+-=._:/]+`, "team:aws:x", true},
		{`^(?!\s*$).+`, "   ", false},
		{`^(?!\s*$).+`, " a ", true},
		{`^[0-9a-z\.\-_]*(?!\.)$`, "bucket", true},
		{`^[0-9a-z\.\-_]*(?!\.)$`, "Bucket", false},
		{`[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*`, "a\U0001F600\t", true},
		{`[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*`, "a\x01", false},
		{`a|b`, "ab", false}, // the whole value must match
		{`.+`, "one\ntwo", false},
	} {
		p, err := compile(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got := p.matches(c.value); got != c.want {
			t.Errorf("%s on %.30q (%d bytes) = %v, want %v", c.pattern, c.value, len(c.value), got, c.want)
		}
	}
}
