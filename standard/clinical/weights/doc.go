// Package weights keeps the weights of linear models over hashed features small: the strongest features only, a byte a weight.
//
// A weight is a byte q that stands for sign(q)·(q/127)²·scale: small weights, which are many, keep their differences. A model file is a magic
// line and a deflated body that Writer and Reader put together; Reader never trusts a length that the body cannot hold.
package weights
