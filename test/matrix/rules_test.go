package matrix

import (
	"regexp"
	"slices"
	"strings"
)

// mutates knows by the verb alone, not by what the contract or the route says of itself, whether an action changes something or gives something away.
var mutates = regexp.MustCompile(`:(Create|Put|Delete|Update|Patch|Start|Stop|Cancel|Add|Remove|Attach|Detach|Set|Tag|Untag|Enable|Disable|Schedule|Rotate|Revoke|Retire|Abort|Complete|Upload|Copy|Store|Process|Activate|Deactivate|Accept|Batch(Delete|Create|Put)|Assume|Encrypt|Decrypt|ReEncrypt|Generate)`)

// forbidden says why a principal must never be allowed a row, "" when it may. It looks at names only, never at the reviewed picture.
func forbidden(p *principal, r row) string {
	on := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(s string) bool { return strings.HasPrefix(r.action, s) })
	}
	switch p.letter {
	case "0", "s", "n", "m", "p", "l", "t", "v":
		return "nothing is for it"
	case "o":
		return "what the matrix asks about is of another ward"
	case "R", "N", "g", "u", "b", "w", "q":
		if mutates.MatchString(r.action) && r.action != "healthlake:ProcessBundle" { // the entries of a Bundle are decided one by one
			return "it only reads"
		}
		if !r.readOnly && r.action != "healthlake:ProcessBundle" {
			return "it only reads, and this is not read-only"
		}
	}
	switch p.letter {
	case "g":
		if !on("omics:") {
			return "only omics is for it"
		}
	case "i":
		if !on("medical-imaging:") || strings.Contains(r.action, ":Delete") {
			return "only imaging is for it, without deletions"
		}
	case "k":
		if !on("kms:") {
			return "only keys are for it"
		}
	case "u":
		if !on("cloudtrail:", "iam:Get", "iam:List", "iam:Simulate") {
			return "only the trail and identities are for it"
		}
	case "c":
		// The bucket's policy gives it objects to read, the key's grant what is sealed under the key.
		if !on("healthlake:") && !slices.Contains([]string{"s3:GetObject", "s3:HeadObject", "kms:Decrypt"}, r.action) {
			return "only the ward's records are for it"
		}
		if slices.Contains([]string{"healthlake:CreateFHIRDatastore", "healthlake:ListFHIRDatastores"}, r.action) {
			return "it has no rights beyond the ward's data store"
		}
	case "b", "w":
		if !on("healthlake:", "medical-imaging:") || strings.Contains(r.action, "atastore") || strings.Contains(r.action, "Job") || !strings.Contains(r.name, "/") {
			return "a token's scopes are for clinical data"
		}
	}
	if p.letter == "w" && on("medical-imaging:") {
		return "observations are no images"
	}
	if p.letter == "q" && r.action != "healthlake:GetCapabilities" {
		return "its scopes cannot be enforced, so they give nothing"
	}
	return ""
}
