package key

import "context"

// Checker is what a holder of an opened data key asks before it uses it again: an opened key must not outlive the state of the KMS key that
// wraps it. A check costs a map look-up. Every Ring of ours is a Checker.
type Checker interface {
	// Check returns nil when the key may be used now; otherwise the error that Ring.Open would return.
	Check(ctx context.Context, arn string) error
}

// Use is one use of a KMS key by a service on behalf of the caller in ctx.
type Use struct {
	Action  string // "kms:GenerateDataKey", "kms:Decrypt", "kms:DescribeKey", "kms:CreateGrant"
	Key     string // key ARN, key id, alias name or alias ARN
	Context map[string]string
	Via     string // the calling service: "s3", "healthlake"; becomes kms:ViaService
}

// Guard decides whether the caller may use a customer's key: key policy, grants and the caller's own policies. The kms service is the one
// that there is; a service asks it before it passes a customer's key to a Ring. Keys that Galen owns need no Guard.
type Guard interface {
	// MayUse returns the key's ARN when allowed; errs.Denied, errs.NotFound, or errs.Conflict when the key's state forbids any use.
	MayUse(ctx context.Context, u Use) (arn string, err error)
}
