package audit

import (
	"encoding/json"
	"testing"
	"time"
)

// FuzzEncode: what is kept is what encoding/json would write, for any text.
func FuzzEncode(f *testing.F) {
	f.Add("id", "arn:aws:iam::000000000000:user/x", "curl/8 <\"&\\>", "é\u2028\x00\xff", "policy", true, int64(1))
	f.Add("", "", "", "", "", false, int64(1_700_000_000_123_456_789))
	f.Fuzz(func(t *testing.T, id, principal, agent, value, policy string, readOnly bool, at int64) {
		e := Entry{ID: id, Time: time.Unix(0, at).UTC(), Source: value, Name: id, Action: value, Principal: principal, Kind: id, AccessKeyID: policy, SourceIP: value, UserAgent: cut(agent, 1024), Via: id, RequestID: policy,
			ReadOnly: readOnly, Error: id, Policy: policy, Statement: cut(id, 128), PolicyType: value, Effect: principal, Region: id, Account: value}
		if value != "" {
			e.Resources = []string{principal, value}
			e.Parameters = map[string]string{cut(id, 64): cut(value, 512), "b": cut(agent, 512)}
		}
		got, err := encode(&e)
		if err != nil {
			return
		}
		want, err := json.Marshal(&e)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("encode\n  %s\nencoding/json\n  %s", got, want)
		}
	})
}
