package aws_test

// The reviewed lists: what the check of coverage lets pass, and why. Each is as short as it can be.

// unreachable are operations that boto3 cannot call.
var unreachable = map[string]string{}

// neverWrong are operations whose every input the contract accepts.
var neverWrong = map[string]string{}

// denials are codes of a caller who may not, or of credentials that are not: they say nothing about the input.
var denials = map[string]bool{"AccessDenied": true, "AccessDeniedException": true, "InvalidClientTokenId": true, "SignatureDoesNotMatch": true,
	"InvalidAccessKeyId": true, "InvalidToken": true, "InvalidSignatureException": true, "UnrecognizedClientException": true}

// undeclared are codes that a service's documentation has and its model does not declare on the operation.
var undeclared = map[string]map[string]bool{}
