package audit

import "strings"

// Username is the caller's name in CloudTrail's words: the user's name, the session's name of a role, "root", or the service.
func (e *Entry) Username() string {
	switch {
	case strings.HasSuffix(e.Principal, ":root"):
		return "root"
	case strings.HasPrefix(e.Principal, "arn:"):
		return e.Principal[strings.LastIndexByte(e.Principal, '/')+1:]
	}
	return e.Principal
}

// Entity is the FHIR resource that the call was about, as Type/id; "" when it was not about one.
func (e *Entry) Entity() string {
	if id := e.Parameters["resourceId"]; id != "" {
		return e.Parameters["resourceType"] + "/" + id
	}
	return ""
}

// resourceTypes are CloudFormation's names of what an ARN's service and first word of the resource stand for.
var resourceTypes = map[string]string{
	"kms/key": "AWS::KMS::Key", "kms/alias": "AWS::KMS::Alias",
	"iam/user": "AWS::IAM::User", "iam/role": "AWS::IAM::Role", "iam/group": "AWS::IAM::Group", "iam/policy": "AWS::IAM::ManagedPolicy",
	"events/rule": "AWS::Events::Rule", "events/event-bus": "AWS::Events::EventBus",
	"healthlake/datastore": "AWS::HealthLake::FHIRDatastore", "medical-imaging/datastore": "AWS::HealthImaging::Datastore",
	"omics/sequenceStore": "AWS::Omics::SequenceStore", "omics/referenceStore": "AWS::Omics::ReferenceStore", "omics/variantStore": "AWS::Omics::VariantStore",
	"omics/annotationStore": "AWS::Omics::AnnotationStore", "omics/workflow": "AWS::Omics::Workflow", "omics/runGroup": "AWS::Omics::RunGroup",
	"logs/log-group": "AWS::Logs::LogGroup", "ecr/repository": "AWS::ECR::Repository", "athena/workgroup": "AWS::Athena::WorkGroup",
}

// ResourceType is the CloudFormation type of an ARN's resource, "" when it has none.
func ResourceType(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return ""
	}
	if parts[2] == "s3" {
		if strings.Contains(parts[5], "/") {
			return "AWS::S3::Object"
		}
		return "AWS::S3::Bucket"
	}
	word, _, _ := strings.Cut(parts[5], "/")
	word, _, _ = strings.Cut(word, ":")
	return resourceTypes[parts[2]+"/"+word]
}
