// Package audit keeps the append-only log of who did what, on what, from where, with which outcome.
//
// An entry never holds clinical content: names of operations, ARNs, ids, sizes and error names only. Append returns when the entry is
// durable in the Merkle log; the edge answers a caller only after that. There is no operation that changes an entry, and none that
// removes one before its time: retention drops the oldest, by a note that the log signs, and keeps their hashes.
package audit

import (
	"context"
	"time"
)

// Entry is one call, in the words of a CloudTrail record.
type Entry struct {
	ID          string            `json:"eventID"`
	Time        time.Time         `json:"eventTime"`
	Source      string            `json:"eventSource"` // healthlake.amazonaws.com
	Name        string            `json:"eventName"`   // the operation or the standard's interaction
	Action      string            `json:"action"`      // IAM action that was decided on
	Principal   string            `json:"principal"`   // ARN
	Kind        string            `json:"principalType"`
	AccessKeyID string            `json:"accessKeyId,omitempty"`
	SourceIP    string            `json:"sourceIPAddress,omitempty"`
	UserAgent   string            `json:"userAgent,omitempty"`
	Via         string            `json:"invokedBy,omitempty"`
	RequestID   string            `json:"requestID"`
	Resources   []string          `json:"resources,omitempty"` // ARNs
	ReadOnly    bool              `json:"readOnly"`
	Error       string            `json:"errorCode,omitempty"`  // the contract's error name; "" when it succeeded
	Policy      string            `json:"policy,omitempty"`     // the policy that decided
	Statement   string            `json:"statement,omitempty"`  // its statement: Sid, or index from 0
	PolicyType  string            `json:"policyType,omitempty"` // identity, resource, key, boundary, session, root: of the policy that decided, or whose allow was lacking
	Effect      string            `json:"effect,omitempty"`     // Allow, Deny, or ImplicitDeny; "" when it did not come to a decision
	Region      string            `json:"awsRegion"`
	Account     string            `json:"recipientAccountId"`
	Parameters  map[string]string `json:"parameters,omitempty"` // identifiers only, chosen per operation; never bodies
}

// Log takes entries.
type Log interface {
	// Append assigns e.ID when empty and returns when the entry is durable. An error means that the call must not be answered
	// with success.
	Append(ctx context.Context, e *Entry) error
}

// Reader looks entries up, newest first.
type Reader interface {
	Lookup(ctx context.Context, f Filter, after string, limit int) (entries []Entry, next string, err error)
}

// Filter narrows a look-up; zero fields do not narrow.
type Filter struct {
	Start, End                                                time.Time
	ID, Name, Source, Principal, AccessKeyID, Resource, Error string
	Username, ResourceType                                    string // see Entry.Username and ResourceType
	Entity                                                    string // see Entry.Entity
	ReadOnly                                                  *bool
	Where                                                     func(*Entry) bool // decides on what the others leave; it finds nothing by itself
}
