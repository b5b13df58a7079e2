package audit

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/galen-health/galen/platform/errs"
)

// encode writes an entry as it is kept, its free texts cut to their bounds: the JSON that encoding/json would write, without its reflection, because every
// request waits for it.
func encode(e *Entry) ([]byte, error) {
	if y := e.Time.Year(); y < 0 || y > 9999 {
		return nil, errs.New(errs.Internal, "an audit entry cannot be of the year %d", y)
	}
	b := make([]byte, 0, 768)
	b = appendText(append(b, `{"eventID":`...), e.ID)
	b = append(b, `,"eventTime":"`...)
	b = append(e.Time.AppendFormat(b, time.RFC3339Nano), '"')
	b = appendText(append(b, `,"eventSource":`...), e.Source)
	b = appendText(append(b, `,"eventName":`...), e.Name)
	b = appendText(append(b, `,"action":`...), e.Action)
	b = appendText(append(b, `,"principal":`...), e.Principal)
	b = appendText(append(b, `,"principalType":`...), e.Kind)
	b = appendSome(b, `,"accessKeyId":`, e.AccessKeyID)
	b = appendSome(b, `,"sourceIPAddress":`, e.SourceIP)
	b = appendSome(b, `,"userAgent":`, cut(e.UserAgent, 1024))
	b = appendSome(b, `,"invokedBy":`, e.Via)
	b = appendText(append(b, `,"requestID":`...), e.RequestID)
	if n := min(len(e.Resources), 16); n > 0 {
		b = append(b, `,"resources":[`...)
		for i, r := range e.Resources[:n] {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(b, r)
		}
		b = append(b, ']')
	}
	b = strconv.AppendBool(append(b, `,"readOnly":`...), e.ReadOnly)
	b = appendSome(b, `,"errorCode":`, e.Error)
	b = appendSome(b, `,"policy":`, e.Policy)
	b = appendSome(b, `,"statement":`, cut(e.Statement, 128))
	b = appendSome(b, `,"policyType":`, e.PolicyType)
	b = appendSome(b, `,"effect":`, e.Effect)
	b = appendText(append(b, `,"awsRegion":`...), e.Region)
	b = appendText(append(b, `,"recipientAccountId":`...), e.Account)
	if len(e.Parameters) > 0 {
		b = appendParameters(append(b, `,"parameters":{`...), e.Parameters)
	}
	if b = append(b, '}'); len(b) > maxEntry {
		return nil, errs.New(errs.TooLarge, "an audit entry has %d bytes, the most is %d", len(b), maxEntry)
	}
	return b, nil
}

func appendParameters(b []byte, all map[string]string) []byte {
	var room [8]string
	names := room[:0]
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	last := ""
	n := 0
	for _, name := range names {
		short := cut(name, 64)
		if n == 32 {
			break
		}
		if n > 0 && short == last { // two that differ only beyond the cut: a member stands once
			continue
		}
		if n > 0 {
			b = append(b, ',')
		}
		b = appendText(append(appendText(b, short), ':'), cut(all[name], 512))
		last = short
		n++
	}
	return append(b, '}')
}

func appendSome(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendText(append(b, name...), value)
}

// appendText writes a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			q, _ := json.Marshal(s) // a string can always be written
			return append(b, q...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// cut shortens a text to at most n bytes without cutting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
