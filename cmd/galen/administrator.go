package main

import (
	"context"
	"fmt"

	"github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/aws/sts"
)

type firstCmd struct {
	target
	Name string `default:"administrator" help:"Name of the user."`
}

// administrators may do everything in the account; a policy of its own, so that it can be narrowed later.
const administrators = `{"Version":"2012-10-17","Statement":[{"Sid":"Administrator","Effect":"Allow","Action":"*","Resource":"*"}]}`

// Run makes the user, its policy and a key. What exists already is left as it is: the command can be run again after it broke off, and then makes a new key.
func (c *firstCmd) Run() error {
	ctx := context.Background()
	h, err := httpClient(c.Endpoint, c.Region)
	if err != nil {
		return err
	}
	api := iam.NewClient(h)
	if _, err := api.CreateUser(ctx, &iam.CreateUserInput{UserName: c.Name}); err != nil && named(err) != "EntityAlreadyExists" {
		return err
	}
	if _, err := api.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: c.Name, PolicyName: "administrator", PolicyDocument: administrators}); err != nil {
		return err
	}
	k, err := api.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: c.Name})
	if err != nil {
		return err
	}
	_, err = fmt.Printf("# %s may do everything in the account. The secret is shown this once.\n# Put root's keys away now: nothing needs them any more.\nexport AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\n",
		c.Name, k.AccessKey.AccessKeyId, k.AccessKey.SecretAccessKey)
	return err
}

// account is the caller's account.
func (t target) account() (string, error) {
	h, err := httpClient(t.Endpoint, t.Region)
	if err != nil {
		return "", err
	}
	out, err := sts.NewClient(h).GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return out.Account, nil
}
