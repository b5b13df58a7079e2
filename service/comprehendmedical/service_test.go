package comprehendmedical_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/comprehendmedical"
	"github.com/galen-health/galen/aws/wire"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/service/comprehendmedical"
)

var ctx = context.Background()

// held checks that an entity is what its offsets, in characters, say.
func held(t *testing.T, s, what string, begin, end *int32) {
	t.Helper()
	r := []rune(s)
	if b, e := aws.Val(begin), aws.Val(end); b < 0 || e > int32(len(r)) || b >= e || string(r[b:e]) != what {
		t.Errorf("characters [%d, %d) of %q are not %q", b, e, s, what)
	}
}

func TestOffsetsAreCharacters(t *testing.T) {
	s := comprehendmedical.New()
	in := "Ménière’s disease — naïve; takes 500 µg of levothyroxine 日本 daily. Patient denies chest pain. 2 tablets."
	out, err := s.DetectEntitiesV2(ctx, &api.DetectEntitiesV2Input{Text: in})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, e := range out.Entities {
		held(t, in, e.Text, e.BeginOffset, e.EndOffset)
		found[e.Text] = true
		for _, a := range e.Attributes {
			held(t, in, a.Text, a.BeginOffset, a.EndOffset)
			found[a.Text] = true
		}
	}
	for _, w := range []string{"levothyroxine", "500 µg", "daily", "chest pain"} {
		if !found[w] {
			t.Errorf("%q was not found in %v", w, found)
		}
	}
	if len(out.UnmappedAttributes) != 1 || out.UnmappedAttributes[0].Attribute.Text != "2 tablets" || out.UnmappedAttributes[0].Type != api.EntityTypeMedication {
		t.Errorf("unmapped attributes = %+v", out.UnmappedAttributes)
	}
	if out.ModelVersion == "" {
		t.Error("no model version")
	}
}

func TestDeprecatedFormAndPHI(t *testing.T) {
	s := comprehendmedical.New()
	in := "Mr. John Smith, phone 555-123-4567, was seen on 01/02/2024 for asthma."
	old, err := s.DetectEntities(ctx, &api.DetectEntitiesInput{Text: in})
	if err != nil || len(old.Entities) < 4 {
		t.Fatalf("DetectEntities: %d entities, %v", len(old.Entities), err)
	}
	p, err := s.DetectPHI(ctx, &api.DetectPHIInput{Text: in})
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, e := range p.Entities {
		held(t, in, e.Text, e.BeginOffset, e.EndOffset)
		types = append(types, string(e.Type))
	}
	if got := strings.Join(types, " "); got != "NAME PHONE_OR_FAX DATE" {
		t.Errorf("types = %s", got)
	}
}

func TestRefusals(t *testing.T) {
	s := comprehendmedical.New()
	for name, c := range map[string]struct{ text, want string }{
		"empty":     {"", "InvalidRequestException"},
		"too long":  {strings.Repeat("é", 20001), "TextSizeLimitExceededException"},
		"not UTF-8": {"pain \xff", "InvalidEncodingException"},
	} {
		_, err := s.DetectEntitiesV2(ctx, &api.DetectEntitiesV2Input{Text: c.text})
		var e *errs.Error
		if !errors.As(err, &e) || e.Name != c.want || strings.Contains(e.Message, "pain") {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if _, err := s.DetectPHI(ctx, &api.DetectPHIInput{Text: strings.Repeat("é", 20000)}); err != nil {
		t.Errorf("20000 characters in 40000 bytes: %v", err)
	}
	if _, err := s.InferRxNorm(ctx, &api.InferRxNormInput{Text: "x"}); !errs.Is(err, errs.Unsupported) {
		t.Errorf("InferRxNorm: %v, want unsupported", err)
	}
}

func TestInferICD10CM(t *testing.T) {
	s := comprehendmedical.New()
	in := "Ménière noted. Patient with type 2 diabetes and hypertension denies chest pain. Pain in the right knee for two weeks."
	out, err := s.InferICD10CM(ctx, &api.InferICD10CMInput{Text: in})
	if errs.Is(err, errs.Unavailable) {
		t.Skip(errs.As(err).Message)
	}
	if err != nil {
		t.Fatal(err)
	}
	best := map[string]string{}
	for _, e := range out.Entities {
		held(t, in, e.Text, e.BeginOffset, e.EndOffset)
		last := float32(1)
		for i, c := range e.ICD10CMConcepts {
			if *c.Score <= 0 || *c.Score > last || c.Description == "" || i > 4 {
				t.Errorf("%s: candidate %d is %+v", e.Text, i, c)
			}
			last = *c.Score
		}
		if len(e.ICD10CMConcepts) > 0 {
			best[strings.ToLower(e.Text)] = e.ICD10CMConcepts[0].Code
		}
		for _, a := range e.Attributes {
			held(t, in, a.Text, a.BeginOffset, a.EndOffset)
		}
	}
	for term, want := range map[string]string{"type 2 diabetes": "E11.9", "hypertension": "I10", "chest pain": "R07.9", "pain": "M25.561"} {
		if best[term] != want {
			t.Errorf("%s: %q, want %s", term, best[term], want)
		}
	}
	if _, err := s.InferICD10CM(ctx, &api.InferICD10CMInput{Text: strings.Repeat("x", 10001)}); errs.As(err).Name != "TextSizeLimitExceededException" {
		t.Errorf("10001 characters: %v", err)
	}
}

func TestInferSaysWhatIsMissing(t *testing.T) {
	t.Setenv("GALEN_CODES_DIR", t.TempDir())
	_, err := comprehendmedical.New().InferICD10CM(ctx, &api.InferICD10CMInput{Text: "asthma"})
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(errs.As(err).Message, "fetch.sh") {
		t.Errorf("without the code set: %v", err)
	}
}

// Both protocols of the contract carry the same answer, and both name a text that is too long alike.
func TestBothProtocols(t *testing.T) {
	s := comprehendmedical.New()
	op := api.Contract.Operations["DetectEntitiesV2"]
	for _, p := range []aws.Protocol{aws.JSON11, aws.CBOR} {
		call := func(text string) (*api.DetectEntitiesV2Output, error) {
			req, err := wire.EncodeRequest("http://galen.test", op, p, &api.DetectEntitiesV2Input{Text: text})
			if err != nil {
				t.Fatal(err)
			}
			in, err := wire.Decode(&wire.Request{Op: op, Protocol: p, Header: req.Header, Body: req.Body, Length: req.ContentLength})
			if err != nil {
				return nil, err
			}
			out, err := op.Call(ctx, s, in, nil)
			if err != nil {
				return nil, err
			}
			w := httptest.NewRecorder()
			if err := wire.Encode(w, op, p, out, "id"); err != nil {
				t.Fatal(err)
			}
			if w.Code != http.StatusOK {
				t.Fatalf("%s: status %d", p, w.Code)
			}
			back := &api.DetectEntitiesV2Output{}
			if err := wire.DecodeResponse(w.Result(), op, p, back); err != nil {
				t.Fatal(err)
			}
			return back, nil
		}
		out, err := call("Patient denies chest pain.")
		if err != nil || len(out.Entities) != 1 || out.Entities[0].Text != "chest pain" || *out.Entities[0].EndOffset != 25 {
			t.Errorf("%s: %+v, %v", p, out, err)
		}
		_, err = call(strings.Repeat("x", 20001))
		var e *errs.Error
		if !errors.As(err, &e) || e.Name != "TextSizeLimitExceededException" {
			t.Errorf("%s: a long text: %v", p, err)
		}
	}
}
