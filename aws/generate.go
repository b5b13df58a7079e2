package aws

//go:generate go run ./gen
