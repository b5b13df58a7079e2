package audit

import (
	"encoding/json"
	"strings"
)

// trailRecord is the CloudTrail record of an entry, in the order of the user guide ("CloudTrail record contents").
type trailRecord struct {
	EventVersion        string            `json:"eventVersion"`
	UserIdentity        trailIdentity     `json:"userIdentity"`
	EventTime           string            `json:"eventTime"`
	EventSource         string            `json:"eventSource"`
	EventName           string            `json:"eventName"`
	AWSRegion           string            `json:"awsRegion"`
	SourceIPAddress     string            `json:"sourceIPAddress"`
	UserAgent           string            `json:"userAgent"`
	ErrorCode           string            `json:"errorCode,omitempty"`
	RequestParameters   map[string]string `json:"requestParameters"`
	ResponseElements    *struct{}         `json:"responseElements"`
	AdditionalEventData map[string]string `json:"additionalEventData,omitempty"`
	RequestID           string            `json:"requestID"`
	EventID             string            `json:"eventID"`
	ReadOnly            bool              `json:"readOnly"`
	Resources           []trailResource   `json:"resources,omitempty"`
	EventType           string            `json:"eventType"`
	ManagementEvent     bool              `json:"managementEvent"`
	RecipientAccountID  string            `json:"recipientAccountId"`
	EventCategory       string            `json:"eventCategory"`
}

type trailIdentity struct {
	Type        string `json:"type"`
	ARN         string `json:"arn,omitempty"`
	AccountID   string `json:"accountId,omitempty"`
	AccessKeyID string `json:"accessKeyId,omitempty"`
	UserName    string `json:"userName,omitempty"`
	InvokedBy   string `json:"invokedBy,omitempty"`
}

type trailResource struct {
	ARN       string `json:"ARN"`
	AccountID string `json:"accountId,omitempty"`
	Type      string `json:"type,omitempty"`
}

// Trail is the entry as a CloudTrail record, JSON.
func (e *Entry) Trail() []byte {
	r := trailRecord{EventVersion: "1.11", EventTime: e.Time.UTC().Format("2006-01-02T15:04:05Z"), EventSource: e.Source, EventName: e.Name, AWSRegion: e.Region, SourceIPAddress: e.SourceIP, UserAgent: e.UserAgent,
		ErrorCode: e.Error, RequestParameters: e.Parameters, RequestID: e.RequestID, EventID: e.ID, ReadOnly: e.ReadOnly, EventType: "AwsApiCall", ManagementEvent: true, RecipientAccountID: e.Account, EventCategory: "Management",
		UserIdentity: trailIdentity{Type: e.Kind, ARN: e.Principal, AccountID: e.Account, AccessKeyID: e.AccessKeyID, InvokedBy: e.Via}}
	if e.Kind == "IAMUser" {
		r.UserIdentity.UserName = e.Username()
	}
	if e.Action != "" || e.Policy != "" {
		r.AdditionalEventData = map[string]string{"action": e.Action}
		for _, d := range e.Decision() {
			r.AdditionalEventData[d[0]] = d[1]
		}
	}
	for _, arn := range e.Resources {
		if strings.HasPrefix(arn, "arn:") {
			r.Resources = append(r.Resources, trailResource{ARN: arn, AccountID: e.Account, Type: ResourceType(arn)})
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		return []byte("{}") // strings and booleans only: it cannot fail
	}
	return b
}

// Decision is what is known of the decision on a call, as names and values; nothing stands without a value.
func (e *Entry) Decision() (out [][2]string) {
	for _, d := range [...][2]string{{"decision", e.Effect}, {"decidingPolicy", e.Policy}, {"decidingStatement", e.Statement}, {"decidingPolicyType", e.PolicyType}} {
		if d[1] != "" {
			out = append(out, d)
		}
	}
	return out
}
