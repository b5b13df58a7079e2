// Package aws holds the black-box suites of the AWS contracts: the real binary, driven by clients that nobody here wrote.
package aws
