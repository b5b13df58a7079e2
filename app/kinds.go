package app

import (
	"slices"

	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/service/athena"
	"github.com/galen-health/galen/service/connecthealth"
	"github.com/galen-health/galen/service/events"
	"github.com/galen-health/galen/service/healthlake"
	"github.com/galen-health/galen/service/healthscribe"
	"github.com/galen-health/galen/service/iam"
	"github.com/galen-health/galen/service/kms"
	"github.com/galen-health/galen/service/medicalimaging"
	"github.com/galen-health/galen/service/omics"
	"github.com/galen-health/galen/service/openid"
	"github.com/galen-health/galen/service/s3"
)

// kinds are all kinds of records that a server keeps. Whoever moves records without serving them declares these; an import of a kind that is not among them fails.
func kinds() []record.KindDef {
	return slices.Concat([]record.KindDef{record.OnceKind.Def(), rootKind.Def(), probes.Def()},
		audit.Kinds(), event.Kinds(), job.Kinds(), athena.Kinds(), connecthealth.Kinds(), events.Kinds(), healthlake.Kinds(), healthscribe.Kinds(), iam.Kinds(), kms.Kinds(),
		medicalimaging.Kinds(), omics.Kinds(), openid.Kinds(), s3.Kinds())
}
