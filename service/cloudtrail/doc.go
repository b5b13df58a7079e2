// Package cloudtrail answers LookupEvents from the audit log.
//
// It owns nothing: entries are made by the edge and kept by package audit. Unlike AWS it finds data events (a FHIR read, a frame) as well as
// management events, each within the moment that its call was answered. It looks back 90 days, as the contract says; the log itself keeps
// everything. Trails, delivery to S3 and insights are not offered.
//
// Contract: CloudTrail 2013-11-01.
package cloudtrail
