// Package aws is AWS as a contract: services, operations and shapes as data, read from the models in aws/model.
//
// Below it, one generated package a service holds the Go types, the Service interface, Unimplemented and a Client; aws/wire reads and writes the
// protocols; aws/sigv4 proves who signed; aws/route finds the operation of a request. Nothing here knows a service of ours.
//
// Go types: a structure is a struct whose fields are the members with their first letter upper-cased. A string is a string ("" = absent), a number or
// boolean a pointer unless required, a timestamp a time.Time (zero = absent), a blob a []byte, a streaming blob an io.Reader in and an io.ReadCloser out, a
// list a slice, a map a map, a structure member a pointer, a union a struct with exactly one member set, a document a json.RawMessage.
//
// An operation with an event stream takes a Stream beside its input: Open answers what goes out before the first event (headers, or the initial response), Recv
// yields the caller's events until io.EOF, Send answers events, and returning ends the stream.
package aws
