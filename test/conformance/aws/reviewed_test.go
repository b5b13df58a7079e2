package aws_test

// The reviewed lists: what the check of coverage lets pass, and why. Each is as short as it can be.

// unreachable are operations that boto3 cannot call.
var unreachable = map[string]string{}

// neverWrong are operations whose every input the contract accepts.
var neverWrong = map[string]string{
	"IAM.ListOpenIDConnectProviders": "its input has no members",
	"STS.GetCallerIdentity":          "its input has no members",
}

// onePage are listings that this server never has a second page of.
var onePage = map[string]string{
	"Athena.ListDataCatalogs":   "there is one catalogue",
	"Athena.ListTableMetadata":  "a variant store's database has one table",
	"KMS.ListKeyPolicies":       "a key has one policy",
	"Omics.ListReferenceStores": "an account has one reference store",
}

// denials are codes of a caller who may not, or of credentials that are not: they say nothing about the input.
var denials = set("AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken", "InvalidSignatureException", "UnrecognizedClientException")

// undeclared are codes that a service's documentation has and its model does not declare on the operation: of S3, whose model declares few
// (Amazon S3 API Reference, "Error responses"), and the common errors of the others (API reference of each, "Common Error Types").
var undeclared = map[string]map[string]bool{
	"ConnectHealth": set("ResourceNotFoundException", "ValidationException"),
	"EventBridge":   set("ValidationException"),
	"IAM":           set("MalformedPolicyDocument", "ValidationError"),
	"KMS":           set("ValidationException"),
	"S3": set("304", "404", "412", "BadDigest", "BucketNotEmpty", "IllegalLocationConstraintException", "InvalidArgument", "InvalidBucketName", "InvalidPart", "InvalidRange", "InvalidTag", "KMS.DisabledException",
		"KeyTooLongError", "MalformedPolicy", "MalformedXML", "MethodNotAllowed", "NoSuchBucket", "NoSuchBucketPolicy", "NoSuchKey", "NoSuchTagSet", "NoSuchUpload", "NoSuchVersion", "PreconditionFailed"),
	"STS": set("ValidationError"),
}

func set(codes ...string) map[string]bool {
	out := map[string]bool{}
	for _, c := range codes {
		out[c] = true
	}
	return out
}
