// Package wire reads and writes AWS's protocols: awsJson 1.0 and 1.1, restJson1, restXml, awsQuery, Smithy RPC v2 CBOR, and event streams.
//
// A codec walks the contract's shapes beside the Go values of the generated packages, so there is one codec a protocol and none an operation. Input is read
// strictly: a truncated body, a wrong JSON type, a duplicate key or too deep nesting is a SerializationException, a broken constraint a validation error that names
// the member. Members that the contract does not know are passed over silently, because newer SDKs send new ones (docs/decisions/0003-unknown-members.md).
package wire
