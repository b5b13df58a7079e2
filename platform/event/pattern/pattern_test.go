package pattern_test

import (
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event/pattern"
)

const event = `{"version":"0","id":"3e3c153a","detail-type":"EC2 Instance State-change Notification","source":"aws.ec2",
 "account":"123456789012","time":"2015-11-11T21:29:54Z","region":"us-east-1","resources":["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],
 "detail":{"instance-id":"i-abcd1111","state":"pending","empty":"","nothing":null,"flag":true,"c-count":5,"d-count":3,"x-limit":3.01e2,"big":9007199254740992,
  "source-ip":"10.0.0.17","six":"2001:db8::5","FileName":"Report.PNG","none":[],"tags":["red","green"],"mixed":[1,"two",null,false],"path":"a*b\\c",
  "EventName":"dynamo::table::update","list":[{"k":"a","v":"1"},{"k":"b","v":"2"}],"deep":{"er":{"est":"x"}}}}`

func TestOperators(t *testing.T) {
	for _, c := range []struct {
		pattern string
		want    bool
	}{
		// exact
		{`{"source":["aws.ec2"]}`, true},
		{`{"source":["aws.fargate","aws.ec2"]}`, true},
		{`{"source":["AWS.EC2"]}`, false},
		{`{"detail":{"state":["pending","running"],"flag":[true]}}`, true},
		{`{"detail":{"flag":["true"]}}`, false},
		{`{"detail":{"flag":[false]}}`, false},
		{`{"detail":{"empty":[""]}}`, true},
		{`{"detail":{"state":[""]}}`, false},
		{`{"detail":{"nothing":[null]}}`, true},
		{`{"detail":{"state":[null]}}`, false},
		{`{"detail":{"absent":[null]}}`, false},
		{`{"detail":{"c-count":[5]}}`, true},
		{`{"detail":{"c-count":[5.0]}}`, true},
		{`{"detail":{"x-limit":[301]}}`, true},
		{`{"detail":{"c-count":["5"]}}`, false},
		{`{"detail":{"big":[9007199254740992]}}`, true},
		{`{"resources":["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"]}`, true},
		{`{"detail":{"deep":{"er":{"est":["x"]}}}}`, true},
		{`{"detail":{"deep":{"er":["x"]}}}`, false},
		{`{"detail":{"state":{"er":["x"]}}}`, false},
		// arrays: any element
		{`{"detail":{"tags":["green"]}}`, true},
		{`{"detail":{"tags":["blue"]}}`, false},
		{`{"detail":{"mixed":[null]}}`, true},
		{`{"detail":{"mixed":[1]}}`, true},
		{`{"detail":{"mixed":[false]}}`, true},
		{`{"detail":{"list":{"k":["b"],"v":["2"]}}}`, true},
		{`{"detail":{"list":{"k":["a"],"v":["2"]}}}`, false}, // not within one element
		// prefix, suffix
		{`{"time":[{"prefix":"2015-11-11"}]}`, true},
		{`{"time":[{"prefix":"2015-11-12"}]}`, false},
		{`{"detail":{"FileName":[{"suffix":".png"}]}}`, false},
		{`{"detail":{"FileName":[{"suffix":{"equals-ignore-case":".png"}}]}}`, true},
		{`{"source":[{"prefix":{"equals-ignore-case":"AWS."}}]}`, true},
		{`{"detail":{"c-count":[{"prefix":"5"}]}}`, false},
		{`{"detail-type":[{"equals-ignore-case":"ec2 instance state-change notification"}]}`, true},
		{`{"detail-type":[{"equals-ignore-case":"ec2 instance state-change"}]}`, false},
		// anything-but
		{`{"detail":{"state":[{"anything-but":"initializing"}]}}`, true},
		{`{"detail":{"state":[{"anything-but":"pending"}]}}`, false},
		{`{"detail":{"state":[{"anything-but":["stopped","overloaded"]}]}}`, true},
		{`{"detail":{"state":[{"anything-but":["stopped","pending"]}]}}`, false},
		{`{"detail":{"x-limit":[{"anything-but":[100,200,300]}]}}`, true},
		{`{"detail":{"x-limit":[{"anything-but":301}]}}`, false},
		{`{"detail":{"state":[{"anything-but":{"prefix":"init"}}]}}`, true},
		{`{"detail":{"state":[{"anything-but":{"prefix":["init","pen"]}}]}}`, false},
		{`{"detail":{"FileName":[{"anything-but":{"suffix":".txt"}}]}}`, true},
		{`{"detail":{"FileName":[{"anything-but":{"suffix":[".txt",".PNG"]}}]}}`, false},
		{`{"detail":{"state":[{"anything-but":{"equals-ignore-case":"PENDING"}}]}}`, false},
		{`{"detail":{"state":[{"anything-but":{"equals-ignore-case":["a","b"]}}]}}`, true},
		{`{"detail":{"EventName":[{"anything-but":{"wildcard":"*table*"}}]}}`, false},
		{`{"detail":{"EventName":[{"anything-but":{"wildcard":["*lib/*","*bin/*"]}}]}}`, true},
		{`{"detail":{"absent":[{"anything-but":"x"}]}}`, false},
		{`{"detail":{"nothing":[{"anything-but":"x"}]}}`, true},
		{`{"detail":{"tags":[{"anything-but":"red"}]}}`, true}, // green is
		// numeric
		{`{"detail":{"c-count":[{"numeric":[">",0,"<=",5]}],"d-count":[{"numeric":["<",10]}],"x-limit":[{"numeric":["=",3.01e2]}]}}`, true},
		{`{"detail":{"c-count":[{"numeric":[">",5]}]}}`, false},
		{`{"detail":{"c-count":[{"numeric":[">=",5,"<",6]}]}}`, true},
		{`{"detail":{"c-count":[{"numeric":[">=",4,"<",5]}]}}`, false},
		{`{"detail":{"state":[{"numeric":[">",0]}]}}`, false},
		// cidr
		{`{"detail":{"source-ip":[{"cidr":"10.0.0.0/24"}]}}`, true},
		{`{"detail":{"source-ip":[{"cidr":"10.0.1.0/24"}]}}`, false},
		{`{"detail":{"six":[{"cidr":"2001:db8::/32"}]}}`, true},
		{`{"detail":{"state":[{"cidr":"0.0.0.0/0"}]}}`, false},
		// exists
		{`{"detail":{"state":[{"exists":true}]}}`, true},
		{`{"detail":{"absent":[{"exists":true}]}}`, false},
		{`{"detail":{"absent":[{"exists":false}]}}`, true},
		{`{"detail":{"state":[{"exists":false}]}}`, false},
		{`{"detail":{"absent":{"child":[{"exists":false}]}}}`, true},
		{`{"detail":{"deep":[{"exists":true}]}}`, false}, // leaves only
		{`{"detail":{"nothing":[{"exists":true}]}}`, true},
		{`{"detail":{"none":[{"exists":true}]}}`, false},
		{`{"detail":{"state":["x",{"exists":true}]}}`, true},
		// wildcard
		{`{"detail":{"EventName":[{"wildcard":"dynamo::*::update"}]}}`, true},
		{`{"detail":{"EventName":[{"wildcard":"dynamo::*::delete"}]}}`, false},
		{`{"detail":{"EventName":[{"wildcard":"*"}]}}`, true},
		{`{"detail":{"empty":[{"wildcard":"*"}]}}`, true},
		{`{"detail":{"state":[{"wildcard":"p*n*g"}]}}`, true},
		{`{"detail":{"state":[{"wildcard":"p*pending"}]}}`, false},
		{`{"detail":{"path":[{"wildcard":"a\\*b\\\\c"}]}}`, true},
		{`{"detail":{"state":[{"wildcard":"pend\\*"}]}}`, false},
		// $or
		{`{"detail":{"$or":[{"c-count":[{"numeric":[">",10]}]},{"d-count":[{"numeric":["<",10]}]}]}}`, true},
		{`{"detail":{"$or":[{"c-count":[6]},{"d-count":[7]}],"state":["pending"]}}`, false},
		{`{"$or":[{"source":["x"]},{"detail":{"state":["pending"]}}]}`, true},
		{`{"$or":[{"source":["x"]},{"detail":{"state":["pending"]}}],"region":["eu-west-1"]}`, false},
		// repeated keys: the last wins
		{`{"source":["x"],"source":["aws.ec2"]}`, true},
		{`{"source":["aws.ec2"],"source":["x"]}`, false},
	} {
		p, err := pattern.Compile([]byte(c.pattern))
		if err != nil {
			t.Errorf("Compile(%s): %v", c.pattern, err)
			continue
		}
		e, err := pattern.Decode([]byte(event))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(e); got != c.want {
			t.Errorf("%s: match = %v, want %v", c.pattern, got, c.want)
		}
	}
}

func TestBadPatternsAreRefused(t *testing.T) {
	for _, text := range []string{
		``, `null`, `[]`, `"x"`, `{`, `{}`, `{"source":["a"]} x`, `{"source":"aws.ec2"}`, `{"source":[]}`, `{"detail":{}}`, `{"a":5}`,
		`{"a":[["b"]]}`, `{"a":[{}]}`, `{"a":[{"unknown":"b"}]}`, `{"a":[{"prefix":"b","suffix":"c"}]}`, `{"a":[{"prefix":5}]}`, `{"a":[{"suffix":{"wildcard":"x"}}]}`,
		`{"a":[{"exists":"yes"}]}`, `{"a":[{"numeric":[]}]}`, `{"a":[{"numeric":[">","5"]}]}`, `{"a":[{"numeric":["!",5]}]}`, `{"a":[{"numeric":["<",5,">",1]}]}`,
		`{"a":[{"numeric":[">",5,"<",5]}]}`, `{"a":[{"numeric":[">",5,"=",5]}]}`, `{"a":[{"numeric":[">",1e999]}]}`, `{"a":[{"cidr":"10.0.0.1"}]}`, `{"a":[{"cidr":"10.0.0.0/33"}]}`, `{"a":[{"cidr":7}]}`,
		`{"a":[{"anything-but":[]}]}`, `{"a":[{"anything-but":null}]}`, `{"a":[{"anything-but":{"exists":true}}]}`, `{"a":[{"anything-but":{"prefix":"a","suffix":"b"}}]}`, `{"a":[{"anything-but":{"prefix":[5]}}]}`, `{"a":[{"anything-but":[true]}]}`,
		`{"a":[{"wildcard":"a**b"}]}`, `{"a":[{"wildcard":"a\\b"}]}`, `{"a":[{"wildcard":"a\\"}]}`, `{"a":[{"equals-ignore-case":["a"]}]}`,
		`{"$or":[{"a":["b"]}]}`, `{"$or":["a","b"]}`, `{"$or":[{"a":["b"]},{}]}`,
		`{"a":` + strings.Repeat(`{"a":`, 200) + `["x"]` + strings.Repeat(`}`, 201),
		`{"a":[` + strings.Repeat(`"x",`, 5000) + `"x"]}`,
		`{"a":["` + strings.Repeat("x", pattern.MaxSize) + `"]}`,
	} {
		_, err := pattern.Compile([]byte(text))
		if e := errs.As(err); e == nil || e.Name != "InvalidEventPatternException" || e.Code != errs.Invalid {
			t.Errorf("Compile(%.60s): error = %v, want InvalidEventPatternException", text, err)
		}
	}
}

func TestEventMustBeOneObject(t *testing.T) {
	for _, text := range []string{``, `[]`, `"x"`, `{"a":1}{`, `{"a":1} {}`} {
		if _, err := pattern.Decode([]byte(text)); !errs.Is(err, errs.Invalid) {
			t.Errorf("Decode(%q): error = %v, want invalid", text, err)
		}
	}
}

func FuzzPattern(f *testing.F) {
	f.Add(`{"source":["aws.ec2"],"detail":{"c-count":[{"numeric":[">",0,"<=",5]}]}}`, event)
	f.Add(`{"$or":[{"a":[{"wildcard":"*a*b\\*"}]},{"b":[{"anything-but":{"prefix":["x"]}}]}]}`, `{"a":["xab*"],"b":null}`)
	f.Add(`{"a":[{"cidr":"::/0"},{"exists":false},{"suffix":{"equals-ignore-case":"İ"}}]}`, `{"a":[{"b":[1e5]}]}`)
	f.Fuzz(func(t *testing.T, p, e string) {
		c, err := pattern.Compile([]byte(p))
		if err != nil {
			if errs.As(err).Name != "InvalidEventPatternException" {
				t.Fatalf("error %v has the wrong name", err)
			}
			return
		}
		ev, err := pattern.Decode([]byte(e))
		if err != nil {
			return
		}
		again, err := pattern.Compile([]byte(p))
		if err != nil {
			t.Fatalf("compiled once, then refused: %v", err)
		}
		if c.Match(ev) != again.Match(ev) {
			t.Fatal("two matches of the same disagree")
		}
	})
}

// A wildcard is compared with a slow matcher that follows the definition.
func FuzzWildcard(f *testing.F) {
	f.Add("a*b*c", "aXbYc")
	f.Add("*", "")
	f.Fuzz(func(t *testing.T, w, s string) {
		if strings.ContainsAny(w, `\"`) || strings.Contains(w, "**") || len(w) > 20 || len(s) > 40 || strings.ToValidUTF8(w, "") != w || strings.ToValidUTF8(s, "") != s {
			return
		}
		for _, r := range w + s {
			if r < 0x20 || r == '"' || r == '\\' {
				return
			}
		}
		c, err := pattern.Compile([]byte(`{"a":[{"wildcard":"` + w + `"}]}`))
		if err != nil {
			t.Fatalf("Compile(%q): %v", w, err)
		}
		e, err := pattern.Decode([]byte(`{"a":"` + s + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := c.Match(e), slow(w, s); got != want {
			t.Fatalf("wildcard %q on %q = %v, want %v", w, s, got, want)
		}
	})
}

func slow(w, s string) bool {
	if w == "" {
		return s == ""
	}
	if w[0] == '*' {
		for i := 0; i <= len(s); i++ {
			if slow(w[1:], s[i:]) {
				return true
			}
		}
		return false
	}
	return s != "" && w[0] == s[0] && slow(w[1:], s[1:])
}
