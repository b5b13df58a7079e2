package catalogue

import (
	"time"

	"github.com/galen-health/galen/standard/sniff"
)

func date(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// Services is the portfolio, health services first.
var Services = []Service{
	{
		ID: "healthlake", Package: "healthlake", Signing: "healthlake", Title: "FHIR records",
		Object:    "FHIR R4 resource",
		Contracts: []string{"AWS HealthLake", "FHIR R4 REST", "Bulk Data", "SMART on FHIR", "HL7 v2, C-CDA and CSV ingress"},
		Role:      SystemOfRecord,
		Survives:  []string{"FHIR R4 resources as NDJSON with every version", "Provenance and AuditEvent resources", "CloudTrail-shaped audit log"},
		ToBuild:   []string{"clinical user interface", "terminology content beyond what is free", "identity provider for patients"},
		Uses:      []string{"kms", "events", "s3", "comprehendmedical", "athena"},
		Kinds:     []sniff.Kind{sniff.FHIRJSON, sniff.FHIRXML, sniff.FHIRNDJSON, sniff.HL7v2, sniff.CCDA},
		Features: []Feature{
			{Name: "data transformation (C-CDA, CSV)", Availability: Preview, Since: date(2026, 7, 1), Operations: []string{
				"CreateDataTransformationProfile", "GetDataTransformationProfile", "UpdateDataTransformationProfile", "DeleteDataTransformationProfile",
				"PublishDataTransformationProfile", "ListDataTransformationProfiles", "ListDataTransformationProfileVersions",
				"StartDataTransformationJob", "DescribeDataTransformationJob", "ListDataTransformationJobs", "UpdateProfileWithAgent"}},
		},
	},
	{
		ID: "medical-imaging", Package: "medicalimaging", Signing: "medical-imaging", Title: "medical imaging",
		Object:    "DICOM instance, grouped into image sets",
		Contracts: []string{"AWS HealthImaging", "DICOMweb (STOW, QIDO, WADO)", "DIMSE at the edge"},
		Role:      SystemOfRecord,
		Survives:  []string{"DICOM Part 10 instances", "metadata with its versions", "CloudTrail-shaped audit log"},
		ToBuild:   []string{"diagnostic viewer", "worklist and reading workflow"},
		Uses:      []string{"kms", "events", "s3"},
		Kinds:     []sniff.Kind{sniff.DICOM, sniff.DICOMJSON},
	},
	{
		ID: "omics", Package: "omics", Signing: "omics", Title: "genomics",
		Object:    "read set, reference, variant, annotation, run",
		Contracts: []string{"AWS HealthOmics", "GA4GH WES, TES, DRS, htsget, refget"},
		Role:      SystemOfRecord,
		Survives:  []string{"FASTQ, BAM, CRAM with semantic ETags", "VCF rows as Parquet", "run manifests", "CloudTrail-shaped audit log"},
		ToBuild:   []string{"sample tracking before the sequencer", "interpretation and reporting"},
		Uses:      []string{"kms", "events", "s3", "ecr", "logs", "athena"},
		Kinds:     []sniff.Kind{sniff.FASTQ, sniff.FASTA, sniff.SAM, sniff.BAM, sniff.CRAM, sniff.VCF, sniff.BCF, sniff.GFF, sniff.WDL, sniff.CWL, sniff.Nextflow},
		Features: []Feature{
			{Name: "variant and annotation stores", Availability: ExistingCustomersOnly, Since: date(2025, 11, 7),
				Migration: "import VCF with a workflow into Iceberg tables and query them with SQL",
				Operations: []string{
					"CreateVariantStore", "GetVariantStore", "ListVariantStores", "UpdateVariantStore", "DeleteVariantStore",
					"StartVariantImportJob", "GetVariantImportJob", "ListVariantImportJobs", "CancelVariantImportJob",
					"CreateAnnotationStore", "GetAnnotationStore", "ListAnnotationStores", "UpdateAnnotationStore", "DeleteAnnotationStore",
					"CreateAnnotationStoreVersion", "GetAnnotationStoreVersion", "ListAnnotationStoreVersions", "UpdateAnnotationStoreVersion", "DeleteAnnotationStoreVersions",
					"StartAnnotationImportJob", "GetAnnotationImportJob", "ListAnnotationImportJobs", "CancelAnnotationImportJob"}},
			{Name: "Ready2Run workflows", Availability: Closed, Migration: "bring the workflow as a private WDL, CWL or Nextflow definition"},
		},
	},
	{
		ID: "connecthealth", Package: "connecthealth", Signing: "health-agent", Title: "ambient documentation, coding, verification, scheduling",
		Object:    "domain, subscription, session artifact, insight, code, booking",
		Contracts: []string{"Amazon Connect Health", "FHIR $match, Schedule, Slot, Appointment", "SMART Scheduling Links"},
		Role:      Stage,
		Survives:  []string{"transcripts, notes and codes with evidence links as JSON in S3", "CloudTrail-shaped audit log"},
		ToBuild:   []string{"telephony", "the write-back into the medical record"},
		Uses:      []string{"healthlake", "s3", "kms", "events", "comprehendmedical"},
		Features: []Feature{
			{Name: "medical coding and datasets", Availability: Preview, Since: date(2026, 8, 1), Operations: []string{
				"StartMedicalCodingJob", "GetMedicalCodingJob", "CreateDataset", "GetDataset", "DeleteDataset", "ListDatasets"}},
		},
	},
	{
		ID: "transcribe", Package: "healthscribe", Signing: "transcribe", Title: "transcripts and clinical notes",
		Object:    "transcript and clinical note of one conversation",
		Contracts: []string{"Amazon Transcribe medical scribe jobs and streams"},
		Role:      Stage,
		Survives:  []string{"transcript and note JSON with evidence links in S3", "CloudTrail-shaped audit log"},
		ToBuild:   []string{"the clinician's review of every note"},
		Uses:      []string{"s3", "kms", "events"},
		Kinds:     []sniff.Kind{sniff.Audio, sniff.Transcript, sniff.Note},
	},
	{
		ID: "comprehendmedical", Package: "comprehendmedical", Signing: "comprehendmedical", Title: "clinical language",
		Object:    "nothing: text in, entities out",
		Contracts: []string{"Amazon Comprehend Medical"},
		Role:      Stage,
		Survives:  []string{"nothing is kept but the audit log"},
		ToBuild:   []string{"the decision what to do with an entity"},
		Uses:      []string{"s3"},
		Features: []Feature{
			{Name: "DetectEntities (first version)", Availability: ExistingCustomersOnly, Migration: "call DetectEntitiesV2", Operations: []string{"DetectEntities"}},
		},
	},
	companion("s3", "s3", "s3", "object", "objects in and out", "Amazon S3"),
	companion("kms", "kms", "kms", "key", "which key", "AWS KMS"),
	companion("iam", "iam", "iam", "user, role, policy", "who may", "AWS IAM"),
	companion("sts", "sts", "sts", "session", "who acts as whom", "AWS STS"),
	companion("eventbridge", "events", "events", "event bus, rule", "what happened", "Amazon EventBridge"),
	companion("athena", "athena", "athena", "query execution", "SQL over what is stored", "Amazon Athena"),
	companion("cloudtrail", "cloudtrail", "cloudtrail", "audit entry", "who did what", "AWS CloudTrail"),
	companion("ecr", "ecr", "ecr", "container image", "images for workflows", "Amazon ECR", "OCI distribution"),
	companion("cloudwatch-logs", "logs", "logs", "log event", "run logs", "Amazon CloudWatch Logs"),
}

func companion(id, pkg, signing, object, title string, contracts ...string) Service {
	return Service{ID: id, Package: pkg, Signing: signing, Title: title, Object: object, Contracts: contracts, Role: Companion}
}
