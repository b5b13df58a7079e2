package events

import (
	"encoding/json"
	"testing"
	"time"

	api "github.com/galen-health/galen/aws/events"
)

// Whatever a target says, an input is made; a template whose variables stand where JSON has values makes JSON.
func FuzzInput(f *testing.F) {
	f.Add(`{"id":"1","detail":{"n":7,"s":"a\"b","l":[1,{"x":null}]}}`, "$.detail.s", `{"a":<v>,"b":"<v> <none>"}`)
	f.Add(`{"detail":[]}`, "$.detail[0]['x y']", `<aws.events.event.json> <aws.events.event>`)
	f.Add(`{"detail":"\u2028<v>"}`, "$.detail", `"<v>\\"`)
	f.Fuzz(func(t *testing.T, envelope, path, template string) {
		if !json.Valid([]byte(envelope)) {
			return
		}
		x := &api.Target{Id: "t", InputTransformer: &api.InputTransformer{InputPathsMap: map[string]string{"v": path}, InputTemplate: template}}
		if checkInput(x) != nil {
			return
		}
		body, isJSON := inputOf(x, []byte(envelope), "rule", "arn:rule", time.Unix(0, 0))
		if isJSON != json.Valid(body) {
			t.Fatalf("%s: said to be JSON: %v", body, isJSON)
		}
		for _, frame := range []string{`{"a":<v>}`, `["<v>",<v>]`, `"<v>"`, `<v>`} {
			x.InputTransformer.InputTemplate = frame
			if body, isJSON := inputOf(x, []byte(envelope), "rule", "arn:rule", time.Unix(0, 0)); !isJSON {
				t.Fatalf("template %s made %s of path %s in %s", frame, body, path, envelope)
			}
		}
		x = &api.Target{Id: "t", InputPath: path}
		if body, _ := inputOf(x, []byte(envelope), "rule", "arn:rule", time.Unix(0, 0)); !json.Valid(body) {
			t.Fatalf("path %s made %s", path, body)
		}
	})
}
