// Package model holds the contracts: the public AWS service models cut to facts, one JSON document a service.
//
// The documents are the source of everything in package aws: the generator makes the Go types from them, and the codecs, the router and the
// validators read the same documents at start. `make models` refreshes them.
package model

import "embed"

// Files are the documents: NAME.json in botocore's form, and transcribe-streaming.smithy.json in Smithy's.
//
//go:embed *.json
var Files embed.FS
