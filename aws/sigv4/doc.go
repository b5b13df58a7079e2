// Package sigv4 proves who signed a request with AWS Signature Version 4, and signs requests of our own client.
//
// It knows every form that SDKs use: the Authorization header, presigned queries, an unsigned payload, aws-chunked bodies (signed, signed with trailers,
// unsigned with trailers), and the chain of event-stream chunks. The body it hands on has been, or is being while it is read, checked against what was signed:
// a reader that reaches the end without an error has seen exactly the signed bytes.
package sigv4
