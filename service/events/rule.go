package events

import (
	"context"
	"strings"

	api "github.com/galen-health/galen/aws/events"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event/pattern"
	"github.com/galen-health/galen/platform/record"
)

// rule is a rule with its targets.
type rule struct {
	Bus     string       `json:"bus"`
	Name    string       `json:"name"`
	Pattern string       `json:"pattern"`
	Enabled bool         `json:"enabled"`
	About   string       `json:"about,omitempty"`
	Role    string       `json:"role,omitempty"`
	Tags    []api.Tag    `json:"tags,omitempty"`
	Targets []api.Target `json:"targets,omitempty"`
}

var rules = record.Kind[rule]{Name: "events.rule", Indexes: record.Indexes[rule]{
	record.ByToken("bus", func(r *rule) string { return r.Bus }),
	record.ByString("name", func(r *rule) string { return r.Name }),
	{Name: "target", Values: func(r *rule) (out []record.Value) {
		for i := range r.Targets {
			out = append(out, record.Token("", r.Targets[i].Arn))
		}
		return out
	}},
}}

func ofBus(name string) record.Match {
	return record.Match{Index: "bus", Value: record.Token("", name)}
}

func ruleID(bus, name string) string { return bus + "|" + name }

func (s *Service) ruleARN(bus, name string) string {
	if bus == defaultBus {
		return s.arn("rule/" + name)
	}
	return s.arn("rule/" + bus + "/" + name)
}

// ruleOf finds a rule.
func ruleOf(g record.Getter, bus, name string) (*rule, int64, error) {
	r, v, err := rules.Get(g, ruleID(bus, name))
	if absent(err) {
		return nil, 0, notFound("Rule %s does not exist on EventBus %s.", name, bus)
	}
	return r, v, err
}

func (r *rule) state() api.RuleState {
	if r.Enabled {
		return api.RuleStateEnabled
	}
	return api.RuleStateDisabled
}

// PutRule implements the contract: it makes a rule or changes one, whose targets and tags stay.
func (s *Service) PutRule(ctx context.Context, in *api.PutRuleInput) (*api.PutRuleOutput, error) {
	busName, err := s.busName(in.EventBusName)
	if err != nil {
		return nil, err
	}
	switch {
	case in.ScheduleExpression != "":
		return nil, errs.New(errs.Unsupported, "rules on a schedule are not offered: give an EventPattern")
	case in.EventPattern == "":
		return nil, invalid("Parameter(s) EventPattern must be specified.")
	case in.State == api.RuleStateEnabledWithAllCloudtrailManagementEvents:
		return nil, errs.New(errs.Unsupported, "the state %s is not offered", in.State)
	}
	if _, err := pattern.Compile([]byte(in.EventPattern)); err != nil {
		return nil, err
	}
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	err = s.change(ctx, func(tx record.Tx) error {
		if _, err := busOf(tx, busName); err != nil {
			return err
		}
		r, _, err := ruleOf(tx, busName, in.Name)
		if absent(err) {
			r, err = &rule{Bus: busName, Name: in.Name, Tags: tags}, nil
		}
		if err != nil {
			return err
		}
		r.Pattern, r.About, r.Role, r.Enabled = in.EventPattern, in.Description, in.RoleArn, in.State != api.RuleStateDisabled
		return rules.Put(tx, ruleID(busName, in.Name), r)
	})
	if err != nil {
		return nil, err
	}
	return &api.PutRuleOutput{RuleArn: s.ruleARN(busName, in.Name)}, nil
}

// DescribeRule implements the contract.
func (s *Service) DescribeRule(ctx context.Context, in *api.DescribeRuleInput) (*api.DescribeRuleOutput, error) {
	busName, err := s.busName(in.EventBusName)
	if err != nil {
		return nil, err
	}
	out := &api.DescribeRuleOutput{}
	return out, s.view(ctx, func(v record.View) error {
		r, _, err := ruleOf(v, busName, in.Name)
		if err == nil {
			*out = api.DescribeRuleOutput{Name: r.Name, Arn: s.ruleARN(r.Bus, r.Name), EventPattern: r.Pattern, State: r.state(), Description: r.About, RoleArn: r.Role, EventBusName: r.Bus, CreatedBy: s.cfg.Account}
		}
		return err
	})
}

// editRule changes a rule in its own batch.
func (s *Service) editRule(ctx context.Context, busName, name string, fn func(*rule) error) error {
	busName, err := s.busName(busName)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx record.Tx) error {
		r, v, err := ruleOf(tx, busName, name)
		if err != nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
		return rules.Replace(tx, ruleID(busName, name), r, v)
	})
}

// EnableRule implements the contract.
func (s *Service) EnableRule(ctx context.Context, in *api.EnableRuleInput) (*api.EnableRuleOutput, error) {
	return &api.EnableRuleOutput{}, s.editRule(ctx, in.EventBusName, in.Name, func(r *rule) error { r.Enabled = true; return nil })
}

// DisableRule implements the contract.
func (s *Service) DisableRule(ctx context.Context, in *api.DisableRuleInput) (*api.DisableRuleOutput, error) {
	return &api.DisableRuleOutput{}, s.editRule(ctx, in.EventBusName, in.Name, func(r *rule) error { r.Enabled = false; return nil })
}

// DeleteRule implements the contract: a rule with targets stays, one that does not exist is deleted already.
func (s *Service) DeleteRule(ctx context.Context, in *api.DeleteRuleInput) (*api.DeleteRuleOutput, error) {
	busName, err := s.busName(in.EventBusName)
	if err != nil {
		return nil, err
	}
	return &api.DeleteRuleOutput{}, s.change(ctx, func(tx record.Tx) error {
		if _, err := busOf(tx, busName); err != nil {
			return err
		}
		r, _, err := ruleOf(tx, busName, in.Name)
		switch {
		case absent(err):
			return nil
		case err != nil:
			return err
		case len(r.Targets) > 0:
			return invalid("Rule can't be deleted since it has targets.")
		}
		return tx.Purge(rules.Name, ruleID(busName, in.Name))
	})
}

// ListRules implements the contract.
func (s *Service) ListRules(ctx context.Context, in *api.ListRulesInput) (*api.ListRulesOutput, error) {
	out := &api.ListRulesOutput{Rules: []api.Rule{}}
	next, err := s.listRules(ctx, in.EventBusName, nil, in.NamePrefix, in.NextToken, in.Limit, func(r *rule) {
		out.Rules = append(out.Rules, api.Rule{Name: r.Name, Arn: s.ruleARN(r.Bus, r.Name), EventPattern: r.Pattern, State: r.state(), Description: r.About, RoleArn: r.Role, EventBusName: r.Bus})
	})
	out.NextToken = next
	return out, err
}

// ListRuleNamesByTarget implements the contract.
func (s *Service) ListRuleNamesByTarget(ctx context.Context, in *api.ListRuleNamesByTargetInput) (*api.ListRuleNamesByTargetOutput, error) {
	out := &api.ListRuleNamesByTargetOutput{RuleNames: []string{}}
	next, err := s.listRules(ctx, in.EventBusName, record.Match{Index: "target", Value: record.Token("", in.TargetArn)}, "", in.NextToken, in.Limit, func(r *rule) {
		out.RuleNames = append(out.RuleNames, r.Name)
	})
	out.NextToken = next
	return out, err
}

func (s *Service) listRules(ctx context.Context, nameOrARN string, also record.Expr, prefix, token string, limit *int32, fn func(*rule)) (next string, err error) {
	busName, err := s.busName(nameOrARN)
	if err != nil {
		return "", err
	}
	where := record.And{ofBus(busName)}
	if also != nil {
		where = append(where, also)
	}
	if prefix != "" {
		where = append(where, record.Prefix{Index: "name", Value: record.String(prefix)})
	}
	err = s.view(ctx, func(v record.View) error {
		if _, err := busOf(v, busName); err != nil {
			return err
		}
		var hits []record.Version
		if hits, next, err = pageOf(ctx, v, rules.Name, where, token, limit); err != nil {
			return err
		}
		for _, h := range hits {
			r, err := rules.Decode(h.Body)
			if err != nil {
				return err
			}
			fn(r)
		}
		return nil
	})
	return next, err
}

// maxTags is the quota of tags.
const maxTags = 50

func mergeTags(have, add []api.Tag) ([]api.Tag, error) {
	out := append([]api.Tag(nil), have...)
	for _, t := range add {
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, invalid("Tag keys must not begin with aws:.")
		}
		out = append(dropTags(out, []string{t.Key}), t)
	}
	if len(out) > maxTags {
		return nil, invalid("A resource can have at most %d tags.", maxTags)
	}
	return out, nil
}

func dropTags(have []api.Tag, keys []string) []api.Tag {
	out := []api.Tag{}
	for _, t := range have {
		keep := true
		for _, k := range keys {
			keep = keep && k != t.Key
		}
		if keep {
			out = append(out, t)
		}
	}
	return out
}

// tagged lets fn edit the tags of a rule or bus.
func (s *Service) tagged(ctx context.Context, arn string, fn func([]api.Tag) ([]api.Tag, error)) error {
	return s.change(ctx, func(tx record.Tx) (err error) {
		if name, ok := strings.CutPrefix(arn, s.arn("event-bus/")); ok {
			b, err := busOf(tx, name)
			if err != nil {
				return err
			}
			if b.Tags, err = fn(b.Tags); err != nil {
				return err
			}
			return buses.Put(tx, name, b)
		}
		busName, name, err := s.splitRule(arn)
		if err != nil {
			return err
		}
		r, v, err := ruleOf(tx, busName, name)
		if err != nil {
			return err
		}
		if r.Tags, err = fn(r.Tags); err != nil {
			return err
		}
		return rules.Replace(tx, ruleID(busName, name), r, v)
	})
}

// splitRule reads a rule's ARN.
func (s *Service) splitRule(arn string) (busName, name string, err error) {
	rest, ok := strings.CutPrefix(arn, s.arn("rule/"))
	if !ok {
		return "", "", notFound("Resource %s does not exist.", arn)
	}
	if at := strings.LastIndexByte(rest, '/'); at >= 0 {
		return rest[:at], rest[at+1:], nil
	}
	return defaultBus, rest, nil
}

// TagResource implements the contract for rules and buses.
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	return &api.TagResourceOutput{}, s.tagged(ctx, in.ResourceARN, func(have []api.Tag) ([]api.Tag, error) { return mergeTags(have, in.Tags) })
}

// UntagResource implements the contract for rules and buses.
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	return &api.UntagResourceOutput{}, s.tagged(ctx, in.ResourceARN, func(have []api.Tag) ([]api.Tag, error) { return dropTags(have, in.TagKeys), nil })
}

// ListTagsForResource implements the contract for rules and buses.
func (s *Service) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	out := &api.ListTagsForResourceOutput{Tags: []api.Tag{}}
	return out, s.view(ctx, func(v record.View) error {
		var tags []api.Tag
		if name, ok := strings.CutPrefix(in.ResourceARN, s.arn("event-bus/")); ok {
			b, err := busOf(v, name)
			if err != nil {
				return err
			}
			tags = b.Tags
		} else {
			busName, name, err := s.splitRule(in.ResourceARN)
			if err != nil {
				return err
			}
			r, _, err := ruleOf(v, busName, name)
			if err != nil {
				return err
			}
			tags = r.Tags
		}
		out.Tags = append(out.Tags, tags...)
		return nil
	})
}
